"""What the grading tests share: a sandbox or a skip, notebooks with answers."""

import csv
import os
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from browser import unavailable
from coursegrade.assignment.master import read_master
from coursegrade.release import source_notebook
from coursegrade.sandbox import bubblewrap
from hostile import grade_id

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/data/tiny.md"
MASTER = read_master(TINY)


def sandbox_or_skip():
    """Skip without bubblewrap, with its name; fail where CI is set."""
    reason = bubblewrap.why_not()
    if reason:
        unavailable(reason)


def grader_environment():
    """Return the variables for a process that uses this checkout's grader."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}


def solved(master_path, student, secret="public", change=None):
    """Return the bytes of a master's notebook with its solution, for a student.

    ``change`` maps ids of cells to other texts.
    """
    made = source_notebook(read_master(master_path), secret)
    for cell in made.cells:
        name = grade_id(cell.metadata)
        if name == "student":
            cell.source = cell.source.replace(
                'student_id = ""', f"student_id = '{student}'"
            )
        if name in (change or {}):
            cell.source = cell.source.partition("\n")[0] + "\n" + change[name]
    return nbformat.writes(made).encode()


RIGHT = solved(TINY, "")
WRONG = solved(TINY, "", change={"mean": "mean = 0.5"})
#: The bytes of a notebook that holds no cell of the assignment.
SCRATCH = nbformat.writes(new_notebook(cells=[new_code_cell("1+1")])).encode()


def rows_of(path):
    """Return the rows of a CSV as dicts."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def entry(student="ann", statuses=("ok", "wrong", "ok", "needs_review"), **more):
    """Return an entry of the journal for a student of the tiny assignment."""
    rows = []
    for task, status in zip(MASTER.tasks.values(), statuses, strict=True):
        points = {"ok": task.points, "needs_review": None}.get(status, 0)
        rows.append(
            {
                "task": task.name,
                "points": points,
                "of": task.points,
                "status": status,
                "message": "",
                "seconds": 0.5,
            }
        )
    made = {"id": student, "name": "", "where": student, "rows": rows}
    made |= {"late": None, "digest": "d", "stamp": "s"}
    return made | more


def write_files(root, files):
    """Write files, a dict of path to bytes; return the folder."""
    for name, data in files.items():
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return root


def found(taken):
    """Return what counts of each student: a path, "asked", or why there is none."""
    return {
        one.id: "asked" if one.asked else (one.file or one.problem)
        for one in taken.submissions
    }
