"""Pages for people: a feedback page a student, one summary of the class.

What a submission says of itself is escaped, and nothing of the hidden tests but
the messages that their author wrote for students can stand here.
"""

import html
import zipfile
from pathlib import Path
from string import Template

from coursegrade.gradebook.intake import file_name
from coursegrade.gradebook.journal import write_atomically
from coursegrade.statuses import Status

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; vertical-align: top;
  border-bottom: 1px solid #8886; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
svg rect { fill: #3b76af; }
</style>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")


def student_page(master, student, entry, total):
    """Return one student's feedback as an HTML page."""
    lines = []
    for row in entry["rows"]:
        points = "open" if row["points"] is None else f"{row['points']:g}"
        status = Status(row["status"])
        told = row["message"] if status.explained else ""
        text = f"{status.meaning} {told[:1].upper()}{told[1:]}"
        lines.append(
            f"<tr><th scope='row'>{_safe(row['task'])}</th>"
            f"<td class='number'>{points} of {row['of']:g}</td>"
            f"<td>{_safe(text)}</td></tr>"
        )
    late = total["late_days"]
    after = f" after {late} late day{'s' if late != 1 else ''}" if late else ""
    still = f", {len(total['open'])} still open" if total["open"] else ""
    body = (
        f"<p>{_safe(student)}: <strong>{total['total']:g} of {total['of']:g} "
        f"points</strong>{after}{still}.</p>\n<table>\n<thead><tr>"
        "<th scope='col'>Task</th><th scope='col' class='number'>Points</th>"
        "<th scope='col'>What the grader found</th></tr></thead>\n<tbody>\n"
        + "\n".join(lines)
        + "\n</tbody>\n</table>"
    )
    return _PAGE.substitute(title=_safe(master.title), body=body)


def summary_page(master, entries, sums):
    """Return the class's summary: a histogram, and the tasks by status."""
    values = [one["total"] for one in sums.values()]
    mean = sum(values) / len(values)
    counts = {}
    for entry in entries.values():
        for row in entry["rows"]:
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
        f"mean.</p>\n{_histogram(values, master.points)}\n<h2>The tasks</h2>\n"
        f"<table>\n<thead><tr><th scope='col'>Task</th>{head}</tr></thead>\n"
        f"<tbody>\n{lines}\n</tbody>\n</table>"
    )
    return _PAGE.substitute(title=_safe(f"{master.title}: the class"), body=body)


def write_pages(out, master, entries, sums):
    """Write the pages and Moodle's feedback zip; return the summary's path."""
    folder = Path(out) / "feedback"
    pages = {}
    for student, entry in entries.items():
        page = student_page(master, student, entry, sums[student])
        write_atomically(folder / f"{file_name(student)}.html", page)
        place = entry["where"] if "_assignsubmission_" in entry["where"] else ""
        # Moodle finds the student by the name of the folder in the zip.
        pages[f"{place or file_name(student)}/feedback.html"] = page
    archive = Path(out) / "moodle_feedback.zip"
    part = archive.with_name(archive.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for name, page in sorted(pages.items()):
            file.writestr(name, page)
    part.replace(archive)
    path = Path(out) / "summary.html"
    write_atomically(path, summary_page(master, entries, sums))
    return path


def _histogram(values, most):
    """Return a bar for each point, as SVG that says its numbers in words."""
    bins = max(1, round(most))
    counts = [0] * (bins + 1)
    for value in values:
        counts[min(bins, max(0, int(value)))] += 1
    width, height, top = 24, 120, max(counts)
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
