"""Verdicts: one list, one sign each, in the ledger, the chapters and the first page.

The page of claims is the source. Its first list names the verdicts, a group an item;
its tables give each statement one of them. Here that page is read once a build. A
verdict that the list does not have stops the build.

``{found}`` on the first page becomes the count of each group and links to the claims
whose statements begin with its lines.
"""

import re
from dataclasses import dataclass, field
from html import escape

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

LEDGER = "book/reference/claims"
#: The groups in the order of the ledger's list: class, what a count of them says, and
#: a sign that reads without colour, a disc that is full, half, crossed out or empty.
DISC = '<circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" '
DISC += 'stroke-width="1.8"/>'
GROUPS = (
    ("holds", "hold as they are said", '<circle cx="8" cy="8" r="7"/>'),
    (
        "when",
        "hold in part or under a condition",
        DISC + '<path d="M8 2a6 6 0 0 0 0 12z"/>',
    ),
    (
        "wrong",
        "are wrong or misleading",
        DISC
        + '<path d="m5 5 6 6m0-6-6 6" fill="none" stroke="currentColor" '
        + 'stroke-width="2"/>',
    ),
    ("none", "could not be confirmed", DISC),
)
HOLDS, WHEN = "holds", "when"
#: No line ends between a sign and its word.
GLUE = "&#160;"


@dataclass(frozen=True)
class Claim:
    """A row of the ledger; ``rest`` ends the sentence that the verdict begins."""

    statement: str
    verdict: str
    group: str
    label: str
    rest: str = ""


@dataclass(frozen=True)
class Ledger:
    """Which verdict is in which group, and all claims, in their order."""

    words: dict = field(default_factory=dict)
    claims: tuple = ()

    def of(self, page: str) -> list[Claim]:
        """Return the claims whose boxes stand on a page, by the page's name."""
        return [c for c in self.claims if c.label.startswith(f"claim-{page}-")]


def sign(group: str) -> str:
    """Return the sign of a group, for people who see; the word stands beside it."""
    shape = next(shape for name, _, shape in GROUPS if name == group)
    return f'<svg class="sign" viewBox="0 0 16 16" aria-hidden="true">{shape}</svg>'


def marked(group: str, words: str) -> str:
    first, space, others = words.partition(" ")
    words = f"{signed(group, first)}{space}{escape(others)}"
    return f'<span class="verdict verdict-{group}">{words}</span>'


def signed(group: str, word: str) -> str:
    """Return a sign and the word that no line may part from it.

    Engines break a line behind a picture, whatever stands there.
    """
    return f'<span class="signed">{sign(group)}{GLUE}{escape(word)}</span>'


def plain(text: str) -> str:
    """Return a verdict as the ledger's list has it: lower case, singular, no stop."""
    phrase = " ".join(text.lower().split()).strip(" .:,")
    return re.sub(r"^hold\b", "holds", phrase)


def group_of(text: str, words: dict) -> str | None:
    """Return the group of a verdict, or None for what is none.

    Whatever follows on "holds" is a condition, also where the list does not have it.
    """
    phrase = plain(text)
    if phrase in words:
        return words[phrase]
    return WHEN if phrase.startswith("holds ") and HOLDS in words else None


def read(env) -> Ledger:
    """Read the page of claims; a book without one has no verdicts."""
    if LEDGER not in env.found_docs:
        return Ledger()
    page = env.get_doctree(LEDGER)
    items = next(iter(page.findall(nodes.bullet_list))).children
    if len(items) != len(GROUPS):
        logger.warning(
            "%s lists %d groups of verdicts, page/verdicts.py has signs for %d",
            *(LEDGER, len(items), len(GROUPS)),
            location=LEDGER,
        )
    words = {}
    for item, (group, *_) in zip(items, GROUPS, strict=False):
        for word in item.findall(nodes.strong):
            words[plain(word.astext())] = group
    rows = page.findall(lambda node: isinstance(node, nodes.row))
    claims = (claim(row, words) for row in rows if row.parent.tagname == "tbody")
    return Ledger(words, tuple(filter(None, claims)))


def claim(row, words: dict) -> Claim | None:
    """Return what a row says, or None after a warning."""
    statement, verdict, *_, place = row.children
    bold = next(iter(verdict.findall(nodes.strong)), None)
    targets = [ref.get("reftarget", "") for ref in place.findall() if has_target(ref)]
    label = next((name for name in targets if name.startswith("claim-")), "")
    group = group_of(bold.astext(), words) if bold else None
    if group is None or not label:
        said = bold.astext() if bold else "nothing bold"
        logger.warning(
            "claim %r: its verdict, %r, must begin with one of %s, and a link to its "
            "box must follow",
            *(statement.astext(), said, ", ".join(words)),
            location=verdict,
        )
        return None
    said, whole = (" ".join(node.astext().split()) for node in (bold, verdict))
    rest = re.split(r"\.(?: |$)", whole.removeprefix(said))[0]
    if list(verdict.findall(nodes.math)):
        # the text of a formula is no text for readers
        rest = ""
    return Claim(" ".join(statement.astext().split()), said, group, label, rest)


def has_target(node) -> bool:
    return isinstance(node, nodes.Element) and "reftarget" in node


class Verdicts(SphinxPostTransform):
    """Give each verdict its sign: in the ledger's rows, and in the chapters' boxes."""

    default_priority = 20
    formats = ("html",)

    def run(self, **kwargs):
        words = self.app.ledger.words
        if self.env.docname == LEDGER:
            bold = first_bold(self.document)
            places = [(node, group_of(node.astext(), words)) for node in bold]
            mark((node, group) for node, group in places if group)
            return
        for box in list(self.document.findall(nodes.Admonition)):
            if box.children and box[0].astext() == "Verdict":
                self.mark_box(box, words)

    def mark_box(self, box, words):
        bold = list(box.findall(nodes.strong))
        groups = [group_of(node.astext(), words) for node in bold]
        found = [group for group in groups if group]
        if not found:
            logger.warning(
                "this box says no verdict in bold letters; the list has %s",
                ", ".join(words),
                location=box,
            )
            return
        mark((n, g) for n, g in zip(bold, groups, strict=True) if g)
        # one edge for a box that says one thing
        one = [f"verdict-{found[0]}"] if len(set(found)) == 1 else []
        others = [name for name in box["classes"] if name != "important"]
        box["classes"] = [*others, "verdict-box", *one]


def first_bold(document):
    """Yield the verdict of each row, and those that the list explains."""
    yield from next(iter(document.findall(nodes.bullet_list))).findall(nodes.strong)
    for row in document.findall(nodes.row):
        if row.parent.tagname == "tbody":
            yield from list(row[1].findall(nodes.strong))[:1]


def mark(places) -> None:
    for node, group in list(places):
        node["classes"] += ["verdict", f"verdict-{group}"]
        first, space, others = node.astext().partition(" ")
        word = nodes.raw("", signed(group, first), format="html")
        node.children = []
        node += [word, nodes.Text(space + others)]


class found_place(nodes.General, nodes.Element):  # noqa: N801, docutils' own style
    """Where the first page says what was found."""


class Found(SphinxDirective):
    """Read `{found}`."""

    has_content = True

    def run(self):
        node = found_place(starts=[line for line in self.content if line.strip()])
        self.set_source_info(node)
        return [node]


def visit_found(self, node) -> None:
    """Write the counts, and the claims that the lines choose."""
    builder, claims = self.builder, self.builder.app.ledger.claims
    counts = []
    for group, words, _ in GROUPS:
        number = sum(one.group == group for one in claims)
        counts.append(f"<li>{marked(group, f'{number} {words}')}</li>")
    chosen = []
    for start in node["starts"]:
        fits = [one for one in claims if one.statement.startswith(start)]
        if len(fits) != 1:
            logger.warning("%d claims begin with %r", len(fits), start, location=node)
            continue
        uri = address(builder, builder.current_docname, fits[0].label)
        chosen.append(
            f'<li><a href="{escape(uri)}">{escape(fits[0].statement)}</a>: '
            f"{marked(fits[0].group, fits[0].verdict.lower())}</li>"
        )
    ledger = builder.get_relative_uri(builder.current_docname, LEDGER)
    self.body.append(
        f'<div class="found"><div><p>What was found: <a href="{escape(ledger)}">'
        f"{len(claims)} statements</a> of notes and textbooks, put to the test.</p>"
        f'<ul class="found-counts">{"".join(counts)}</ul></div>'
        f'<div><p>Three that may surprise you:</p><ul class="found-claims">'
        f"{''.join(chosen)}</ul></div></div>\n"
    )
    raise nodes.SkipNode


def address(builder, page: str, label: str) -> str:
    """Return the address of a claim's box, seen from a page."""
    target, anchor = builder.env.get_domain("std").anonlabels[label]
    return f"{builder.get_relative_uri(page, target)}#{anchor}"


def add_verdicts(app, pagename, templatename, context, doctree) -> None:
    """Tell a chapter its claims: the head counts them, the foot has the verdicts."""
    claims = app.ledger.of(pagename.rpartition("/")[2]) if doctree else []
    context["claims"] = [
        (
            one.statement,
            marked(one.group, one.verdict.lower()) + escape(one.rest),
            one.label,
        )
        for one in claims
    ]


def keep_ledger(app, env):
    app.ledger = read(env)


def setup(app):
    app.add_directive("found", Found)
    app.add_node(found_place, html=(visit_found, None))
    app.add_post_transform(Verdicts)
    app.connect("env-updated", keep_ledger)
    app.connect("html-page-context", add_verdicts)
