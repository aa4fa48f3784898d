"""The identity: contrast of its tokens, length of lines, two kinds of boxes."""

import io
import re
from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import browser
import engines
from colours import contrast, difference
from page.figures import LINES as LINES_OF_FIGURES

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
STYLE = ROOT / "book" / "_ext" / "page" / "static" / "page.css"


def tokens(theme):
    """Return the colours that the style sheet gives a theme, by name."""
    text = STYLE.read_text(encoding="utf-8")
    body = re.search(rf'html\[data-theme="{theme}"\] {{ (--paper.*?)}}', text, re.S)[1]
    return dict(re.findall(r"--(\w+): (#\w{6});", body))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_text_can_be_read_on_paper_and_on_wash(theme):
    colours = tokens(theme)
    texts = ("ink", "quiet", "measured", "theory", "right", "false")
    for name in texts:
        for ground in ("paper", "wash"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_names_of_lines_can_be_read_in_the_dark():
    light, dark = tokens("light"), tokens("dark")
    names = [f"line{number}" for number in range(1, len(LINES_OF_FIGURES) + 1)]
    assert [light[name] for name in names] == list(LINES_OF_FIGURES)
    for name in names:
        assert contrast(dark[name], dark["paper"]) >= 4.5, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_line_of_a_figure_looks_like_theory_or_like_another(theme):
    colours = tokens(theme)
    names = [f"line{number}" for number in range(1, len(LINES_OF_FIGURES) + 1)]
    # seen: a line at 28 from theory was taken for it; the nearest is now at 41
    for name in ("measured", *names):
        assert difference(colours["theory"], colours[name]) > 38, name
    # markers tell these apart, too; the nearest two are at 29
    for one, other in combinations(("measured", *names), 2):
        assert difference(colours[one], colours[other]) > 27, (one, other)


#: Characters of the lines of the longest paragraphs, by the places of their letters.
LINES = """
const found = [];
const texts = [...document.querySelectorAll(".bd-article section > p")]
  .filter((p) => !p.querySelector("math") && p.textContent.length > 250).slice(0, 4);
for (const p of texts) {
  const walker = document.createTreeWalker(p, NodeFilter.SHOW_TEXT);
  let count = 0, top = null;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentElement.closest(".term-note")) continue;
    for (let i = 0; i < node.length; i += 1) {
      const range = document.createRange();
      range.setStart(node, i); range.setEnd(node, i + 1);
      const box = range.getBoundingClientRect();
      if (!box.width) continue;
      const line = Math.round(box.bottom / 12);
      if (top !== null && Math.abs(line - top) > 1) { found.push(count); count = 0; }
      top = line; count += 1;
    }
  }
}
return found;
"""
KINDS = """
const kinds = new Set();
const boxes = ".bd-article .admonition:not(.verdict-box)";
for (const box of document.querySelectorAll(boxes)) {
  const style = getComputedStyle(box);
  kinds.add(`${style.backgroundColor} ${style.borderLeftWidth} ${style.boxShadow}`);
}
return [...kinds];
"""


#: How many notes are to be seen, and those that lie over something.
NOTES = """
const place = (e) => e.getBoundingClientRect();
// what a closed fold holds has a place, and is not seen
const seen = (e) => e.checkVisibility() && place(e).width > 0;
const notes = [...document.querySelectorAll(".term-note, .source-note")].filter(seen);
const solid = ".bd-article :is(p, pre, table, math, svg.figure)";
const others = [...document.querySelectorAll(solid)]
  .filter((e) => seen(e) && !e.closest(".term-note"));
const end = place(document.querySelector(".bd-article")).right + 1;
const meet = (a, b) => a.left < b.right && b.left < a.right
  && a.top < b.bottom && b.top < a.bottom;
const over = notes.filter((note) => place(note).right > end
  || [...notes, ...others].some((e) => e !== note && meet(place(note), place(e))));
return [notes.length, over.map((e) => e.textContent)];
"""


@pytest.mark.parametrize("name", engines.ENGINES)
def test_lines_have_60_to_75_characters_and_boxes_two_kinds(name):
    with browser.server(HTML) as address, engines.ENGINES[name]() as engine:
        engine.size(1280, 900)
        engine.goto(f"{address}book/vanishing.html")
        lines = engine.evaluate(LINES)
        assert len(lines) > 8
        # the fonts of systems differ; no line is longer than an eye finds back from
        assert 60 <= sorted(lines)[len(lines) // 2] <= 75 and max(lines) <= 82
        kinds = engine.evaluate(KINDS)
        assert len(kinds) == 2 and all(kind.endswith("none") for kind in kinds)
        assert engine.evaluate(NOTES) == [0, []]
        # definitions and sources stand in the margin where there is one
        for width in (1560, 1920):
            engine.size(width, 900)
            for page in ("book/vanishing.html", "book/initializers.html"):
                engine.goto(address + page)
                count, over = engine.evaluate(NOTES)
                assert count >= 8 and over == [], (width, page)
        engine.size(320, 700)
        for page in ("book/index.html", "book/initializers.html"):
            engine.goto(address + page)
            root = "document.documentElement"
            wide = engine.evaluate(f"return [{root}.scrollWidth, {root}.clientWidth]")
            assert wide[0] <= wide[1], page


def test_a_caption_stands_beside_its_figure_where_there_is_room(visit):
    for width, beside in ((1280, False), (1800, True)):
        page = visit("book/vanishing.html", viewport={"width": width, "height": 900})
        figure = page.locator("figure:has(> svg.figure)").first
        drawing = figure.locator("svg.figure").bounding_box()
        caption = figure.locator("figcaption").bounding_box()
        right = drawing["x"] + drawing["width"]
        assert (caption["x"] >= right) == beside
        if not beside:
            # one left edge: text, drawing and caption
            text = page.locator(".bd-article section > p").first.bounding_box()
            assert abs(drawing["x"] - text["x"]) < 1 > abs(caption["x"] - text["x"])
        words = figure.locator("figcaption .theory").first
        assert words.inner_text().lower() == "theory"


#: Where the last of some things ends, or 0 if none is there.
END = "(all) => Math.max(0, ...all.map((e) => e.getBoundingClientRect().bottom))"


@pytest.mark.parametrize("script", [True, False])
def test_the_first_page_asks_and_leads_on_in_one_screen(script):
    with browser.server(HTML) as address, browser.chromium() as chromium:
        ends = {}
        for width, height in ((1280, 800), (360, 740)):
            size = {"width": width, "height": height}
            page = chromium.new_page(viewport=size, java_script_enabled=script)
            page.goto(f"{address}book/index.html")
            if script:
                page.wait_for_selector(".lab-chart svg")
            for part in (".lab svg", ".start a"):
                ends[width, part] = page.locator(part).evaluate_all(END)
            page.close()
    assert 0 < ends[1280, ".start a"] <= 800
    assert 0 < ends[360, ".start a"] <= (740 if script else 900)


def test_the_way_to_the_next_chapter_has_room_on_a_phone(visit):
    page = visit("book/vanishing.html", viewport={"width": 360, "height": 740})
    title = page.locator(".right-next .prev-next-title")
    assert title.bounding_box()["width"] > 100


#: The colours of a page and of one of its figures, by the tokens that they come from.
SEEN = """() => {
  const style = (at) => getComputedStyle(document.querySelector(at));
  return [style("body").backgroundColor, style(".bd-article section > p").color,
          style("svg.figure").color, style(".page-toc.onthispage").color];
}"""


def rgb(colours, *names):
    channels = [re.findall("..", colours[name].lstrip("#")) for name in names]
    return [f"rgb({', '.join(str(int(c, 16)) for c in three)})" for three in channels]


def test_the_system_s_theme_needs_no_script_and_paper_is_light(visit):
    for script, media in ((False, "screen"), (False, "print"), (True, "print")):
        page = visit(
            "book/vanishing.html", color_scheme="dark", java_script_enabled=script
        )
        page.emulate_media(media=media)
        colours = tokens("dark" if media == "screen" else "light")
        paper, *inks = page.evaluate(SEEN)
        white = {"paper": "#ffffff"} if media == "print" else {}
        found = rgb(colours | white, "paper", "ink", "ink", "quiet")
        # the list of contents is not printed
        wanted = found if media == "screen" else found[:3]
        assert [paper, *inks][: len(wanted)] == wanted, (script, media)


#: What changes its colour slowly: the elements, and the parts of CSS, that say so.
FADING = """() => [...document.querySelectorAll("body, body *")].filter((e) => {
  const style = getComputedStyle(e), times = style.transitionDuration.split(", ");
  return style.transitionProperty.split(", ").some((name, i) =>
    /^(all|color|background|border-color|fill|stroke)/.test(name)
    && parseFloat(times[i % times.length]) > 0);
}).map((e) => `${e.tagName}.${e.className}`)"""


@pytest.mark.parametrize("name", ["index", "vanishing", "lab"])
def test_no_colour_fades(visit, name):
    """Text on its way from one theme's colour to the other's cannot be read."""
    page = visit(f"book/{name}.html")
    assert page.evaluate(FADING) == []


def test_what_the_theme_paints_has_the_book_s_colours(visit):
    for theme in ("light", "dark"):
        page = visit("book/vanishing.html", color_scheme=theme)
        style = "(e) => [getComputedStyle(e).backgroundColor]"
        for at in ("#pst-back-to-top", ".skip-link"):
            assert page.locator(at).evaluate(style) == rgb(tokens(theme), "wash")
        page = visit("search.html", color_scheme=theme)
        ink = page.locator("h1").evaluate("(e) => [getComputedStyle(e).color]")
        assert ink == rgb(tokens(theme), "ink")


@pytest.mark.parametrize("name", engines.ENGINES)
def test_the_bar_of_the_chapters_is_seen_in_the_dark(name):
    """Full and empty part of the first chapter's bar, in pixels."""
    with browser.server(HTML) as address, engines.ENGINES[name]() as engine:
        engine.size(1280, 900)
        engine.dark(True)
        engine.goto(f"{address}book/vanishing.html")
        box = engine.evaluate(
            "const box = document.querySelector('progress').getBoundingClientRect();"
            "return [box.left, box.right, (box.top + box.bottom) / 2]"
        )
        shot = plt.imread(io.BytesIO(engine.screenshot()))[..., :3].mean(axis=2)
        left, right, y = (round(place) for place in box)
        assert shot[y, left + 4] > 0.6 > 0.4 > shot[y, right - 8]


def test_names_in_a_text_do_not_part_at_a_hyphen(visit):
    page = visit("book/teach.html", viewport={"width": 1280, "height": 900})
    names = page.locator(":is(p, li):not(td *) > code.literal > .pre")
    assert names.count() > 60
    lines = "(all) => all.filter((e) => e.getClientRects().length > 1).length"
    assert names.evaluate_all(lines) == 0


def test_nothing_stands_beside_a_page_between_phone_and_desk(visit):
    """640 pixels are a desk at 200 %."""
    for name in ("clinic", "teach"):
        page = visit(f"book/{name}.html")
        for width in (580, 640, 990):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, name
