"""Make the notebook that students receive, and the one that nbgrader starts from."""

import re
from pathlib import Path

from coursegrade.assignment.master import (
    MasterError,
    marker,
    parse_master,
    released_source,
)
from coursegrade.examiner.client import grade_submission
from coursegrade.statuses import Status
from coursekit.colab import METADATA, setup_source
from coursekit.grading import PUBLIC, class_key

_KEY_LINE = re.compile(r"^class_key\s*=.*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^\s*(`{3,}|:{3,})\{|\{[a-z:]+\}`", re.MULTILINE)


def released_notebook(master, secret=PUBLIC, repository="", commit=""):
    """Return a master's student notebook, without solutions and hidden tests.

    Its cells carry nbgrader's metadata (schema 3), so nbgrader takes it as its
    own release.

    Parameters
    ----------
    master : Master
    secret : str
        The class secret; only a key derived from it stands in the notebook.
    repository, commit : str
        Where Colab installs this package from; see :mod:`.colab`.

    Raises
    ------
    MasterError
        If a text cell has a directive or role, which Colab shows raw.
    """
    key = class_key(secret, master.name)
    return _notebook(master, key, released_source, setup_source(repository, commit))


def source_notebook(master, secret=PUBLIC, repository="", commit=""):
    """Return the instructor's notebook for nbgrader's ``source`` folder."""
    key = class_key(secret, master.name)
    setup = setup_source(repository, commit)
    return _notebook(master, key, lambda cell: cell.source, setup)


def check_master(text, secret=PUBLIC, trust=False, students=5):
    """Grade a master's own solution and its empty notebook.

    Parameters
    ----------
    text : str
        The master.
    secret : str
        The class secret.
    trust : bool
        Grade without a sandbox.
    students : int
        For so many ids, since inputs depend on the student: a tolerance that is
        too tight for one in ten would make a class complain.

    Raises
    ------
    MasterError
        If the solution fails a task, or if a task's tests pass without an
        answer.
    """
    master = parse_master(text)
    solution, empty = source_notebook(master, secret), released_notebook(master, secret)
    for number in range(students):
        for row in _graded(text, solution, f"check{number}", secret, trust):
            if row["status"] != Status.OK:
                raise MasterError(
                    f"task {row['task']}: the master's own solution gets "
                    f"{row['status']}: {row['message']} (student check{number})"
                )
    for row in _graded(text, empty, "check0", secret, trust, force=True):
        if row["status"] == Status.OK:
            raise MasterError(
                f"task {row['task']}: its tests pass without an answer; "
                "assert something that only an answer makes true"
            )


def _graded(text, notebook, student, secret, trust, force=False):
    """Return the rows of the tasks that have tests."""
    import nbformat

    names = [name for name, task in parse_master(text).tasks.items() if not task.manual]
    job = {"id": student, "data": nbformat.writes(notebook).encode(), "master": text}
    job |= {"secret": secret, "trust": trust, "tasks": names, "force": force}
    rows = grade_submission(job)
    for row in rows:
        if row["status"] == Status.NOT_GRADED:
            raise MasterError(f"task {row['task']}: {row['message']}")
    return rows


def write_release(master, out, secret=PUBLIC, repository="", commit=""):
    """Write a master's student notebook into a folder; return its path."""
    import nbformat

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{master.name}.ipynb"
    nbformat.write(released_notebook(master, secret, repository, commit), path)
    return path


def write_source(master, course, secret=PUBLIC, repository="", commit=""):
    """Write nbgrader's source notebook into a course folder; return its path."""
    import nbformat

    folder = Path(course) / "source" / master.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{master.name}.ipynb"
    nbformat.write(source_notebook(master, secret, repository, commit), path)
    return path


def _notebook(master, key, text_of, setup):
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    cells = [new_code_cell(setup, id="setup", metadata={"cellView": "form"})]
    for number, cell in enumerate(master.cells):
        if cell.role == "text" and _DIRECTIVE.search(cell.source):
            raise MasterError(
                f"{master.name}, cell {number + 1}: a directive or role, which "
                "Colab shows raw; write plain Markdown"
            )
        source = text_of(cell)
        if cell.role in ("answer", "manual"):
            gap = "\n" if cell.code else "\n\n"
            source = f"{marker(cell)}{gap}{source}"
        if cell.role == "student":
            source = _KEY_LINE.sub(f'class_key = "{key}"', source)
        make = new_code_cell if cell.code else new_markdown_cell
        made = make(source, id=cell.id or f"text_{number + 1}")
        if cell.role == "student":
            # Open to the student, and no answer: nbgrader would empty it.
            made.metadata["coursekit"] = {"grade_id": cell.id}
        elif cell.id:
            made.metadata["nbgrader"] = _nbgrader(cell, master)
        cells.append(made)
    return new_notebook(cells=cells, metadata=METADATA)


def _nbgrader(cell, master):
    """Return a cell's metadata in nbgrader's schema 3."""
    graded = cell.role in ("test", "manual")
    made = {
        "schema_version": 3,
        "grade_id": cell.id,
        "grade": graded,
        "locked": cell.role in ("given", "test"),
        "solution": cell.role in ("answer", "manual"),
        "task": False,
    }
    if graded:
        first = cell.role == "test" or cell.id == cell.task
        made["points"] = master.tasks[cell.task].points if first else 0
    return made
