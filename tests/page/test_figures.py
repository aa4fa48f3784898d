"""Figures: their size, the theme's colours, and a contrast of 3:1 on both."""

import gzip
import io
import re
import time
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from docutils import nodes

import browser
import coursekit.plots
import engines
from built import HTML, soup
from colours import contrast
from page import figures

#: Paper of the pages (page.css), and that of notebooks.
BACKGROUNDS = ("#fcfbf8", "#14171c", "#ffffff")


@pytest.fixture
def drawn(tmp_path):
    """A figure in the course's style, as the build finds it."""
    with matplotlib.rc_context():
        coursekit.plots.use_style()
        cycle = list(plt.rcParams["axes.prop_cycle"])
        colours = [style["color"] for style in cycle]
        ax = coursekit.plots.depth_profile({"a": [[1, 10, 100]]}, {"a": [1, 10, 100]})
        path = tmp_path / "figure.svg"
        ax.figure.savefig(path, metadata={"Date": None})
        plt.close(ax.figure)
    return path, colours, cycle


def test_lines_can_be_seen_on_both_backgrounds(drawn):
    for colour in [*drawn[1], coursekit.plots.THEORY["color"]]:
        assert min(contrast(colour, paper) for paper in BACKGROUNDS) >= 3, colour


def test_no_two_lines_look_alike(drawn):
    cycle = drawn[2]
    assert len(cycle) >= 6, "as many as the most lines of a figure"
    for key in ("color", "marker"):
        assert len({style[key] for style in cycle}) == len(cycle)


def test_theory_has_a_colour_of_its_own_and_measurements_the_first(drawn):
    colours = [colour.lower() for colour in drawn[1]]
    assert (colours[0], *colours[1:]) == (figures.MEASURED, *figures.LINES)
    assert coursekit.plots.THEORY["color"] not in colours
    text = inlined(drawn[0])[0]
    assert "stroke: var(--theory)" in text and "stroke: var(--measured)" in text
    assert "#d55e00" not in text and figures.MEASURED not in text


def test_ink_and_paper_are_the_style_s(drawn):
    text = drawn[0].read_text(encoding="utf-8")
    assert figures.INK in text and figures.PAPER in text
    style = Path(coursekit.plots.__file__).with_name("course.mplstyle")
    colours = re.findall(r"^(\S*color): ([0-9A-F]{6})$", style.read_text(), re.M)
    inks = {key: f"#{value.lower()}" for key, value in colours}
    paper = inks.pop("figure.facecolor", None) or inks.pop("axes.facecolor", None)
    assert len(inks) >= 7 and set(inks.values()) == {coursekit.plots.INK}
    assert paper == figures.PAPER


def inlined(path, prefix="f-", alt="A figure", shapes=None):
    text = figures.inlined(path, prefix, alt, {} if shapes is None else shapes)
    return text, ET.fromstring(text)


def test_a_figure_takes_the_colour_of_the_text(drawn):
    text, root = inlined(drawn[0], alt='"One" & two < three')
    assert figures.INK not in text and figures.PAPER not in text
    assert "currentColor" in text and "#000000" not in text
    # a style sheet would hold for the whole page
    assert not {"style", "metadata"} & {element.tag for element in root.iter()}
    assert "prefers-color-scheme" not in text and "\n" not in text
    assert len(text) < 0.8 * len(drawn[0].read_text(encoding="utf-8"))
    assert "scale(0.015625)" in text, "the letters keep their size"
    assert (root.get("width"), root.get("height")) == ("518", "336")
    assert root.get("role") == "img"
    assert root.get("aria-label") == '"One" & two < three'


def pointers(root):
    """Return the ids of a drawing and those that it points to."""
    named = set()
    for element in root.iter():
        named |= {element.get("href", "#")[1:]} - {""}
        for value in element.attrib.values():
            named |= set(re.findall(r"url\(#([^)]+)\)", value))
    return [e.get("id") for e in root.iter() if e.get("id")], named


def test_figures_of_a_page_share_letters_and_no_id(drawn):
    shapes = {}
    first, second = (inlined(drawn[0], f"f{n}-", shapes=shapes) for n in (1, 2))
    (ids, named), (more, again) = pointers(first[1]), pointers(second[1])
    assert set(ids) == named and len(ids) == len(set(ids)) > 10
    assert not set(ids) & set(more) and again <= {*ids, *more}
    # what clips stays with what it clips: the other figure may be hidden
    clips = {value for value in again if value in more}
    assert clips and len(second[0]) < 0.8 * len(first[0])


def test_a_map_has_no_seams(tmp_path):
    with matplotlib.rc_context():
        coursekit.plots.use_style()
        figure, ax = plt.subplots()
        ax.pcolormesh([[1, 2], [3, 4]])
        figure.savefig(tmp_path / "map.svg")
        plt.close(figure)
    assert 'shape-rendering="crispEdges"' in inlined(tmp_path / "map.svg")[0]


def test_a_style_sheet_of_its_own_stops_the_build(drawn, tmp_path):
    text = drawn[0].read_text(encoding="utf-8")
    other = tmp_path / "other.svg"
    other.write_text(text.replace("</style>", "text{fill:red}</style>"))
    with pytest.raises(ValueError, match="a style sheet of its own"):
        inlined(other)


def test_other_pictures_stay_files():
    assert not figures.is_figure('<svg fill="#000000"/>')


def test_size(drawn, tmp_path):
    assert figures.measured(drawn[0]) == (518, 336)
    assert figures.measured(tmp_path / "nothing.svg") is None


def test_each_figure_of_the_book():
    seen, ids = 0, []
    for path in sorted((HTML / "book").rglob("*.html")):
        page = soup(path)
        assert not page.select("img[src$='.svg']"), "drawn without plots.use_style()"
        for svg in page.select("svg.figure"):
            seen += 1
            assert len(svg["aria-label"]) > 40, path.name
            # at two thirds of it, on a phone, text of 11 points is 10 pixels high
            assert int(svg["width"]) <= 540, "stack the panels"
            assert len(gzip.compress(str(svg).encode())) < 30_000
            ids += [tag["id"] for tag in svg.select("[id]")]
            assert len(svg.select("[id]")) <= len(svg.select("defs *"))
        used = {use["href"][1:] for use in page.select("svg.figure use")}
        assert used <= {tag["id"] for tag in page.select("[id]")}, path.name
    assert seen > 20, "run `make book` first"
    assert len(ids) == len(set(ids))


THEMES = ["light", "dark"]


@pytest.mark.parametrize("name", engines.ENGINES)
def test_figures_follow_the_theme_in_every_engine(name):
    """Whatever the system asks for: text is dark on light, or light on dark."""
    place = "document.querySelector('.bd-article figure svg.figure')"
    scroll = f"{place}.scrollIntoView({{ block: 'center', behavior: 'instant' }})"
    box = f"const b = {place}.getBoundingClientRect(); "
    box += "return [b.left, b.top, b.right, b.bottom].map(Math.round)"
    with browser.server(HTML) as address, engines.ENGINES[name]() as engine:
        engine.size(900, 900)
        # as the page comes, and then as a reader may choose
        for system, theme in product(THEMES, ["auto", *THEMES]):
            if theme == "auto":
                engine.dark(system == "dark")
                engine.goto(f"{address}book/vanishing.html")
                engine.evaluate(scroll)
            else:
                engine.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            time.sleep(0.5)
            left, top, right, bottom = engine.evaluate(box)
            picture = plt.imread(io.BytesIO(engine.screenshot()))[..., :3]
            seen = 255 * picture[top:bottom, left:right].mean(axis=2)
            darkest, paper, lightest = np.quantile(seen, [0.005, 0.5, 0.995])
            told = (system, theme, darkest, paper, lightest)
            if (system if theme == "auto" else theme) == "light":
                assert paper > 240 and darkest < 80, told
            else:
                assert paper < 40 and lightest > 150, told


def test_figures_follow_colours_that_the_reader_forces():
    """Light ink on a black canvas, though the page's own theme is light."""
    with browser.server(HTML) as address, browser.chromium() as chromium:
        page = chromium.new_page(color_scheme="dark", forced_colors="active")
        page.goto(f"{address}book/vanishing.html")
        page.evaluate("document.documentElement.dataset.theme = 'light'")
        figure = page.locator(".bd-article figure svg.figure").first
        ink = "(e) => getComputedStyle(e).color"
        assert figure.evaluate(ink) == page.locator("h1").evaluate(ink)
        shot = plt.imread(io.BytesIO(figure.screenshot()))[..., :3].mean(axis=2)
        assert np.quantile(shot, 0.5) < 0.2 and np.quantile(shot, 0.995) > 0.6


def test_pictures_that_are_files_have_a_size_and_come_when_needed(tmp_path):
    for name in ("a", "b", "c"):
        plt.imsave(tmp_path / f"{name}.png", np.zeros((30, 40)))
    settings = SimpleNamespace(
        env=SimpleNamespace(srcdir=tmp_path, docname="page", app=None),
        language_code="en",
    )
    document = nodes.document(settings, None)
    fold = nodes.container(classes=["dropdown"])
    fold += nodes.image(uri="a.png")
    document += [fold, nodes.image(uri="b.png"), nodes.image(uri="c.png")]
    document += nodes.image(uri="https://example.org/d.png")
    figures.PlacePictures(document).run()
    seen = [(p["size"], p["lazy"]) for p in document.findall(figures.picture)]
    # the first that is open loads at once
    assert seen == [((40, 30), True), ((40, 30), False), ((40, 30), True)]
