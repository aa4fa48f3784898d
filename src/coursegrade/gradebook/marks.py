"""A person's marks: what was typed is kept, and belongs to the answer that was read."""

import hashlib
import json
from pathlib import Path

from coursegrade.gradebook.hand_ins import plain
from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.roster import by_number
from coursegrade.gradebook.sheets import SheetError, read_sheet, write_sheet
from coursegrade.statuses import Status

REVIEW = "review.csv"
COLUMNS = ("id", "task", "points", "comment", "answer", "earlier")


#: The fingerprint of none: a mark of it does not hold for what comes later.
NO_ANSWER = "none"


def fingerprint(entry, task):
    """Return that of the answer that an entry of the journal has for a task."""
    return entry.get("answers", {}).get(task, NO_ANSWER)


def answer_digest(text):
    """Return a fingerprint of an answer, in which white space does not count.

    It begins with a letter: a spreadsheet would make a number of ``12e45678``.
    """
    return "a" + hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]


def read_marks(path, master, known):
    """Return a person's marks, by id and task, from a CSV.

    The file has the columns ``id``, ``task``, ``points`` and, if wanted, ``comment``
    and ``answer``, the fingerprint of the answer that was read. A line without points
    and comment says nothing yet.

    ``known`` is the id of whom a text names: an id, or what a platform calls somebody.

    Raises
    ------
    SheetError
        If a column is missing, or a line names an unknown id or task, or one twice,
        or gives points that are no number between 0 and what the task gives.
    """
    sheet, marks = read_sheet(path, ("id", "task", "points")), {}
    for number, line in sheet.lines:
        points, comment = line["points"], line.get("comment", "")
        if not points and not comment:
            continue
        written, name = plain(line["id"]), line["task"]
        student = known.get(written) or by_number(written, known)
        if not student:
            raise sheet.error(number, f"no submission of {written!r}")
        if name not in master.tasks:
            known = ", ".join(master.tasks)
            raise sheet.error(number, f"no task {name!r}; there are {known}")
        most = master.tasks[name].points
        try:
            value = float(points.replace(",", ".")) if points else None
        except ValueError:
            value = -1.0
        if value is not None and not 0 <= value <= most:
            raise sheet.error(
                number, f"{points!r} is no number of points from 0 to {most:g}"
            )
        mark = {"points": value, "comment": comment, "answer": line.get("answer", "")}
        if marks.setdefault(student, {}).setdefault(name, mark) != mark:
            raise sheet.error(number, f"another mark of {student!r} for {name}")
    return marks


def kept_marks(out, known):
    """Return the marks of earlier runs, under the ids of today."""
    path = Path(out) / "marks.json"
    try:
        marks = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as error:
        raise SheetError(f"{path}: {error}") from None
    return {known.get(student, student): one for student, one in marks.items()}


def merged(marks, new, answers):
    """Return marks with new ones; one that names no answer is for today's.

    Both, and the fingerprints of today's ``answers``, are dicts by id and by task.
    """
    made = {student: dict(tasks) for student, tasks in marks.items()}
    for student, tasks in new.items():
        mine = made.setdefault(student, {})
        for name, mark in tasks.items():
            today = answers.get(student, {}).get(name, NO_ANSWER)
            mark = {**mark, "answer": mark["answer"] or today}
            old = mine.get(name, {})
            if old.get("answer") == mark["answer"]:
                # Points and a comment may come one after the other.
                if mark["points"] is None:
                    mark["points"] = old["points"]
                mark["comment"] = mark["comment"] or old["comment"]
            mine[name] = mark
    return made


def write_marks(out, marks):
    """Keep the marks."""
    write_atomically(Path(out) / "marks.json", json.dumps(marks, indent=1))


def apply(entries, marks):
    """Return the entries with a person's marks in place of their rows.

    A mark also overrules what a test found: status ``ok`` with all points, ``wrong``
    with fewer, and the comment as the message. A mark of another answer than today's
    is left out: the row asks again.
    """
    made = {}
    for student, entry in entries.items():
        rows = []
        for row in entry["rows"]:
            mark, _ = _of_answer(marks, entry, row)
            if mark and mark["points"] is not None:
                whole = mark["points"] == row["of"]
                row = {**row, "points": mark["points"], "message": mark["comment"]}
                row |= {"status": Status.OK if whole else Status.WRONG, "marked": True}
            rows.append(row)
        made[student] = {**entry, "rows": rows}
    return made


def write_review(out, entries, marks):
    """Write review.csv, the lines that a person fills in; return its path.

    A comment without points stands in it again, and so does, under ``earlier``, the
    mark of another answer.
    """
    lines = []
    for student, entry in sorted(entries.items()):
        for row in entry["rows"]:
            if Status(row["status"]).waits:
                mark, other = _of_answer(marks, entry, row)
                said = {"points": None, "comment": ""} | (other or {})
                points = said["points"]
                earlier = "" if points is None else f"{points:g} points"
                lines.append(
                    {"id": student, "task": row["task"], "points": None}
                    | {"comment": mark["comment"] if mark else ""}
                    | {"answer": fingerprint(entry, row["task"])}
                    | {"earlier": ": ".join(filter(None, (earlier, said["comment"])))}
                )
    # The one table that comes back from a spreadsheet, with its ids.
    return write_sheet(Path(out) / REVIEW, COLUMNS, lines, mark="\ufeff")


def _of_answer(marks, entry, row):
    """Return the mark of a row's answer and that of another one, None if missing.

    A mark of more points than the task gives is one of another master.
    """
    mark = marks.get(entry["id"], {}).get(row["task"])
    today = fingerprint(entry, row["task"])
    same = mark and mark.get("answer", "") in ("", today)
    same = same and (mark["points"] or 0) <= row["of"]
    return (mark, None) if same else (None, mark)
