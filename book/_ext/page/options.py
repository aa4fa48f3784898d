"""Names of options, such as ``--roster``: no line parts them behind their dashes."""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


class Options(SphinxPostTransform):
    """Give the options among the literals a class; ``page.css`` keeps them whole."""

    default_priority = 40
    formats = ("html",)

    def run(self, **kwargs):
        for literal in self.document.findall(nodes.literal):
            if literal.astext().startswith("--"):
                literal["classes"].append("option")


def setup(app):
    app.add_post_transform(Options)
