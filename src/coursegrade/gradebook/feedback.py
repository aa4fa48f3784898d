"""Pages for people: a feedback page a student, one summary of the class.

What a submission says of itself is escaped, and nothing of the hidden tests but
the messages that their author wrote for students can stand here.
"""

import html
import zipfile
from pathlib import Path

from coursegrade.gradebook.intake import file_name
from coursegrade.gradebook.journal import write_atomically
from coursegrade.gradebook.pages import PAGE, heading
from coursegrade.statuses import Status


def student_page(master, student, entry, total, book=""):
    """Return one student's feedback as an HTML page.

    ``book`` is the address of the book's pages, to which tasks that are not right
    link; without one, chapter and section are named.
    """
    lines = []
    for row in entry["rows"]:
        points = "open" if row["points"] is None else f"{row['points']:g}"
        task = master.tasks[row["task"]]
        lines.append(
            f"<tr><th scope='row'>{_safe(heading(master, task))}<br>"
            f"<code>{_safe(task.name)}</code></th>"
            f"<td class='number'>{points} of {row['of']:g}</td>"
            f"<td>{_safe(told(row))}{_reading(task, row, book)}</td></tr>"
        )
    body = (
        f"<p>{_safe(student)}: {_sum(total)}.</p>\n<table>\n<thead><tr>"
        "<th scope='col'>Task</th><th scope='col' class='number'>Points</th>"
        "<th scope='col'>What was found</th></tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody>\n</table>"
    )
    if entry.get("file"):
        body += f"\n<p>Graded: {_safe(entry['file'])}</p>"
    return PAGE.substitute(title=_safe(master.title), body=body)


def _reading(task, row, book):
    """Return where a task that is not right can be read up, as HTML."""
    if not task.read or row["points"] is None or row["points"] >= row["of"]:
        return ""
    page, _, section = task.read.partition("#")
    name = section.replace("-", " ").capitalize()
    words = _safe(f"{page.capitalize()}, {name}" if section else page.capitalize())
    if not book:
        return f"<br>Read again: chapter {words}."
    link = _safe(f"{book}/{page}.html{'#' * bool(section)}{section}")
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
        text += f", handed in {_safe(total['handed_in'])}"
    return text + (f", {len(total['open'])} still open" if total["open"] else "")


def summary_page(master, entries, sums):
    """Return the class's summary: a histogram, and the tasks by status."""
    here = [one for one in sums.values() if not one["absent"]]
    values = [one["points"] if one["total"] is None else one["total"] for one in here]
    mean = sum(values) / max(1, len(values))
    absent = len(sums) - len(values)
    gone = f" {absent} handed in nothing." if absent else ""
    counts = {}
    for entry in entries.values():
        for row in [] if entry.get("absent") else entry["rows"]:
            status = counts.setdefault(row["task"], {})
            status[row["status"]] = status.get(row["status"], 0) + 1
    seen = [name for name in Status if any(name in one for one in counts.values())]
    head = "".join(f"<th scope='col' class='number'>{name}</th>" for name in seen)
    lines = "\n".join(
        f"<tr><th scope='row'>{_safe(task)}</th>"
        + "".join(f"<td class='number'>{one.get(name, 0)}</td>" for name in seen)
        + "</tr>"
        for task, one in counts.items()
    )
    body = (
        f"<p>{len(values)} submissions, {mean:.1f} of {master.points:g} points in the "
        f"mean.{gone}</p>\n{_histogram(values, master.points)}\n<h2>The tasks</h2>\n"
        f"<table>\n<thead><tr><th scope='col'>Task</th>{head}</tr></thead>\n"
        f"<tbody>\n{lines}\n</tbody>\n</table>"
    )
    return PAGE.substitute(title=_safe(f"{master.title}: the class"), body=body)


def write_pages(out, master, entries, sums, book=""):
    """Write the pages and the platforms' zips of them; return the summary's path."""
    folder = Path(out) / "feedback"
    moodle, canvas = {}, {}
    for student, entry in entries.items():
        if entry.get("absent"):
            continue
        page = student_page(master, student, entry, sums[student], book)
        write_atomically(folder / f"{file_name(student)}.html", page)
        platform, where = entry.get("platform", ""), entry.get("where", "")
        # Moodle finds the student by the name of the folder in the zip,
        place = where if platform == "Moodle" else file_name(student)
        moodle[f"{place}/feedback.html"] = page
        if platform == "Canvas":
            # Canvas by _person_upload_ in the name of the file.
            canvas[f"{where.rstrip('_')}_feedback.html"] = page
    _write_zip(Path(out) / "moodle_feedback.zip", moodle)
    if canvas:
        _write_zip(Path(out) / "canvas_feedback.zip", canvas)
    path = Path(out) / "summary.html"
    write_atomically(path, summary_page(master, entries, sums))
    return path


def _write_zip(path, pages):
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for name, page in sorted(pages.items()):
            file.writestr(name, page)
    part.replace(path)


def _histogram(values, most):
    """Return a bar for each point, as SVG that says its numbers in words."""
    bins = max(1, round(most))
    counts = [0] * (bins + 1)
    for value in values:
        counts[min(bins, max(0, int(value)))] += 1
    width, height, top = 24, 120, max(1, *counts)
    bars = []
    for index, count in enumerate(counts):
        tall = height * count / top
        x, y = 10 + index * width, 20 + height - tall
        bars.append(
            f"<rect x='{x}' y='{y:.1f}' width='{width - 4}' height='{tall:.1f}'/>"
        )
        middle = x + (width - 4) / 2
        if count:
            bars.append(_label(middle, y - 4, count))
        bars.append(_label(middle, height + 36, index))
    said = ", ".join(f"{i} points: {n}" for i, n in enumerate(counts) if n)
    wide, high = 20 + (bins + 1) * width, height + 60
    return (
        f"<svg viewBox='0 0 {wide} {high}' width='100%' style='max-width:{wide}px' "
        f"role='img' aria-label='Number of submissions by points. {said}'>"
        + "".join(bars)
        + _label(wide / 2, high - 6, "points")
        + "</svg>"
    )


def _label(x, y, text):
    return f"<text x='{x:g}' y='{y:.1f}' text-anchor='middle'>{text}</text>"


def _safe(text):
    return html.escape(str(text), quote=True)
