"""Formulas become MathML, or the build stops; every formula of the book is tried."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont

from page import maths

HTML = Path(__file__).parents[2] / "_build" / "html"
PAGES = sorted((HTML / "book").rglob("*.html"))


def words(tex, display=False):
    return "".join(ET.fromstring(maths.mathml(tex, display)).itertext())


@pytest.mark.parametrize(
    ("tex", "seen"),
    [
        (r"z_l = h_{l-1} W_l", "zl=hl−1Wl"),
        (r"\mathrm{E}[h^2] = \frac12", "E[h2]=12"),
        (r"\left\lVert x \right\rVert \le 10^{-3}", "‖x‖≤10−3"),
        (r"\log_{10} \chi", "log10χ"),
        (r"a < b", "a<b"),
    ],
)
def test_reads_as_it_should(tex, seen):
    assert words(tex) == seen


@pytest.mark.parametrize(
    "tex",
    [
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\unheardof a",
        r"\frac{1",
        r"a_{\strange{b}}",
        r"\sqrt{\frac{1}{2}}",
    ],
)
def test_what_is_not_understood_is_an_error(tex):
    with pytest.raises(maths.FormulaError):
        maths.mathml(tex, display=True)


def test_spaces_of_tex():
    tree = ET.fromstring(maths.mathml(r"x = -1 / \ln n", display=False))
    operators = {e.text: e.attrib for e in tree.iter() if maths.name(e) == "mo"}
    assert operators["−"]["form"] == "prefix" and operators["/"]["lspace"] == "0"
    assert any(maths.name(e) == "mspace" for e in tree.iter())


def test_a_root_over_a_low_letter_is_as_high_as_a_digit():
    tree = ET.fromstring(maths.mathml(r"c \sqrt{n}", display=False))
    (root,) = (e for e in tree.iter() if maths.name(e) == "msqrt")
    assert maths.name(root[-1]) == "mspace" and root[-1].get("width") == "0"


def test_no_line_begins_with_a_full_stop():
    ended = False
    for path in sorted(HTML.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"</math></span>[.,:;)?!]", text), path.name
        ended = ended or "</math>.</span>" in text
    assert ended


def test_one_letter_stands_upright():
    tree = ET.fromstring(maths.mathml(r"\mathrm{E}", display=False))
    (letter,) = (e for e in tree.iter() if e.text == "E")
    assert maths.name(letter) == "mtext"


def test_bars_grow_only_when_told():
    for tex, grows in (
        (r"\lVert x \rVert", "false"),
        (r"\left\lVert x \right\rVert", "true"),
    ):
        tree = ET.fromstring(maths.mathml(tex, display=False))
        bars = [e for e in tree.iter() if e.text == "‖"]
        assert [bar.get("stretchy") for bar in bars] == [grows] * 2


def formulas(path):
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    return soup.select(".math")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_tex_is_left(path):
    for formula in formulas(path):
        assert formula.find("math"), formula
        text = formula.find("math").get_text()
        assert not set(text) & set("\\&{}$"), text


def test_there_are_formulas():
    assert sum(len(formulas(path)) for path in PAGES) > 200, "run `make book` first"


def test_the_font_has_every_character_of_the_book():
    glyphs = set(TTFont(HTML / "_static" / "page" / "maths.woff").getBestCmap())
    used = set()
    for path in PAGES:
        for formula in formulas(path):
            for element in formula.find_all(["mi", "mo", "mn", "mtext"]):
                text = html.unescape(element.get_text())
                single = element.name == "mi" and len(text) == 1
                for character in text:
                    used |= maths.italic(character) if single else {ord(character)}
    used -= set(map(ord, " \u00a0\u2003\u2061"))
    assert {chr(point) for point in used - glyphs} == set()
    assert (HTML / "_static" / "page" / "maths.woff").stat().st_size < 40_000
