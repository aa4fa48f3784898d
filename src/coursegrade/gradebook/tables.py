"""The tables of a graded class: grades.csv and totals.csv."""

from pathlib import Path

from coursegrade.gradebook.late import Deadline
from coursegrade.gradebook.sheets import cell, read_sheet, write_sheet
from coursegrade.statuses import Status

COLUMNS = ("id", "assignment", "task", "points", "of", "status", "message", "seconds")
TOTALS = ("id", "name", "points", "of", "handed_in", "late_days", "total", "open")
TOTALS += ("note",)


def write_grades(out, master, entries):
    """Write grades.csv, a row a student and task; return its path.

    ``points`` is empty while a task waits for a person: a 0 is always a grade. What a
    row of an older journal does not have is empty, too.
    """
    rows = [
        dict.fromkeys(COLUMNS)
        | {"id": student, "assignment": master.name}
        | {**row, "seconds": f"{row['seconds']:.2f}"}
        for student, entry in sorted(entries.items())
        for row in entry["rows"]
    ]
    return write_sheet(Path(out) / "grades.csv", COLUMNS, rows)


def totals(master, entries, deadline=None):
    """Return a dict a student: points, late days, total, what is open, a note.

    ``late_days`` is a number, None if nobody says when the work came, or ``"late"``;
    ``total`` is None where late days are missing for it. Without a deadline nothing is
    late.
    """
    deadline, made = deadline or Deadline(), {}
    for student, entry in sorted(entries.items()):
        points = sum(row["points"] or 0 for row in entry["rows"])
        days, time = deadline.late_days(entry), deadline.handed_in(entry)
        made[student] = {
            "id": student,
            "points": float(points),
            "of": float(master.points),
            "handed_in": time.isoformat(" ", "minutes") if time else "",
            "late_days": days,
            "total": deadline.total(points, days),
            "open": [r["task"] for r in entry["rows"] if Status(r["status"]).waits],
            "absent": bool(entry.get("absent")),
            "name": entry.get("name", ""),
            "note": entry.get("note", ""),
        }
    return made


def write_totals(out, sums):
    """Write totals.csv, a row a student; return its path."""
    return write_sheet(Path(out) / "totals.csv", TOTALS, sums.values())


def changes(out, sums):
    """Return sentences: how totals.csv would differ from the one that is there."""
    path, old = Path(out) / "totals.csv", {}
    if path.exists():
        lines = read_sheet(path, ("id", "total")).by_id()
        old = {one: line["total"] for _, one, line in lines}
    new = {student: cell(one["total"]) for student, one in sums.items()}
    return [
        f"{one}: total {old.get(one) or 'open'} -> {new.get(one) or 'open'}"
        for one in sorted({*old, *new})
        if old.get(one) != new.get(one)
    ]
