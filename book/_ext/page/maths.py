"""Formulas as MathML, made when the book is built: no script, no third party.

``latex2mathml`` knows TeX; this module gives its trees the spaces that TeX has and
MathML does not, and stops the build at a formula that was not understood. Browsers
without a font for mathematics would draw brackets and roots badly, so the characters
that the book uses come along, out of STIX Two Math (SIL Open Font License), which
the package ``ziamath`` ships.
"""

import re
from html import escape
from importlib import resources
from itertools import dropwhile
from pathlib import Path
from xml.etree import ElementTree as ET

from docutils import nodes
from fontTools.ttLib import TTFont
from latex2mathml.converter import convert
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from page.assets import subset

logger = logging.getLogger(__name__)

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
BARS = {"‖", "|", "∥"}
SIGNS = {"−", "-", "+", "±"}
OPENING = {"(", "[", "⟨", ","}
#: Letters rather than operators, in TeX.
ORDINARY = {"/", "∂", "…", "⊤"}
#: Not larger in a displayed formula, as sums are.
SMALL = {"⊙"}
SCRIPTED = {"msub", "msup", "msubsup"}
PRIME = "′"
#: No line begins with one of these.
PUNCTUATION = re.compile(r"[.,:;)?!’-]+")
TALL = {"mfrac", "mtable", "munderover", "mroot"}
FUNCTIONS = {"ln", "log", "tanh", "exp", "max", "min"}
#: Where mathematical italics begin, for upper and lower case.
ITALICS = {"A": 0x1D434, "a": 0x1D44E, "Α": 0x1D6E2, "α": 0x1D6FC}
ITALIC_H = 0x210E
VARIANTS = {"∂": 0x1D715, "ϵ": 0x1D716, "ϑ": 0x1D717, "ϕ": 0x1D719, "ϱ": 0x1D71A}


class FormulaError(ValueError):
    """A formula has something that cannot be converted."""


def mathml(tex: str, display: bool) -> str:
    """Return a formula as MathML.

    Raises
    ------
    FormulaError
        If a part of it stayed TeX, with that part.
    """
    bare = tex.replace("\\{", "").replace("\\}", "")
    if bare.count("{") != bare.count("}"):
        raise FormulaError("a brace is open")
    try:
        # its \mathrm leaves a single letter slanted; \text does not
        tex = tex.strip().replace(r"\mathrm{", r"\text{")
        # an alignment keeps its raw ampersand, which is no XML
        tree = ET.fromstring(convert(tex, display="block" if display else "inline"))
    except Exception as error:
        raise FormulaError(f"{type(error).__name__}: {error}") from error
    check(tree)
    tidy(tree)
    ET.register_namespace("", NAMESPACE)
    return ET.tostring(tree, encoding="unicode")


def name(element) -> str:
    return element.tag.removeprefix(f"{{{NAMESPACE}}}")


def text(element) -> str:
    return (element.text or "").strip()


def check(tree) -> None:
    for element in tree.iter():
        if set(text(element)) & set("\\&{}$"):
            raise FormulaError(f"not understood: {text(element)}")
        if name(element) in ("msqrt", "mroot"):
            if any(name(inside) in TALL for inside in element.iter()):
                raise FormulaError("this root is taller than a line: write a power")


def tidy(tree) -> None:
    """Give a tree the spaces and sizes that TeX gives the same formula."""
    for element in list(tree.iter()):
        relate(element)
        raise_primes(element)
    for element in tree.iter():
        before = None
        for child in list(element):
            if name(child) == "mo":
                space_operator(child, before)
            before = child
    for element in tree.iter():
        tighten_scripts(element)
        space_functions(element)
        lift_root(element)


def space_operator(operator, before) -> None:
    """Tell browsers, whose dictionaries differ, what to leave around an operator."""
    own = text(operator)
    if own in ORDINARY | BARS:
        operator.attrib.update(lspace="0", rspace="0")
    if own in BARS and "stretchy" not in operator.attrib:
        # grows with \left and \right only
        operator.set("stretchy", "false")
    if own in SMALL:
        operator.set("largeop", "false")
    if own in SIGNS and follows_operator(before):
        operator.attrib.update(form="prefix", lspace="0", rspace="0")


def relate(element) -> None:
    """Make a relation of what is an ASCII tilde otherwise."""
    if name(element) == "mi" and text(element) == "~":
        element.tag, element.text = f"{{{NAMESPACE}}}mo", "∼"


def tighten_scripts(element) -> None:
    """Leave no space around the operators of a script, as TeX does."""
    if name(element) in SCRIPTED:
        for script in element[1:]:
            for operator in script.iter(f"{{{NAMESPACE}}}mo"):
                operator.attrib.update(lspace="0", rspace="0")


def follows_operator(before) -> bool:
    """Tell whether a sign stands for the one number behind it, as in = -1."""
    if before is None:
        return True
    relation = text(before) in {"=", "<", ">", "≤", "≥", "≈", "·"}
    return name(before) == "mo" and (relation or text(before) in OPENING)


def raise_primes(element) -> None:
    """Put primes beside their letter: the font has raised them already."""
    if name(element) not in ("msup", "msubsup"):
        return
    above = element[-1]
    parts = list(above) if name(above) == "mrow" else [above]
    rest = list(dropwhile(lambda part: text(part) == PRIME, parts))
    primes = parts[: len(parts) - len(rest)]
    if not primes:
        return
    row = ET.Element(f"{{{NAMESPACE}}}mrow")
    row.extend([element[0], *primes])
    element[0] = row
    element.remove(above)
    if rest:
        script = ET.SubElement(element, f"{{{NAMESPACE}}}mrow")
        script.extend(rest)
    elif name(element) == "msup":
        element.tag = f"{{{NAMESPACE}}}mrow"
    else:
        element.tag = f"{{{NAMESPACE}}}msub"


def space_functions(element) -> None:
    """Put a thin space between ln, log, tanh and what stands beside them."""
    if name(element) not in ("mrow", "math", "mstyle"):
        return
    parts = list(element)
    for place, child in reversed(list(enumerate(parts))):
        base = child[0] if name(child) in ("msub", "msup") and len(child) else child
        if name(base) not in ("mi", "mo") or text(base) not in FUNCTIONS:
            continue
        after, before = parts[place + 1 : place + 2], parts[max(place - 1, 0) : place]
        for at, beside in ((place + 1, after), (place, before)):
            if any(name(part) not in ("mo", "mspace") for part in beside):
                space = ET.Element(f"{{{NAMESPACE}}}mspace", width="0.1667em")
                element.insert(at, space)


def lift_root(element) -> None:
    """Make a root as high as a digit: over a low letter its sign would hang down."""
    if name(element) == "msqrt":
        strut = ET.Element(f"{{{NAMESPACE}}}mspace", width="0", height=".68em")
        element.append(strut)


class KeepTogether(SphinxPostTransform):
    """Give each formula the stop that follows it: a browser may break between."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs):
        for node in list(self.document.findall(nodes.math)):
            after = node.next_node(descend=False, siblings=True)
            if not isinstance(after, nodes.Text):
                continue
            if stop := PUNCTUATION.match(after):
                node["end"] = stop.group()
                after.parent.replace(after, nodes.Text(after[stop.end() :]))


def visit_inline(self, node) -> None:
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate"))
    self.body.append(converted(node, display=False) + node.get("end", "") + "</span>")
    raise nodes.SkipNode


def visit_block(self, node) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(converted(node, display=True) + "</div>\n")
    raise nodes.SkipNode


def converted(node, display: bool) -> str:
    try:
        return mathml(node.astext(), display)
    except FormulaError as error:
        tex = " ".join(node.astext().split())
        logger.warning("formula %s: %s", tex, error, location=node)
        return f"<code>{escape(tex)}</code>"


def italic(character: str) -> set[int]:
    """Return the code points with which a browser may draw a character."""
    points = {ord(character)}
    for first, start in ITALICS.items():
        offset = ord(character) - ord(first)
        if 0 <= offset < 26:
            points.add(ITALIC_H if character == "h" else start + offset)
    return points | {VARIANTS.get(character, ord(character))}


#: Drawn by elements rather than written as text: the root, and what stretches.
DRAWN = "√()[]{}|‖⟨⟩"
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
GREEK = "αβγδεζηθλμνπρσςτφχψωϕϵΓΔΘΛΠΣΦΨΩ"
SYMBOLS = "+−-=<>≤≥≈∼~·×±∂∑∏∫∞⊙⊤′…,.;:/!∈→ℒ𝒩ℓℝ∥⋅∗"


def write_font(app) -> None:
    """Write the characters of the book's formulas, and their italics, as a font."""
    if app.builder.format != "html":
        return
    source = resources.files("ziamath.fonts") / "STIXTwoMath-Regular.ttf"
    points = set().union(*map(italic, ALPHABET + GREEK + SYMBOLS + DRAWN))
    target = Path(app.outdir) / "_static" / "page" / "maths.woff"
    with resources.as_file(source) as path:
        subset(path, target, points & available(path), edit=fit_to_lines)


#: Where the two halves of a fraction in a line of text stand, in thousandths of the
#: size: TeX's places, for halves of seven tenths. The font's are for larger ones.
HALVES = {"FractionNumeratorShiftUp": 420, "FractionDenominatorShiftDown": 360}


def fit_to_lines(font) -> None:
    """Make fractions and roots of a size that lines of text have room for."""
    for constant, value in HALVES.items():
        getattr(font["MATH"].table.MathConstants, constant).Value = value
    keep_small_root(font)


def keep_small_root(font) -> None:
    """Remove the tall forms of the root.

    MathML lets every root be as wide as the widest of its forms, so that a gap is
    left behind a small one. The book has small ones only; `check` sees to it.
    """
    variants = font["MATH"].table.MathVariants
    place = variants.VertGlyphCoverage.glyphs.index(font.getBestCmap()[ord("√")])
    root = variants.VertGlyphConstruction[place]
    root.GlyphAssembly = None
    root.MathGlyphVariantRecord = root.MathGlyphVariantRecord[:1]
    root.VariantCount = 1


def available(path) -> set[int]:
    return set(TTFont(path, lazy=True).getBestCmap())


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.add_post_transform(KeepTogether)
    app.connect("config-inited", use_renderer)
    app.connect("builder-inited", write_font)


def use_renderer(app, config) -> None:
    config.html_math_renderer = "mathml"
