"""Convert MyST Markdown to the Markdown that Colab and JupyterLab show.

MyST's own parser finds the blocks, the directives with their options, the roles, the
formulas and the links. Two tables, `DIRECTIVES` here and `ROLES` in `spans.py`, say
what becomes of those that have a name. What has no rule is an error, with its line.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from textwrap import dedent, indent

from docutils.parsers.rst.directives.misc import TestDirective
from markdown_it.tree import SyntaxTreeNode
from myst_parser.parsers.directives import parse_directive_text

from notebooks.references import MarkdownError, References, placed
from notebooks.spans import check_html, inline, leads_out, plain_kind, spans, tex

#: What plain Markdown has as well, without `_open` and `_close`.
BLOCKS = set(
    "blockquote bullet_list code_block footnote_reference heading hr inline list_item "
    "ordered_list paragraph table tbody td th thead tr".split()
)
FENCES = {"fence", "colon_fence"}
FORMULAS = {"amsmath", "math_block", "math_block_label"}
DEFINITIONS = {"dl", "dt", "dd"}
FOOTNOTE = "footnote_reference"
#: Labels, comments and breaks between cells, which no notebook needs.
DROPPED = {"myst_block_break", "myst_line_comment", "myst_target"}
DIRECTIVE = re.compile(r"\{([^}\s]+)\}\s*(.*)", re.DOTALL)
#: What a line of a list or of a quote begins with.
MARKS = re.compile(r"(?:[\s>]|[-*+](?=\s)|\d+[.)](?=\s))*")


@dataclass
class Gate:
    """One end of an exercise or of a solution that has cells inside."""

    name: str
    line: int = 0
    hidden: bool = False


@dataclass
class Directive:
    """A directive as MyST reads it; `line` is that of its body, from its own."""

    name: str
    title: str
    options: dict[str, str]
    body: str
    line: int
    refs: References
    one_line: bool

    @property
    def heading(self) -> str:
        return inline(self.title, self.refs)

    def converted(self, one_line: bool = False) -> str:
        with placed(self.line):
            return convert(self.body, self.refs, one_line)


def read_directive(token, refs: References, one_line: bool) -> Directive | None:
    """Return the directive of a fence, or None: it is code."""
    found = DIRECTIVE.fullmatch(token.info.strip())
    if not found:
        return None
    # docutils' directive for tests takes a title, a body and all options; whether
    # they are right, the book's own build has told before.
    read = parse_directive_text(TestDirective, found[2], token.content)
    if read.warnings:
        raise MarkdownError(f"{{{found[1]}}}: {read.warnings[0].msg}")
    line = 1 + len(token.content.splitlines()) - len(read.body)
    title, body = " ".join(read.arguments), "\n".join(read.body).rstrip()
    return Directive(found[1], title, read.options, body, line, refs, one_line)


def quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def details(text: str, summary: str = "Solution") -> str:
    # Markdown inside HTML is Markdown only between blank lines.
    return f"<details>\n<summary>{summary}</summary>\n\n{text.strip()}\n\n</details>"


def fence(code: str, language: str = "python") -> str:
    ticks = "`" * max([3] + [len(run) + 1 for run in re.findall("`{3,}", code)])
    return f"{ticks}{language}\n{code.rstrip()}\n{ticks}"


def formula(token, refs: References, one_line: bool) -> str:
    label = token.info if token.type == "math_block_label" else ""
    return display(token.content, label, refs, one_line, token.type == "amsmath")


def display(
    text: str, label: str, refs: References, one_line: bool, bare: bool = False
) -> str:
    """Return a displayed formula; ``bare``: its environment needs no dollars."""
    if number := refs.equation(label) if label else "":
        # In a line of its own: a comment may stand before it.
        text = f"{text.strip()}\n\\tag{{{number}}}"
    # Markdown knows no formula with a blank line.
    lines = [line for line in text.strip().split("\n") if line.strip()]
    text, between = (tex(text), " ") if one_line else ("\n".join(lines), "\n")
    return text if bare else f"$${between}{text}{between}$$"


def _admonition(d: Directive) -> str:
    heading = d.heading or d.name.capitalize()
    if "dropdown" in (d.options.get("class") or "").split():
        return details(d.converted(d.one_line), heading)
    return quote(f"**{heading}**\n\n{d.converted(one_line=True)}".strip())


def _note(d: Directive) -> str:
    """Convert an admonition whose first line is text, not a title."""
    if d.title:
        d.body, d.line = f"{d.title}\n{d.body}".strip("\n"), 0
    d.title = ""
    return _admonition(d)


def _exercise(d: Directive) -> str:
    if "hidden" in d.options:
        return ""
    heading = "Exercise"
    if "nonumber" not in d.options:
        heading += f" {d.refs.exercise_number(d.options.get('label', ''))}"
    if d.title:
        heading += f" ({d.heading})"
    return f"**{heading}**\n\n{d.converted()}".strip()


def _figure(d: Directive) -> str:
    picture = f"![{d.options.get('alt', '')}]({d.refs.image(d.title)})"
    number = d.refs.number(d.options["name"]) if "name" in d.options else ""
    caption = f"**{number}** {d.converted()}" if number else d.converted()
    return f"{picture}\n\n{caption}".strip()


def _list_table(d: Directive) -> str:
    with placed(d.line):
        cells = [list(_row(node, d.refs)) for node in _items(d.body, d.refs)]
    if len({len(row) for row in cells}) != 1:
        raise MarkdownError("a list-table with rows of different lengths")
    if not int(d.options.get("header-rows") or 0):
        cells.insert(0, [""] * len(cells[0]))
    cells.insert(1, ["---"] * len(cells[0]))
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    return f"**{d.heading}**\n\n{table}" if d.title else table


def _items(text: str, refs: References) -> list[SyntaxTreeNode]:
    tree = SyntaxTreeNode(refs.parse(text))
    if [node.type for node in tree.children] != ["bullet_list"]:
        raise MarkdownError("a list-table is one list")
    return tree.children[0].children


def _row(item: SyntaxTreeNode, refs: References) -> Iterator[str]:
    if [node.type for node in item.children] != ["bullet_list"]:
        raise MarkdownError("a row of a list-table is a list", item.map[0])
    for cell in item.children[0].children:
        found = []
        for node in cell.children:
            if node.type != "paragraph":
                raise MarkdownError(f"a {node.type} in a list-table", node.map[0])
            with placed(node.map[0]):
                found.append(spans(node.children[0].token, refs))
        yield " ".join(" ".join(found).split()).replace("|", r"\|")


def _solution(d: Directive) -> str:
    hidden = "hidden" in d.options or d.refs.hide_solutions
    return "" if hidden else details(d.converted(d.one_line))


def _math_directive(d: Directive) -> str:
    label = d.options.get("label", "")
    return display(f"{d.title}\n{d.body}", label, d.refs, d.one_line)


NOTES = (
    "attention caution danger error hint important note seealso tip warning"
).split()
TITLED = "admonition dropdown margin sidebar topic".split()
GATES = "exercise-end solution-start solution-end".split()
DIRECTIVES: dict[str, Callable[[Directive], str | Gate]] = {
    **dict.fromkeys(NOTES, _note),
    **dict.fromkeys(TITLED, _admonition),
    **dict.fromkeys(GATES, lambda d: Gate(d.name, hidden="hidden" in d.options)),
    **dict.fromkeys(("exercise", "exercise-start"), _exercise),
    **dict.fromkeys(("figure", "image"), _figure),
    **dict.fromkeys(("code", "code-block"), lambda d: fence(d.body, d.title)),
    # lists that a page shows and a notebook has no use for
    **dict.fromkeys(("bibliography", "tableofcontents"), lambda d: ""),
    "lab": lambda d: d.refs.lab(d.title),
    "list-table": _list_table,
    "math": _math_directive,
    "solution": _solution,
    "table": lambda d: f"**{d.heading}**\n\n{d.converted()}",
}


# --- a text, block by block --------------------------------------------------


def _block(token, refs: References, one_line: bool) -> str | Gate | None:
    """Return what replaces a block, or None: it stays."""
    if token.type in FENCES:
        directive = read_directive(token, refs, one_line)
        if directive is None and token.type == "fence":
            return None
        name = directive.name if directive else ""
        if name not in DIRECTIVES:
            raise MarkdownError(f"unknown directive {{{name}}}")
        return DIRECTIVES[name](directive)
    if token.type in FORMULAS:
        return formula(token, refs, one_line)
    return "" if token.type in DROPPED else None


def pieces(text: str, refs: References, one_line: bool = False) -> list[str | Gate]:
    """Convert a text; gates divide it, because cells may follow them."""
    lines: list[str | None] = list(text.split("\n"))
    found: list[str | Gate] = []
    begin = 0

    def keep(end: int) -> None:
        found.append("\n".join(x for x in lines[begin:end] if x is not None))

    cell = 0  # where the next one of a table's row begins, if this is a table
    note = 0  # where the text of a footnote ends, which has a place of its own
    for token in refs.parse(text):
        start, end = token.map or (0, 0)
        if token.map and start < note:
            continue
        with placed(start):
            if token.type in ("tr_open", "table_close"):
                cell = int(token.type == "tr_open")
            elif token.type == "inline" and cell:
                cell = _rewrite_cell(lines, token, refs, cell)
            elif token.type == "inline":
                _rewrite(lines, token, refs)
            elif token.type in FENCES | FORMULAS | DROPPED:
                quoted = ">" in MARKS.match(lines[start])[0]
                new = _block(token, refs, one_line or quoted)
                if new is None:
                    continue
                keep(start)
                # the parser leaves the last line of an environment out
                begin = end + (token.type == "amsmath")
                if isinstance(new, Gate):
                    new.line = start
                else:
                    new = _indented(new, lines[start], token.type in FORMULAS)
                found.append(new)
            elif token.type == f"{FOOTNOTE}_open":
                _take_footnote(lines[start:end], token.meta["label"], refs)
                lines[start:end] = [None] * (end - start)
                note = end
            elif plain_kind(token.type) in DEFINITIONS:
                _listed(lines, token)
            elif token.type == "html_block":
                check_html(token.content)
            elif plain_kind(token.type) not in BLOCKS:
                raise MarkdownError(f"a notebook cannot show this: {token.type}")
    keep(len(lines))
    return found


def _take_footnote(lines: list[str], label: str, refs: References) -> None:
    refs.footnote(label)
    first = re.sub(r"^[\s>]*\[\^[^\]]+\]:\s*", "", lines[0])
    rest = dedent("\n".join(lines[1:]))
    refs.footnotes[label] = convert(f"{first}\n{rest}", refs)


def _listed(lines: list[str | None], token) -> None:
    """Make a definition an item of a list, under its term."""
    number = token.map[0] if token.map else 0
    if token.type == "dt_open":
        # the blank line that a list needs above it
        lines[number] = f"**{lines[number].strip()}**\n"
    elif token.type == "dd_open":
        lines[number] = re.sub("[:~]", "-", lines[number], count=1)


def _rewrite(lines: list[str | None], token, refs: References) -> None:
    """Put a paragraph's converted text where it stood, behind its marks."""
    new, old = spans(token, refs), token.content.split("\n")
    if new == token.content:
        return
    first = token.map[0]
    # What stands before and behind it: the marks of lists, quotes and headings.
    around = []
    for number, line in enumerate(old, start=first):
        before, found, behind = lines[number].rpartition(line)
        if not found:
            raise MarkdownError("a line that is not found again", number - first)
        around.append((before, behind))
    done = [
        around[min(number, len(old) - 1)][0] + line
        for number, line in enumerate(new.split("\n"))
    ]
    done[-1] += around[-1][1]
    # There may be fewer now, but never more: what replaces a span has one line.
    lines[first : first + len(old)] = done + [None] * (len(old) - len(done))


def _rewrite_cell(lines: list[str | None], token, refs: References, start: int) -> int:
    """Put a table cell's converted text where it stood; return where it ends."""
    row, new, old = token.map[0], spans(token, refs), token.content
    at = lines[row].find(old, start)
    if at < 0:  # the parser has taken the backslashes away
        old, new = old.replace("|", r"\|"), new.replace("|", r"\|")
        at = lines[row].find(old, start)
    if at < 0:
        raise MarkdownError("a cell that is not found again")
    lines[row] = lines[row][:at] + new + lines[row][at + len(old) :]
    return at + len(new)


def _indented(new: str, line: str, is_formula: bool) -> str:
    """Put the marks of lists and quotes before each line of what replaces a block."""
    prefix = MARKS.match(line)[0]
    rest = re.sub(r"[^>\s]", " ", prefix)
    if not new.strip():
        return prefix.rstrip()
    marked = prefix + f"\n{rest}".join(new.split("\n"))
    if not is_formula:
        # A quote or a table goes on until there is a blank line.
        above = f"{rest}\n" if rest == prefix else ""
        marked = f"{above}{marked}\n{rest}"
    return "\n".join(map(str.rstrip, marked.split("\n")))


def join(parts: list[str], refs: References) -> str:
    return tidy("\n".join(parts), refs)


def tidy(text: str, refs: References) -> str:
    """Remove surplus blank lines, but not those of code."""
    code: set[int] = set()
    for token in refs.parse(text):
        if token.type in ("fence", "code_block") and token.map:
            code.update(range(*token.map))
    kept: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if line.strip() or number in code or (kept and kept[-1].strip()):
            kept.append(line)
    return "\n".join(kept).strip("\n")


def convert(text: str, refs: References, one_line: bool = False) -> str:
    """Convert a text that has no cells inside."""
    parts = pieces(text, refs, one_line)
    for part in parts:
        if isinstance(part, Gate):
            raise MarkdownError(f"{{{part.name}}} inside a directive", part.line)
    return join(parts, refs)


def convert_cells(cells: list, refs: References, starts=()) -> list[tuple[str, object]]:
    """Return ("markdown", text) and ("code", cell) of a MyST notebook's cells.

    A solution becomes one Markdown cell that has its code cells as text. ``starts``
    has the line of each cell in its page. That gates come in pairs, sphinx-exercise
    has seen to before.
    """
    done: list[tuple[str, object]] = []
    text: list[str] = []
    opened: Gate | None = None

    def flush(wrap: Callable[[str], str] = str) -> None:
        content = join(text, refs)
        text.clear()
        if content:
            done.append(("markdown", wrap(content)))

    _define(cells, refs)
    for cell, start in zip(cells, starts or repeat(0)):  # noqa: B905, repeat has no end
        if cell.cell_type == "code":
            if opened:
                text.append(f"\n{fence(cell.source)}\n")
            else:
                done.append(("code", cell))
            continue
        with placed(start):
            for part in pieces(cell.source, refs):
                if isinstance(part, str):
                    text.append(part)
                elif part.name == "solution-start":
                    flush()
                    hidden = part.hidden or refs.hide_solutions
                    opened = Gate(part.name, start + part.line, hidden)
                elif part.name == "solution-end":
                    if opened.hidden:
                        text.clear()
                    flush(details)
                    opened = None
        if not opened:
            flush()
    if opened:
        raise MarkdownError("a solution without its end", opened.line)
    if refs.footnotes:
        done.append(("markdown", _footnotes(refs)))
    return done


def _define(cells: list, refs: References) -> None:
    """Note the footnotes and the targets of links that any cell of a page defines."""
    for cell in cells:
        if cell.cell_type == "markdown":
            refs.parser.parse(cell.source, refs.defined)


def _footnotes(refs: References) -> str:
    """Return the footnotes as a list, for the end of a notebook."""
    items = [
        f"{number}. " + indent(text, " " * len(f"{number}. ")).lstrip()
        for number, text in enumerate(refs.footnotes.values(), 1)
    ]
    return "\n".join(["**Footnotes**\n", *items])


def check(text: str, refs: References) -> None:
    """Raise an error if there is MyST left outside code."""
    for token in refs.parser.parse(text):
        fenced = token.type == "fence" and token.info.strip().startswith("{")
        left = DROPPED | DEFINITIONS | {"colon_fence", FOOTNOTE}
        if fenced or plain_kind(token.type) in left:
            raise MarkdownError(f"MyST is left: {token.content or token.info}")
        for child in token.children or []:
            if child.type == "myst_role":
                raise MarkdownError(f"a role {{{child.meta['name']}}} is left")
            if child.type == "link_open" and not leads_out(child.attrs["href"]):
                raise MarkdownError(f"a link that leads nowhere: {child.attrs['href']}")
