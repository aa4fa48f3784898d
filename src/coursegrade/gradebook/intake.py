"""Who handed in what, and what became of every file."""

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from coursegrade.assignment.master import marker
from coursegrade.examiner.notebook import (
    UnreadableError,
    answers,
    letters,
    match,
    read_notebook,
    same_letters,
    unanswered,
)
from coursegrade.gradebook import layouts
from coursegrade.gradebook.hand_ins import File, IntakeError, files_in, plain
from coursegrade.gradebook.roster import folded
from coursegrade.gradebook.sheets import write_sheet

_MOST_MB = 100  # of notebooks of one student that are opened
OTHER_ID = "the notebook's student_id is"
_NO_NOTEBOOK = "not a notebook"
# Names that no file can have on Windows.
_DEVICE = re.compile(r"(?i)con|prn|aux|nul|(com|lpt)\d")
_ID = re.compile(r"""^student_id\s*=\s*(["'])(.+?)\1\s*(?:#.*)?$""", re.MULTILINE)
_KEY = re.compile(r"""^class_key\s*=\s*(["'])(.*?)\1\s*(?:#.*)?$""", re.MULTILINE)


@dataclass(frozen=True)
class Submission:
    """One student's notebook.

    ``owner`` tells what the platform calls the person, and where feedback goes back.
    ``data`` are the notebook's bytes, None with a ``problem``; ``asked`` is set where
    the problem is a question to the instructor. ``answers`` are the texts of each
    task's answer cells, ``file`` is the notebook's path, ``key`` the class key in it.
    """

    id: str
    owner: layouts.Owner
    data: bytes | None = None
    problem: str = ""
    asked: bool = False
    answers: dict[str, str] = field(default_factory=dict)
    file: str = ""
    key: str = ""

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

    def same(self, other):
        """Tell whether both hold the same texts."""
        mine, its = ([(c.id, c.source) for c in o.cells] for o in (self, other))
        return mine == its


def collect(path, master, roster=None, chosen=None, only="", without=()):
    """Return the :class:`Intake` of a folder or zip.

    ``chosen`` is by id the path of the notebook that counts, where several could;
    ``only`` the id of whose all of it is, if it is one student's; ``without`` are
    folders in it that hold no hand-ins.

    Raises
    ------
    IntakeError
        If there is no such folder or zip, or no hand-in in it.
    """

    def holds(file):
        one = _opened(file, master)
        return _student_id(one.cells) if one and one.held else None

    files, beside = files_in(path, without), []
    tools = [file for file in files if file.aside]
    files = [file for file in files if not file.aside]
    if only:
        pairs = [(file, layouts.Owner(only, "", only, "--id")) for file in files]
    else:
        pairs, beside = layouts.owners(files, master.name, roster, holds)
    lines = [Line(file.path, "", "", "set aside", file.aside) for file in tools]
    for file, why in beside:
        look = why not in layouts.QUIET
        lines.append(Line(file.path, "", "", "set aside", why, look))
    groups, spelled = {}, {}
    for file, owner in pairs:
        known = roster.find(owner.label, owner.name) if roster else ""
        groups.setdefault(known or owner.label, []).append((file, owner))
    if not groups:
        raise IntakeError(
            f"{path}: no hand-in in it, no file with a notebook (*.ipynb)"
        )
    for student in groups:
        spelled.setdefault(folded(student), []).append(student)
    submissions = []
    for student, members in sorted(groups.items()):
        others = [one for one in spelled[folded(student)] if one != student]
        notes = [f"the id is spelled {one!r} as well" for one in others]
        if roster and student not in roster.ids:
            notes.append("not on the roster")
        wanted = (chosen or {}).get(student, "")
        one, more = _submission(student, members, master, notes, wanted)
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
    if short == student and not _DEVICE.fullmatch(short):
        return short
    return f"{short}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"


def _submission(student, members, master, notes, wanted):
    """Return one student's submission and the lines of its files."""
    opened = _all_opened([file for file, _ in members], master)
    best, problem, asked = _best(list(opened.values()), wanted)
    # Of several hand-ins of one student, the graded one says when it came.
    first = [one for file, one in members if best and file is best.file]
    sure = [one for one in (*first, *(one for _, one in members)) if not one.look]
    owner = (sure or [members[0][1]])[0]
    people = list(_several_people(opened.values()))
    if best:
        notes = [*notes, *_other_id(student, owner, best, master)]
        notes += [] if best.held else ["holds no cell of the assignment"]
        notes += people
    elif asked:
        problem += "; write the one that counts in class.toml, under [chosen]"
        problem = "; ".join([problem, *people])
    elif not problem:
        names = ", ".join(filter(None, (file.parts[-1] for file, _ in members[:3])))
        problem = f"no notebook in it ({names}): hand in the .ipynb file itself"
    lines = []
    for file, one in members:
        what, why = _account(opened.get(id(file)), best, asked, wanted)
        if what == "graded":
            why = "; ".join(notes)
        elif not best:
            why = why or problem
        look = what in ("asked", "unreadable") or (what == "graded" and bool(why))
        lines.append(Line(file.path, student, one.rule, what, why, look or one.look))
    made = Submission(student, owner, problem=problem, asked=asked)
    if best:
        texts = _answers(best.cells, master)
        known = {"file": best.file.path, "key": _class_key(best.cells)}
        made = replace(made, data=best.data, answers=texts, **known)
    return made, lines


def _all_opened(files, master):
    """Return what is or should be a notebook, by ``id``, as far as memory allows."""
    opened, size = {}, 0
    # Those that are called so come first: no folder of other files hides them.
    for file in sorted(files, key=lambda one: not _named(one)):
        if size <= _MOST_MB * 2**20:
            one = _opened(file, master)
        else:
            why = f"not opened: others of the same student fill {_MOST_MB} MB"
            one = _Opened(file, why) if _named(file) else None
        if one:
            opened[id(file)] = one
            size += len(one.data)
    return opened


def _account(opened, best, asked, wanted):
    """Return what became of a file of a hand-in, and why."""
    if opened is None:
        return ("set aside", _NO_NOTEBOOK) if best or asked else ("unreadable", "")
    if opened is best:
        return "graded", ""
    if not best:
        return ("asked" if asked else "unreadable"), opened.problem
    if opened.problem:
        return "set aside", opened.problem
    if opened.same(best):
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
    if not all(map(good[0].same, good)):
        names = ", ".join(repr(one.file.path) for one in good[:4])
        return None, f"{len(good)} notebooks could be the answer: {names}", True
    return good[0], "", False


def _named(file):
    return ".ipynb" in file.parts[-1].lower()


def _opened(file, master):
    """Return a file as a notebook, with a problem if it cannot be read, or None."""
    name = file.parts[-1].lower()
    if file.problem:
        return _Opened(file, file.problem)
    if "." in name and not (_named(file) or name.endswith((".json", ".txt"))):
        return None
    try:
        data = file.read()
        cells = read_notebook(data)
    except UnreadableError as error:
        return _Opened(file, str(error)) if _named(file) else None
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


def _several_people(opened):
    """Yield a sentence where notebooks under one name hold several people's ids."""
    held = [_student_id(one.cells) for one in opened if one and one.held]
    people = {letters(one): one for one in held if letters(one)}
    if len(people) > 1:
        names = ", ".join(sorted(plain(one)[:40] for one in people.values())[:5])
        yield f"its notebooks are of several people, {names}: rename them, one a name"


def _other_id(student, owner, best, master):
    """Yield a note where a notebook's data are another's, or its name is."""
    used = any("student_id" in c.source for c in master.cells if c.role != "student")
    other = _student_id(best.cells)
    # "Monday/ada.ipynb", where no platform says who it is: a student, or a class's?
    names = [] if owner.platform else map(layouts.stem, best.file.parts)
    used = used or any(same_letters(other, name) for name in names)
    if used and other and not same_letters(student, other):
        yield f"{OTHER_ID} {plain(other)[:80]!r}"


def _student_id(cells):
    """Return the id that a notebook holds, the last one, or an empty text."""
    return _last(_ID, cells).strip()


def _class_key(cells):
    """Return the class key that a notebook holds; a master's, "public", is none."""
    key = _last(_KEY, cells)
    return key if re.fullmatch(r"[0-9a-f]{16}", key) else ""


def _last(pattern, cells):
    found = [match[2] for cell in cells for match in pattern.finditer(cell.source)]
    return found[-1] if found else ""
