"""Read an assignment's master: one MyST notebook with nbgrader's markers."""

import re
from dataclasses import dataclass, field
from pathlib import Path

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
CODE_STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]
TEXT_STUB = ["YOUR ANSWER HERE"]

_KEYS = {"task", "points", "seconds", "memory_mb", "manual", "tests", "student"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class MasterError(ValueError):
    """The master cannot be used; the message names the cell and the cure."""


@dataclass(frozen=True)
class Cell:
    """One cell of the master.

    ``role`` is ``"text"``, ``"given"`` (code that students run as it is),
    ``"student"`` (holds the student's id), ``"answer"``, ``"test"`` or
    ``"manual"`` (an answer that a person marks). ``id`` is the cell's
    ``grade_id`` in the released notebook, empty for text.
    """

    role: str
    source: str
    code: bool
    id: str = ""
    task: str = ""


@dataclass(frozen=True)
class Task:
    """What one task asks for and what it may use.

    ``points`` is what it gives; ``seconds`` the time for each of its cells and
    for its test; ``memory_mb`` the memory beyond that of the imports, in MiB.
    """

    name: str
    points: float
    seconds: float
    memory_mb: int
    manual: bool
    answers: tuple[Cell, ...]
    test: Cell | None = None


@dataclass(frozen=True)
class Master:
    """An assignment: its cells in order and its tasks by name."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def points(self):
        """The points of all tasks together."""
        return sum(task.points for task in self.tasks.values())

    @property
    def memory_mb(self):
        """The largest allowance of memory of any task, in MiB."""
        return max((task.memory_mb for task in self.tasks.values()), default=1024)


def read_master(path):
    """Read a master from a file; see :func:`parse_master`."""
    path = Path(path)
    if not path.is_file():
        raise MasterError(f"{path}: there is no such file")
    return parse_master(path.read_text(encoding="utf-8"), path.name)


def parse_master(text, where="master"):
    """Return the :class:`Master` that a MyST notebook's text describes.

    Raises
    ------
    MasterError
        If a task has no test, no points or no answer cell, if a marker is not
        closed, or if a key is not known.
    """
    import jupytext

    try:
        notebook = jupytext.reads(text, fmt="md:myst")
    except Exception as error:
        raise MasterError(f"{where}: not a MyST notebook: {error}") from None
    head = notebook.metadata.get("grading") or {}
    if not _NAME.fullmatch(str(head.get("assignment", ""))):
        raise MasterError(
            f"{where}: the front matter lacks `grading: {{assignment: name}}`; "
            "names are lower-case letters, digits and _"
        )
    cells, settings = [], {}
    for number, source in enumerate(notebook.cells):
        cells.append(_cell(source, number, cells, settings, where))
    cells = tuple(cells)
    if sum(cell.role == "student" for cell in cells) > 1:
        raise MasterError(f"{where}: two cells hold the student's id; keep one")
    tasks = {name: _task(name, made, cells, where) for name, made in settings.items()}
    if not tasks:
        raise MasterError(f"{where}: no cell has `grade: {{task: ..., points: ...}}`")
    title = head.get("title", head["assignment"])
    return Master(head["assignment"], title, cells, tasks)


def released_source(cell):
    """Return a cell's text without its solutions and hidden tests."""
    stub = CODE_STUB if cell.code else TEXT_STUB
    text = _replace(cell.source, BEGIN_SOLUTION, END_SOLUTION, stub, cell.id)
    return _replace(text, BEGIN_HIDDEN, END_HIDDEN, [], cell.id)


def marker(cell):
    """Return the first line of a released answer cell.

    It tells the cell from others when a tool has dropped the cells' metadata.
    """
    if not cell.code:
        return f"**Your answer ({cell.id})**"
    return f"# Answer {cell.id} (keep this line)"


def _cell(source, number, before, settings, where):
    code = source.cell_type == "code"
    grade = dict(source.metadata.get("grade") or {})
    place = f"{where}, cell {number + 1}"
    if unknown := set(grade) - _KEYS:
        raise MasterError(
            f"{place}: unknown key {', '.join(sorted(unknown))} in `grade`; "
            f"it takes {', '.join(sorted(_KEYS))}"
        )
    name = str(grade.get("task") or grade.get("tests") or "")
    if grade and not grade.get("student") and not _NAME.fullmatch(name):
        raise MasterError(
            f"{place}: {name!r} is no task name; "
            "it takes lower-case letters, digits and _"
        )
    if "tests" in grade:
        role, cell_id = "test", f"{name}_test"
    elif "task" in grade:
        role = "manual" if grade.get("manual") else "answer"
        count = sum(cell.task == name and cell.role == role for cell in before)
        cell_id = f"{name}_{count + 1}" if count else name
        made = settings.setdefault(name, {})
        for key in grade.keys() - {"task"}:
            if key in made:
                raise MasterError(f"{place}: `{key}` of task {name} is given twice")
            made[key] = grade[key]
    elif grade.get("student"):
        role, cell_id = "student", "student"
    elif code:
        role, cell_id = "given", f"given_{number + 1}"
    else:
        role, cell_id = "text", ""
    cell = Cell(role, source.source, code, cell_id, name)
    if role in ("answer", "test", "student") and not code:
        raise MasterError(f"{place}: a text cell cannot be a task's {role}")
    if any(cell_id and cell_id == other.id for other in before):
        raise MasterError(f"{place}: two cells have the id {cell_id}; rename a task")
    released_source(cell)
    if role == "given" and BEGIN_SOLUTION in cell.source:
        raise MasterError(f"{place}: a solution in a cell that belongs to no task")
    return cell


def _task(name, made, cells, where):
    mine = [cell for cell in cells if cell.task == name]
    manual = bool(made.get("manual"))
    tests = [cell for cell in mine if cell.role == "test"]
    place = f"{where}, task {name}"
    points = made.get("points")
    if not isinstance(points, (int, float)) or isinstance(points, bool) or points < 0:
        raise MasterError(f"{place}: give its points, a number, in an answer cell")
    if len(tests) != (0 if manual else 1):
        raise MasterError(
            f"{place}: {len(tests)} test cells; a task has one cell with "
            f"`grade: {{tests: {name}}}`, one that a person marks has none"
        )
    answers = tuple(cell for cell in mine if cell.role in ("answer", "manual"))
    if not manual and BEGIN_SOLUTION not in "".join(cell.source for cell in answers):
        raise MasterError(f"{place}: no solution between {BEGIN_SOLUTION} and END")
    return Task(
        name=name,
        points=points,
        seconds=float(made.get("seconds", 30)),
        memory_mb=int(made.get("memory_mb", 1024)),
        manual=manual,
        answers=answers,
        test=tests[0] if tests else None,
    )


def _replace(text, begin, end, stub, where):
    """Return text with each region from begin to end replaced by the stub."""
    kept, inside = [], False
    for line in text.splitlines():
        mark = line.strip()
        if mark == begin:
            if inside:
                raise MasterError(f"cell {where}: {begin} inside another one")
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            kept.extend(indent + part for part in stub)
        elif mark == end:
            if not inside:
                raise MasterError(f"cell {where}: {end} without {begin}")
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise MasterError(f"cell {where}: {begin} is not closed by {end}")
    return "\n".join(kept).strip("\n")
