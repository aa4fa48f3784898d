"""The parts of a page, used as a reader does: terms, solutions, search, theme."""

import re

import pytest

import browser
import engines
from built import HTML, soup

CHAPTERS = sorted((HTML / "book").glob("*.html"))
PHONE = {"width": 360, "height": 740}


def test_a_term_tells_its_meaning_on_hover_and_focus(visit):
    page = visit("book/exploding.html")
    term = page.locator(".term").first
    note = term.locator(".term-note")
    assert not note.is_visible()
    term.hover()
    assert note.is_visible() and note.inner_text().startswith("The gradient")
    # the pointer may go there, to read or to copy
    note.hover()
    assert note.is_visible()
    page.mouse.move(0, 0)
    assert not note.is_visible()
    link = term.locator("> a")
    link.focus()
    assert note.is_visible()
    assert link.get_attribute("aria-describedby") == note.get_attribute("id")
    page.keyboard.press("Escape")
    assert not note.is_visible()
    link.click()
    assert page.url.endswith("glossary.html#term-delta")


def test_a_note_stays_on_the_screen_of_a_phone(visit):
    page = visit("book/exploding.html", viewport=PHONE)
    for term in page.locator(".term").all():
        term.locator("> a").focus()
        box = term.locator(".term-note").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_each_chapter_has_terms():
    for path in CHAPTERS:
        assert soup(path).select(".term"), path.name


@pytest.mark.parametrize("javascript", [True, False])
def test_a_solution_opens_by_keyboard(visit, javascript):
    page = visit("book/vanishing.html", java_script_enabled=javascript)
    fold = page.locator("details.solution").first
    code = fold.locator("pre").first
    assert not code.is_visible()
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert code.is_visible()


@pytest.mark.parametrize("fold", ["details.solution summary", "details.hide p"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_fold_shows_that_it_opens(visit, theme, fold):
    page = visit("book/vanishing.html", color_scheme=theme)
    summary = page.locator(fold).first
    sign = "(e) => getComputedStyle(e, '::after').content"
    closed = summary.evaluate(sign)
    assert summary.evaluate("(e) => getComputedStyle(e, '::after').opacity") == "1"
    summary.click()
    assert [closed, summary.evaluate(sign)] == ['"\uf105"', '"\uf107"']


def test_rows_of_claims_are_paragraphs_on_a_phone(visit):
    page = visit("book/reference/claims.html", viewport=PHONE)
    cells = page.locator("table.stacked td")
    width = "(all) => all.map((e) => e.getBoundingClientRect().width)"
    widths = cells.evaluate_all(width)
    assert len(widths) > 90 and min(widths) > 250
    assert page.get_by_role("table").count() == page.locator("table").count()


def test_what_bootstrap_is_told_to_look_for_is_there():
    """Else it takes the whole page, and its links for selectors."""
    named = 0
    for path in HTML.rglob("*.html"):
        page = soup(path)
        for tag in page.select("[data-bs-target]"):
            assert page.select(tag["data-bs-target"]), path.name
            named += 1
    assert named >= 10
    # the list that is followed holds nothing but places of its page
    for path in CHAPTERS:
        page = soup(path)
        ids = {f"#{tag['id']}" for tag in page.select("[id]")}
        links = page.select("#pst-page-toc-nav a")
        assert {link["href"] for link in links} <= ids, path.name


def test_no_id_twice():
    for path in HTML.rglob("*.html"):
        ids = [tag["id"] for tag in soup(path).find_all(id=True)]
        assert len(ids) == len(set(ids)), path.name


def test_system_decides_first(visit):
    page = visit("book/index.html", color_scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_switch_of_the_theme_is_remembered(visit):
    page = visit("book/index.html", color_scheme="light")
    theme = "document.documentElement.dataset.theme"
    for _ in range(3):
        if page.evaluate(theme) == "dark":
            break
        page.locator(".theme-switch-button").first.click()
    assert page.evaluate(theme) == "dark"
    page.reload()
    assert page.evaluate(theme) == "dark"


def test_the_search_finds_and_shows_the_words(visit):
    page = visit("book/index.html")
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").fill("spectral radius")
    page.keyboard.press("Enter")
    result = page.locator("#search-results li a").first
    result.wait_for()
    icon = page.locator(".bd-search-container .fa-magnifying-glass").bounding_box()
    field = page.locator(".bd-search-container input")
    start = field.evaluate("(e) => parseFloat(getComputedStyle(e).paddingLeft)")
    assert icon["x"] + icon["width"] <= field.bounding_box()["x"] + start
    result.click()
    mark = page.locator(".highlighted").first
    mark.wait_for(state="attached")
    assert mark.inner_text().lower() in ("spectral", "radius")
    colours = {"runOnly": ["color-contrast"]}
    assert browser.violations(browser.axe(), page, colours) == []


def test_excerpts_of_the_search_have_no_notes(visit):
    page = visit("search.html?q=gain")
    entry = page.locator("#search-results li", has_text="Exploding gradients").first
    entry.locator("p.context").wait_for()
    text = entry.inner_text()
    assert "gain" in text and "times the root of its fan-in" not in text
    # nor what the page says of itself
    assert "minutes" not in text


def test_a_search_without_a_hit_asks_for_nothing_that_is_not_there(visit):
    page = visit("search.html?q=zebra")
    page.get_by_text("No page has all of these words").wait_for()


def test_a_threshold_has_its_whole_text():
    """Before a colon of a comment's first line Napoleon sees a type."""
    values = soup(HTML / "book/reference/api.html").select("dl.py.data")
    assert len(values) > 20
    for value in values:
        assert value.dd.p and not value.select(".field-list"), value.dt.get_text()


def test_the_title_of_a_fold_stays_in_its_place(visit):
    page = visit("book/vanishing.html")
    fold = page.locator("details.hide").first
    title = fold.locator("summary p:visible")
    before = title.bounding_box()["x"]
    fold.locator("summary").click()
    assert title.bounding_box()["x"] == before


def test_lines_of_python_in_a_report_keep_their_indentation(visit):
    page = visit("book/clinic.html", viewport=PHONE)
    lines = page.locator(".output.text_html pre")
    assert lines.count() > 9
    kept = lines.evaluate_all("(all) => all.map((e) => getComputedStyle(e).whiteSpace)")
    assert set(kept) == {"pre"}
    wide = page.locator(".output.text_html pre.wider")
    assert wide.count() and wide.first.get_attribute("tabindex") == "0"


def test_no_option_parts_behind_its_dashes(visit):
    page = visit("book/teach.html", viewport=PHONE)
    rows = page.locator("code.option > .pre").evaluate_all(
        "(all) => all.map((e) => [e.textContent, e.getClientRects().length])"
    )
    assert len(rows) > 15 and all(count == 1 for _, count in rows), rows


def test_the_contents_show_where_the_reader_is(visit):
    page = visit("book/vanishing.html", viewport={"width": 1300, "height": 900})
    page.locator("h2").nth(2).scroll_into_view_if_needed()
    current = page.locator("#pst-page-toc-nav a.active")
    current.first.wait_for()
    assert current.first.get_attribute("href").startswith("#")
    assert page.locator(".bd-article a.active").count() == 0


def test_progress_and_neighbours():
    numbers = {}
    for path in CHAPTERS:
        label = soup(path).select_one(".course-progress label")
        if label:
            number, total = map(int, re.findall(r"\d+", label.get_text()))
            numbers[number] = total
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert set(numbers.values()) == {len(numbers)} and len(numbers) > 5
    page = soup(HTML / "book" / "exploding.html")
    assert page.select_one("a.left-prev")["href"] == "vanishing.html"
    assert page.select_one("a.right-next")["href"] == "initializers.html"


def test_the_first_screen_says_what_this_is_and_runs_the_lab(visit):
    page = visit("book/index.html", viewport={"width": 1280, "height": 900})
    for inside in ("h1", ".lab input", ".lab-bar", ".found-counts", ".start a"):
        place = page.locator(f".bd-article {inside}").first
        place.wait_for()
        box = place.bounding_box()
        assert box["y"] + box["height"] <= 900, inside
    page = visit("book/index.html", viewport=PHONE)
    control = page.locator(".lab input").first
    control.wait_for()
    box = control.bounding_box()
    assert box["y"] + box["height"] <= PHONE["height"]


def test_a_description_and_an_icon():
    seen = set()
    for path in CHAPTERS:
        page = soup(path)
        text = page.select_one("meta[name=description]")["content"]
        assert 40 <= len(text) <= 160 and "\\" not in text and "$" not in text
        seen.add(text)
        assert page.select_one("meta[property='og:title']")["content"]
        icon = page.select_one("link[rel=icon]")["href"]
        assert (path.parent / icon).resolve().is_file()
    assert len(seen) == len(CHAPTERS)


def test_by_keyboard_alone(visit):
    """From the address bar: skip the navigation, see where the focus is."""
    page = visit("book/vanishing.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    inside = "document.activeElement.closest('#main-content') !== null"
    assert page.evaluate(inside)
    outlines = []
    for _ in range(15):
        page.keyboard.press("Tab")
        outlines.append(
            page.evaluate(
                """() => {
                    const style = getComputedStyle(document.activeElement);
                    return style.outlineStyle !== 'none' || style.boxShadow !== 'none';
                }"""
            )
        )
    assert all(outlines)


# scripts change what is around all articles alike
@pytest.mark.parametrize(
    ("name", "javascript"),
    [
        ("index", True),
        ("vanishing", True),
        ("vanishing", False),
        ("reference/claims", False),
    ],
)
def test_every_stop_of_the_keyboard_is_inside_the_window(visit, name, javascript):
    size = {"width": 1100, "height": 800}
    page = visit(f"book/{name}.html", viewport=size, java_script_enabled=javascript)
    beside, stops = [], 0
    for _ in range(250):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
                const at = document.activeElement, box = at.getBoundingClientRect();
                return [at === document.body, box.left >= innerWidth || box.right <= 0,
                        at.textContent.trim()];
            }"""
        )
        if found[0]:
            break
        stops += 1
        beside += [found[2]] if found[1] else []
    assert stops > 20 and beside == []


def test_the_contents_close_when_a_section_is_chosen(visit):
    page = visit("book/vanishing.html", viewport=PHONE, has_touch=True)
    page.locator(".secondary-toggle").tap()
    drawer = page.locator("#pst-secondary-sidebar-modal")
    drawer.locator("a[href^='#']").nth(2).tap()
    drawer.wait_for(state="hidden")
    page.wait_for_function(
        """() => {
            const at = document.querySelector(location.hash).getBoundingClientRect();
            return location.hash && at.top >= 0 && at.top < innerHeight / 2;
        }"""
    )
    # it opens again: its contents are where the theme looks for them
    page.locator(".secondary-toggle").tap()
    assert drawer.locator("a[href^='#']").nth(2).is_visible()


@pytest.mark.parametrize("side", ["primary", "secondary"])
def test_a_drawer_has_a_button_that_closes_it(visit, side):
    page = visit("book/vanishing.html", viewport=PHONE, has_touch=True)
    button = page.locator(f"#pst-{side}-sidebar-modal .drawer-close")
    for _ in range(2):
        page.locator(f".{side}-toggle").tap()
        assert button.get_attribute("aria-label") == "Close"
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 24
        button.tap()
        button.wait_for(state="hidden")
    page.set_viewport_size({"width": 1400, "height": 800})
    assert not any(e.is_visible() for e in page.locator(".drawer-close").all())


def test_only_code_has_a_copy_button(visit):
    page = visit("book/vanishing.html")
    assert page.locator(".cell_input .copybtn").count() > 5
    assert page.locator(".output .copybtn").count() == 0


def test_the_chapters_are_listed_without_a_script(visit):
    page = visit("book/vanishing.html", viewport=PHONE, java_script_enabled=False)
    links = page.locator(".bd-sidebar-primary nav a").all()
    assert len(links) > 12
    for link in links:
        box = link.bounding_box()
        assert link.is_visible() and 0 <= box["x"], link.text_content()
        assert box["x"] + box["width"] <= PHONE["width"], link.text_content()
    text = page.locator(".bd-article").bounding_box()
    assert links[0].bounding_box()["y"] > text["y"] + text["height"]
    for dead in (".sidebar-toggle", ".btn-fullscreen-button", ".search-button"):
        assert not any(e.is_visible() for e in page.locator(dead).all()), dead
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_back_to_top_is_small_on_a_phone(visit):
    page = visit("book/vanishing.html", viewport=PHONE)
    box = page.locator("#pst-back-to-top").evaluate(
        "(e) => { e.style.display = 'block'; return e.getBoundingClientRect(); }"
    )
    assert 24 <= box["width"] <= 44 and box["right"] <= PHONE["width"]
    assert page.locator("#pst-back-to-top").text_content().strip() == "Back to top"


def test_tooltips_do_not_cover_a_finger_s_buttons(visit):
    page = visit("book/vanishing.html", viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator(".theme-switch-button").last.tap()
    page.wait_for_timeout(500)
    assert not any(e.is_visible() for e in page.locator(".tooltip").all())


def test_print_has_the_title_and_whole_cells(visit):
    page = visit("book/vanishing.html")
    page.emulate_media(media="print")
    assert page.locator("h1").first.is_visible()
    rule = "(cells) => cells.every((e) => getComputedStyle(e).breakInside === 'avoid')"
    assert page.locator("div.cell_input").evaluate_all(rule)
    # a derivation is longer than what is left of a page
    boxes = page.locator(".bd-article .admonition")
    assert boxes.count() > 5
    assert boxes.evaluate_all(rule.replace("'avoid'", "'auto'"))


def test_no_name_in_a_table_breaks_on_a_phone(visit):
    page = visit("book/conclusions.html", viewport=PHONE)
    names = page.locator("#for-readers-who-use-pytorch td .pre").all()
    assert len(names) > 16
    # a piece of code without a blank stands on one line
    assert not [n.text_content() for n in names if n.bounding_box()["height"] > 30]


def test_no_number_in_a_printed_table_breaks_on_a_phone(visit):
    page = visit("book/vanishing.html", viewport=PHONE)
    rows = page.locator(".cell_output table tbody tr").all()
    assert len(rows) > 5
    assert not [row.inner_text() for row in rows if row.bounding_box()["height"] > 40]


def test_on_a_phone_a_figure_fills_the_screen_and_no_report_is_cut(visit):
    page = visit("book/clinic.html", viewport=PHONE)
    drawings = page.locator("figure > svg.figure")
    width = "(all) => Math.min(...all.map((e) => e.getBoundingClientRect().width))"
    assert drawings.evaluate_all(width) > 0.95 * PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    reports = page.locator(".output.text_html:has(li)")
    assert reports.count() > 5
    cut = "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    assert reports.evaluate_all(cut) == 0


def test_print_opens_the_solutions(visit):
    page = visit("book/vanishing.html")
    code = page.locator("details.solution pre").first
    assert not code.is_visible()
    page.emulate_media(media="print")
    assert code.is_visible()
    assert not page.locator(".bd-sidebar-primary").is_visible()
    # nothing is left to open
    asked = page.locator("details.hide > summary")
    assert asked.count() > 3 and not any(e.is_visible() for e in asked.all())


@pytest.mark.parametrize("name", engines.ENGINES)
def test_signatures_fit_on_a_phone_in_every_engine(desk, name):
    with engines.ENGINES[name]() as engine:
        for width in (360, 320):
            engine.size(width, 800)
            engine.goto(desk[0] + "book/reference/api.html")
            root = "document.documentElement"
            wide = engine.evaluate(f"return [{root}.scrollWidth, {root}.clientWidth]")
            assert wide[0] <= wide[1], width


def test_the_book_s_address_tells_what_is_there():
    page = soup(HTML / "index.html")
    first = soup(HTML / "book" / "index.html")
    assert page.html["lang"] == "en" and page.title.get_text() == "Vanishing and " + (
        "exploding gradients"
    )
    for name in ("description", "viewport"):
        assert page.select_one(f"meta[name={name}]")["content"]
    for name in ("og:title", "og:description"):
        assert page.select_one(f"meta[property='{name}']")["content"]
    own = first.select_one("meta[name=description]")["content"]
    assert page.select_one("meta[name=description]")["content"] == own
    refresh = page.select_one("meta[http-equiv=Refresh]")["content"]
    assert refresh.endswith("url=book/index.html")
    assert page.body.a["href"] == "book/index.html"


def test_pages_work_where_nothing_may_be_stored(desk, visit):
    address = f"{desk[0]}book/vanishing.html"
    page = visit("book/vanishing.html", viewport=PHONE)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(
        f"<iframe sandbox=allow-scripts width=360 height=700 src='{address}'></iframe>"
    )
    frame = page.frame_locator("iframe")
    frame.locator(".primary-toggle").click()
    button = frame.locator("#pst-primary-sidebar-modal .drawer-close")
    button.click()
    button.wait_for(state="hidden")
    switch = frame.locator(".theme-switch-button").last
    switch.click()
    assert frame.locator("html").get_attribute("data-mode")
    assert errors == []


def test_a_store_that_is_not_there_stops_no_script(desk):
    """Some browsers give null in its place, and raise nothing."""
    page = desk[1].started.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in ("localStorage", "sessionStorage"):
        page.add_init_script(
            f"Object.defineProperty(window, '{name}', "
            "{ get: () => null, configurable: true })"
        )
    page.goto(f"{desk[0]}book/vanishing.html")
    assert page.locator("html").get_attribute("data-mode") == "auto"
    assert page.locator(".drawer-close").count() == 2 and errors == []
    page.close()


def test_a_page_begins_in_the_system_s_theme_of_today(visit):
    page = visit("book/vanishing.html", color_scheme="light")
    page.evaluate("localStorage.setItem('mode', 'auto')")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.add_init_script(
        """globalThis.themes = [];
        new MutationObserver(() => themes.push(document.documentElement.dataset.theme))
            .observe(document, { subtree: true, attributeFilter: ["data-theme"] });"""
    )
    page.reload()
    page.wait_for_function("document.querySelector('.drawer-close')")
    assert set(page.evaluate("themes")) == {"light"}


def test_the_focus_of_a_fold_is_seen_inside_of_its_box(visit):
    page = visit("book/vanishing.html")
    summary = page.locator("details.admonition > summary").first
    page.keyboard.press("Tab")
    summary.focus()
    style = (
        "(e) => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineOffset]"
    )
    kind, offset = summary.evaluate(style)
    assert kind == "solid" and float(offset.removesuffix("px")) <= -2
