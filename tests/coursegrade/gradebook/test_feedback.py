"""Pages for students and the summary of a class."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from coursegrade.assignment.master import read_master
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


def test_bars_are_shares_of_the_class(tmp_path):
    entries = {name: entry(name) for name in "abc"}
    entries["c"]["rows"] = [{**row, "points": 0} for row in entries["c"]["rows"]]
    summary = pages(tmp_path, entries)
    assert "<th scope='row'>7</th><td>2</td><td><meter max='3' value='2'>" in summary


def test_pages_and_the_platforms_zips(tmp_path):
    entries = {"12": entry("12", **MOODLE), "13": entry("13", **CANVAS)}
    entries |= {"b<b": entry("b<b"), "gone": absent(MASTER, "gone")}
    summary = pages(tmp_path, entries)
    assert "3 submissions, 7.0 of 12 points" in summary
    assert "1 handed in nothing" in summary
    assert "<th scope='row'>7</th><td>3</td><td><meter max='3' value='3'>" in summary
    assert f"{MOODLE['where']}/feedback.html" in names(tmp_path / "moodle_feedback.zip")
    canvas = names(tmp_path / "canvas_feedback.zip")
    assert canvas == ["lovelaceada_LATE_13_901_feedback.html"]
    (odd,) = (tmp_path / "feedback").glob("b_b-*.html")
    text = odd.read_text()
    assert "b&lt;b" in text and "b<b" not in text and "A person will read" in text
    assert not (tmp_path / "feedback/gone.html").exists()


def test_what_an_earlier_run_wrote_and_is_no_more_is_removed(tmp_path):
    pages(tmp_path, {"12": entry("12", **MOODLE), "13": entry("13", **CANVAS)})
    (tmp_path / "feedback/notes.txt").write_text("mine")
    pages(tmp_path, {"ada": entry("ada", **MOODLE), "13": absent(MASTER, "13")})
    left = {path.name for path in (tmp_path / "feedback").iterdir()}
    assert left == {"ada.html", "notes.txt"}
    assert not (tmp_path / "canvas_feedback.zip").exists()


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


@pytest.mark.parametrize("name", ["initializers", "vanishing_exploding", "cures"])
def test_what_is_to_be_read_again_is_in_the_book(name):
    """Each task of the course names a page of the book and a heading of it."""
    root = Path(__file__).parents[3]
    master = read_master(root / f"assignments/{name}.md")
    for task in master.tasks.values():
        page, _, section = task.read.partition("#")
        text = (root / f"book/{page}.md").read_text(encoding="utf-8")
        heads = re.findall(r"(?m)^#+ (.*)", text)
        ids = {re.sub(r"[^a-z0-9]+", "-", head.lower()).strip("-") for head in heads}
        assert section in ids, task.name


def test_a_page_tells_where_to_read_again():
    tasks = {n: replace(t, read="clipping#one-vector") for n, t in MASTER.tasks.items()}
    master, one = replace(MASTER, tasks=tasks), entry()
    total = tables.totals(master, {"ann": one})["ann"]
    text = feedback.student_page(
        master, "ann", one, total, "https://a.github.io/b/book"
    )
    link = "https://a.github.io/b/book/clipping.html#one-vector"
    # Not for what is right, nor for what nobody has read yet.
    assert text.count(f'<a href="{link}">Clipping, One vector</a>') == 1
    text = feedback.student_page(master, "ann", one, total)
    assert "Read again: chapter Clipping, One vector." in text and "<a " not in text
