"""A person's marks for the tasks that need one, merged into the rows."""

import csv
import json
from pathlib import Path

from coursegrade.gradebook.journal import write_atomically
from coursegrade.statuses import Status


class MarksError(ValueError):
    """The marks cannot be taken; the message names the line and the cure."""


def read_marks(path, master, ids):
    """Return a person's marks, by id and task, from a CSV.

    The file has the columns ``id``, ``task``, ``points`` and, if wanted,
    ``comment``. A line without points says nothing yet.

    Raises
    ------
    MarksError
        If a column is missing, or a line names an unknown id or task, or gives
        points that are no number between 0 and what the task gives.
    """
    path = Path(path)
    if not path.is_file():
        raise MarksError(f"{path}: there is no such file")
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file)
        absent = {"id", "task", "points"} - set(lines.fieldnames or ())
        if absent:
            raise MarksError(f"{path}: no column {', '.join(sorted(absent))}")
        marks = {}
        for line in lines:
            if not (line["points"] or "").strip():
                continue
            where = f"{path}, line {lines.line_num}"
            student, name = unguarded(line["id"].strip()), line["task"].strip()
            if student not in ids:
                raise MarksError(f"{where}: no submission of {student!r}")
            if name not in master.tasks:
                raise MarksError(
                    f"{where}: no task {name!r}; there are {', '.join(master.tasks)}"
                )
            try:
                points = float(line["points"].replace(",", "."))
            except ValueError:
                points = -1.0
            if not 0 <= points <= master.tasks[name].points:
                raise MarksError(
                    f"{where}: {line['points']!r} is no number of points from 0 to "
                    f"{master.tasks[name].points:g}"
                )
            comment = (line.get("comment") or "").strip()
            marks.setdefault(student, {})[name] = {"points": points, "comment": comment}
    return marks


def remember(out, new):
    """Add marks to those of earlier runs, which stay; return all of them."""
    path = Path(out) / "marks.json"
    marks = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for student, tasks in new.items():
        marks.setdefault(student, {}).update(tasks)
    if new:
        write_atomically(path, json.dumps(marks, indent=1))
    return marks


def apply(entries, marks):
    """Return the entries with a person's marks in place of their rows.

    A mark also overrules what a test found: status ``ok`` with all points,
    ``wrong`` with fewer, and the comment as the message.
    """
    made = {}
    for student, entry in entries.items():
        rows = []
        for row in entry["rows"]:
            mark = marks.get(student, {}).get(row["task"])
            if mark is not None:
                whole = mark["points"] == row["of"]
                status = Status.OK if whole else Status.WRONG
                row = {**row, "points": mark["points"], "status": status}
                row["message"] = mark["comment"]
            rows.append(row)
        made[student] = {**entry, "rows": rows}
    return made


def unguarded(text):
    """Return an id as it was before a table's writer put ' in front of it."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple("=+-@") else text
