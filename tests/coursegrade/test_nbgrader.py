"""The same notebooks under nbgrader itself: released, handed in, autograded."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from coursegrade.assignment.master import read_master
from coursegrade.release import released_notebook, write_source
from submissions import TINY, grader_environment, solved


def nbgrader(course, *arguments):
    environment = grader_environment()
    # nbgrader calls alembic by its name.
    folder = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join((folder, environment.get("PATH", "")))
    command = [sys.executable, "-m", "nbgrader", *arguments, f"--course-dir={course}"]
    command.append("--CourseDirectory.db_url=sqlite:///" + str(course / "gradebook.db"))
    run = subprocess.run(
        command,
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]


def light_master(folder):
    """Write the tiny assignment without its network: Keras is not the point here."""
    text = TINY.read_text(encoding="utf-8").replace("import keras\n", "")
    first, _, rest = text.partition("## A network\n")
    path = folder / "light.md"
    path.write_text(first + rest[rest.index('+++ {"grade"') :], encoding="utf-8")
    return path


def test_released_and_graded_by_nbgrader(tmp_path):
    pytest.importorskip("nbgrader")
    path = light_master(tmp_path)
    master = read_master(path)
    write_source(master, tmp_path)
    nbgrader(tmp_path, "generate_assignment", "tiny")
    theirs = nbformat.read(tmp_path / "release/tiny/tiny.ipynb", as_version=4)
    ours = released_notebook(master)
    # What students get is the same, whoever releases it, but for our last cell, which
    # lets them check what was found.
    *same, last = ours.cells
    assert "check(" in last.source
    for one, other in zip(theirs.cells, same, strict=True):
        assert one.source.strip() == other.source.strip()
    wrong = {"stddev": "def he_stddev(fan_in):\n    return 1.0"}
    for student, change in (("ann", {}), ("bob", wrong)):
        folder = tmp_path / "submitted" / student / "tiny"
        folder.mkdir(parents=True)
        data = solved(path, student, change=change)
        (folder / "tiny.ipynb").write_bytes(data)
    nbgrader(tmp_path, "autograde", "tiny")

    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        found = {}
        for student in ("ann", "bob"):
            notebook = book.find_submission_notebook("tiny", "tiny", student)
            found[student] = {g.cell.name: g.auto_score for g in notebook.grades}
    why = {"why": found["ann"]["why"]}
    assert found["ann"] == {"mean_test": 2, "stddev_test": 3} | why
    assert found["bob"]["stddev_test"] == 0 and found["bob"]["mean_test"] == 2
