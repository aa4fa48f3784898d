"""Masters and their errors, and what is released of them."""

import json
from pathlib import Path

import nbformat
import pytest

from coursegrade.assignment.master import MasterError, parse_master, read_master
from coursegrade.release import released_notebook, source_notebook
from coursekit.grading import class_key

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests/data/tiny.md"
MASTERS = sorted(ROOT.glob("assignments/*.md"))


def code(*parts):
    return "\n".join(["```{code-cell} ipython3", *parts, "```", ""])


def head(assignment="small"):
    return f"---\ngrading: {{assignment: {assignment}}}\n---\n\n"


ANSWER = code(
    "---",
    "grade: {task: a, points: 1}",
    "---",
    "### BEGIN SOLUTION",
    "a = 1",
    "### END SOLUTION",
)
TEST = code("---", "grade: {tests: a}", "---", "assert a == 1")


def test_small_master():
    master = parse_master(head() + ANSWER + TEST)
    assert master.points == 1 and master.tasks["a"].seconds == 30
    assert [cell.role for cell in master.cells] == ["answer", "test"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ANSWER + TEST, "front matter lacks"),
        (head("Big Name") + ANSWER + TEST, "lower-case"),
        (head() + ANSWER, "0 test cells"),
        (head() + ANSWER + TEST + TEST, "two cells have the id a_test"),
        (head() + ANSWER.replace(", points: 1", "") + TEST, "give its points"),
        (head() + ANSWER.replace("points: 1", "points: one") + TEST, "a number"),
        (head() + ANSWER.replace("points", "pts") + TEST, "unknown key pts"),
        (head() + ANSWER.replace("### END SOLUTION", "") + TEST, "not closed"),
        (head() + ANSWER.replace("### BEGIN SOLUTION", "") + TEST, "without"),
        (head() + ANSWER + ANSWER + TEST, "given twice"),
        (head() + code("x = 1"), "no cell has"),
        (head() + code("### BEGIN SOLUTION", "### END SOLUTION"), "no task"),
        (head() + code("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"), "no test"),
        (head() + ANSWER + TEST.replace("tests: a", "tests: b"), "it tests b"),
        (head() + ANSWER + TEST.replace("a}", "a, points: 1}"), "belongs into"),
        (head().replace("small", "small, titel: A") + ANSWER + TEST, "key titel"),
    ],
)
def test_bad_masters_say_what_is_wrong(text, said):
    with pytest.raises(MasterError, match=said):
        parse_master(text)


@pytest.mark.parametrize(
    ("key", "value", "takes"),
    [
        ("points", ".nan", "a number"),
        ("points", "-1", "a number"),
        ("points", "true", "a number"),
        ("points", ".inf", "a number"),
        ("seconds", "fast", "above 0"),
        ("seconds", "-5", "above 0"),
        ("seconds", "0", "above 0"),
        ("seconds", '"8"', "above 0"),
        ("seconds", "[8]", "above 0"),
        ("memory_mb", "1", "MiB"),
        ("memory_mb", "lots", "MiB"),
        ("manual", '"no"', "true or false"),
        ("manual", "1", "true or false"),
        ("task", "3", "lower-case"),
        ("task", "Big Name", "lower-case"),
    ],
)
def test_a_value_that_does_not_fit_names_the_cell_and_the_key(key, value, takes):
    keys = {"task": "a", "points": "1"} | {key: value}
    text = ", ".join(f"{name}: {one}" for name, one in keys.items())
    master = head() + ANSWER.replace("task: a, points: 1", text) + TEST
    with pytest.raises(MasterError, match=f"cell 1: `{key}` is .*{takes}"):
        parse_master(master)


@pytest.mark.parametrize("value", ["true", "[a]", "a"])
def test_grade_that_is_no_mapping(value):
    text = head() + ANSWER.replace("{task: a, points: 1}", value) + TEST
    with pytest.raises(MasterError, match="cell 1: `grade` is"):
        parse_master(text)


@pytest.mark.parametrize(
    "line",
    [
        "### BEGIN HIDDEN TEST",
        "### END HIDDEN TEST",
        "### BEGIN SOLUTIONS",
        "### Begin Solution",
        "###BEGIN SOLUTION",
        "# BEGIN SOLUTION",
        "### BEGIN SOLUTON",
        "### BGIN HIDDEN TESTS",
        "### END OF THE SOLUTION",
        "x = 1  ### BEGIN SOLUTION",
        "BEGIN SOLUTION",
        "### hidden tests",
        "### HIDDEN TESTS BEGIN",
        "### START HIDDEN TESTS",
        "### STOP HIDDEN TEST",
        "## solution end",
    ],
)
def test_a_marker_with_a_typing_error_publishes_nothing(line):
    text = "+++ {}\n\n" + line + "\nthe model answer\n\n"
    cells = code(line, "secret = 1")
    for master in (
        head() + ANSWER + TEST.replace("assert", f"{line}\nassert"),
        head() + ANSWER.replace("a = 1", f"a = 1\n{line}") + TEST,
        head() + ANSWER + TEST + text,
        head() + ANSWER + TEST + cells,
    ):
        with pytest.raises(MasterError, match="is no marker"):
            parse_master(master)


@pytest.mark.parametrize(
    "line",
    [
        *("# begin with the hidden layer", "# Solution", "# the end of it"),
        *("# Endless", "# hidden unit tests", "# start from the solution"),
    ],
)
def test_an_honest_comment_is_no_marker(line):
    assert parse_master(head() + ANSWER.replace("a = 1", f"a = 1\n{line}") + TEST)


def test_a_text_is_read_once():
    text = head() + ANSWER + TEST
    assert parse_master(text) is parse_master(text)


def test_no_such_master(tmp_path):
    with pytest.raises(MasterError, match="no such file"):
        read_master(tmp_path / "none.md")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_a_master_in_another_encoding(tmp_path, encoding):
    path = tmp_path / "one.md"
    path.write_text(head() + ANSWER + TEST + "\nFür Zoë.\n", encoding=encoding)
    if encoding == "utf-8-sig":
        assert read_master(path).tasks
    else:
        with pytest.raises(MasterError, match="one.md: not in UTF-8"):
            read_master(path)


@pytest.mark.parametrize("path", [TINY, *MASTERS], ids=lambda path: path.stem)
def test_released_notebook_has_no_secrets(path):
    master = read_master(path)
    text = nbformat.writes(released_notebook(master, "the class secret"))
    solutions = [
        line.strip()
        for cell in master.cells
        if "### BEGIN SOLUTION" in cell.source
        for line in cell.source.split("### BEGIN SOLUTION")[1]
        .split("### END SOLUTION")[0]
        .splitlines()
    ]
    given = "\n".join(cell.source for cell in master.cells if cell.role == "given")
    lines = [line for line in solutions if len(line) > 20 and line not in given]
    assert lines and not [line for line in lines if json.dumps(line)[1:-1] in text]
    for word in ("### BEGIN", "HIDDEN", "secret_rng(", "the class secret"):
        assert word not in text
    assert class_key("the class secret", master.name) in text


@pytest.mark.parametrize("path", [TINY, *MASTERS], ids=lambda path: path.stem)
def test_nbgrader_takes_the_released_notebook(path):
    validator = pytest.importorskip("nbgrader.nbgraderformat.v3")
    for make in (released_notebook, source_notebook):
        made = make(read_master(path), "secret")
        nbformat.validate(made)
        validator.MetadataValidatorV3().validate_nb(made)


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_assignments_are_ten_points_and_fit_a_phone(path):
    master = read_master(path)
    assert master.points == 10
    assert any(task.manual for task in master.tasks.values()) or path.stem == "cures"
    lines = [line for cell in master.cells for line in cell.source.splitlines()]
    assert max(map(len, lines)) <= 88
    given = [cell for cell in master.cells if cell.role == "given"]
    assert any("personal_rng" in cell.source for cell in given)


def test_a_directive_is_refused():
    text = head() + "```{note}\nHello\n```\n\n" + ANSWER + TEST
    with pytest.raises(MasterError, match="Colab shows raw"):
        released_notebook(parse_master(text))
