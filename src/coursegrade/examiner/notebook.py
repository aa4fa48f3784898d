"""Read a submitted notebook without trusting it; put its cells in order."""

import json
from dataclasses import dataclass

from coursegrade.assignment.master import marker, released_source

LIMIT_MB = 20
MAX_CELLS = 20_000


class UnreadableError(ValueError):
    """The file is no notebook that can be graded; the message says why."""


@dataclass(frozen=True)
class Submitted:
    """A code or text cell of a submission; ``id`` may be empty."""

    id: str
    source: str
    code: bool


@dataclass(frozen=True)
class Step:
    """One thing to do in the sandbox: run a text, or keep a task's names.

    ``task`` is the task that pays for it, empty for cells of no task.
    """

    do: str
    source: str = ""
    task: str = ""


def read_notebook(data):
    """Return the cells of a notebook's bytes.

    Raises
    ------
    UnreadableError
        If the bytes are too many, are not JSON, or are not a notebook's.
    """
    if len(data) > LIMIT_MB * 2**20:
        raise UnreadableError(
            f"larger than {LIMIT_MB} MB: clear the notebook's outputs and hand it "
            "in again"
        )
    if not data.strip():
        raise UnreadableError("the file is empty: download the notebook again")
    try:
        cells = json.loads(data.decode("utf-8-sig"))["cells"]
        if len(cells) > MAX_CELLS:
            raise UnreadableError(f"more than {MAX_CELLS} cells")
        return [_submitted(cell) for cell in cells]
    except UnreadableError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UnreadableError(
            "not a notebook: hand in the .ipynb file itself (Colab: File, "
            "Download, Download .ipynb)"
        ) from None


def _submitted(cell):
    source = cell["source"]
    if not isinstance(source, str):
        source = "".join(source)
    metadata = cell.get("metadata") or {}
    known = metadata.get("nbgrader") or metadata.get("coursekit") or {}
    cell_id = known.get("grade_id", "") if isinstance(known, dict) else ""
    return Submitted(str(cell_id), source, cell["cell_type"] == "code")


def match(master, submitted):
    """Return the submission's cells by the master's ids.

    A cell is known by its metadata or, where a tool dropped that, by the first
    line that every released answer has. The first cell of an id counts, so a
    copy at the end does not replace the answer above its test.
    """
    by_id, by_marker = {}, {}
    for cell in submitted:
        if cell.id:
            by_id.setdefault(cell.id, cell)
        first = cell.source.lstrip().partition("\n")[0].strip()
        by_marker.setdefault(first, cell)
    answers = [cell for cell in master.cells if cell.role in ("answer", "manual")]
    found = {}
    for cell in answers:
        mine = by_id.get(cell.id) or by_marker.get(marker(cell))
        if mine is not None:
            found[cell.id] = mine
    return found


def plan(master, submitted, student_source):
    """Return the steps that run a submission, in order.

    The student's own cells run where the student put them. Cells that are not
    the student's to change come from the master: what was edited counts for
    nothing, what was deleted is there. Tests are not run here at all.

    Parameters
    ----------
    master : Master
    submitted : list of Submitted
    student_source : str
        What the cell with the student's id is replaced by.
    """
    found = match(master, submitted)
    owner = {id(cell): name for name, cell in found.items()}
    order = [cell for cell in master.cells if cell.id]
    position = {cell.id: index for index, cell in enumerate(order)}
    steps, reached = [], 0

    def up_to(stop):
        # The master's own cells that stand before the next known one.
        nonlocal reached
        for cell in order[reached:stop]:
            if cell.role == "given":
                steps.append(Step("run", cell.source))
            elif cell.role == "student":
                steps.append(Step("run", student_source))
            elif cell.role == "test":
                steps.append(Step("keep", task=cell.task))
        reached = max(reached, stop)

    for cell in submitted:
        name = owner.get(id(cell), cell.id)
        place = position.get(name, -1)
        role = order[place].role if place >= 0 else ""
        answer = role in ("answer", "manual")
        if place >= 0:
            # A second copy of an answer runs too, as it did for the student.
            up_to(place if answer else place + 1)
        if cell.code and (answer or not role):
            steps.append(Step("run", cell.source, order[place].task if answer else ""))
    up_to(len(order))
    return steps


def unanswered(master, task, submitted):
    """Return why a task has no answer to grade, or an empty text."""
    found = match(master, submitted)
    absent = [cell.id for cell in task.answers if cell.id not in found]
    if len(absent) == len(task.answers):
        return "the answer cell is not in the notebook"
    for cell in task.answers:
        given = found.get(cell.id)
        if given and _bare(given.source) != _bare(released_source(cell)):
            return ""
    return "not answered: the cell is as it was released"


def _bare(source):
    lines = (line.strip() for line in source.splitlines())
    marks = ("#", "**Your answer (")
    return [line for line in lines if line and not line.startswith(marks)]
