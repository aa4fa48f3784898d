"""What a student is told before a notebook is handed in."""

import json
import sys
import types

import pytest

from coursegrade import cli
from coursegrade.assignment.master import parse_master
from coursegrade.release import released_notebook
from coursekit import grading

MASTER = parse_master(
    """\
---
grading: {assignment: light}
---

```{code-cell}
---
grade: {student: true}
---
student_id = ""
class_key = "public"
```

```{code-cell}
from coursekit.grading import personal_rng

mine = personal_rng(student_id, class_key, "double").normal()
```

```{code-cell}
---
grade: {task: double, points: 2}
---
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
```

```{code-cell}
---
grade: {tests: double}
---
assert double(3) == 6, "twice three is six"
### BEGIN HIDDEN TESTS
assert double(7) == 14
### END HIDDEN TESTS
```

+++ {"grade": {"task": "why", "points": 1, "manual": true}}

### BEGIN SOLUTION
Because.
### END SOLUTION
"""
)
RIGHT = {
    "student": 'student_id = "ada"\nclass_key = "x"',
    "double": "def double(x):\n    return 2 * x",
    "why": "Because.",
}


def notebook(path, change=RIGHT, edit=None, **more):
    made = json.loads(json.dumps(released_notebook(MASTER)))
    for cell in made["cells"]:
        text = {**change, **more}.get(cell["id"])
        if text is not None:
            gap = cell["source"].partition("\n")[0] if cell["id"] != "student" else ""
            cell["source"] = f"{gap}\n{text}"
    if edit:
        edit(made["cells"])
    path.write_text(json.dumps(made), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    """Put back what a check sets for its own process."""
    monkeypatch.setenv("COURSEKIT_CHECK", "")
    monkeypatch.setenv("MPLBACKEND", "agg")


@pytest.fixture
def checked(tmp_path, capfd):
    """Return a function: the exit status and what was said of a notebook."""

    def run(*options, **how):
        path = notebook(tmp_path / "light.ipynb", **how)
        return cli.main(["check", path, *options]), capfd.readouterr().out

    return run


def test_a_notebook_that_is_ready(checked):
    status, said = checked("--id", "Ada")
    assert status == 0 and "2 of 2 answers are ready" in said
    assert "Your id is ada" in said and "without the grader's sandbox" in said


def test_a_notebook_as_it_was_released(checked):
    status, said = checked(change={})
    assert status == 1 and "0 of 2" in said and said.count("student_id is empty") == 1
    assert said.count("Not answered: the cell is as it was released.") == 2


@pytest.mark.parametrize(
    ("double", "told"),
    [
        ("def double(x):\n    return 3 * x", "Not right yet: twice three is six"),
        ("def double(x): return x + y", "Its public tests end in NameError"),
        ("print('no screen is written on')\ndef double(x):\n  1/0", "ZeroDivision"),
        ("raise SystemExit", "Its public tests end in NameError"),
    ],
)
def test_an_answer_that_is_not_right(checked, double, told):
    status, said = checked(double=double)
    assert status == 1 and told in said and "1 of 2" in said
    assert "no screen" not in said


def test_an_answer_that_stands_elsewhere(checked):
    def below(cells):
        fresh = {"cell_type": "code", "metadata": {}, "source": RIGHT["double"]}
        cells.insert(3, fresh | {"outputs": [], "execution_count": None})

    status, said = checked(edit=below, double="# YOUR CODE HERE")
    assert status == 0, said


@pytest.mark.parametrize("left", ["", "# Your answer is tested later.\n"])
def test_a_test_that_asks_nothing_in_the_open_finds_no_answer_right(checked, left):
    def hide(cells):
        (cell,) = (one for one in cells if one["id"] == "double_test")
        cell["source"] = left

    status, said = checked(edit=hide, change={"student": RIGHT["student"]})
    assert status == 1 and "public tests pass" not in said and "0 of 2" in said
    status, said = checked(edit=hide)
    assert status == 0 and "tests are hidden" in said


def test_cells_that_lost_what_marks_them(checked):
    def bare(cells):
        for cell in cells:
            cell["metadata"] = {}

    status, said = checked(edit=bare)
    assert "double: Its test is not in the notebook" in said and status == 0


def test_another_id_and_a_notebook_of_something_else(checked, tmp_path, capfd):
    status, said = checked("--id", "bob")
    assert status == 1 and "student_id is 'ada', and you hand in as 'bob'" in said
    (tmp_path / "other.ipynb").write_text('{"cells": []}')
    for name in ("other.ipynb", "gone.ipynb"):
        assert cli.main(["check", str(tmp_path / name)]) == 1
    said = capfd.readouterr().err
    assert (
        "no cell in it is an assignment's" in said
        and "gone.ipynb: there is no such" in said
    )


def test_the_last_cell_of_a_released_notebook(tmp_path, monkeypatch, capsys):
    last = released_notebook(MASTER).cells[-1].source
    exec(last, {})
    assert capsys.readouterr().out == ""
    monkeypatch.chdir(tmp_path)
    exec(last.replace("# coursekit", "coursekit"), {})
    assert "There is no light.ipynb in" in capsys.readouterr().out
    # In Colab there is no file: the page is asked for the notebook.
    made = json.loads(notebook(tmp_path / "x") and (tmp_path / "x").read_text())
    colab = types.ModuleType("google.colab")
    colab._message = types.SimpleNamespace(
        blocking_request=lambda *a, **k: {"ipynb": made}
    )
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    grading.check("light.ipynb")
    assert "2 of 2 answers are ready" in capsys.readouterr().out
    monkeypatch.setenv("COURSEKIT_CHECK", "1")
    grading.check("light.ipynb")
    assert capsys.readouterr().out == ""
