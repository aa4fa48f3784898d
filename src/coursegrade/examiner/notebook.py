"""Read a submitted notebook without trusting it; put its cells in order."""

import ast
import hashlib
import json
import unicodedata
from dataclasses import dataclass

from coursegrade.assignment import needs
from coursegrade.assignment.master import marker, released_source

# Figures and training logs make large notebooks; texts and lists, not bytes, fill the
# memory: eight million take half a GB.
LIMIT_MB = 64
MAX_PARTS = 8_000_000
MAX_CELLS = 20_000
# No longer cell's text is looked into for names.
MAX_TREE = 100_000
# Roles of the cells that a student leaves as they are.
_FIXED = ("given", "student", "test")


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

    ``task`` is the task that pays for it, empty for cells of no task. ``cell`` is
    the number of the notebook's cell, from 1, or 0 for one of the master's.
    """

    do: str
    source: str = ""
    task: str = ""
    cell: int = 0


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
    if sum(map(data.count, (b"[", b"{", b'"'))) > MAX_PARTS:
        raise UnreadableError(
            "too many texts and lists in it: clear the notebook's outputs and hand it "
            "in again"
        )
    if not data.strip():
        raise UnreadableError("the file is empty: download the notebook again")
    try:
        made = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        made = None
        _refuse_damaged(data)
    cells = made.get("cells") if isinstance(made, dict) else None
    if isinstance(made, dict) and "worksheets" in made and cells is None:
        raise UnreadableError(
            "a notebook of an old format: open it in Jupyter, save it, and hand it "
            "in again"
        )
    if isinstance(cells, list) and len(cells) > MAX_CELLS:
        raise UnreadableError(f"more than {MAX_CELLS} cells")
    texts = [_submitted(cell) for cell in cells] if isinstance(cells, list) else []
    if not isinstance(cells, list) or (cells and not any(one.source for one in texts)):
        raise UnreadableError(
            "not a notebook: hand in the .ipynb file itself (Colab: File, "
            "Download, Download .ipynb)"
        )
    return texts


def _refuse_damaged(data):
    """Raise UnreadableError for bytes that are no JSON, and look like a notebook's."""
    if data.startswith(b"PK"):
        raise UnreadableError(
            "a zip that is called a notebook: unpack it and hand in the .ipynb file "
            "itself"
        )
    # UTF-16 has a zero beside each letter.
    if b'"cells"' in data.replace(b"\0", b""):
        raise UnreadableError(
            "a notebook that is damaged or in another encoding: download it again, or "
            "open it in Jupyter and save it, and hand it in again"
        )


def _submitted(cell):
    """Return a cell as far as it can be read; a damaged one is an empty one."""
    if not isinstance(cell, dict):
        return Submitted("", "", False)
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    known = metadata.get("nbgrader") or metadata.get("coursekit") or {}
    cell_id = known.get("grade_id") if isinstance(known, dict) else ""
    text, code = _text(cell.get("source")), cell.get("cell_type") == "code"
    text += "" if code else _pictures(cell)
    return Submitted(_text(cell_id), text, code)


def _text(value):
    """Return a text that may come in lines; nothing of what is none."""
    lines = value if isinstance(value, list) else [value]
    return written("".join(line for line in lines if isinstance(line, str)))


def _pictures(cell):
    """Return a line about the pictures in a text: each another one for other ones.

    Who reads the text must know of them, and a mark belongs to what was read.
    """
    given = cell.get("attachments")
    kinds = [one for one in given.values() if one] if isinstance(given, dict) else []
    if not kinds:
        return ""
    data = [one for kind in kinds if isinstance(kind, dict) for one in kind.values()]
    digest = hashlib.sha256("".join(map(_text, data)).encode()).hexdigest()[:8]
    return f"\n\n(with a picture, {digest}: open the notebook)"


def written(text):
    """Return a text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def match(master, submitted):
    """Return for each cell of a submission the master's cells that it is, a list.

    A cell is known by its metadata or, where a tool dropped that, by the line that
    every released answer begins with, wherever it stands now. A cell of the
    student's own that defines what an answer should define is an answer: it was
    written anew, below the one that was meant for it, or without its first line.
    One that was merged with another is both.
    """
    by_id = {cell.id: cell for cell in master.cells if cell.id}
    answers = [cell for cell in master.cells if cell.role in ("answer", "manual")]
    by_marker = {marker(cell): cell for cell in answers}
    by_name = {
        name: cell
        for cell in answers
        if cell.role == "answer"
        for name in needs.defined(cell.source)
    }

    def known(cell):
        found = [by_id[cell.id]] if cell.id in by_id else []
        if found and found[0].role in _FIXED:
            return found
        lines = {line.strip() for line in cell.source.splitlines()}
        found += [one for line, one in by_marker.items() if line in lines]
        # The text first: a syntax tree of each of ten thousand cells takes long.
        if cell.code and any(name in cell.source for name in by_name):
            names = needs.bound(_tree(cell.source))
            found += [one for name, one in by_name.items() if name in names]
        return list(dict.fromkeys(found))

    return [known(cell) for cell in submitted]


def plan(master, submitted, student_source):
    """Return the steps that run a submission, in order.

    The student's own cells run where the student put them. Cells that are not
    the student's to change come from the master: what was edited counts for
    nothing, what was deleted is there, what was moved below an answer that needs
    it stands above. What was added to them, an import say, counts. Tests are not
    run here at all: names are kept where a test stands.

    Parameters
    ----------
    master : Master
    submitted : list of Submitted
    student_source : str
        What the cell with the student's id is replaced by.
    """
    known = match(master, submitted)
    before = {}
    for cell, index in _places(master, known):
        if cell.role == "test":
            step = Step("keep", task=cell.task)
        else:
            text = student_source if cell.role == "student" else cell.source
            step = Step("run", text)
        before.setdefault(index, []).append(step)
    fixed = [cell for cell in master.cells if cell.role in _FIXED]
    taken = {name for cell in fixed for name in needs.defined(cell.source)}
    steps = []
    for index, (cell, mine) in enumerate(zip(submitted, known, strict=True)):
        steps += before.get(index, [])
        if mine and mine[0].role in _FIXED:
            if cell.code and _bare(cell.source) != _bare(released_source(mine[0])):
                steps.append(Step("run", _added(cell.source, taken), cell=index + 1))
        elif cell.code:
            task = mine[0].task if mine else ""
            steps.append(Step("run", cell.source, task, index + 1))
    return steps + before.get(len(submitted), [])


def up_to(steps, task):
    """Return the steps that stand above a task's test, and the test."""
    return steps[: steps.index(Step("keep", task=task)) + 1]


def below(steps, task, name):
    """Return the number of the cell that defines a name below a test, or 0."""
    for step in steps[len(up_to(steps, task)) :]:
        if name in step.source and name in needs.bound(_tree(step.source)):
            return step.cell
    return 0


def unanswered(master, task, submitted):
    """Return why a task has no answer to grade, or an empty text."""
    given = answers(master, task, submitted)
    if not given:
        return "the answer cell is not in the notebook"
    stubs = [released_source(cell) for cell in task.answers]
    if all(
        _bare(cell.source, cell.code) in [_bare(stub, cell.code) for stub in stubs]
        for cell in given
    ):
        return "not answered: the cell is as it was released"
    return ""


def answers(master, task, submitted):
    """Return the cells of a submission that answer a task, in order.

    To a text belong the text cells that follow it up to the next known cell.
    """
    texts = {cell.source.strip() for cell in master.cells if cell.role == "text"}
    found, inside = [], False
    for cell, mine in zip(submitted, match(master, submitted), strict=True):
        if mine:
            inside = not set(task.answers).isdisjoint(mine)
        elif task.manual and cell.source.strip() in texts | {""}:
            continue
        if inside and (mine or (task.manual and not cell.code)):
            found.append(cell)
    return found


def same_letters(one, other):
    """Tell whether two ids are one, but for case, accents and what is no letter.

    A spreadsheet drops the zeros in front of a number.
    """
    both = [letters(one), letters(other)]
    if all(map(str.isdigit, both)):
        both = [text.lstrip("0") or "0" for text in both]
    return both[0] == both[1] != ""


def letters(text):
    """Return only the letters and digits of a text, without case and accents."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in folded if c.isalnum())


def _places(master, known):
    """Yield the master's own cells, each with the index that it stands before."""
    order = {cell.id: number for number, cell in enumerate(master.cells) if cell.id}
    spots = {}
    for index, cells in enumerate(known):
        for cell in cells:
            spots.setdefault(cell.id, []).append(index)
    for cell in master.cells:
        own = spots.get(cell.id, [])
        if cell.role == "test":
            mine = [
                index
                for other in master.tasks[cell.task].answers
                for index in spots.get(other.id, [])
            ]
            # Its last copy, or below the answer where it was deleted.
            yield cell, own[-1] if own else max(mine, default=len(known) - 1) + 1
        elif cell.role in _FIXED:
            # Above all that may need it, also where it was deleted or moved down.
            later = [
                spots[other.id][0]
                for other in master.cells
                if other.role in ("answer", "given", "student") and other.id in spots
                if order[other.id] > order[cell.id]
            ]
            yield cell, min(own[:1] + later, default=len(known))


def _added(source, taken):
    """Return those statements of a changed cell that bind new names alone."""
    kept = []
    for node in _tree(source).body:
        names = needs.bound(node)
        if names and not names & taken:
            kept.append(ast.unparse(node))
    return "\n".join(kept)


def _tree(source):
    """Return the syntax tree of a stranger's cell, empty where there is none."""
    if len(source) > MAX_TREE:
        source = ""
    lines = source.splitlines()
    # Magics in plain lines, without IPython's own reader: it may take long.
    plain = ["" if line.lstrip()[:1] in ("%", "!") else line for line in lines]
    try:
        return ast.parse("\n".join(plain))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ast.parse("")


def _bare(source, code=True):
    lines = (line.strip() for line in source.splitlines())
    # in a text a "#" begins a heading, and no comment
    marks = ("#", "**Your answer (") if code else ("**Your answer (",)
    return [line for line in lines if line and not line.startswith(marks)]
