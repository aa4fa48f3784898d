"""Bibliography entries without the role that docutils gives them: it is deprecated."""

from docutils import nodes


def visit_citation(self, node) -> None:
    self.body.append(self.starttag(node, "div", CLASS="citation"))


def depart_citation(self, node) -> None:
    self.body.append("</div>\n")


def setup(app):
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
