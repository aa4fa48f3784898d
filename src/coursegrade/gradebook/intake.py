"""Who handed in what, and what became of every file."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from coursegrade.assignment.master import marker
from coursegrade.examiner.notebook import (
    LIMIT_MB,
    UnreadableError,
    answers,
    match,
    read_notebook,
    same_letters,
    spelling,
    unanswered,
)
from coursegrade.gradebook import layouts
from coursegrade.gradebook.hand_ins import File, IntakeError, files_in, plain
from coursegrade.gradebook.sheets import write_sheet

_MOST_MB = 5 * LIMIT_MB  # of notebooks of one student that are opened
OTHER_ID = "the notebook's student_id is"
_NO_NOTEBOOK = "not a notebook"


@dataclass(frozen=True)
class Submission:
    """One student's notebook.

    ``id`` is the student's; ``owner`` tells what the platform calls the person, and
    where feedback goes back. ``data`` are the
    notebook's bytes, None with a ``problem``; ``asked`` is set where the problem is a
    question to the instructor. ``answers`` are the texts of each task's answer cells,
    ``file`` is the notebook's path.
    """

    id: str
    owner: layouts.Owner
    data: bytes | None = None
    problem: str = ""
    asked: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    file: str = ""

    @property
    def digest(self):
        """A fingerprint of the content, by which a change is noticed."""
        content = self.data if self.data is not None else self.problem.encode()
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Line:
    """What became of one file; ``look`` is set where a person must look."""

    file: str
    id: str
    rule: str
    what: str
    why: str = ""
    look: bool = False


@dataclass(frozen=True)
class Intake:
    """The submissions by id, the account of all files, and who handed in nothing."""

    submissions: list[Submission]
    lines: list[Line]
    absent: list[str]

    @property
    def look(self):
        """The lines at which a person must look."""
        return [line for line in self.lines if line.look]


@dataclass(frozen=True)
class _Opened:
    """A file that is a notebook, or should be one, and how much it answers."""

    file: File
    problem: str = ""
    data: bytes = b""
    cells: tuple = ()
    held: int = 0
    answered: int = 0

    @property
    def content(self):
        return [(cell.id, cell.source) for cell in self.cells]


def collect(path, master, roster=None, chosen=None, only=""):
    """Return the :class:`Intake` of a folder or zip.

    Parameters
    ----------
    path : str or pathlib.Path
    master : Master
    roster : Roster, optional
        Who is in the class, and under which label.
    chosen : dict of str to str, optional
        The path of the notebook that counts, by id, where several could.
    only : str
        The id of whose all of it is, if it is one student's.

    Raises
    ------
    IntakeError
        If there is no such folder or zip, or no hand-in in it.
    """

    def holds(file):
        one = _opened(file, master)
        return _student_id(one.cells) if one and one.held else None

    files = files_in(path)
    lines = [Line(f.path, "", "", "set aside", f.aside) for f in files if f.aside]
    files = [file for file in files if not file.aside]
    if only:
        owner = layouts.Owner(only, "", only, "--id")
        pairs, beside = [(file, owner) for file in files], []
    else:
        pairs, beside = layouts.owners(files, master.name, roster, holds)
    lines += [Line(file.path, "", "", "set aside", why) for file, why in beside]
    groups = {}
    for file, owner in pairs:
        known = roster.find(owner.label, owner.name) if roster else ""
        student = known or owner.label
        groups.setdefault(student, []).append((file, owner))
    if not groups:
        raise IntakeError(
            f"{path}: no hand-in in it, no file with a notebook (*.ipynb)"
        )
    submissions = []
    for student, members in sorted(groups.items()):
        stranger = roster is not None and student not in roster.ids
        wanted = (chosen or {}).get(student, "")
        one, more = _submission(student, members, master, stranger, wanted)
        submissions.append(one)
        lines += more
    absent = [one for one in roster.ids if one not in groups] if roster else []
    lines += [Line("", one, "roster", "nothing handed in") for one in absent]
    return Intake(submissions, lines, absent)


def write_intake(out, intake):
    """Write intake.csv, a line a file and a line for who is absent; return its path."""
    rows = [vars(line) | {"look": "yes" * line.look} for line in intake.lines]
    columns = ("file", "id", "rule", "what", "why", "look")
    return write_sheet(Path(out) / "intake.csv", columns, rows)


def file_name(student):
    """Return a name for a student's file that every file system takes."""
    short = re.sub(r"[^A-Za-z0-9-]+", "_", student).strip("_")[:60] or "student"
    if short == student:
        return short
    return f"{short}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"


def _submission(student, members, master, stranger, wanted):
    """Return one student's submission and the lines of its files."""
    owner = next((one for _, one in members if not one.look), members[0][1])
    opened = _all_opened([file for file, _ in members], master)
    best, problem, asked = _best(opened, wanted)
    if asked:
        problem += "; write the one that counts in class.toml, under [chosen]"
    if not best and not problem:
        names = ", ".join(filter(None, (file.parts[-1] for file, _ in members[:3])))
        problem = f"no notebook in it ({names}): hand in the .ipynb file itself"
    made = {"id": student, "owner": owner, "problem": problem, "asked": asked}
    notes = ["not on the roster"] if stranger else []
    if best:
        note = _other_id(student, best.cells, master)
        notes += [note] if note else []
        notes += [] if best.held else ["holds no cell of the assignment"]
        made |= {"data": best.data, "file": best.file.path}
        made["answers"] = _answers(best.cells, master)
    by_file = {id(one.file): one for one in opened}
    lines = []
    for file, one in members:
        what, why = _account(by_file.get(id(file)), best, asked, wanted)
        if what == "graded":
            why = "; ".join(notes)
        elif not best:
            why = why or problem
        look = (
            one.look
            or what in ("asked", "unreadable")
            or bool(why and what == "graded")
        )
        lines.append(Line(file.path, student, one.rule, what, why, look))
    return Submission(**made), lines


def _all_opened(files, master):
    """Return what is or should be a notebook, as far as it fits in memory."""
    opened, size = [], 0
    # Those that are called so come first: no folder of other files hides them.
    for file in sorted(files, key=lambda one: ".ipynb" not in one.parts[-1].lower()):
        one = _opened(file, master) if size <= _MOST_MB * 2**20 else None
        if size > _MOST_MB * 2**20 and ".ipynb" in file.parts[-1].lower():
            one = _Opened(file, f"not opened, behind {_MOST_MB} MB of notebooks")
        if one:
            opened.append(one)
            size += len(one.data)
    return opened


def _account(opened, best, asked, wanted):
    """Return what became of a file of a hand-in, and why."""
    if best and opened is best:
        return "graded", ""
    if opened is None:
        return ("set aside", _NO_NOTEBOOK) if best or asked else ("unreadable", "")
    if asked:
        return "asked", opened.problem
    if not best:
        return "unreadable", opened.problem
    if opened.problem:
        return "set aside", opened.problem
    if opened.content == best.content:
        return "set aside", f"the same as {best.file.path}"
    less = "not the chosen one" if wanted else f"answers less than {best.file.path}"
    return "set aside", less


def _best(opened, wanted):
    """Return the notebook that counts or None, why there is none, if it is a question.

    The one that holds cells of the assignment counts, of several the one in which
    something is answered. Two that are left are a question.
    """
    if wanted:
        for one in opened:
            if one.file.path == wanted:
                return (None if one.problem else one), one.problem, False
        return None, f"{wanted!r} is chosen in class.toml and not there", True
    good = [one for one in opened if not one.problem]
    for better in ("held", "answered"):
        good = [one for one in good if getattr(one, better)] or good
    if not good:
        return None, (opened[0].problem if opened else ""), False
    if any(one.content != good[0].content for one in good):
        names = ", ".join(repr(one.file.path) for one in good[:4])
        return None, f"{len(good)} notebooks could be the answer: {names}", True
    return good[0], "", False


def _opened(file, master):
    """Return a file as a notebook, with a problem if it cannot be read, or None."""
    name = file.parts[-1].lower()
    named = ".ipynb" in name
    if not (
        named or file.problem or name.endswith((".json", ".txt")) or "." not in name
    ):
        return None
    if file.problem:
        return _Opened(file, file.problem)
    try:
        data = file.read()
        cells = read_notebook(data)
    except UnreadableError as error:
        return _Opened(file, str(error)) if named else None
    answered = sum(not unanswered(master, t, cells) for t in master.tasks.values())
    held = sum(map(bool, match(master, cells)))
    return _Opened(file, "", data, tuple(cells), held, answered)


def _answers(cells, master):
    """Return the text of each task's answer, without the lines that mark its cells."""
    marks = {marker(one) for one in master.cells if one.role in ("answer", "manual")}
    made = {}
    for task in master.tasks.values():
        lines = "\n\n".join(
            one.source for one in answers(master, task, cells)
        ).splitlines()
        kept = [line for line in lines if line.strip() not in marks]
        made[task.name] = "\n".join(kept).strip()
    return made


def _other_id(student, cells, master):
    """Return a note where a notebook's data are another's, or an empty text."""
    used = any(
        "student_id" in one.source for one in master.cells if one.role != "student"
    )
    other = _student_id(cells)
    same = same_letters(spelling(cells, student), other)
    return f"{OTHER_ID} {plain(other)[:80]!r}" if used and other and not same else ""


def _student_id(cells):
    """Return the id that a notebook holds, the last one, or an empty text."""
    found = re.compile(r"""^student_id\s*=\s*(["'])(.+?)\1\s*(?:#.*)?$""", re.MULTILINE)
    ids = [match[2] for cell in cells for match in found.finditer(cell.source)]
    return ids[-1].strip() if ids else ""
