"""What the grading tests share: a sandbox or a skip, notebooks with answers."""

import os
from pathlib import Path

import nbformat

from browser import unavailable
from coursegrade.assignment.master import read_master
from coursegrade.release import source_notebook
from coursegrade.sandbox import bubblewrap
from hostile import grade_id


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
