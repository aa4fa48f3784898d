"""Tables of four columns and more: on a phone each row is stacked, a cell a line.

Then the names of the columns stand in the cells; ``page.css`` shows them there and
nowhere else. A narrower table that has the class ``stacked`` is treated alike.
"""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

#: Three fit beside each other at 360 pixels.
FITTING = 3


class column_name(nodes.Inline, nodes.TextElement):  # noqa: N801, docutils' own style
    """The name of a column in one of its cells, for those who see."""


class Tables(SphinxPostTransform):
    """Name the columns in the cells of wide tables."""

    default_priority = 40
    formats = ("html",)

    def run(self, **kwargs):
        for table in self.document.findall(nodes.table):
            head = next(iter(table.findall(nodes.thead)), None)
            names = [entry.astext() for entry in head[0]] if head else []
            if "stacked" not in table["classes"]:
                if len(names) <= FITTING:
                    continue
                table["classes"].append("stacked")
            for row in next(iter(table.findall(nodes.tbody))):
                for name, entry in zip(names, row, strict=False):
                    entry.insert(0, column_name("", name))


def visit_name(self, node) -> None:
    # Sphinx's search leaves out of its excerpts what has the class headerlink.
    self.body.append('<span class="column headerlink" aria-hidden="true">')


def depart_name(self, node) -> None:
    self.body.append("</span>")


def setup(app):
    app.add_node(column_name, html=(visit_name, depart_name))
    app.add_post_transform(Tables)
