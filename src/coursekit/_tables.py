"""Rows of cells, the first one of heads, as a table: plain text, or HTML."""

import html
import math


def share(value):
    """Return a share in percent, a dash for what was not measured."""
    return "-" if math.isnan(value) else f"{value:.0%}"


def as_text(rows, left=(0,)):
    """Return lines; the columns ``left`` begin at their left, others end right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if n in left else ">" for n in range(len(widths))]
    lines = [
        "  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def as_html(rows, caption=""):
    """Return an HTML table; the first cell of every row is its head."""
    heads, *others = [[html.escape(cell) for cell in row] for row in rows]
    body = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for name, *cells in others
    )
    heads = "".join(f"<th>{head}</th>" for head in heads)
    caption = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head = f"<thead><tr>{heads}</tr></thead>"
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>"
