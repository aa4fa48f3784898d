"""Terms: a link to the glossary, and its first sentence on hover and on focus.

Without a style sheet or a script the link remains. ``page.js`` closes the note at
Escape and keeps it inside of the text column.
"""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

#: The page of the meanings.
GLOSSARY = "book/reference/glossary"


class term_link(nodes.Inline, nodes.TextElement):  # noqa: N801, docutils' own style
    """A link to the glossary and a note."""


class term_note(nodes.Inline, nodes.TextElement):  # noqa: N801
    """What the term means."""


class Terms(SphinxPostTransform):
    """Put a note beside each link that the role `{term}` has made."""

    #: after Sphinx has resolved the links (10)
    default_priority = 40
    formats = ("html",)

    def run(self, **kwargs):
        links = filter(is_term, self.document.findall(nodes.reference))
        for count, link in enumerate(list(links)):
            meaning = sentence(definition(self.env, link))
            note = term_note("", "", *meaning, ids=[f"term-note-{count}"])
            link.replace_self(term_link("", "", link.deepcopy(), note))


def is_term(link) -> bool:
    inside = (node for node in link if isinstance(node, nodes.Element))
    return any("std-term" in node.get("classes", ()) for node in inside)


def definition(env, link):
    """Return the paragraph of the glossary that a link leads to."""
    anchor = link.get("refid") or link["refuri"].partition("#")[2]
    for docname, label in env.get_domain("std")._terms.values():
        if label != anchor:
            continue
        for item in env.get_doctree(docname).findall(nodes.definition_list_item):
            if any(anchor in entry["ids"] for entry in item.findall(nodes.term)):
                return next(iter(item.findall(nodes.paragraph)))
    raise LookupError(f"no definition for #{anchor} in the glossary")


def sentence(paragraph) -> list:
    """Return the first sentence, without links."""
    found = []
    for child in paragraph.children:
        if isinstance(child, nodes.Text):
            words, stop, _ = child.astext().partition(". ")
            found.append(nodes.Text(words + stop.strip()))
            if stop:
                break
        elif isinstance(child, (nodes.reference, nodes.citation_reference)):
            found.append(nodes.Text(child.astext()))
        else:
            found.append(child.deepcopy())
    return found


def visit_term(self, node) -> None:
    link, note = node
    href = link.get("refuri") or f"#{link['refid']}"
    attributes = {"href": href, "aria-describedby": note["ids"][0]}
    self.body.append('<span class="term">')
    self.body.append(
        self.starttag(link, "a", "", CLASS="reference internal", **attributes)
    )
    self.body.append(f"{self.encode(link.astext())}</a>")
    note.walkabout(self)
    self.body.append("</span>")
    raise nodes.SkipNode


def visit_note(self, node) -> None:
    # Sphinx's search leaves out of its excerpts what has the class headerlink. It
    # stands inside of a sentence: a screen reader has it as the term's description.
    attributes = {"ids": node["ids"], "role": "tooltip", "aria-hidden": "true"}
    self.body.append(
        self.starttag({}, "span", "", CLASS="term-note headerlink", **attributes)
    )


def depart_note(self, node) -> None:
    self.body.append("</span>")


def setup(app):
    app.add_node(term_link, html=(visit_term, None))
    app.add_node(term_note, html=(visit_note, depart_note))
    app.add_post_transform(Terms)
