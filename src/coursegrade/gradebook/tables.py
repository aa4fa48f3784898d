"""The tables of a graded class: grades.csv and totals.csv."""

from pathlib import Path

from coursegrade.gradebook.late import Deadline
from coursegrade.gradebook.sheets import guarded, read_sheet, unguarded, write_sheet
from coursegrade.statuses import Status

COLUMNS = ("id", "assignment", "task", "points", "of", "status", "message", "seconds")
TOTALS = (
    *("id", "name", "points", "of", "handed_in", "late_days", "total"),
    *("open", "note"),
)


def write_grades(out, master, entries):
    """Write grades.csv, a row a student and task; return its path.

    ``points`` is empty while a task waits for a person: a 0 is always a grade.
    """
    rows = []
    for student, entry in sorted(entries.items()):
        for row in entry["rows"]:
            points = "" if row["points"] is None else f"{row['points']:g}"
            message, seconds = guarded(row["message"]), f"{row['seconds']:.2f}"
            rows.append(
                (guarded(student), master.name, row["task"], points)
                + (f"{row['of']:g}", row["status"], message, seconds)
            )
    return write_sheet(Path(out) / "grades.csv", COLUMNS, rows)


def totals(master, entries, deadline=None):
    """Return a dict a student: points, late days, total, what is open, a note.

    Parameters
    ----------
    master : Master
    entries : dict of str to dict
    deadline : Deadline, optional
        Nothing is late without.

    Returns
    -------
    dict of str to dict
        ``late_days`` is a number, None if nobody says when the work came, or
        ``"late"``; ``total`` is None where late days are missing for it.
    """
    deadline, made = deadline or Deadline(), {}
    for student, entry in sorted(entries.items()):
        points = sum(row["points"] or 0 for row in entry["rows"])
        days, time = deadline.late_days(entry), deadline.handed_in(entry)
        made[student] = {
            "points": points,
            "of": master.points,
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
    return write_sheet(Path(out) / "totals.csv", TOTALS, map(_line, sums.items()))


def changes(out, sums):
    """Return sentences: how totals.csv would differ from the one that is there."""
    path = Path(out) / "totals.csv"
    old = {}
    if path.exists():
        sheet = read_sheet(path, ("id", "total"))
        old = {unguarded(line["id"]): line["total"] for _, line in sheet.lines}
    new = {student: _line((student, one))[6] for student, one in sums.items()}
    return [
        f"{one}: total {old.get(one) or 'open'} -> {new.get(one) or 'open'}"
        for one in sorted({*old, *new})
        if old.get(one) != new.get(one)
    ]


def _line(pair):
    student, one = pair
    days = "" if one["late_days"] is None else str(one["late_days"])
    total = "" if one["total"] is None else f"{one['total']:g}"
    return (
        guarded(student),
        guarded(one["name"]),
        f"{one['points']:g}",
        f"{one['of']:g}",
        one["handed_in"],
        days,
        total,
        " ".join(one["open"]),
        guarded(one["note"]),
    )
