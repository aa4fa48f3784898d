"""What is released: masters that are checked, notebooks that install what they need."""

import json
import subprocess
from pathlib import Path

import pytest

from coursegrade import cli, release
from coursegrade.assignment.master import MasterError, parse_master, read_master
from coursegrade.release import check_master
from submissions import TINY

ROOT = Path(__file__).parents[2]
WALKED = "assignments/vanishing_exploding.md"
# The one that is left out is released, and so checked, in test_simulate.py.
MASTERS = sorted({*ROOT.glob("assignments/*.md")} - {ROOT / WALKED})


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_the_solution_gets_all_points_and_the_empty_notebook_none(path):
    # Raises where a solution fails or an empty answer passes.
    check_master(path.read_text(encoding="utf-8"), "a secret", students=2)


@pytest.mark.usefixtures("warm")
def test_a_wrong_solution_is_found():
    text = TINY.read_text(encoding="utf-8").replace(
        "np.sqrt(2 / fan_in)\n    ###", "1\n    ###"
    )
    with pytest.raises(MasterError, match="own solution gets wrong"):
        check_master(text, students=1)


@pytest.mark.usefixtures("warm")
def test_tests_that_assert_nothing_are_found():
    text = TINY.read_text(encoding="utf-8")
    start = text.index("assert np.isclose(he_stddev(2)")
    end = text.index("### END HIDDEN TESTS", start)
    empty = f"{text[:start]}### BEGIN HIDDEN TESTS\npass\n{text[end:]}"
    assert parse_master(empty).tasks["stddev"].test is not None
    with pytest.raises(MasterError, match="pass without an answer"):
        check_master(empty, students=1)


@pytest.mark.usefixtures("warm")
def test_tests_that_an_empty_answer_passes_are_found():
    text = TINY.read_text(encoding="utf-8")
    start = text.index("assert np.isclose(he_stddev(2)")
    end = text.index("### END HIDDEN TESTS", start)
    hollow = (
        "assert np.isclose(he_stddev(2), 1).all()\n### BEGIN HIDDEN TESTS\n"
        "assert np.allclose(he_stddev(8), 0.5)\n"
    )
    with pytest.raises(MasterError, match="stddev.* answer that is empty"):
        check_master(f"{text[:start]}{hollow}{text[end:]}", students=1)


def cells(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))["cells"]


def text_of(path):
    return "\n".join("".join(cell["source"]) for cell in cells(path))


def test_cells_that_are_not_the_students_are_locked(tmp_path):
    path = release.write_release(read_master(TINY), tmp_path)
    locked = {"given_2": 0, "given_4": 0, "mean_test": 0}
    for cell in cells(path):
        known = cell["metadata"].get("nbgrader", {})
        if known.get("grade_id") in locked:
            locked[known["grade_id"]] += 1
        mine = known.get("solution") or not known
        assert cell["metadata"].get("editable", True) == mine
        assert cell["metadata"].get("deletable", True) == (not known)
    assert set(locked.values()) == {1}


def test_the_notebook_with_solutions_has_no_hidden_tests(tmp_path):
    arguments = ["release", str(TINY), "--no-check", "--out", str(tmp_path)]
    assert cli.main([*arguments, "--solution", "--secret", "s"]) == 0
    text = text_of(tmp_path / "tiny_solution.ipynb")
    assert "return np.sqrt(2 / fan_in)" in text and "Half of the units" in text
    assert "YOUR" not in text and "###" not in text and "integers(3, 999" not in text
    assert "YOUR CODE HERE" in text_of(tmp_path / "tiny.ipynb")


def repository(folder, remote=""):
    folder.mkdir(parents=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    git += ["-C", str(folder)]
    (folder / "one.md").write_text(TINY.read_text(encoding="utf-8"), encoding="utf-8")
    for more in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *more], check=True)
    run = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
    return run.stdout.decode().strip()


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A clone of the course that this package seems to come from; its commit."""
    for name in ("REPOSITORY", "WORKSPACE", "SHA"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    head = repository(tmp_path / "course")
    place = tmp_path / "course/src/coursekit/__init__.py"
    found = type("Spec", (), {"origin": str(place)})
    monkeypatch.setattr(release.util, "find_spec", lambda name: found)
    monkeypatch.setattr(release, "_told", dict)
    return head


@pytest.mark.parametrize("inside", [True, False], ids=["a repository", "none"])
def test_a_master_elsewhere_installs_the_courses_helpers(
    tmp_path, capsys, monkeypatch, course, inside
):
    if inside:
        own = repository(tmp_path / "own")
        monkeypatch.setenv("GITHUB_SHA", own)
    else:
        (tmp_path / "own").mkdir()
        (tmp_path / "own/one.md").write_text(TINY.read_text(encoding="utf-8"))
    arguments = ["release", str(tmp_path / "own/one.md"), "--no-check"]
    arguments += ["--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--repository", "acme/course"]) == 0
    text = text_of(tmp_path / "out/tiny.ipynb")
    assert "https://github.com/acme/course" in text and course in text
    assert "cannot install" not in capsys.readouterr().err
    # Nothing known is said, not released in silence.
    assert cli.main(arguments) == 0
    assert "cannot install" in capsys.readouterr().err


def test_where_the_helpers_come_from(tmp_path, monkeypatch, course):
    assert release.helpers() == ("", course)
    config = tmp_path / "course/_config.yml"
    config.write_text('html:\n  url: x\nrepository:\n  # why\n  url: ""\n')
    assert release.helpers() == ("", course)
    config.write_text(
        "repository:\n  # why\n  url: https://github.com/acme/course.git\n"
    )
    assert release.helpers() == ("acme/course", course)
    # Another repository does not have this commit.
    assert release.helpers("other/course") == ("other/course", "")
    assert release.helpers("other/course", "abc") == ("other/course", "abc")
    monkeypatch.setenv("GITHUB_REPOSITORY", "fork/course")
    assert release.helpers() == ("fork/course", course)
    # On a runner of another repository, the variable is not about this clone.
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert release.helpers() == ("acme/course", course)
    told = {"url": "https://github.com/acme/c", "vcs_info": {"commit_id": "f00"}}
    monkeypatch.setattr(release, "_told", lambda: told)
    assert release.helpers() == ("acme/c", "f00")
