"""Make the notebook that students receive, and the one that nbgrader starts from."""

import json
import os
import re
import subprocess
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coursegrade.assignment.master import (
    MasterError,
    marker,
    parse_master,
    released_source,
    solution,
)
from coursegrade.assignment.vacuous import vacuous_answers
from coursegrade.examiner.client import grade_submission
from coursegrade.statuses import Status
from coursekit import colab
from coursekit.grading import PUBLIC, class_key

_KEY_LINE = re.compile(r"^class_key\s*=.*$", re.MULTILINE)
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", re.ASCII)
# Nobody's name is used, and nothing runs by itself.
_CHECK = """\
# Before you hand in: save the notebook, remove the # below, and run this cell.
import coursekit.grading

# coursekit.grading.check("{name}.ipynb")"""
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
    from nbformat.v4 import new_code_cell

    made = _notebook(master, released_source, secret, repository, commit)
    made.cells.append(new_code_cell(_CHECK.format(name=master.name), id="check"))
    return made


def source_notebook(master, secret=PUBLIC, repository="", commit=""):
    """Return the instructor's notebook for nbgrader's ``source`` folder."""
    return _notebook(master, lambda cell: cell.source, secret, repository, commit)


def solution_notebook(master, secret=PUBLIC, repository="", commit=""):
    """Return a notebook with the solutions and without hidden tests, for students."""

    def text_of(cell):
        return released_source(replace(cell, source=solution(cell)))

    return _notebook(master, text_of, secret, repository, commit)


def helpers(repository=None, commit=None):
    """Return the repository and the commit from which Colab installs the helpers.

    They are those of this package, wherever the master lies: what pip was told when it
    installed the package from a repository, or the clone that it lies in. There, the
    variable ``GITHUB_REPOSITORY`` counts if GitHub runs on that clone, else ``url`` in
    the clone's ``_config.yml``.

    Parameters
    ----------
    repository, commit : str, optional
        What a person says instead.

    Returns
    -------
    tuple of str
        Empty texts where nothing is known.
    """
    own, own_commit = _installed() or _cloned()
    if repository and own and repository != own:
        # Another repository does not have this commit.
        own_commit = ""
    return repository or own, commit or own_commit


def _told():
    """Return what pip was told when it installed this package (PEP 610)."""
    try:
        told = metadata.distribution("gradient-coursekit").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        told = None
    return json.loads(told or "{}")


def _installed():
    """Return repository and commit of a package that pip took from GitHub, or None."""
    told = _told()
    name = _GITHUB.fullmatch(told.get("url", ""))
    commit = told.get("vcs_info", {}).get("commit_id", "")
    return (name[1], commit) if name and commit else None


def _cloned():
    """Return repository and commit of the clone that this package comes from."""
    import yaml

    root = Path(util.find_spec("coursekit").origin).parents[2]
    if not (root / ".git").exists():
        root = Path(unquote(urlsplit(_told().get("url", "")).path) or root)
    if not (root / ".git").exists():
        return "", ""
    runs_on = os.environ.get("GITHUB_WORKSPACE") or root
    mine = Path(runs_on).resolve() == root.resolve()
    name = os.environ.get("GITHUB_REPOSITORY", "") if mine else ""
    config = root / "_config.yml"
    if not name and config.is_file():
        told = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
        match = _GITHUB.fullmatch((told.get("repository") or {}).get("url") or "")
        name = match[1] if match else ""
    git = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        run = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return name, ""
    return name, run.stdout.strip()


def check_master(text, secret=PUBLIC, trust=False, students=5):
    """Grade a master's own solution, its empty notebook, and answers without the skill.

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
        answer, or with an empty, a constant or an echoing one.
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
    for what, texts in vacuous_answers(master):
        _refuse_vacuous(text, what, texts, secret, trust)


def _refuse_vacuous(text, what, texts, secret, trust):
    """Refuse a task that an answer without the skill passes for two students."""
    master = parse_master(text)
    notebook = source_notebook(master, secret)
    for cell in notebook.cells:
        cell.source = texts.get(cell.id, cell.source)
    tried = {
        task.name
        for task in master.tasks.values()
        if not task.manual and task.answers[-1].id in texts
    }
    for student in ("check0", "check1"):
        if not tried:
            return
        rows = _graded(text, notebook, student, secret, trust, tasks=sorted(tried))
        tried &= {row["task"] for row in rows if row["status"] == Status.OK}
    for name in sorted(tried):
        raise MasterError(
            f"task {name}: its tests pass with an answer that is {what}; check the "
            "shape of what is returned, and several inputs"
        )


def _graded(text, notebook, student, secret, trust, force=False, tasks=()):
    """Return the rows of the tasks that have tests, or of ``tasks``."""
    import nbformat

    every = parse_master(text).tasks.items()
    names = list(tasks) or [name for name, task in every if not task.manual]
    job = {"id": student, "data": nbformat.writes(notebook).encode(), "master": text}
    job |= {"secret": secret, "trust": trust, "tasks": names, "force": force}
    rows = grade_submission(job)
    for row in rows:
        if row["status"] == Status.NOT_GRADED:
            raise MasterError(f"task {row['task']}: {row['message']}")
    return rows


def write_release(master, out, *where):
    """Write a master's student notebook into a folder; return its path.

    ``where`` is what :func:`released_notebook` takes besides the master.
    """
    return _write(released_notebook(master, *where), out, master.name)


def write_solution(master, out, *where):
    """Write the notebook with solutions beside the students'; return its path."""
    return _write(solution_notebook(master, *where), out, f"{master.name}_solution")


def write_source(master, course, *where):
    """Write nbgrader's source notebook into a course folder; return its path."""
    folder = Path(course) / "source" / master.name
    return _write(source_notebook(master, *where), folder, master.name)


def _write(notebook, folder, name):
    import nbformat

    path = Path(folder) / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def _notebook(master, text_of, secret, repository, commit):
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    key = class_key(secret, master.name)
    setup = colab.setup_source(repository, commit)
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
            made.metadata["nbgrader"] = known = _nbgrader(cell, master)
            # What Jupyter and VS Code keep from being changed by accident.
            made.metadata["deletable"] = False
            if known["locked"]:
                made.metadata["editable"] = False
        cells.append(made)
    return new_notebook(cells=cells, metadata=colab.METADATA)


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
