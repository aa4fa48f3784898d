"""Convert what stands inside of a paragraph: roles, formulas, links, raw HTML.

`ROLES` says what becomes of a role. What has no rule is an error.
"""

import re
from collections.abc import Callable
from copy import copy
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

from markdown_it.helpers import parseLinkLabel
from markdown_it.rules_inline import StateInline
from sphinx.util.nodes import split_explicit_title

from notebooks.references import MarkdownError, References, placed

SPANS = set("em hardbreak image link softbreak strong text text_special".split())
#: Schemes of links that lead out of the book.
OUTSIDE = {"http", "https", "mailto"}
#: Attributes of HTML that may hold an address.
ADDRESSES = {"action", "background", "data", "href", "poster", "src", "srcset"}
#: What Markdown would have replaced, had it been understood: a footnote without its
#: text, an id or a class in braces.
RAW = re.compile(r"\[\^[^\]\s]+\]|\{[#.][A-Za-z][^}]*\}")
#: A comment of TeX: up to the end of its line.
TEX_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")


def tex(text: str) -> str:
    """Return a formula in one line: in a quote "> " would get into it."""
    return " ".join(TEX_COMMENT.sub(r"\1", text).split())


def _math(body: str, refs: References) -> str:
    return f"${tex(body)}$"


def _titled(look_up: str, kind: str):
    """Return a role's function: its own text, or the title of what it points to."""

    def role(body: str, refs: References) -> str:
        explicit, text, target = split_explicit_title(body)
        found = getattr(refs, look_up)(target)
        return refs.linked(kind, target, text if explicit else found)

    return role


def _numref(body: str, refs: References) -> str:
    explicit, text, target = split_explicit_title(body)
    number = refs.number(target)
    # The text may have a place for the number: `Figure %s <label>`.
    if explicit:
        number = re.sub(r"%s|\{number\}", number.split()[-1], text)
    return refs.linked("label", target, number)


def _term(body: str, refs: References) -> str:
    _, text, target = split_explicit_title(body)
    return refs.linked("term", target, text)


def _python(body: str, refs: References) -> str:
    explicit, text, target = split_explicit_title(body)
    short = target.rpartition(".")[2] if target.startswith("~") else target
    target = target.lstrip("~")
    return refs.linked("python", target, f"`{text if explicit else short}`")


ROLES: dict[str, Callable[[str, References], str]] = {
    "abbr": lambda body, refs: re.sub(r"(.*?)\s*\((.*)\)", r"\1 (\2)", body),
    "cite": lambda body, refs: refs.cite(body, False),
    "cite:p": lambda body, refs: refs.cite(body, False),
    "cite:t": lambda body, refs: refs.cite(body, True),
    "doc": _titled("document", "document"),
    "eq": lambda body, refs: f"({refs.equation(body) or body})",
    "math": _math,
    "numref": _numref,
    "ref": _titled("title", "label"),
    "term": _term,
}
for _name in ("attr", "class", "data", "exc", "func", "meth", "mod", "obj"):
    ROLES[_name] = ROLES[f"py:{_name}"] = _python


def inline(text: str, refs: References) -> str:
    """Convert a text without blocks: a title, a caption."""
    return spans(refs.parse_inline(text), refs)


def spans(token, refs: References) -> str:
    """Return the text of an inline token, with what MyST adds converted."""
    text, done, end = token.content, [], 0
    for child in token.children or []:
        # the last words are no rule's
        span = child.meta.get("span", (len(text), len(text)))
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
    if child.type == "link_open":
        return _link(child, text, refs)
    if child.type == "image" and not leads_out(child.attrs["src"]):
        label, _ = _parts(child, text, refs)
        return f"![{label}]({refs.image(unquote(child.attrs['src']))})"
    if child.type == "footnote_ref":
        return f"<sup>{refs.footnote(child.meta['label'])}</sup>"
    if child.type == "html_inline":
        return check_html(child.content)
    if child.type == "text" and (raw := RAW.search(child.content)):
        raise MarkdownError(f"a notebook would show this as it is: {raw[0]}")
    if child.type == "code_inline" or plain_kind(child.type) in SPANS:
        return None
    raise MarkdownError(f"a notebook cannot show this: {child.type}")


def plain_kind(kind: str) -> str:
    return kind.removesuffix("_open").removesuffix("_close")


def _parts(child, text: str, refs: References) -> tuple[str, str]:
    """Return what a link or an image has in brackets, converted, and behind them."""
    start = text.index("[", child.meta["span"][0])
    state = StateInline(text, refs.parser, {}, [])
    end = parseLinkLabel(state, start)
    # no link inside of a link
    inner = copy(refs)
    inner.linked = lambda kind, target, text: text
    return inline(text[start + 1 : end], inner), text[end + 1 : child.meta["span"][1]]


def leads_out(target: str) -> bool:
    """Tell whether a link leads out of the book; it stays as it is then."""
    scheme = urlsplit(target).scheme
    if scheme and scheme not in OUTSIDE:
        raise MarkdownError(f"a notebook cannot follow this link: {target}")
    return bool(scheme)


def _link(child, text: str, refs: References) -> str | None:
    target = child.attrs["href"]
    if text[child.meta["span"][0]] == "<":
        return None if leads_out(target) else target
    label, rest = _parts(child, text, refs)
    if leads_out(target):
        # The target of a reference may stand in another cell.
        return f"[{label}]" + (rest if rest[:1] == "(" else f"(<{target}>)")
    page, mark, anchor = unquote(target).partition("#")
    if not page:
        return refs.linked("label", anchor, label or refs.title(anchor))
    page = page.removesuffix(".md")
    found = refs.document(page)
    return refs.linked("document", f"{page}{mark}{anchor}", label or found)


def check_html(html: str) -> None:
    """Raise an error for an address that counts from the page: a notebook has none."""

    class Addresses(HTMLParser):
        def handle_starttag(self, tag, attrs):
            for name, value in attrs:
                # several, with sizes, in `srcset`; one in a style
                inside = re.search(r"url\(", value or "") if name == "style" else None
                inner = name in ADDRESSES and not leads_out((value or "").strip())
                if inside or inner:
                    raise MarkdownError(
                        f"an address that only the page knows: {name}={value!r}. Write "
                        "a link or an image in Markdown"
                    )

    Addresses().feed(html)
