"""Convert MyST Markdown to the Markdown that Colab and JupyterLab show."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin

PARSER = (
    MarkdownIt("commonmark")
    .enable("table")
    .use(colon_fence_plugin)
    .use(dollarmath_plugin)
    .use(amsmath_plugin)
    .use(myst_block_plugin)
)
DIRECTIVE = re.compile(r"\{([^}\s]+)\}\s*(.*)", re.DOTALL)
CODE_SPAN = r"(?<!`)(?P<ticks>`+)(?!`)(?P<body>.+?)(?<!`)(?P=ticks)(?!`)"
INLINE = re.compile(
    r"\\[\\`$\[]"
    rf"|(?:\{{(?P<role>[a-zA-Z][\w:.+-]*)\}})?{CODE_SPAN}"
    r"|(?P<math>\$\$.+?\$\$|\$(?![\s$])(?:[^$\\]|\\.)+?(?<!\s)\$(?!\d))"
    r"|(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]"
    r"\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)",
    re.DOTALL,
)
ROLE_TARGET = re.compile(r"(.*?)\s*<([^<>]+)>", re.DOTALL)
ADMONITIONS = set(
    "admonition attention caution danger dropdown error hint important margin note "
    "seealso sidebar tip topic warning".split()
)
DROPPED = {"bibliography", "contents", "tableofcontents"}
GATES = {"exercise-start", "exercise-end", "solution-start", "solution-end"}


class MarkdownError(Exception):
    """The page has something that this module cannot convert."""

    def __init__(self, message: str, snippet: str = "") -> None:
        super().__init__(message)
        self.snippet = snippet


def _same(text: str) -> str:
    return text


@dataclass
class References:
    """What the other pages and the bibliography say; see `notebooks.py`."""

    title: Callable[[str], str] = _same
    number: Callable[[str], str] = _same
    document: Callable[[str], str] = _same
    equation: Callable[[str], str] = lambda label: ""
    cite: Callable[[str, bool], str] = lambda keys, in_text: keys
    image: Callable[[str], str] = _same
    exercise: Callable[[str], str] = lambda label: ""
    count: int = field(default=0)

    def exercise_number(self, label: str) -> str:
        self.count += 1
        return self.exercise(label) or str(self.count)


@dataclass
class Gate:
    """One end of an exercise or of a solution that has cells inside."""

    name: str


def _role(name: str, body: str, refs: References) -> str:
    match = ROLE_TARGET.fullmatch(body)
    text, target = match.groups() if match else ("", body)
    kind = name.split(":")[-1]
    if name.startswith("cite"):
        return refs.cite(body, kind == "t")
    if name == "math":
        return f"${body}$"
    if name == "eq":
        return f"({refs.equation(body) or body})"
    if name == "numref":
        number = refs.number(target)
        # The text may have a place for the number: `Figure %s <label>`.
        return re.sub(r"%s|\{number\}", number.split()[-1], text) or number
    if name in ("ref", "doc"):
        return text or (refs.title if name == "ref" else refs.document)(target)
    if name in ("term", "download"):
        return text or target
    if name == "abbr":
        return re.sub(r"(.*?)\s*\((.*)\)", r"\1 (\2)", body)
    if kind in ("func", "class", "meth", "mod", "attr", "obj", "data", "exc"):
        return f"`{text or target.split('.')[-1] if '~' in target else text or target}`"
    raise MarkdownError(f"unknown role {{{name}}}", f"{{{name}}}`")


def inline(text: str, refs: References) -> str:
    """Convert roles and links, but nothing in code spans and formulas."""

    def replace(match: re.Match) -> str:
        if match["role"]:
            return _role(match["role"], " ".join(match["body"].split()), refs)
        if match["math"]:
            # A formula is taken out before quotes are: "> " would stay in it.
            return " ".join(match["math"].split())
        if not match["target"]:
            return match[0]
        target, label = match["target"], inline(match["text"], refs)
        external = re.match(r"[a-z]+:", target)
        if match["image"]:
            return f"![{label}]({target if external else refs.image(target)})"
        if external:
            return match[0].replace(match["text"], label, 1)
        if label:
            return label
        if target.startswith("#"):
            return refs.title(target[1:])
        return refs.document(target.partition("#")[0].removesuffix(".md"))

    return INLINE.sub(replace, text)


def options(content: str) -> tuple[dict[str, str], str]:
    """Split a directive's content into its options and its body."""
    block = re.match(r"---\n(.*?)\n---(?:\n|$)", content, re.DOTALL)
    if block:
        return yaml.safe_load(block[1]) or {}, content[block.end() :].strip("\n")
    found, key, lines = {}, None, content.split("\n")
    while lines:
        match = re.match(r":([\w-]+):\s*(.*)", lines[0])
        if match:
            key = match[1]
            found[key] = match[2].strip()
        elif key and lines[0].startswith(" ") and lines[0].strip():
            found[key] = f"{found[key]} {lines[0].strip()}".strip()
        else:
            break
        lines.pop(0)
    return found, "\n".join(lines).strip("\n")


def quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def details(text: str) -> str:
    # Markdown inside HTML is Markdown only between blank lines.
    return f"<details>\n<summary>Solution</summary>\n\n{text.strip()}\n\n</details>"


def fence(code: str, language: str = "python") -> str:
    ticks = "`" * max([3] + [len(run) + 1 for run in re.findall("`{3,}", code)])
    return f"{ticks}{language}\n{code.rstrip()}\n{ticks}"


def math(text: str, label: str, refs: References, one_line: bool) -> str:
    number = refs.equation(label) if label else ""
    text = text.strip() + (rf" \tag{{{number}}}" if number else "")
    return f"$$ {' '.join(text.split())} $$" if one_line else f"$$\n{text}\n$$"


def _exercise(title: str, opts: dict, body: str, refs: References) -> str:
    label = "" if "nonumber" in opts else opts.get("label", "")
    heading = "Exercise"
    if "nonumber" not in opts:
        heading += f" {refs.exercise_number(label)}"
    if title:
        heading += f" ({inline(title, refs)})"
    return f"**{heading}**\n\n{convert(body, refs)}".strip()


def _figure(name: str, target: str, opts: dict, body: str, refs: References) -> str:
    picture = f"![{opts.get('alt', '')}]({refs.image(target)})"
    number = refs.number(opts["name"]) if name == "figure" and "name" in opts else ""
    caption = convert(body, refs)
    if number:
        caption = f"**{number}** {caption}"
    return f"{picture}\n\n{caption}".strip()


def _list_table(title: str, opts: dict, body: str, refs: References) -> str:
    rows: list[list[str]] = []
    for line in body.split("\n"):
        match = re.match(r"([*-] |  )\s*[-*](?:\s+(.*)|$)", line)
        if match and match[1].strip():
            rows.append([])
        if match:
            rows[-1].append(match[2] or "")
        elif rows and line.strip():
            rows[-1][-1] += f" {line.strip()}"
    cells = [[inline(c, refs).replace("|", r"\|") for c in row] for row in rows]
    if not cells or len({len(row) for row in cells}) > 1:
        raise MarkdownError("a list-table with rows of different lengths", body)
    if not int(opts.get("header-rows") or 0):
        cells.insert(0, [""] * len(cells[0]))
    cells.insert(1, ["---"] * len(cells[0]))
    table = "\n".join(f"| {' | '.join(row)} |" for row in cells)
    return f"**{inline(title, refs)}**\n\n{table}" if title else table


def _glossary(body: str, refs: References) -> str:
    entries, terms = [], []
    for line in filter(str.strip, body.split("\n")):
        if not line[0].isspace():
            terms = [*terms, line.strip()] if terms else [line.strip()]
        elif terms:
            entries.append(f"**{', '.join(terms)}**: {line.strip()}")
            terms = []
        else:
            entries[-1] += f" {line.strip()}"
    return "\n\n".join(inline(entry, refs) for entry in entries)


def directive(name: str, title: str, content: str, refs: References, one_line: bool):
    """Return the plain Markdown of one directive, or a `Gate`."""
    opts, body = options(content)
    if name in ADMONITIONS:
        # A first line of these is their text; an admonition's is its title.
        if name in ("admonition", "dropdown", "sidebar", "topic", "margin"):
            heading = inline(title, refs) or name.capitalize()
        else:
            heading, body = name.capitalize(), f"{title}\n{body}".strip("\n")
        text = convert(body, refs, one_line=True)
        return quote(f"**{heading}**\n\n{text}".strip())
    if name == "exercise":
        return _exercise(title, opts, body, refs)
    if name == "exercise-start":
        return _exercise(title, opts, "", refs)
    if name == "solution":
        return details(convert(body, refs))
    if name in GATES:
        return Gate(name)
    if name == "math":
        return math(f"{title}\n{body}", opts.get("label", ""), refs, one_line)
    if name in ("figure", "image"):
        return _figure(name, title, opts, body, refs)
    if name == "list-table":
        return _list_table(title, opts, body, refs)
    if name == "table":
        return f"**{inline(title, refs)}**\n\n{convert(body, refs)}"
    if name in ("code", "code-block"):
        return fence(body, title)
    if name == "glossary":
        return _glossary(body, refs)
    if name == "lab":
        # A notebook runs the real thing; the lab is a part of the page.
        return "*Open the live lab in the online book.*"
    if name in DROPPED:
        return ""
    raise MarkdownError(f"unknown directive {{{name}}}", f"{{{name}}}")


def pieces(text: str, refs: References, one_line: bool = False) -> list[str | Gate]:
    """Convert a text; gates divide it, because cells may follow them."""
    lines, found, begin = text.split("\n"), [], 0
    for token in PARSER.parse(text):
        verbatim = token.type in ("fence", "colon_fence", "code_block", "amsmath")
        formula = token.type in ("math_block", "math_block_label")
        dropped = token.type.startswith("myst_")
        if not (token.map and (verbatim or formula or dropped)):
            continue
        start, end = token.map
        if start < begin:
            continue
        found.append(inline("\n".join(lines[begin:start]), refs))
        indent = re.match(r"\s*", lines[start])[0]
        source, begin = "\n".join(lines[start:end]), end
        match = "fence" in token.type and DIRECTIVE.fullmatch(token.info.strip())
        if formula:
            label = token.info if token.type == "math_block_label" else ""
            new = math(token.content, label, refs, one_line)
        elif match:
            new = directive(match[1], match[2], token.content, refs, one_line)
        elif dropped:
            new = ""
        else:
            found.append(source)
            continue
        if isinstance(new, str):
            new = "\n".join((indent + line).rstrip() for line in new.split("\n"))
            # A quote or a table goes on until there is a blank line.
            new = new if formula else f"\n{new}\n" if new.strip() else ""
        found.append(new)
    found.append(inline("\n".join(lines[begin:]), refs))
    return found


def join(parts: list[str]) -> str:
    return tidy("\n".join(parts))


def tidy(text: str) -> str:
    """Remove surplus blank lines, but not those of code."""
    code: set[int] = set()
    for token in PARSER.parse(text):
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
            raise MarkdownError(f"{{{part.name}}} inside a directive", part.name)
    return join(parts)


def convert_cells(cells: list, refs: References) -> list[tuple[str, object]]:
    """Return ("markdown", text) and ("code", cell) of a MyST notebook's cells.

    A solution becomes one Markdown cell that has its code cells as text.
    """
    done: list[tuple[str, object]] = []
    text: list[str] = []
    solution = False

    def flush(wrap: Callable[[str], str] = _same) -> None:
        content = join(text)
        text.clear()
        if content:
            done.append(("markdown", wrap(content)))

    for cell in cells:
        if cell.cell_type == "code" and solution:
            text.append(f"\n{fence(cell.source)}\n")
            continue
        if cell.cell_type == "code":
            done.append(("code", cell))
            continue
        for part in pieces(cell.source, refs):
            if isinstance(part, str):
                text.append(part)
            elif part.name == "solution-start":
                if solution:
                    raise MarkdownError("a solution inside a solution", part.name)
                flush()
                solution = True
            elif part.name == "solution-end":
                if not solution:
                    raise MarkdownError("an end without its solution", part.name)
                flush(details)
                solution = False
        if not solution:
            flush()
    if solution:
        raise MarkdownError("a solution without its end", "solution-start")
    return done


def check(text: str) -> None:
    """Raise an error if there is MyST left outside code."""
    lines = text.split("\n")
    for token in PARSER.parse(text):
        if "fence" in token.type and (token.info.strip().startswith("{")):
            raise MarkdownError("a directive is left", token.info.strip())
        if token.type in ("fence", "code_block") and token.map:
            lines[slice(*token.map)] = [""] * (token.map[1] - token.map[0])
    rest = "\n".join(lines)
    for match in re.finditer(r"^[ >]*(\([\w:.-]+\)=|[:`~]{3,}\s*\{.*)", rest, re.M):
        raise MarkdownError("MyST is left", match[1])
    for match in re.finditer(rf"(\{{[a-zA-Z][\w:.+-]*\}})?{CODE_SPAN}", rest, re.S):
        if match[1]:
            raise MarkdownError(f"a role {match[1]} is left", match[0])
