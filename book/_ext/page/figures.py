"""Pictures: their size, loading when they are needed, and the theme's colours.

The book's figures are SVG in colours that nothing else has: ink, paper, and those of
lines and of theory (see ``coursekit/course.mplstyle``). They stand in the
page itself: ink is the colour of the text around them, paper is nothing and the
others are the page's, so they follow the theme, and the reader's own colours, in
every browser. As files they would not: browsers differ in what a
picture's ``prefers-color-scheme`` answers.

Other pictures are files. Width and height keep the text from jumping when one
arrives. The first of a page loads at once, the others when they come near.
"""

import posixpath
import re
from html import escape
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET
from zlib import crc32

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.images import get_image_size

from coursekit.plots import INK, THEORY
from lab.directive import lab_place

PAPER = "#fffffd"
#: The first colour of course.mplstyle, which says "measured".
MEASURED = "#0072b2"
#: The colours after it: one thing measured beside another.
LINES = ("#a8538c", "#008060", "#927600", "#777777", "#5b6bd6")
#: What stands in the page for a colour of the style: the page's own, lighter in the
#: dark, where the names of lines are written in them (see page.css).
ON_THE_PAGE = {
    INK: "currentColor",
    PAPER: "none",
    MEASURED: "var(--measured)",
    THEORY["color"]: "var(--theory)",
    **{line: f"var(--line{number})" for number, line in enumerate(LINES, start=1)},
}
SVG = "http://www.w3.org/2000/svg"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
#: How something in a drawing names another thing in it.
POINTER = re.compile(r"url\(#([^)]+)\)")
#: A number of 1 or more with more than two decimals.
DIGITS = re.compile(r"(?<![\d.])(\d*[1-9]\d*\.\d\d)\d+")
#: Blanks around a command of a path, and between elements.
BETWEEN = re.compile(r" *([MLCQz]) +(?=[-\d.ML\"])|(?<=>) (?=<)")
#: Pixels of CSS in a unit.
PIXELS = {"px": 1, "": 1, "pt": 4 / 3, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4}
#: What matplotlib's style sheet says of all elements; in a page it would say it of
#: all drawings.
MATPLOTLIB = "*{stroke-linejoin: round; stroke-linecap: butt}"


class picture(nodes.image):  # noqa: N801, docutils' own style
    """An image whose size is known."""


class drawing(nodes.General, nodes.Element):  # noqa: N801
    """A figure of the book; no image, so that Sphinx copies no file."""


class PlacePictures(SphinxPostTransform):
    """Put a drawing or a picture in the place of each image of the book."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs):
        first, shapes = True, {}
        page = f"f{crc32(self.env.docname.encode()):x}"
        for count, node in enumerate(list(self.document.findall(nodes.image))):
            path = Path(self.env.srcdir) / node["uri"]
            size = measured(path)
            if size is None:
                continue
            if path.suffix == ".svg" and is_figure(path.read_text(encoding="utf-8")):
                alt = node.get("alt", "")
                svg = inlined(path, f"{page}-{count}-", alt, shapes)
                new = drawing(node.rawsource, svg=svg)
            else:
                new = picture(node.rawsource, **node.attributes)
                hidden = any(map(hides, ancestors(node)))
                new["size"], new["lazy"] = size, hidden or not first
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


def is_figure(svg: str) -> bool:
    """Tell whether an SVG is drawn in the course's style."""
    return INK in svg


def inlined(path: Path, prefix: str, alt: str, shapes: dict) -> str:
    """Return a figure as a part of a page, in the colours of the text around it.

    Parameters
    ----------
    path
        A figure in the course's style.
    prefix
        Begins all its ids, which must be the only ones of the book.
    alt
        What it shows, in words.
    shapes
        Letters and marks that the page's earlier figures have drawn, with their ids;
        those of this one are added. Each is in the page once.

    Raises
    ------
    ValueError
        If it has a style sheet that is not matplotlib's: it would hold for the page.
    """
    root = ET.parse(path).getroot()
    width, height = measured(path)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{{{SVG}}}style" and child.text != MATPLOTLIB:
                raise ValueError(f"{path.name}: a style sheet of its own: {child.text}")
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        if element.get("id", "").startswith("QuadMesh"):
            # no seams between the cells of a map
            element.set("shape-rendering", "crispEdges")
    own_ids(root, prefix, shapes)
    label = {"role": "img", "aria-label": alt} if alt else {"aria-hidden": "true"}
    root.attrib = {
        **{k: v for k, v in root.attrib.items() if k == "viewBox"},
        "class": "figure",
        "width": str(width),
        "height": str(height),
        "stroke-linejoin": "round",
    }
    ET.register_namespace("", SVG)
    text = ET.tostring(root, encoding="unicode").replace(f' xmlns="{SVG}"', "")
    for colour, own in ON_THE_PAGE.items():
        text = text.replace(colour, own)
    # A hundredth of a point cannot be seen; scales, below 1, keep their digits.
    text = BETWEEN.sub(r"\1", re.sub(r"\s+", " ", text)).replace("<defs></defs>", "")
    text = DIGITS.sub(r"\1", text)
    words = "".join(f' {k}="{escape(v)}"' for k, v in label.items())
    return text.replace("<svg", f"<svg{words}", 1)


def own_ids(root, prefix: str, shapes: dict) -> None:
    """Rename what something in the drawing names; drop other ids, and known shapes."""
    names = {}
    for defs in root.iter(f"{{{SVG}}}defs"):
        for shape in list(defs):
            own = shape.attrib.pop("id")
            # A clip path of what is not shown would not clip in every browser.
            key = tuple(sorted(shape.items())) if len(shape) == 0 else (prefix, own)
            if key in shapes:
                defs.remove(shape)
            else:
                shapes[key] = f"{prefix}{len(shapes)}"
                shape.set("id", shapes[key])
            names[own] = shapes[key]
    made = set(names.values())
    for element in root.iter():
        if element.get("id") not in made:
            element.attrib.pop("id", "")
        if target := element.attrib.pop(XLINK_HREF, ""):
            own = target.startswith("#")
            element.set("href", f"#{names[target[1:]]}" if own else target)
        for key, value in element.items():
            new = POINTER.sub(lambda found: f"url(#{names[found[1]]})", value)
            element.set(key, new)


def visit_drawing(self, node) -> None:
    self.body.append(node["svg"] + "\n")
    raise nodes.SkipNode


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


def setup(app):
    app.add_node(drawing, html=(visit_drawing, None))
    app.add_node(picture, html=(visit_picture, depart_picture))
    app.add_post_transform(PlacePictures)
