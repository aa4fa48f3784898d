"""Pages for students and the summary of a class."""

import zipfile

from coursegrade.gradebook import feedback, marks, tables
from coursegrade.gradebook.whole_class import absent
from submissions import MASTER, entry

MOODLE = {"platform": "Moodle", "where": "Ada L_12_assignsubmission_file_"}
CANVAS = {"platform": "Canvas", "where": "lovelaceada_LATE_13_901_"}


def pages(out, entries):
    sums = tables.totals(MASTER, entries)
    return feedback.write_pages(out, MASTER, entries, sums).read_text()


def names(path):
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_pages_and_the_platforms_zips(tmp_path):
    entries = {"12": entry("12", **MOODLE), "13": entry("13", **CANVAS)}
    entries |= {"b<b": entry("b<b"), "gone": absent(MASTER, "gone")}
    summary = pages(tmp_path, entries)
    assert "3 submissions, 7.0 of 12 points" in summary
    assert "1 handed in nothing" in summary
    assert "7 points: 3" in summary and "<svg" in summary
    assert f"{MOODLE['where']}/feedback.html" in names(tmp_path / "moodle_feedback.zip")
    canvas = names(tmp_path / "canvas_feedback.zip")
    assert canvas == ["lovelaceada_LATE_13_901_feedback.html"]
    (odd,) = (tmp_path / "feedback").glob("b_b-*.html")
    text = odd.read_text()
    assert "b&lt;b" in text and "b<b" not in text and "A person will read" in text
    assert not (tmp_path / "feedback/gone.html").exists()


def test_a_persons_mark_is_no_failure(tmp_path):
    mark = {"points": 1.0, "comment": "ok, <but> short", "answer": ""}
    entries = marks.apply({"ann": entry()}, {"ann": {"why": mark}})
    pages(tmp_path, entries)
    text = (tmp_path / "feedback/ann.html").read_text()
    assert "Partly right. A person read it: ok, &lt;but&gt; short" in text
    entries = marks.apply({"ann": entry()}, {"ann": {"why": mark | {"points": 0.0}}})
    pages(tmp_path, entries)
    assert (
        "Not right yet. A person read it"
        in (tmp_path / "feedback/ann.html").read_text()
    )


def test_a_task_is_shown_by_its_heading(tmp_path):
    pages(tmp_path, {"ann": entry()})
    text = (tmp_path / "feedback/ann.html").read_text()
    assert "He&#x27;s standard deviation" in text and "<code>stddev</code>" in text
