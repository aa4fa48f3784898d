"""The page on which a person reads what waits."""

from browser import axe, chromium
from coursegrade.assignment.master import solution
from coursegrade.gradebook.marks import answer_digest, read_marks
from coursegrade.gradebook.review import write_review_page
from submissions import MASTER, entry


def waiting(student, text):
    return entry(
        student, answers={"why": answer_digest(text)}, texts={"why": text}, late=None
    )


def test_the_page_shows_each_answer_that_waits(tmp_path):
    text = "Half of the units <script>alert(1)</script> $x"
    ann, bob = waiting('a"n', text), entry("bob", ("ok",) * 4)
    page = write_review_page(tmp_path, MASTER, {'a"n': ann, "bob": bob}).read_text()
    assert "units &lt;script&gt;alert(1)" in page and "alert(1)</script>" not in page
    assert f'data-answer="{answer_digest(text)}"' in page
    assert 'data-id="a&quot;n"' in page and "bob" not in page
    page = write_review_page(tmp_path, MASTER, {"bob": bob}).read_text()
    assert "Nothing waits." in page and "<button" not in page


def test_what_is_typed_is_saved_for_the_command(tmp_path):
    students = ("ann", "=bob", 'c"d', "dan")
    entries = {name: waiting(name, f"Of {name}.") for name in students}
    path = write_review_page(tmp_path, MASTER, entries)
    model = solution(MASTER.tasks["why"].answers[0])
    with chromium() as browser:
        page = browser.new_page()
        page.goto(path.as_uri())
        for number, text in enumerate(("2", "1,5", "0")):
            page.locator("[name=points]").nth(number).fill(text)
        page.get_by_label("Hide the names").check()
        assert not page.get_by_role("heading", name="dan").is_visible()
        page.get_by_text("Model answer").click()
        assert page.get_by_text(model).is_visible()
        page.locator("textarea").nth(1).fill('Two\nlines, "quoted".')
        # The browser keeps it in case the page is closed.
        assert "Two\\\\nlines" in page.evaluate("JSON.stringify(localStorage)")
        with page.expect_download() as download:
            page.get_by_role("button").click()
        saved = tmp_path / "marks.csv"
        download.value.save_as(saved)
        assert not axe().run(page).response["violations"]
    known = {name: name for name in students}
    read = {name: one["why"] for name, one in read_marks(saved, MASTER, known).items()}
    # The page lists by id, which is a spreadsheet's order, too.
    points = {name: one["points"] for name, one in read.items()}
    assert points == {"=bob": 2, "ann": 1.5, 'c"d': 0}
    assert read["ann"]["comment"] == 'Two\nlines, "quoted".'
    assert read["ann"]["answer"] == answer_digest("Of ann.")
