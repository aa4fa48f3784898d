"""Convert MyST Markdown to the Markdown that Colab and JupyterLab show.

MyST's own parser finds the blocks, the directives with their options, the roles, the
formulas and the links. Two tables, `DIRECTIVES` and `ROLES`, say what becomes of
those that have a name. What has no rule here is an error, with its line.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from urllib.parse import unquote, urlsplit

from docutils.parsers.rst.directives.misc import TestDirective
from markdown_it import MarkdownIt
from markdown_it.helpers import parseLinkLabel
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.directives import parse_directive_text
from myst_parser.parsers.mdit import create_md_parser
from sphinx.util.nodes import split_explicit_title

#: What plain Markdown has as well, without `_open` and `_close`.
BLOCKS = set(
    "blockquote bullet_list heading hr html_block inline list_item ordered_list "
    "paragraph table tbody td th thead tr".split()
)
SPANS = set(
    "em hardbreak html_inline image link softbreak strong text text_special".split()
)
#: Stays as it is: code, and formulas that have an environment of their own.
VERBATIM = {"amsmath", "code_block"}
FENCES = {"fence", "colon_fence"}
FORMULAS = {"math_block", "math_block_label"}
#: Labels, comments and breaks between cells, which no notebook needs.
DROPPED = {"myst_block_break", "myst_line_comment", "myst_target"}
DIRECTIVE = re.compile(r"\{([^}\s]+)\}\s*(.*)", re.DOTALL)
#: What a line of a list or of a quote begins with.
MARKS = re.compile(r"(?:[\s>]|[-*+](?=\s)|\d+[.)](?=\s))*")
#: Schemes of links that lead out of the book.
OUTSIDE = {"http", "https", "mailto"}


class MarkdownError(Exception):
    """The text has something that this module cannot convert.

    Attributes
    ----------
    line : int
        Where it stands, counted from 0.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@contextmanager
def placed(line: int) -> Iterator[None]:
    """Count the line of an error from the start of the text around."""
    try:
        yield
    except MarkdownError as error:
        error.line += line
        raise


def _same(text: str) -> str:
    return text


@dataclass
class References:
    """The book's syntax, and what its pages and its bibliography say."""

    title: Callable[[str], str] = _same
    number: Callable[[str], str] = _same
    document: Callable[[str], str] = _same
    equation: Callable[[str], str] = lambda label: ""
    cite: Callable[[str, bool], str] = lambda keys, in_text: keys
    image: Callable[[str], str] = _same
    exercise: Callable[[str], str] = lambda label: ""
    syntax: MdParserConfig = field(
        default_factory=lambda: MdParserConfig(
            enable_extensions={"amsmath", "colon_fence", "deflist", "dollarmath"}
        )
    )
    count: int = 0

    def exercise_number(self, label: str) -> str:
        self.count += 1
        return self.exercise(label) or str(self.count)

    @cached_property
    def parser(self) -> MarkdownIt:
        """MyST's parser, whose inline tokens know where they stand."""
        parser = create_md_parser(self.syntax, RendererHTML).disable("front_matter")
        rules = parser.inline.ruler
        names, functions = rules.get_active_rules(), rules.getRules("")
        for name, rule in zip(names, functions, strict=True):
            rules.at(name, _recorded(rule))
        return parser


def _recorded(rule):
    """Return an inline rule that notes where its tokens begin and end."""

    def record(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        found = rule(state, silent)
        for token in state.tokens[count:]:
            token.meta.setdefault("span", (start, state.pos))
        return found

    return record


# --- roles, formulas and links inside of a paragraph --------------------------


def _math(body: str, refs: References) -> str:
    # One line: in a quote "> " would get into the formula.
    return f"${' '.join(body.split())}$"


def _titled(look_up: str):
    """Return a role's function: its own text, or the title of what it points to."""

    def role(body: str, refs: References) -> str:
        explicit, text, target = split_explicit_title(body)
        return text if explicit else getattr(refs, look_up)(target)

    return role


def _numref(body: str, refs: References) -> str:
    explicit, text, target = split_explicit_title(body)
    number = refs.number(target)
    # The text may have a place for the number: `Figure %s <label>`.
    return re.sub(r"%s|\{number\}", number.split()[-1], text) if explicit else number


def _term(body: str, refs: References) -> str:
    return split_explicit_title(body)[1]


def _python(body: str, refs: References) -> str:
    explicit, text, target = split_explicit_title(body)
    short = target.rpartition(".")[2] if target.startswith("~") else target
    return f"`{text if explicit else short}`"


ROLES: dict[str, Callable[[str, References], str]] = {
    "abbr": lambda body, refs: re.sub(r"(.*?)\s*\((.*)\)", r"\1 (\2)", body),
    "cite": lambda body, refs: refs.cite(body, False),
    "cite:p": lambda body, refs: refs.cite(body, False),
    "cite:t": lambda body, refs: refs.cite(body, True),
    "doc": _titled("document"),
    "eq": lambda body, refs: f"({refs.equation(body) or body})",
    "math": _math,
    "numref": _numref,
    "ref": _titled("title"),
    "term": _term,
}
for _name in ("attr", "class", "data", "exc", "func", "meth", "mod", "obj"):
    ROLES[_name] = ROLES[f"py:{_name}"] = _python


def inline(text: str, refs: References) -> str:
    """Convert a text without blocks: a title, a caption."""
    return _spans(refs.parser.parseInline(text)[0], refs)


def _spans(token, refs: References) -> str:
    """Return the text of an inline token, with what MyST adds converted."""
    text, done, end = token.content, [], 0
    for child in token.children or []:
        span = child.meta.get("span", (0, 0))
        if span[0] < end:  # inside of what was replaced
            continue
        with placed(text[: span[0]].count("\n")):
            new = _span(child, text, refs)
        if new is not None:
            done += [text[end : span[0]], new]
            end = span[1]
    return "".join([*done, text[end:]])


def _span(child, text: str, refs: References) -> str | None:
    """Return what replaces an inline token, or None: it stays."""
    if child.type == "myst_role":
        name = child.meta["name"]
        if name not in ROLES:
            raise MarkdownError(f"unknown role {{{name}}}")
        return ROLES[name](" ".join(child.content.split()), refs)
    if child.type == "math_inline":
        return _math(child.content, refs)
    if child.type == "math_inline_double":
        return f"${_math(child.content, refs)}$"
    if child.type == "link_open" and not _leads_out(child.attrs["href"]):
        return _link(child.attrs["href"], _label(child, text, refs), refs)
    if child.type == "image" and not _leads_out(child.attrs["src"]):
        return (
            f"![{_label(child, text, refs)}]({refs.image(unquote(child.attrs['src']))})"
        )
    if child.type == "code_inline" or _plain(child.type) in SPANS:
        return None
    raise MarkdownError(f"a notebook cannot show this: {child.type}")


def _plain(kind: str) -> str:
    return kind.removesuffix("_open").removesuffix("_close")


def _label(child, text: str, refs: References) -> str:
    """Return what stands between the brackets of a link or of an image."""
    start = text.index("[", child.meta["span"][0])
    state = StateInline(text, refs.parser, {}, [])
    return inline(text[start + 1 : parseLinkLabel(state, start)], refs)


def _leads_out(target: str) -> bool:
    """Tell whether a link leads out of the book; it stays as it is then."""
    scheme = urlsplit(target).scheme
    if scheme and scheme not in OUTSIDE:
        raise MarkdownError(f"a notebook cannot follow this link: {target}")
    return bool(scheme)


def _link(target: str, label: str, refs: References) -> str:
    if label:
        return label
    page, _, anchor = unquote(target).partition("#")
    return refs.document(page.removesuffix(".md")) if page else refs.title(anchor)


# --- directives --------------------------------------------------------------


@dataclass
class Gate:
    """One end of an exercise or of a solution that has cells inside."""

    name: str
    line: int = 0


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


def details(text: str) -> str:
    # Markdown inside HTML is Markdown only between blank lines.
    return f"<details>\n<summary>Solution</summary>\n\n{text.strip()}\n\n</details>"


def fence(code: str, language: str = "python") -> str:
    ticks = "`" * max([3] + [len(run) + 1 for run in re.findall("`{3,}", code)])
    return f"{ticks}{language}\n{code.rstrip()}\n{ticks}"


def formula(text: str, label: str, refs: References, one_line: bool) -> str:
    number = refs.equation(label) if label else ""
    text = text.strip() + (rf" \tag{{{number}}}" if number else "")
    return f"$$ {' '.join(text.split())} $$" if one_line else f"$$\n{text}\n$$"


def _admonition(d: Directive) -> str:
    heading = d.heading or d.name.capitalize()
    return quote(f"**{heading}**\n\n{d.converted(one_line=True)}".strip())


def _note(d: Directive) -> str:
    """Convert an admonition whose first line is text, not a title."""
    if d.title:
        d.body, d.line = f"{d.title}\n{d.body}".strip("\n"), 0
    d.title = ""
    return _admonition(d)


def _exercise(d: Directive) -> str:
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
    tree = SyntaxTreeNode(refs.parser.parse(text))
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
                found.append(_spans(node.children[0].token, refs))
        yield " ".join(" ".join(found).split()).replace("|", r"\|")


def _lab(d: Directive) -> str:
    # A notebook runs the real thing; the lab is a part of the page.
    return "*Open the live lab in the online book.*"


def _math_directive(d: Directive) -> str:
    label = d.options.get("label", "")
    return formula(f"{d.title}\n{d.body}", label, d.refs, d.one_line)


NOTES = (
    "attention caution danger error hint important note seealso tip warning"
).split()
TITLED = "admonition dropdown margin sidebar topic".split()
GATES = "exercise-end solution-start solution-end".split()
DIRECTIVES: dict[str, Callable[[Directive], str | Gate]] = {
    **dict.fromkeys(NOTES, _note),
    **dict.fromkeys(TITLED, _admonition),
    **dict.fromkeys(GATES, lambda d: Gate(d.name)),
    **dict.fromkeys(("exercise", "exercise-start"), _exercise),
    **dict.fromkeys(("figure", "image"), _figure),
    **dict.fromkeys(("code", "code-block"), lambda d: fence(d.body, d.title)),
    # lists that a page shows and a notebook has no use for
    **dict.fromkeys(("bibliography", "tableofcontents"), lambda d: ""),
    "lab": _lab,
    "list-table": _list_table,
    "math": _math_directive,
    "solution": lambda d: details(d.converted()),
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
        label = token.info if token.type == "math_block_label" else ""
        return formula(token.content, label, refs, one_line)
    return "" if token.type in DROPPED else None


def pieces(text: str, refs: References, one_line: bool = False) -> list[str | Gate]:
    """Convert a text; gates divide it, because cells may follow them."""
    lines: list[str | None] = list(text.split("\n"))
    found: list[str | Gate] = []
    begin = 0

    def keep(end: int) -> None:
        found.append("\n".join(x for x in lines[begin:end] if x is not None))

    cell = 0  # where the next one of a table's row begins, if this is a table
    for token in refs.parser.parse(text):
        start, end = token.map or (0, 0)
        with placed(start):
            if token.type in ("tr_open", "table_close"):
                cell = int(token.type == "tr_open")
            elif token.type == "inline" and cell:
                cell = _rewrite_cell(lines, token, refs, cell)
            elif token.type == "inline":
                _rewrite(lines, token, refs)
            elif token.type in VERBATIM | FENCES | FORMULAS | DROPPED:
                new = _block(token, refs, one_line)
                if new is None:
                    continue
                keep(start)
                begin = end
                if isinstance(new, Gate):
                    new.line = start
                else:
                    new = _indented(new, lines[start], token.type in FORMULAS)
                found.append(new)
            elif _plain(token.type) not in BLOCKS:
                raise MarkdownError(f"a notebook cannot show this: {token.type}")
    keep(len(lines))
    return found


def _rewrite(lines: list[str | None], token, refs: References) -> None:
    """Put a paragraph's converted text where it stood, behind its marks."""
    new, old = _spans(token, refs), token.content.split("\n")
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
    row, new, old = token.map[0], _spans(token, refs), token.content
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
    for token in refs.parser.parse(text):
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
    has the line of each cell in its page.
    """
    done: list[tuple[str, object]] = []
    text: list[str] = []
    opened: Gate | None = None

    def flush(wrap: Callable[[str], str] = _same) -> None:
        content = join(text, refs)
        text.clear()
        if content:
            done.append(("markdown", wrap(content)))

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
                    if opened:
                        raise MarkdownError("a solution inside a solution", part.line)
                    flush()
                    opened = Gate(part.name, start + part.line)
                elif part.name == "solution-end":
                    if not opened:
                        raise MarkdownError("an end without its solution", part.line)
                    flush(details)
                    opened = None
        if not opened:
            flush()
    if opened:
        raise MarkdownError("a solution without its end", opened.line)
    return done


def check(text: str, refs: References) -> None:
    """Raise an error if there is MyST left outside code."""
    for token in refs.parser.parse(text):
        fenced = token.type == "fence" and token.info.strip().startswith("{")
        if fenced or token.type in DROPPED | {"colon_fence"}:
            raise MarkdownError(f"MyST is left: {token.content or token.info}")
        for child in token.children or []:
            if child.type == "myst_role":
                raise MarkdownError(f"a role {{{child.meta['name']}}} is left")
