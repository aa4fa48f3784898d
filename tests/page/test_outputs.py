"""What cells print on a phone, and the cells that check an answer."""

import pytest

import browser
from built import HTML, soup
from page.outputs import CHECK, FITTING, marked

PHONE = {"width": 360, "height": 740}
CHAPTERS = sorted((HTML / "book").glob("*.html"))
#: Printed text that needs a wider screen.
CUT = """(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => e.textContent.slice(0, 60))"""


def test_long_lines_alone_are_marked():
    short, long = "a &lt; b\n", "b" * FITTING + " c\n"
    assert marked(short + long) == f'{short}<span class="long">{long}</span>'
    # characters are counted, not what HTML writes for them
    assert marked("&lt;" * FITTING) == "&lt;" * FITTING
    coloured = f'<span class="red">{long}</span>'
    assert marked(coloured) == coloured


@pytest.mark.parametrize("name", ["initializers", "conclusions"])
def test_nothing_printed_is_cut_on_a_phone(name):
    with browser.server(HTML) as address, browser.chromium() as chromium:
        page = chromium.new_page(viewport=PHONE)
        page.goto(f"{address}book/{name}.html")
        page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = 1)")
        printed = page.locator(".output.stream pre")
        assert printed.count() > 15
        assert printed.evaluate_all(CUT) == []
        # and at a desk a line is a line
        page.set_viewport_size({"width": 1280, "height": 800})
        line = page.locator(".output .long").first
        assert line.evaluate("(e) => getComputedStyle(e).display") == "inline"
        page.close()


def test_a_check_with_its_hints_is_folded_until_it_is_asked_for():
    checks = 0
    for path in CHAPTERS:
        for cell in soup(path).select("div.cell"):
            if not CHECK.search(cell.get_text()):
                continue
            folds = cell.select("details")
            assert len(folds) == 1 and not folds[0].has_attr("open"), path.name
            assert [tag.name for tag in cell.find_all(recursive=False)] == ["details"]
            assert (
                folds[0].summary.p.get_text() == "Show the cell that checks your answer"
            )
            checks += 1
    assert checks > 20
