"""Pages for students and the summary of a class."""

import zipfile

from coursegrade.gradebook import feedback, tables
from submissions import MASTER, entry


def test_pages_and_feedback_zip(tmp_path):
    moodle = "Ada L_12_assignsubmission_file_"
    entries = {"12": entry("12", where=moodle), "b<b": entry("b<b")}
    sums = tables.totals(MASTER, entries)
    summary = feedback.write_pages(tmp_path, MASTER, entries, sums).read_text()
    assert "2 submissions, 7.0 of 12 points" in summary
    assert "7 points: 2" in summary and "<svg" in summary
    with zipfile.ZipFile(tmp_path / "moodle_feedback.zip") as archive:
        assert f"{moodle}/feedback.html" in archive.namelist()
    (odd,) = (tmp_path / "feedback").glob("b_b-*.html")
    text = odd.read_text()
    assert "b&lt;b" in text and "b<b" not in text and "A person will read" in text
