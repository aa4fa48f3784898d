"""Read an assignment's master: one MyST notebook with nbgrader's markers."""

import math
import re
from dataclasses import dataclass, field, make_dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
CODE_STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]
TEXT_STUB = ["YOUR ANSWER HERE"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PLACE = re.compile(r"[a-z_]+(#[a-z0-9-]+)?")
_MARKS = (BEGIN_SOLUTION, END_SOLUTION, BEGIN_HIDDEN, END_HIDDEN)
# A comment in which a marker's first word stands in capitals, or that is like one.
_SHOUTED = re.compile(r"#+\s*(BEGIN|END)\b")
_LIKE = 0.85


def _name(value):
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _place(value):
    return isinstance(value, str) and bool(_PLACE.fullmatch(value))


def _yes_or_no(value):
    return isinstance(value, bool)


def _number(least, most):
    def fits(value):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value) and least <= value <= most

    return fits


#: What may stand under `grade`: its type, what fits, and what holds without it.
KEYS = {
    "task": (str, _name, "", "lower-case letters, digits and _"),
    "tests": (str, _name, "", "lower-case letters, digits and _"),
    "student": (bool, _yes_or_no, False, "true or false"),
    "manual": (bool, _yes_or_no, False, "true or false"),
    "read": (str, _place, "", "a page of the book, or page#section"),
    "points": (float, _number(0, 10_000), None, "a number, 0 or more"),
    "seconds": (float, _number(0.1, 36_000), 30.0, "a number above 0"),
    "memory_mb": (int, _number(16, 2**20), 1024, "a number of MiB, 16 or more"),
}
_Grade = make_dataclass(
    "_Grade",
    [(key, kind, default) for key, (kind, _, default, _) in KEYS.items()],
    frozen=True,
)


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
    for its test; ``memory_mb`` the memory beyond that of the imports, in MiB;
    ``read`` the place in the book to read again.
    """

    name: str
    points: float
    seconds: float
    memory_mb: int
    manual: bool
    answers: tuple[Cell, ...]
    test: Cell | None = None
    read: str = ""


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


def read_text(path):
    """Return a master's text.

    Raises
    ------
    MasterError
        If there is no such file, or it is in another encoding than UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise MasterError(f"{path}: there is no such file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise MasterError(f"{path}: not in UTF-8; save it so") from None


def read_master(path):
    """Read a master from a file; see :func:`read_text` and :func:`parse_master`."""
    return parse_master(read_text(path), Path(path).name)


@lru_cache(maxsize=8)
def parse_master(text, where="master"):
    """Return the :class:`Master` that a MyST notebook's text describes.

    A text is read once in a process.

    Raises
    ------
    MasterError
        If a task has no test, no points or no answer cell, if a marker is not
        closed or nearly one, or if a key is not known or has no fitting value.
    """
    import jupytext

    try:
        notebook = jupytext.reads(text, fmt="md:myst")
    except Exception as error:
        raise MasterError(f"{where}: not a MyST notebook: {error}") from None
    head = notebook.metadata.get("grading") or {}
    if not isinstance(head, dict) or not _name(head.get("assignment")):
        raise MasterError(
            f"{where}: the front matter lacks `grading: {{assignment: name}}`; "
            "names are lower-case letters, digits and _"
        )
    if unknown := set(head) - {"assignment", "title"}:
        raise MasterError(
            f"{where}: unknown key {', '.join(sorted(map(str, unknown)))} in "
            "`grading`; it takes assignment, title"
        )
    cells, settings = [], {}
    for number, source in enumerate(notebook.cells):
        cells.append(_cell(source, number, cells, settings, where))
    cells = tuple(cells)
    if sum(cell.role == "student" for cell in cells) > 1:
        raise MasterError(f"{where}: two cells hold the student's id; keep one")
    for number, cell in enumerate(cells):
        if cell.role == "test" and cell.task not in settings:
            raise MasterError(
                f"{where}, cell {number + 1}: it tests {cell.task}, and no cell has "
                f"`grade: {{task: {cell.task}, points: ...}}`"
            )
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


def solution(cell):
    """Return a cell's text with the solution, without the lines around it."""
    marks = (BEGIN_SOLUTION, END_SOLUTION)
    lines = cell.source.splitlines()
    return "\n".join(line for line in lines if line.strip() not in marks)


def marker(cell):
    """Return the first line of a released answer cell.

    It tells the cell from others when a tool has dropped the cells' metadata.
    """
    if not cell.code:
        return f"**Your answer ({cell.id})**"
    return f"# Answer {cell.id} (keep this line)"


def _grade(source, place):
    """Return what stands under `grade` in a cell, as a `_Grade`, and its keys."""
    grade = source.metadata.get("grade", {})
    if not isinstance(grade, dict):
        raise MasterError(f"{place}: `grade` is {grade!r}; it takes keys and values")
    if unknown := set(grade) - set(KEYS):
        raise MasterError(
            f"{place}: unknown key {', '.join(sorted(map(str, unknown)))} in `grade`; "
            f"it takes {', '.join(sorted(KEYS))}"
        )
    values = {}
    for key, value in grade.items():
        kind, fits, _, takes = KEYS[key]
        if not fits(value):
            raise MasterError(f"{place}: `{key}` is {value!r}; it takes {takes}")
        values[key] = kind(value)
    made = _Grade(**values)
    if sum(map(bool, (made.task, made.tests, made.student))) > 1:
        raise MasterError(
            f"{place}: a cell is a task's, tests one, or is the student's"
        )
    if strange := set(grade) - {"tests", "student", "task"} if not made.task else set():
        raise MasterError(
            f"{place}: `{sorted(strange)[0]}` belongs into a cell with `task`"
        )
    return made, values


def _cell(source, number, before, settings, where):
    code = source.cell_type == "code"
    place = f"{where}, cell {number + 1}"
    grade, values = _grade(source, place)
    name = grade.task or grade.tests
    if grade.tests:
        role, cell_id = "test", f"{name}_test"
    elif grade.task:
        role = "manual" if grade.manual else "answer"
        count = sum(cell.task == name and cell.role == role for cell in before)
        cell_id = f"{name}_{count + 1}" if count else name
        made = settings.setdefault(name, {})
        for key in values.keys() - {"task"}:
            if key in made:
                raise MasterError(f"{place}: `{key}` of task {name} is given twice")
            made[key] = values[key]
    elif grade.student:
        role, cell_id = "student", "student"
    else:
        role, cell_id = ("given", f"given_{number + 1}") if code else ("text", "")
    cell = Cell(role, source.source, code, cell_id, name)
    if role in ("answer", "test", "student") and not code:
        raise MasterError(f"{place}: a text cell cannot be a task's {role}")
    if any(cell_id and cell_id == other.id for other in before):
        raise MasterError(f"{place}: two cells have the id {cell_id}; rename a task")
    _check_markers(cell, place)
    return cell


def _check_markers(cell, place):
    """Refuse what would not be taken out of the released notebook.

    A marker with a typing error is no marker: what it should hide is published.
    """
    for line in cell.source.splitlines():
        text = line.strip()
        if text in _MARKS:
            solution = "SOLUTION" in text
            if solution and cell.role not in ("answer", "manual"):
                raise MasterError(
                    f"{place}: a solution in a cell that belongs to no task"
                )
            if not solution and cell.role != "test":
                raise MasterError(f"{place}: hidden tests in a cell that is no test")
        elif _is_like_a_marker(text):
            raise MasterError(
                f"{place}: {text[:60]!r} is no marker, so nothing would be hidden; "
                f"the markers are {', '.join(_MARKS)}, each alone on its line"
            )
    released_source(cell)


def _is_like_a_marker(text):
    comment = text[text.find("#") :] if "#" in text else text
    if _SHOUTED.match(comment):
        return True
    words = _words(comment.upper().replace("START", "BEGIN").replace("STOP", "END"))
    # "# Solution", which is honest, has 0.80; "# hidden tests" has 0.86.
    ratios = (SequenceMatcher(None, words, _words(mark)).ratio() for mark in _MARKS)
    return any(ratio >= _LIKE for ratio in ratios)


def _words(text):
    return " ".join(sorted(re.findall(r"\w+", text)))


def _task(name, made, cells, where):
    mine = [cell for cell in cells if cell.task == name]
    grade = _Grade(task=name, **made)
    tests = [cell for cell in mine if cell.role == "test"]
    place = f"{where}, task {name}"
    if grade.points is None:
        raise MasterError(f"{place}: give its points, a number, in an answer cell")
    if len(tests) != (0 if grade.manual else 1):
        raise MasterError(
            f"{place}: {len(tests)} test cells; a task has one cell with "
            f"`grade: {{tests: {name}}}`, one that a person marks has none"
        )
    answers = tuple(cell for cell in mine if cell.role in ("answer", "manual"))
    if not grade.manual and BEGIN_SOLUTION not in "".join(
        cell.source for cell in answers
    ):
        raise MasterError(f"{place}: no solution between {BEGIN_SOLUTION} and END")
    return Task(
        name=name,
        points=grade.points,
        seconds=grade.seconds,
        memory_mb=grade.memory_mb,
        manual=grade.manual,
        answers=answers,
        test=tests[0] if tests else None,
        read=grade.read,
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
