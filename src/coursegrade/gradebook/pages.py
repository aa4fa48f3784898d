"""What all pages of a class share: their frame, tables, and a task's heading."""

import html
import re
from string import Template

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
meter { width: min(20rem, 40vw); }
article { border-bottom: 1px solid #8886; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
label { margin-right: 1rem; }
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


def page(title, body):
    """Return a page with a text as its title and HTML below."""
    return _PAGE.substitute(title=safe(title), body=body)


def table(names, rows):
    """Return a table with a heading a column, and one a row, all of it HTML."""
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    lines = "\n".join(
        f"<tr><th scope='row'>{first}</th>"
        + "".join(f"<td>{one}</td>" for one in more)
        + "</tr>"
        for first, *more in rows
    )
    return f"<table>\n<tr>{head}</tr>\n{lines}\n</table>"


def safe(text):
    """Return a stranger's text as HTML that shows it."""
    return html.escape(str(text))


def heading(master, task):
    """Return what a task is called: the last heading in front of its answer."""
    found = ""
    for cell in master.cells:
        if cell in task.answers:
            break
        if cell.role == "text":
            lines = re.findall(r"(?m)^#{1,6}\s+(.+?)\s*$", cell.source)
            found = lines[-1] if lines else found
    # "1. Gradients by layer (3 points)": the points stand beside it.
    return re.sub(r"\s*\(\d+ points?\)$", "", found) or task.name
