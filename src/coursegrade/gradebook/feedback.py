"""Pages for people: a feedback page a student, one summary of the class.

What a submission says of itself is escaped, and nothing of the hidden tests but
the messages that their author wrote for students can stand here.
"""

import io
import zipfile
from collections import Counter
from pathlib import Path

from coursegrade.gradebook.intake import file_name
from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.pages import heading, page, safe, table
from coursegrade.statuses import Status


def student_page(master, student, entry, total, book=""):
    """Return one student's feedback as an HTML page.

    ``book`` is the address of the book's pages, to which tasks that are not right
    link; without one, chapter and section are named.
    """
    rows = []
    for row in entry["rows"]:
        points = "open" if row["points"] is None else f"{row['points']:g}"
        task = master.tasks[row["task"]]
        name = f"{safe(heading(master, task))}<br><code>{safe(task.name)}</code>"
        found = safe(told(row)) + _reading(task, row, book)
        rows.append([name, f"{points} of {row['of']:g}", found])
    body = f"<p>{safe(student)}: {_sum(total)}.</p>\n"
    body += table(["Task", "Points", "What was found"], rows)
    if entry.get("file"):
        body += f"\n<p>Graded: {safe(entry['file'])}</p>"
    return page(master.title, body)


def _reading(task, row, book):
    """Return where a task that is not right can be read up, as HTML."""
    if not task.read or row["points"] is None or row["points"] >= row["of"]:
        return ""
    chapter, _, section = task.read.partition("#")
    words = [chapter.capitalize(), section.replace("-", " ").capitalize()]
    words = safe(", ".join(filter(None, words)))
    if not book:
        return f"<br>Read again: chapter {words}."
    link = safe(f"{book}/{chapter}.html{'#' * bool(section)}{section}")
    return f'<br>Read again: <a href="{link}">{words}</a>.'


def told(row):
    """Return the sentences of a row for the student."""
    status, message = Status(row["status"]), row["message"]
    if row.get("marked"):
        part = 0 < row["points"] < row["of"]
        what = "Partly right." if part else status.meaning
        return f"{what} A person read it" + (f": {message}" if message else ".")
    told = message if status.explained else ""
    return f"{status.meaning} {told[:1].upper()}{told[1:]}".strip()


def _sum(total):
    """Return the points of a student in words, as HTML."""
    late, value = total["late_days"], total["total"]
    if value is None:
        text = f"<strong>{total['points']:g} of {total['of']:g} points</strong>"
        text += " before late days, which are not counted yet"
    else:
        text = f"<strong>{value:g} of {total['of']:g} points</strong>"
        if isinstance(late, int) and late:
            text += f" after {late} late day{'s' if late != 1 else ''}"
    if total["handed_in"]:
        text += f", handed in {safe(total['handed_in'])}"
    return text + (f", {len(total['open'])} still open" if total["open"] else "")


def summary_page(master, entries, sums):
    """Return the class's summary: how many have how many points, tasks by status."""
    here = [one for one in sums.values() if not one["absent"]]
    values = [one["points"] if one["total"] is None else one["total"] for one in here]
    absent = len(sums) - len(values)
    counts = {}
    for entry in entries.values():
        for row in [] if entry.get("absent") else entry["rows"]:
            counts.setdefault(row["task"], Counter())[row["status"]] += 1
    seen = [name for name in Status if any(name in one for one in counts.values())]
    tasks = [
        [safe(task), *(one[name] for name in seen)] for task, one in counts.items()
    ]
    body = (
        f"<p>{len(values)} submissions, {sum(values) / max(1, len(values)):.1f} of "
        f"{master.points:g} points in the mean."
        + (f" {absent} handed in nothing." if absent else "")
        + f"</p>\n{_histogram(values, master.points)}\n<h2>The tasks</h2>\n"
        + table(["Task", *seen], tasks)
    )
    return page(f"{master.title}: the class", body)


def write_pages(out, master, entries, sums, book=""):
    """Write the pages and the platforms' zips of them; return the summary's path.

    What an earlier run wrote of ids that are no more, or for a platform, is removed.
    """
    out, moodle, canvas, written = Path(out), {}, {}, set()
    for student, entry in entries.items():
        if entry.get("absent"):
            continue
        made = student_page(master, student, entry, sums[student], book)
        name = file_name(student)
        written.add(out / f"feedback/{name}.html")
        write_atomically(out / f"feedback/{name}.html", made)
        platform, where = entry.get("platform", ""), entry.get("where", "")
        # Moodle finds the student by the name of the folder in the zip,
        moodle[f"{where if platform == 'Moodle' else name}/feedback.html"] = made
        if platform == "Canvas":
            # Canvas by _person_upload_ in the name of the file.
            canvas[f"{where.rstrip('_')}_feedback.html"] = made
    write_atomically(out / "moodle_feedback.zip", _zip(moodle))
    stale = set((out / "feedback").glob("*.html")) - written
    if canvas:
        write_atomically(out / "canvas_feedback.zip", _zip(canvas))
    else:
        stale.add(out / "canvas_feedback.zip")
    for one in stale:
        one.unlink(missing_ok=True)
    path = out / "summary.html"
    write_atomically(path, summary_page(master, entries, sums))
    return path


def _zip(pages):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in sorted(pages.items()):
            file.writestr(name, text)
    return made.getvalue()


def _histogram(values, most):
    """Return a table: the share of the class with so many points, rounded down."""
    top = max(1, round(most))
    counts = Counter(min(top, max(0, int(value))) for value in values)
    bar = f"<meter max='{max(1, len(values))}' value='{{}}'></meter>"
    bars = [[n, counts[n], bar.format(counts[n])] for n in range(top + 1)]
    return table(["Points", "Submissions", "Share"], bars)
