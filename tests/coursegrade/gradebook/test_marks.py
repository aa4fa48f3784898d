"""A person's marks: read, merged, kept."""

import pytest

from coursegrade.gradebook import marks
from submissions import MASTER, entry


def test_marks_are_merged_and_kept(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("id,task,points,comment\n'=ann,why,1.5,good start\nbob,why,,\n")
    entries = {"=ann": entry("=ann"), "bob": entry("bob")}
    new = marks.read_marks(path, MASTER, entries)
    assert new == {"=ann": {"why": {"points": 1.5, "comment": "good start"}}}
    marks.remember(tmp_path, new)
    kept = marks.remember(tmp_path, {"bob": {"why": {"points": 2.0, "comment": ""}}})
    made = marks.apply(entries, kept)
    last = [made[name]["rows"][-1] for name in ("=ann", "bob")]
    assert [(row["points"], row["status"]) for row in last] == [
        (1.5, "wrong"),
        (2, "ok"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("zoe,why,1,", "no submission of 'zoe'"),
        ("ann,whi,1,", "no task 'whi'"),
        ("ann,why,3,", "from 0 to 2"),
        ("ann,why,-1,", "from 0 to 2"),
        ("ann,why,nan,", "from 0 to 2"),
        ("ann,why,one,", "from 0 to 2"),
    ],
)
def test_bad_marks_name_the_line(tmp_path, line, said):
    path = tmp_path / "marks.csv"
    path.write_text(f"id,task,points,comment\n{line}\n")
    with pytest.raises(marks.MarksError, match=f"line 2.*{said}"):
        marks.read_marks(path, MASTER, {"ann": entry()})


def test_marks_without_a_column(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("id,points\n")
    with pytest.raises(marks.MarksError, match="no column task"):
        marks.read_marks(path, MASTER, {})
