"""A person's marks: read, kept, each for the answer that was read."""

import pytest

from coursegrade.gradebook import marks
from coursegrade.gradebook.sheets import SheetError, read_sheet
from submissions import MASTER, entry

A, B = marks.answer_digest("a text"), marks.answer_digest("another text")
KNOWN = {name: name for name in ("=ann", "'=ann", "bob")}
ANSWERS = {name: {"why": A} for name in ("=ann", "'=ann", "bob")}


def why(entries, kept, student="bob"):
    rows = {row["task"]: row for row in marks.apply(entries, kept)[student]["rows"]}
    row = rows["why"]
    return row["points"], row["status"]


def test_marks_are_read_merged_and_kept(tmp_path):
    path = tmp_path / "marks.csv"
    # As Excel saves it in Europe; the ids as a table of ours guards them.
    path.write_bytes(
        "id;task;points;comment\n'=ann;why;1,5;größer\n''=ann;why;2;\n"
        "bob;why;;half a comment\n".encode("cp1252")
    )
    new = marks.read_marks(path, MASTER, KNOWN)
    kept = marks.merged({}, new, ANSWERS)
    marks.write_marks(tmp_path, kept)
    assert kept == marks.kept_marks(tmp_path, KNOWN)
    assert kept["=ann"]["why"] == {"points": 1.5, "comment": "größer", "answer": A}
    entries = {s: entry(s, answers={"why": A}) for s in ANSWERS}
    assert why(entries, kept, "=ann") == (1.5, "wrong")
    assert why(entries, kept, "'=ann") == (2, "ok")
    # A comment without points says nothing yet, and is not lost.
    assert why(entries, kept) == (None, "needs_review")
    marked = marks.apply(entries, kept)
    ((_, line),) = read_sheet(marks.write_review(tmp_path, marked, kept)).lines
    assert (line["id"], line["comment"], line["answer"]) == ("bob", "half a comment", A)
    # Points from another table join it.
    points = {"bob": {"why": {"points": 2.0, "comment": "", "answer": A}}}
    assert marks.merged(kept, points, {})["bob"]["why"]["comment"] == "half a comment"
    # Typed in place: the points join the comment.
    path = tmp_path / marks.REVIEW
    path.write_text(path.read_text().replace("bob,why,,", "bob,why,1,"))
    kept = marks.merged(kept, marks.read_marks(path, MASTER, KNOWN), ANSWERS)
    assert kept["bob"]["why"]["points"] == 1 and why(entries, kept) == (1, "wrong")


def test_a_mark_belongs_to_an_answer(tmp_path):
    kept = {"bob": {"why": {"points": 2.0, "comment": "good", "answer": A}}}
    assert why({"bob": entry("bob", answers={"why": A})}, kept) == (2, "ok")
    new = {"bob": entry("bob", answers={"why": B})}
    assert why(new, kept) == (None, "needs_review")
    ((_, line),) = read_sheet(marks.write_review(tmp_path, new, kept)).lines
    assert (line["points"], line["earlier"]) == ("", "2 points: good")
    # Read before the new text came in, saved after it: still a mark of the old one.
    late = {"bob": {"why": {"points": 1.0, "comment": "", "answer": A}}}
    kept = marks.merged(kept, late, {"bob": {"why": B}})
    assert why(new, kept) == (None, "needs_review")
    # White space is no new answer; a mark without a fingerprint is for today's.
    assert marks.answer_digest(" a\n text ") == A
    plain = {"bob": {"why": {"points": 1.0, "comment": "", "answer": ""}}}
    assert why(new, marks.merged(kept, plain, {"bob": {"why": B}})) == (1, "wrong")
    # The master gives less for the task than it did when the answer was read.
    more = {"bob": {"why": {"points": 3.0, "comment": "good", "answer": B}}}
    assert why(new, more) == (None, "needs_review")
    ((_, line),) = read_sheet(marks.write_review(tmp_path, new, more)).lines
    assert (line["points"], line["earlier"]) == ("", "3 points: good")


def test_excel_reads_the_ids_of_the_table_that_comes_back(tmp_path):
    path = marks.write_review(tmp_path, {"jörg": entry("jörg")}, {})
    # Without the mark it takes UTF-8 for the code of Windows, and saves that.
    assert path.read_bytes().startswith("\ufeffid,task,".encode())
    text = path.read_text("utf-8-sig").replace("jörg,why,,", "jörg,why,2,")
    path.write_text(text, encoding="cp1252")
    assert marks.read_marks(path, MASTER, {"jörg": "jörg"}).keys() == {"jörg"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("zoe,why,1,", "no submission of 'zoe'"),
        ("ann,whi,1,", "no task 'whi'"),
        ("ann,why,3,", "from 0 to 2"),
        ("ann,why,-1,", "from 0 to 2"),
        ("ann,why,nan,", "from 0 to 2"),
        ("ann,why,one,", "from 0 to 2"),
        ("ann,why,1,\nann,why,2,", "another mark of 'ann'"),
        ("ann,why,1,\n12,why,2,", "another mark of 'ann'"),
    ],
)
def test_bad_marks_name_the_line(tmp_path, line, said):
    path = tmp_path / "marks.csv"
    path.write_text(f"id,task,points,comment\n{line}\n")
    with pytest.raises(SheetError, match=f"line [23].*{said}"):
        marks.read_marks(path, MASTER, {"ann": "ann", "12": "ann"})


def test_marks_that_a_disk_cut_off_are_named(tmp_path):
    (tmp_path / "marks.json").write_text('{"ann": ')
    with pytest.raises(SheetError, match="marks.json"):
        marks.kept_marks(tmp_path, KNOWN)


def test_what_a_spreadsheet_makes_of_an_id_and_a_fingerprint(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("id,task,points\n71,why,1\n1234567,why,2\n")
    known = {"0071": "0071", "0072": "0072", "1234567": "ada", "ada": "ada"}
    assert marks.read_marks(path, MASTER, known).keys() == {"0071", "ada"}
    # 12e45678 would come back as a number.
    assert all(marks.answer_digest(str(n))[0].isalpha() for n in range(50))
    # A roster gives another id: the marks go with it.
    marks.write_marks(tmp_path, {"1234567": {}})
    assert marks.kept_marks(tmp_path, known) == {"ada": {}}


def test_a_mark_without_an_answer_is_for_none(tmp_path):
    """What was asked or unreadable may be answered later."""
    none = {"bob": entry("bob")}
    mark = {"bob": {"why": {"points": 0.0, "comment": "two files", "answer": ""}}}
    kept = marks.merged({}, mark, {"bob": {}})
    assert why(none, kept) == (0, "wrong")
    assert why({"bob": entry("bob", answers={"why": A})}, kept)[0] is None
