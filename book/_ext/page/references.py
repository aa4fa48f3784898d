"""Sources: a note in the margin, where there is one; see page.css.

Entries of the bibliography begin as the text cites them, with authors and year. They
have no role: the one that docutils gives is deprecated.
"""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from notebooks.targets import Citations


class source_note(nodes.Inline, nodes.TextElement):  # noqa: N801, docutils' own style
    """What is cited, for those who see; others have it as the link's title."""


class Sources(SphinxPostTransform):
    """Put a note behind each citation."""

    #: after the extension of the bibliography has resolved the links (10)
    default_priority = 40
    formats = ("html",)

    def run(self, **kwargs):
        for cited in list(self.document.findall(nodes.inline)):
            if "bibtex-citation" not in cited["classes"]:
                continue
            links = cited.findall(nodes.reference)
            titles = [link["reftitle"] for link in links if "reftitle" in link]
            for title in titles:
                # the entry's address is one click away
                text = title.partition(" URL: ")[0].partition(" doi:")[0]
                cited += source_note("", "", nodes.Text(text))
        domain = self.env.get_domain("cite")
        keys = {entry.citation_id: entry.key for entry in domain.citations}
        citations = Citations(domain.bibdata.data)
        entries = list(self.document.findall(nodes.citation))
        for entry in entries:
            # in place of the number that docutils gives it
            entry.remove(entry[0])
            label = ", ".join(citations.who_and_when(keys[entry["ids"][0]]))
            entry[0].insert(0, nodes.inline("", label, classes=["cited-as"]))
            entry[0].insert(1, nodes.Text(" "))
        if entries:
            # an institution's name, in braces, came last
            by_name = sorted(entries, key=lambda entry: entry.astext().casefold())
            entries[0].parent[:] = by_name


def visit_source(self, node) -> None:
    # Sphinx's search leaves out of its excerpts what has the class headerlink.
    self.body.append('<span class="source-note headerlink" aria-hidden="true">')


def depart_source(self, node) -> None:
    self.body.append("</span>")


def visit_citation(self, node) -> None:
    self.body.append(self.starttag(node, "div", CLASS="citation"))


def depart_citation(self, node) -> None:
    self.body.append("</div>\n")


def setup(app):
    app.add_node(source_note, html=(visit_source, depart_source))
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    app.add_post_transform(Sources)
