"""The two accents in captions: "measured" and "theory" in the colour of their lines."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

ACCENT = re.compile(r"\b(measured|theory)\b", re.IGNORECASE)


class Accents(SphinxPostTransform):
    """Give the words in each caption a class."""

    default_priority = 890
    formats = ("html",)

    def run(self, **kwargs):
        for caption in self.document.findall(nodes.caption):
            for text in list(caption.findall(nodes.Text)):
                # odd places of the split are what the pattern has found
                new = [
                    nodes.inline("", part, classes=[part.lower()])
                    if place % 2
                    else nodes.Text(part)
                    for place, part in enumerate(ACCENT.split(text))
                    if part
                ]
                if len(new) > 1 and isinstance(text.parent, nodes.caption):
                    text.parent.replace(text, new)


def setup(app):
    app.add_post_transform(Accents)
