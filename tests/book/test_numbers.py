"""Every number that a chapter states stands in an output or in the code there."""

import re
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html" / "book"
CHAPTERS = sorted(
    path.stem
    for path in (ROOT / "book").glob("*.md")
    if "{code-cell}" in path.read_text(encoding="utf-8")
)
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w]|\.\d)|\.\d+")
# Numbers that no cell computes, and why they may stand there all the same.
STATED = {
    "clinic": {
        "32": "the samples that GradientMonitor probes by default",
        "512": "the samples that it keeps by default, at most",
    },
    "clipping": {
        **dict.fromkeys(["0.5928", "0.7203"], "quoted, to be tested"),
        **dict.fromkeys(
            ["500", "76", "0.0007", "0.0020"], "MNIST: benchmarks/clipping_mnist.py"
        ),
        "44": "steps an epoch: 4400 steps of ten seeds and ten epochs",
    },
    "conclusions": {"95": "the confidence of the intervals"},
    "vanishing": dict.fromkeys(
        ["0.15", "0.25", "0.30"], "arithmetic, shown in the formula"
    ),
}
# Small whole numbers count, name and enumerate in any prose.
COUNTS = {str(n) for n in range(11)}


def numbers(text):
    """Return the numbers of a text, as printed but for signs and commas."""
    text = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text)
    # the time that a page takes
    text = re.sub(r"\d+ minutes", "", text)
    return {n.removesuffix(",") for n in NUMBER.findall(text)}


@cache
def read(html):
    """Return the numbers of a page's outputs, of its code, and of its prose."""
    article = BeautifulSoup(html, "html.parser").select_one("article")
    outputs, code = set(), set()
    for cell in article.select("div.cell_output"):
        for text in cell.select("pre, .text_html"):
            outputs |= numbers(text.get_text())
            text.decompose()
    for cell in article.select("div.cell_input, div.highlight"):
        code |= numbers(cell.get_text())
    pictures = article.select("img, svg[role=img]")
    spoken = (tag.get("alt") or tag.get("aria-label", "") for tag in pictures)
    prose = set().union(*map(numbers, spoken))
    # Numbers of exercises stand in the line that unfolds a solution; a term's note
    # belongs to the glossary.
    for tag in article.select("summary, .term-note, .source-note"):
        tag.replace_with(" ")
    for tag in article.select("a, pre, code, .section-number, .caption-number, .math"):
        if tag.name == "a" and not tag.get_text().strip():
            continue
        if "math" in tag.get("class", []):
            # a formula's whole numbers are its own; its decimals are results
            tag.replace_with(
                " ".join(n for n in numbers(tag.get_text(" ")) if "." in n)
            )
        else:
            tag.replace_with(" ")
    return outputs, code, prose | numbers(article.get_text(" "))


def unfounded(html, stated=()):
    """Return the numbers of the prose that nothing on the page stands for."""
    outputs, code, prose = read(html)
    return prose - outputs - code - COUNTS - set(stated)


def text_of(path):
    """Return what a page says, without code, output, formulas and drawings."""
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    for tag in page.select("pre, code, math, svg, script, style"):
        tag.replace_with(" ")
    return page.get_text(" ")


def test_numbers_below_1_begin_with_0():
    """One form in text, lab, tables and figures: 0.06."""
    pages = [path for path in HTML.rglob("*.html") if path.name != "api.html"]
    sources = [(path.name, text_of(path)) for path in pages]
    presets = ROOT / "book" / "_ext" / "lab" / "presets.yml"
    sources.append((presets.name, presets.read_text(encoding="utf-8")))
    assert len(sources) > 13
    for name, text in sources:
        assert not re.findall(r"(?<![\w.)\]])[-+]?\.\d+", text), name


@pytest.mark.cpu  # the text quotes what a CPU printed
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_numbers_of_the_prose_are_computed_on_the_page(chapter):
    html = (HTML / f"{chapter}.html").read_text(encoding="utf-8")
    outputs, _, prose = read(html)
    assert outputs and prose
    stated = STATED.get(chapter, {})
    assert not unfounded(html, stated)
    # the list has no more than it needs
    assert set(stated) <= unfounded(html)


def test_a_number_that_no_output_has_is_found():
    page = (
        "<article><p>It grows by {}, in all 40 runs, see <a>Fig. 77</a>.</p>"
        "<img alt='{}'><span class='math'>1.21^{{49}}</span>"
        "<div class='cell_input'>n = 40</div>"
        "<div class='cell_output'><pre>factor 1.21, -3.50 and 2,000</pre></div>"
        "</article>"
    )
    assert not unfounded(page.format("1.21", "-3.50 of 2000"))
    assert unfounded(page.format("1.2", "3.5")) == {"1.2", "3.5"}
    assert unfounded(page.format("12 %", "41 runs")) == {"12", "41"}
    assert not unfounded(page.format("12 %", "one"), stated=["12"])
    drawn = page.replace("<img alt=", "<svg role='img' aria-label=")
    assert unfounded(drawn.format("1.21", "3.5")) == {"3.5"}
