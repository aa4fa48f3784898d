"""The tables of a graded class: grades.csv, totals.csv, Moodle's worksheet."""

import csv
import io
import math
from datetime import datetime
from pathlib import Path

from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.marks import unguarded
from coursegrade.statuses import Status

COLUMNS = ("id", "assignment", "task", "points", "of", "status", "message", "seconds")


def guarded(text):
    """Return a text that a spreadsheet does not take for a formula."""
    text = str(text)
    return "'" + text if text[:1] in tuple("=+-@\t\r") else text


def write_grades(out, master, entries):
    """Write grades.csv, a row a student and task; return its path.

    ``points`` is empty while a task waits for a person: a 0 is always a grade.
    """
    rows = []
    for student, entry in sorted(entries.items()):
        for row in entry["rows"]:
            points = "" if row["points"] is None else f"{row['points']:g}"
            rows.append(
                (
                    guarded(student),
                    master.name,
                    row["task"],
                    points,
                    f"{row['of']:g}",
                    row["status"],
                    guarded(row["message"]),
                    f"{row['seconds']:.2f}",
                )
            )
    return _write(Path(out) / "grades.csv", COLUMNS, rows)


def totals(master, entries, due=None, penalty=0.0):
    """Return a dict a student: ``points``, ``late_days``, ``total``, ``open``.

    Parameters
    ----------
    due : datetime.datetime, optional
        Each day that has begun after it is a late day.
    penalty : float
        The part of the points that each late day takes, 0.1 for a tenth.
    """
    made = {}
    for student, entry in sorted(entries.items()):
        points = sum(row["points"] or 0 for row in entry["rows"])
        late = 0
        if due is not None:
            after = datetime.fromisoformat(entry["submitted"]) - due
            late = max(0, math.ceil(after.total_seconds() / 86_400))
        made[student] = {
            "points": points,
            "of": master.points,
            "late_days": late,
            "total": points * max(0.0, 1 - penalty * late),
            "open": [r["task"] for r in entry["rows"] if Status(r["status"]).waits],
            "name": entry["name"],
        }
    return made


def write_totals(out, sums):
    """Write totals.csv, a row a student; return its path."""
    columns = ("id", "name", "points", "of", "late_days", "total", "open")
    rows = [
        (
            guarded(student),
            guarded(one["name"]),
            f"{one['points']:g}",
            f"{one['of']:g}",
            one["late_days"],
            f"{one['total']:g}",
            " ".join(one["open"]),
        )
        for student, one in sums.items()
    ]
    return _write(Path(out) / "totals.csv", columns, rows)


def write_review(out, master, entries):
    """Write review.csv, the lines that a person fills in; return its path."""
    rows = [
        (guarded(student), row["task"], "", "")
        for student, entry in sorted(entries.items())
        for row in entry["rows"]
        if Status(row["status"]).waits
    ]
    return _write(Path(out) / "review.csv", ("id", "task", "points", "comment"), rows)


def fill_worksheet(worksheet, out, sums):
    """Write Moodle's grading worksheet with the totals in it; return its path.

    Raises
    ------
    ValueError
        If the file is not a grading worksheet.
    """
    with Path(worksheet).open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file)
        columns = list(lines.fieldnames or ())
        if not {"Identifier", "Grade"} <= set(columns):
            raise ValueError(
                f"{worksheet}: not Moodle's grading worksheet, which has the columns "
                "Identifier and Grade (assignment, Download grading worksheet)"
            )
        rows = list(lines)
    known = {unguarded(student): one for student, one in sums.items()}
    for row in rows:
        one = known.get(row["Identifier"].rpartition(" ")[2])
        if one is not None and not one["open"]:
            row["Grade"] = f"{one['total']:g}"
    path = Path(out) / "moodle_worksheet.csv"
    return _write(path, columns, [[row[c] for c in columns] for row in rows])


def read_roster(path):
    """Return what stands in a file's name and the id instead, from a CSV.

    Raises
    ------
    ValueError
        If it lacks the columns ``submission`` and ``id``.
    """
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file)
        if not {"submission", "id"} <= set(lines.fieldnames or ()):
            raise ValueError(f"{path}: the roster has the columns submission and id")
        return {line["submission"].strip(): line["id"].strip() for line in lines}


def _write(path, columns, rows):
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(columns)
    table.writerows(rows)
    write_atomically(path, text.getvalue())
    return path
