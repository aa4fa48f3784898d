"""Every page of the built book, in a browser, as a reader gets it.

One load a page: it is scrolled to its end, tried in light and dark, at the width of
a phone and in print; the tests ask what was seen. A second load has no JavaScript.
"""

import gzip
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont

import browser
from page import assets

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build" / "html"
# index.html only leads on to the first page.
PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    if "_static" not in path.parts and path != HTML / "index.html"
)
WEIGHT, FIRST_WEIGHT, REQUESTS, SHIFT = 220_000, 130_000, 12, 0.02
FIRST = "book/index.html"
PHONE = {"width": 360, "height": 740}
#: A desk at 400 %.
NARROW = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 900}
#: A4 with the margins that Chromium prints, in pixels of CSS.
PAPER = {"width": 718, "height": 1047}
RULES = {
    "runOnly": [
        "wcag2a",
        "wcag2aa",
        "wcag21a",
        "wcag21aa",
        "wcag22aa",
        "best-practice",
    ],
    # an experiment of axe's, for which Chromium shows no other sign
    "rules": {"label-content-name-mismatch": {"enabled": True}},
    "resultTypes": ["violations"],
}
#: The rules of these that look at colours; the others answer alike in both themes.
COLOURS = RULES | {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
}

SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) {
    const what = e.sources.map((s) => s.node?.outerHTML?.slice(0, 80) ?? "gone");
    window.shifts.push([e.value, Math.round(scrollY), what.join(" ")]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
SCROLL = """async () => {
  const step = 0.9 * innerHeight;
  for (let y = 0; y < document.documentElement.scrollHeight; y += step) {
    scrollTo({ top: y, behavior: "instant" });
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 10)));
  }
}"""
# Wider than the window, and not inside of a box that scrolls.
CUT = """() => {
  const wide = [], apart = ".term-note, .lab-spoken, .visually-hidden";
  const edge = document.documentElement.clientWidth + 1;
  for (const e of document.querySelectorAll(".bd-article *, .bd-main p, .bd-main a")) {
    if (e.closest(apart)) continue;
    const box = e.getBoundingClientRect();
    if (!box.width || !box.height || box.right <= edge) continue;
    let around = e.parentElement;
    while (around && !/auto|scroll/.test(getComputedStyle(around).overflowX)) {
      around = around.parentElement;
    }
    if (!around || around.matches("html, body, .bd-main")) {
      wide.push(`${e.tagName}.${e.className} ${Math.round(box.right)}`);
    }
  }
  return wide;
}"""
# Scrolls, but Tab does not stop there.
UNREACHABLE = """() => [...document.querySelectorAll(".bd-article *")].filter((e) =>
  /auto|scroll/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1
  && e.clientWidth && e.tabIndex < 0
  && !e.querySelector("a, button, input, [tabindex]"))
  .map((e) => `${e.tagName}.${e.className}`)"""
# Printed lines that end beside their box.
LONG = """() => [...document.querySelectorAll(".bd-article .output pre")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => `${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.slice(0, 60)}`)"""
# What paper would hide: it has no scroll bars.
HIDDEN = """() => [...document.querySelectorAll(".bd-article *")].filter((e) => {
  const style = getComputedStyle(e);
  const clips = style.overflowX !== "visible" || style.overflowY !== "visible";
  return clips && e.clientWidth > 1 && style.display !== "inline"
    && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 2);
}).map((e) => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}`)"""

# Characters that pseudo-elements of the page show out of the icon fonts.
ICONS = """() => {
  const found = new Set();
  for (const e of document.querySelectorAll("*")) {
    for (const pseudo of ["::before", "::after"]) {
      const style = getComputedStyle(e, pseudo);
      const hidden = style.display === "none";
      if (hidden || !style.fontFamily.includes("Font Awesome")) continue;
      for (const c of style.content) {
        const point = c.codePointAt(0);
        if (point >= 0xe000 && point <= 0xf8ff) found.add(point);
      }
    }
  }
  return [...found];
}"""


@cache
def size(path: str) -> int:
    """Return the bytes of a file on its way: what is not packed is gzipped."""
    content = (HTML / path).read_bytes()
    packed = path.endswith((".woff", ".woff2", ".png"))
    return len(content) if packed else len(gzip.compress(content, 6))


def below():
    """Return the path that the page for lost readers counts from, if it has one."""
    path = HTML / "404.html"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    base = BeautifulSoup(text, "html.parser").base
    return base["href"].rpartition("/")[0] if base else ""


@pytest.fixture(scope="module")
def desk():
    with (
        browser.server(HTML, below()) as address,
        browser.chromium() as chromium,
    ):
        # cached files would weigh nothing: only pages without a script share a context
        contexts = browser.Contexts(chromium)
        yield SimpleNamespace(
            address=address, chromium=chromium, contexts=contexts, seen={}, axe=None
        )


@pytest.fixture
def seen(desk, page_name):
    return looked(desk, page_name)


def looked(desk, name):
    """Return what was seen of a page, which is loaded at the first question."""
    if name not in desk.seen:
        desk.seen[name] = look(desk, name)
    return desk.seen[name]


@pytest.fixture(params=PAGES or ["no page"])
def page_name(request):
    if not PAGES:
        pytest.fail("no pages in _build/html: run `make book` first")
    return request.param


def look(desk, name):
    """Load a page once and note all that the tests ask."""
    desk.axe = desk.axe or browser.axe()
    context = desk.chromium.new_context(viewport=DESK, color_scheme="light")
    page = context.new_page()
    errors, urls, failed = [], [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and errors.append(m.text))
    page.on("request", lambda request: urls.append(request.url))
    page.on(
        "response", lambda r: r.status >= 400 and failed.append(f"{r.status} {r.url}")
    )
    page.on("requestfailed", lambda r: failed.append(r.url))
    page.add_init_script(SHIFTS)
    page.goto(desk.address + name, wait_until="load")
    page.evaluate(SCROLL)
    page.wait_for_load_state("networkidle")
    found = SimpleNamespace(errors=list(errors), failed=list(failed))
    own = [url for url in urls if url.startswith(desk.address)]
    found.foreign = [
        u for u in urls if u not in own and not u.startswith(("data:", "blob:"))
    ]
    paths = [urlsplit(url.removeprefix(desk.address)).path for url in own]
    found.paths = [path for path in paths if (HTML / path).is_file()]
    found.weight = sum(map(size, found.paths))
    found.shifts = page.evaluate("window.shifts")
    found.long = page.evaluate(LONG)
    found.icons = set(page.evaluate(ICONS))
    found.light = browser.violations(desk.axe, page, RULES)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    # colours fade over
    page.wait_for_timeout(250)
    found.dark = browser.violations(desk.axe, page, COLOURS)
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.set_viewport_size(PHONE)
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    page.wait_for_timeout(100)
    found.sideways = page.evaluate("document.documentElement.scrollWidth")
    found.cut = page.evaluate(CUT)
    found.unreachable = page.evaluate(UNREACHABLE)
    page.set_viewport_size(NARROW)
    page.wait_for_timeout(50)
    found.narrow = page.evaluate("document.documentElement.scrollWidth")
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = false)")
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print")
    page.wait_for_timeout(100)
    found.too_wide = page.evaluate(CUT)
    found.hidden = page.evaluate(HIDDEN)
    context.close()
    return found


def test_no_other_host(seen):
    assert seen.foreign == []


def test_no_errors(seen):
    assert seen.errors == [] and seen.failed == []


def test_weight(seen, page_name):
    allowed = FIRST_WEIGHT if page_name == FIRST else WEIGHT
    largest = sorted(((size(path), path) for path in seen.paths), reverse=True)
    assert seen.weight <= allowed, largest[:6]


def test_requests(seen):
    assert len(seen.paths) <= REQUESTS, seen.paths


def test_nothing_jumps(desk, seen, page_name):
    if moved(seen) > SHIFT:
        # a busy machine may hand out the font of the formulas late: not twice
        seen = look(desk, page_name)
    assert moved(seen) <= SHIFT, max(seen.shifts)


def moved(seen):
    return sum(value for value, *_ in seen.shifts)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible(seen, theme):
    assert getattr(seen, theme) == []


def test_a_faint_word_of_code_is_found_and_the_code_stays_whole(desk):
    page = desk.chromium.new_page()
    names = ("x", "rate", "a", "b", "c", "d")
    words = " ".join(f"<span class=n>{name}</span>" for name in names)
    page.set_content(f"<style>.n {{ color: #ddd }}</style><main><pre>{words}</pre>")
    found = browser.violations(browser.axe(), page, COLOURS)
    assert len(found) == 1 and "color-contrast" in found[0] and ">rate<" in found[0]
    assert page.locator(".n").count() == 6
    page.close()


@pytest.mark.parametrize(
    "look",
    [
        "color: #ddd",
        "color: #bbb; font-size: 30px; font-weight: 600",
        "background: #777",
        "opacity: 0.3",
        "position: absolute; top: 550px",
        "float: right; margin-top: 250px",
    ],
)
def test_a_short_text_of_another_look_is_judged_among_many_alike(desk, look):
    page = desk.chromium.new_page()
    many = "<p>as all of these texts" * 9
    place = "position: absolute; top: 500px; left: 0; right: 0; height: 200px"
    dark = f"<div style='{place}; background: #777; z-index: -1'></div>"
    text = f"{many}<p><span style='{look}'>one</span>{dark}"
    page.set_content(f"<style>p {{ color: #555 }}</style><main>{text}")
    found = browser.violations(browser.axe(), page, COLOURS)
    assert len(found) == 1 and ">one<" in found[0]
    page.close()


def test_fits_on_a_phone(seen):
    assert seen.sideways <= PHONE["width"] and seen.narrow <= NARROW["width"]
    assert seen.cut == []


def test_printed_tables_fit_on_a_desk(seen):
    assert seen.long == []


def test_what_scrolls_is_reached_by_keyboard(seen):
    assert seen.unreachable == []


def test_print_cuts_nothing(seen):
    assert seen.too_wide == [] and seen.hidden == []


def test_every_icon_of_every_page_is_in_the_small_fonts(desk):
    glyphs = set()
    for name in assets.ICONS:
        font = TTFont(HTML / "_static" / "page" / f"{name}.woff")
        glyphs |= set(font.getBestCmap())
    used = set().union(*(looked(desk, name).icons for name in PAGES))
    assert len(used) > 8
    assert set(map(hex, used - glyphs)) == set()


def test_readable_without_javascript(desk, page_name):
    page = desk.contexts.page(viewport=DESK, java_script_enabled=False)
    page.goto(desk.address + page_name)
    assert page.locator("h1").first.is_visible()
    text = page.locator(".bd-main").inner_text()
    assert len(text) > 40
    assert "\\(" not in text and "\\[" not in text and "$$" not in text
    assert page.locator(".math math").count() == page.locator(".math").count()
    for formula in page.locator("p:not(details p) > .math > math").all()[:3]:
        box = formula.bounding_box()
        assert box and box["width"] > 2 and box["height"] > 2
    desk.contexts.leave()
