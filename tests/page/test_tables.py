"""Tables of four columns on a phone: each row stacked, nothing beside the screen."""

import browser
from built import HTML

PHONE = {"width": 360, "height": 740}
#: The widest thing in a table, and its names of columns that are to be seen.
SEEN = """(tables) => tables.map((table) => {
  const cells = [...table.querySelectorAll("th, td")];
  const names = [...table.querySelectorAll(".column")];
  return {
    columns: table.querySelectorAll("thead th").length,
    right: Math.max(...cells.map((cell) => cell.getBoundingClientRect().right)),
    names: names.filter((name) => name.checkVisibility()).map((n) => n.textContent),
  };
})"""


def test_tables_of_four_columns_need_no_wider_screen():
    with browser.server(HTML) as address, browser.chromium() as chromium:
        page = chromium.new_page(viewport=PHONE)
        page.goto(f"{address}book/teach.html")
        tables = page.locator(".bd-article table")
        stacked = [t for t in tables.evaluate_all(SEEN) if t["columns"] > 3]
        assert len(stacked) == 2
        for table in stacked:
            assert table["right"] <= PHONE["width"]
            # each cell says of which column it is
            assert len(table["names"]) >= 4 and len(set(table["names"])) == 4
        page.set_viewport_size({"width": 1280, "height": 800})
        assert not any(table["names"] for table in tables.evaluate_all(SEEN))
        # so do the cells of those that ask for it
        page.set_viewport_size(PHONE)
        for name, columns in (("reference/claims", 4), ("conclusions", 2)):
            page.goto(f"{address}book/{name}.html")
            seen = page.locator("table.stacked").evaluate_all(SEEN)
            assert seen and all(len(set(t["names"])) == columns for t in seen)
            assert all(t["right"] <= PHONE["width"] for t in seen)
        # those of a trial, which a cell prints
        page.goto(f"{address}book/clinic.html")
        printed = page.locator(".cell_output table").evaluate_all(SEEN)
        trials = [table for table in printed if table["columns"] == 4]
        assert trials and all(t["right"] <= PHONE["width"] for t in trials)
        page.close()
