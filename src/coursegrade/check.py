"""Check a notebook before it is handed in: a student's own code, where it is at home.

The released notebook holds all that this needs, so there is no master, no secret and
no sandbox here. What the grader does besides, hidden tests, limits and the student's
own inputs under the right id, the last lines say.
"""

import os
import re
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from coursegrade.assignment.master import CODE_STUB, TEXT_STUB
from coursegrade.examiner.notebook import read_notebook, same_letters
from coursegrade.sandbox.room import Room

_MARKER = re.compile(
    r"^(?:# Answer (\w+) \(keep this line\)|\*\*Your answer \((\w+)\)\*\*)\s*$",
    re.MULTILINE,
)
_OUTSIDE = """\
Your own code ran on this machine, without the grader's sandbox and its limits of
time and memory. The grader also has hidden tests, which may find more."""


@dataclass
class _Task:
    """A task as the notebook shows it: its answer cells and what its test said."""

    answers: list = field(default_factory=list)
    tested: bool = False
    # whether its test asks anything in the open
    public: bool = False
    failure: dict | None = None

    def verdict(self):
        """Return a word, and a sentence that says what to do."""
        stub = CODE_STUB if self.tested else TEXT_STUB
        texts = [_MARKER.sub("", cell.source).strip() for cell in self.answers]
        left = any(stub[-1] in text for text in texts) or not any(texts)
        if self.public and not self.failure:
            return "ok", "Found, and its public tests pass."
        if not self.answers:
            return "missing", "The answer cell is not in the notebook."
        if left:
            return "empty", "Not answered: the cell is as it was released."
        if self.tested and not self.public:
            return "found", "All its tests are hidden: nothing of it was tried."
        if not self.tested:
            code = self.answers[0].code
            who = "Its test is not in the notebook" if code else "A person reads it"
            return "found", f"{who}."
        kind, _, said = self.failure["error"].partition(": ")
        if kind == "AssertionError":
            return "look", f"Not right yet: {said or 'a public test failed'}"
        return "look", f"Its public tests end in {self.failure['error']}"


def check(path, student=""):
    """Print what the grader will find in a notebook; return the exit status.

    It is 0 if each task is answered and passes its public tests, else 1. ``student`` is
    the id under which it will be handed in, if that is to be compared.

    Raises
    ------
    UnreadableError
        If it is no notebook.
    ValueError
        If there is no such file, or it holds no answer of an assignment.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    cells = read_notebook(path.read_bytes())
    tasks = _tasks(cells)
    if not tasks:
        raise ValueError(
            f"{path}: no cell in it is an assignment's: check the notebook that you "
            "were given, with your answers in it"
        )
    saved = datetime.fromtimestamp(path.stat().st_mtime)
    print(
        f"{path.name}, as it was saved on {saved:%d %B at %H:%M}. Running it from top "
        "to bottom; Ctrl-C ends a cell that takes too long.",
        flush=True,
    )
    problems, found = _run(cells, tasks)
    if any("student_id" in cell.source for cell in cells):
        problems = [*_about_id(found, student), *problems]
        # The cells that need an id say the same.
        problems = [one for one in problems if "ValueError: student_id" not in one]
    words = {name: task.verdict() for name, task in tasks.items()}
    for name, (word, sentence) in words.items():
        print(f"  {word:8}{name}: {sentence}")
    for problem in problems:
        print(f"  look    {problem}")
    good = sum(word in ("ok", "found") for word, _ in words.values())
    print(f"{good} of {len(tasks)} answers are ready to be handed in.\n{_OUTSIDE}")
    return 0 if good == len(tasks) and not problems else 1


def _tasks(cells):
    """Return the tasks by name, in the order of their first cell."""
    ids = [_cell_id(cell) for cell in cells]
    tests = [one.removesuffix("_test") for one in ids if one.endswith("_test")]
    tasks = {}
    for cell, one in zip(cells, ids, strict=True):
        if not one or one == "student" or one.startswith("given_"):
            continue
        name = one.removesuffix("_test")
        if name not in tests and (first := re.sub(r"_\d+$", "", one)) in {*tests, *ids}:
            name = first
        task = tasks.setdefault(name, _Task())
        if one.endswith("_test"):
            task.tested = True
            task.public |= _asks(cell.source)
        else:
            task.answers.append(cell)
    return tasks


def _asks(source):
    """Tell whether a test has more than comments: hidden ones leave no more."""
    lines = (line.strip() for line in source.splitlines())
    return any(line and not line.startswith("#") for line in lines)


def _cell_id(cell):
    """Return a cell's id, from the line that answers begin with where it was lost."""
    marker = _MARKER.search(cell.source)
    return cell.id or (marker and (marker[1] or marker[2])) or ""


def _run(cells, tasks):
    """Run the notebook from top to bottom; return what failed, and the id in it."""
    os.environ |= {"COURSEKIT_CHECK": "1", "MPLBACKEND": "agg"}
    problems = []
    with _silent():
        room = Room()
        for number, cell in enumerate(cells, 1):
            failure = room.run(cell.source) if cell.code else {}
            test = cell.id.removesuffix("_test") if cell.id.endswith("_test") else ""
            if test:
                tasks[test].failure = failure or tasks[test].failure
            elif failure and failure["kind"] != "NotImplementedError":
                problems.append(f"cell {number} ends in {failure['error']}")
        room.shell.clear_instance()
    return problems, room.shell.user_ns.get("student_id")


def _about_id(found, student):
    if not isinstance(found, str) or not found.strip():
        yield (
            "student_id is empty: write the id under which you hand in between the "
            "quotation marks, run all cells, and save"
        )
    elif student and not same_letters(found, student):
        yield f"student_id is {found!r}, and you hand in as {student!r}"
    else:
        print(f"  Your id is {found}. Hand in under this id: your data depend on it.")


@contextmanager
def _silent():
    """Keep what the notebook prints, also from other processes, off the screen."""
    sys.stdout.flush()
    kept = os.dup(1), os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        try:
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
