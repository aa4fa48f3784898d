"""Pictures: their size, loading when they are needed, and the theme's colours.

Width and height keep the text from jumping when a picture arrives. The first one of a
page loads at once, the others when they come near.

The book's figures are SVG in two colours that nothing else has, ink and paper (see
``coursekit/course.mplstyle``). Here ink becomes the text colour and paper becomes
nothing. An SVG in an ``<img>`` sees no style of the page, but browsers answer its
``prefers-color-scheme`` by the ``color-scheme`` of the page around it, which the
theme sets with its switch.
"""

import posixpath
import re
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.images import get_image_size

from lab.directive import lab_place

INK, PAPER = "#1a1b1c", "#fffffd"
#: The text of a dark page.
CHALK = "#ced6dd"
STYLE = (
    f"svg{{color:{INK}}}@media (prefers-color-scheme:dark){{svg{{color:{CHALK}}}}}"
    # no seams between the cells of a map
    "[id^=QuadMesh]{shape-rendering:crispEdges}"
)
#: How matplotlib's own style sheet begins.
MATPLOTLIB = '<style type="text/css">*{'
#: A number of 1 or more with more than two decimals.
DIGITS = re.compile(r"(?<![\d.])(\d*[1-9]\d*\.\d\d)\d+")
#: Pixels of CSS in a unit.
PIXELS = {"px": 1, "": 1, "pt": 4 / 3, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4}


class picture(nodes.image):  # noqa: N801, docutils' own style
    """An image whose size is known."""


class MeasurePictures(SphinxPostTransform):
    """Put a picture in the place of each image of the book."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs):
        first = True
        for node in list(self.document.findall(nodes.image)):
            size = measured(Path(self.env.srcdir) / node["uri"])
            if size is None:
                continue
            new = picture(node.rawsource, **node.attributes)
            new["size"] = size
            hidden = any(map(hides, ancestors(node)))
            new["lazy"] = hidden or not first
            first = first and hidden
            node.replace_self(new)


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.Element):
            yield node


def hides(node) -> bool:
    """Tell whether a node may not be seen: a closed solution, what a lab replaces."""
    return "dropdown" in node.get("classes", ()) or isinstance(node, lab_place)


def measured(path: Path) -> tuple[int, int] | None:
    """Return width and height in pixels, or None for what is no file here."""
    if not path.is_file():
        return None
    if path.suffix != ".svg":
        return get_image_size(path)
    _, root = next(ET.iterparse(path, events=["start"]))
    return round(length(root.get("width"))), round(length(root.get("height")))


def length(text: str) -> float:
    """Return a length of SVG in pixels."""
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * PIXELS[text.removeprefix(number)]


def visit_picture(self, node) -> None:
    uri = node["uri"]
    if uri in self.builder.images:
        uri = posixpath.join(self.builder.imgpath, quote(self.builder.images[uri]))
    width, height = node["size"]
    attributes = {
        "src": uri,
        "alt": node.get("alt", ""),
        "width": str(width),
        "height": str(height),
        "decoding": "async",
    }
    if node["lazy"]:
        attributes["loading"] = "lazy"
    self.body.append(self.emptytag(node, "img", "\n", **attributes))


def depart_picture(self, node) -> None:
    pass


def themed(svg: str) -> str:
    """Return a figure in the colours of the page around it, and smaller."""
    if INK not in svg or STYLE in svg:
        return svg
    svg = svg.replace(INK, "currentColor").replace(PAPER, "none")
    if MATPLOTLIB not in svg:
        raise ValueError("matplotlib writes its style sheet in another way")
    start, end = MATPLOTLIB[:-2], MATPLOTLIB[-2:]
    svg = svg.replace(MATPLOTLIB, start + STYLE + end, 1)
    before, _, rest = svg.partition("<metadata>")
    svg = before + rest.partition("</metadata>")[2]
    # A hundredth of a point cannot be seen; scales, below 1, keep their digits.
    return DIGITS.sub(r"\1", svg)


def theme_figures(app, exception) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for path in (Path(app.outdir) / app.builder.imagedir).glob("*.svg"):
        old = path.read_text(encoding="utf-8")
        new = themed(old)
        if new != old:
            path.write_text(new, encoding="utf-8")


def setup(app):
    app.add_node(picture, html=(visit_picture, depart_picture))
    app.add_post_transform(MeasurePictures)
    app.connect("build-finished", theme_figures)
