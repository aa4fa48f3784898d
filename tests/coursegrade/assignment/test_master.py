"""Masters, the released notebook, and a submission's cells in order."""

import json
from pathlib import Path

import nbformat
import pytest

from coursegrade.assignment.master import MasterError, parse_master, read_master
from coursegrade.assignment.needs import needed
from coursegrade.examiner.notebook import (
    LIMIT_MB,
    Submitted,
    UnreadableError,
    plan,
    read_notebook,
    unanswered,
)
from coursegrade.release import released_notebook, source_notebook
from coursekit.grading import class_key, personal_rng, secret_rng, seed_hidden_inputs

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
    ],
)
def test_bad_masters_say_what_is_wrong(text, said):
    with pytest.raises(MasterError, match=said):
        parse_master(text)


def test_no_such_master(tmp_path):
    with pytest.raises(MasterError, match="no such file"):
        read_master(tmp_path / "none.md")


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


def cells_of(master):
    made = nbformat.writes(released_notebook(master))
    return read_notebook(made.encode())


def test_plan_restores_what_is_not_the_students():
    master = read_master(TINY)
    cells = cells_of(master)
    kept = [
        Submitted(cell.id, "mine = [0]" if cell.id == "given_4" else cell.source, True)
        for cell in cells
        if cell.id not in ("given_2", "mean_test")
    ]
    steps = plan(master, kept, "student_id = 'ann'")
    run = [step.source for step in steps if step.do == "run"]
    assert any(source.startswith("import keras") for source in run)
    assert "mine = [0]" not in run
    assert run.index("student_id = 'ann'") < next(
        index for index, source in enumerate(run) if "personal_rng(student" in source
    )
    assert [step.task for step in steps if step.do == "keep"] == [
        "mean",
        "stddev",
        "network",
    ]


def test_a_helper_cell_runs_where_the_student_put_it():
    master = read_master(TINY)
    cells = cells_of(master)
    index = next(i for i, cell in enumerate(cells) if cell.id == "mean")
    cells.insert(index, Submitted("", "helper = 1", True))
    run = [s.source for s in plan(master, cells, "student") if s.do == "run"]
    place = run.index("helper = 1")
    assert (
        "personal_rng(student_id" in run[place - 1] and "Answer mean" in run[place + 1]
    )


def test_a_copied_answer_cell_runs_after_the_first():
    master = read_master(TINY)
    cells = cells_of(master)
    cells.append(Submitted("mean", "mean = 2", True))
    steps = plan(master, cells, "student")
    assert steps[-1].source == "mean = 2"


def test_unanswered():
    master = read_master(TINY)
    cells = cells_of(master)
    task = master.tasks["mean"]
    assert "as it was released" in unanswered(master, task, cells)
    assert "not in the notebook" in unanswered(master, task, [])
    changed = [
        Submitted("mean", "mean = 3", True) if cell.id == "mean" else cell
        for cell in cells
    ]
    assert unanswered(master, task, changed) == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"{}", "not a notebook"),
        (b'{"cells": [{"cell_type": "code"}]}', "not a notebook"),
        (b'{"cells": 3}', "not a notebook"),
        (b"\xff\xfe", "not a notebook"),
        (b" " * (LIMIT_MB * 2**20 + 1), "larger than"),
        (json.dumps({"cells": [1] * 20_001}).encode(), "more than"),
    ],
)
def test_unreadable_notebooks_say_why(data, said):
    with pytest.raises(UnreadableError, match=said):
        read_notebook(data)


def test_needed_follows_given_cells():
    master = read_master(TINY)
    given, asked = needed(master.cells, master.tasks["mean"].test)
    assert asked == {"mean"}
    assert [cell.id for cell in given] == ["given_2", "given_4"]
    given, asked = needed(master.cells, master.tasks["network"].test)
    assert asked == {"network"} and [cell.id for cell in given] == ["given_2"]


def test_draws():
    one = personal_rng(" Ann ", "key", "t").normal()
    assert one == personal_rng("ann", "key", "t").normal()
    others = {
        personal_rng("bob", "key", "t").normal(),
        personal_rng("ann", "kez", "t").normal(),
        personal_rng("ann", "key", "u").normal(),
    }
    assert len(others | {one}) == 4
    with pytest.raises(ValueError, match="student_id is empty"):
        personal_rng(" ", "key", "t")
    assert class_key("a", "bc") != class_key("ab", "c")


def test_hidden_inputs_follow_secret_assignment_and_student():
    seen = set()
    try:
        for settings in (
            ("s", "a", "x"),
            ("t", "a", "x"),
            ("s", "b", "x"),
            ("s", "a", "y"),
        ):
            seed_hidden_inputs(*settings)
            seen.add(secret_rng("task").normal())
            seed_hidden_inputs(*settings)
            assert secret_rng("task").normal() in seen
    finally:
        seed_hidden_inputs(None, "", "")
    assert len(seen) == 4
