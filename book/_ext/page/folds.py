"""Solutions fold by the browser's own means: they open without a script.

The pictures of a closed one are not loaded, the browser's search finds what is
inside, and in print all are open (see page.css).
"""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode, depart_HideCellInput, visit_HideCellInput
from sphinx.transforms.post_transforms import SphinxPostTransform


class fold(nodes.General, nodes.Element):  # noqa: N801, docutils' own style
    """What ``:class: dropdown`` asks for."""


class fold_summary(nodes.TextElement):  # noqa: N801
    """The line that stays visible."""


class Folds(SphinxPostTransform):
    """Replace each admonition of the class dropdown."""

    #: after sphinx_exercise has put the numbers into the titles
    default_priority = 30
    formats = ("html",)

    def run(self, **kwargs):
        for node in list(self.document.findall(nodes.Admonition)):
            unwrap(node)
            if node.children and node[0].astext() == "Predict":
                # yours to do, as exercises are; see the two kinds of boxes in page.css
                node["classes"].append("predict")
            if "dropdown" not in node.get("classes", ()):
                continue
            title = next(iter(node.findall(nodes.title)))
            title.parent.remove(title)
            # a link inside of what is a button already could not be reached
            summary = fold_summary(title.rawsource, title.astext())
            new = fold("", summary, *node.children, ids=node["ids"])
            new["classes"] = [*node["classes"], "admonition"]
            node.replace_self(new)


def unwrap(node) -> None:
    """Remove the sections that carry one and the same id in each exercise."""
    for section in list(node.findall(nodes.section)):
        if section["ids"] in (["solution-content"], ["exercise-content"]):
            # or the children would inherit it
            section["ids"] = []
            section.replace_self(section.children)


def visit_fold(self, node) -> None:
    self.body.append(self.starttag(node, "details"))


def depart_fold(self, node) -> None:
    self.body.append("</details>\n")


def visit_summary(self, node) -> None:
    self.body.append(self.starttag(node, "summary", "", CLASS="admonition-title"))


def depart_summary(self, node) -> None:
    self.body.append("</summary>\n")


def visit_check(self, node) -> None:
    """Begin the fold of a cell: who listens hears the words that are seen."""
    start = len(self.body)
    visit_HideCellInput(self, node)
    label = ' aria-label="Toggle hidden content"'
    self.body[start:] = [text.replace(label, "") for text in self.body[start:]]


def replace_folds_of_cells(app) -> None:
    """Do so when myst-nb, which may be loaded later, has set up its own."""
    visitors = (visit_check, depart_HideCellInput)
    app.add_node(HideCodeCellNode, override=True, html=visitors)


def setup(app):
    app.connect("builder-inited", replace_folds_of_cells)
    app.add_node(fold, html=(visit_fold, depart_fold))
    app.add_node(fold_summary, html=(visit_summary, depart_summary))
    app.add_post_transform(Folds)
