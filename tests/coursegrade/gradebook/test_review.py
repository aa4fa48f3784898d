"""The page on which a person reads what waits."""

from coursegrade.gradebook.marks import answer_digest
from coursegrade.gradebook.review import write_review_page
from submissions import MASTER, entry


def test_the_page_shows_each_answer_that_waits(tmp_path):
    text = "Half of the units <script>alert(1)</script> $x"
    answers = {"why": answer_digest(text)}
    ann = entry('a"n', answers=answers, texts={"why": text})
    bob = entry("bob", ("ok",) * 4)
    page = write_review_page(tmp_path, MASTER, {'a"n': ann, "bob": bob}).read_text()
    assert "units &lt;script&gt;alert(1)" in page and "alert(1)</script>" not in page
    assert f'data-answer="{answers["why"]}"' in page and 'data-id="a&quot;n"' in page
    assert "bob" not in page
    page = write_review_page(tmp_path, MASTER, {"bob": bob}).read_text()
    assert "Nothing waits." in page and "<button" not in page
