"""Walks of several commands: nobody lost, nothing undone, all of it said."""

import json
import zipfile
from datetime import datetime, timedelta

import pytest

from coursegrade import cli
from coursegrade.gradebook import whole_class
from coursegrade.sandbox import bubblewrap
from submissions import MASTER, TINY, rows_of, solved, write_files

MOODLE = ("Ada L_1234567_assignsubmission_file/w.ipynb",)
MOODLE += ("Kurt G_1234571_assignsubmission_file/w.ipynb",)
CANVAS = ("lovelaceada_11_901_w.ipynb", "hoppergrace_LATE_12_902_w.ipynb")
STATUS = {"stddev": "wrong"}


@pytest.fixture(autouse=True)
def graded(monkeypatch):
    """Grade without a room: what a row says is the examiner's part."""

    def grade(job):
        calls.append((job["id"], tuple(job["tasks"])))
        rows = []
        for task in MASTER.tasks.values():
            if not job["tasks"] or task.name in job["tasks"]:
                status = "needs_review" if task.manual else STATUS.get(task.name, "ok")
                status = "unreadable" if job["problem"] else status
                points = {"ok": task.points, "needs_review": None}.get(status, 0)
                row = {"task": task.name, "points": points, "of": task.points}
                rows.append(row | {"status": status, "message": "", "seconds": 0.0})
        return rows

    calls = []
    monkeypatch.setattr(whole_class, "grade_submission", grade)
    monkeypatch.setattr(whole_class, "why_not", lambda: "")
    return calls


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that grades: its status, what it said, the totals by id."""

    def grade(where, *arguments):
        command = ["grade", str(TINY), str(tmp_path / where), "--jobs", "1"]
        command += ["--out", str(tmp_path / "g"), *map(str, arguments)]
        status = cli.main(command)
        said = "".join(capsys.readouterr())
        path = tmp_path / "g/tiny/totals.csv"
        rows = rows_of(path) if path.exists() else []
        return status, said, {row["id"]: row for row in rows}

    return grade


def hand_in(folder, *names, **change):
    folder.mkdir(exist_ok=True)
    for name in names:
        data = solved(TINY, name, change=change)
        (folder / f"{name}.ipynb").write_bytes(data)


def platform_zip(path, names):
    """Write a zip as platforms do: each entry has the time of the download."""
    now = tuple(datetime.now().timetuple()[:6])
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name, now), solved(TINY, ""))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def yesterday():
    return (datetime.now() - timedelta(days=2)).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("names", "days", "totals"),
    [(MOODLE, ["", ""], ["7", "7"]), (CANVAS, ["0", "late"], ["7", ""])],
)
def test_a_download_is_no_handing_in(tmp_path, run, names, days, totals):
    platform_zip(tmp_path / "all.zip", names)
    status, said, rows = run("all.zip", "--due", yesterday(), "--penalty", "10%")
    assert [row["late_days"] for row in rows.values()] == days
    assert [row["total"] for row in rows.values()] == totals
    assert status == 3 and "--times" in said


def test_times_from_the_worksheet_and_from_a_table(tmp_path, run):
    platform_zip(tmp_path / "all.zip", MOODLE)
    sheet = write(
        tmp_path / "sheet.csv",
        "Identifier,Grade,Last modified (submission)\n"
        'Participant 1234567,,"Tuesday, 2 December 2025, 11:59 PM"\n'
        'Participant 1234571,,"Monday, 1 December 2025, 11:59 PM"\n',
    )
    due = ("--due", "2025-12-02T00:00", "--penalty", "0.1", "--timezone", "UTC")
    status, _, rows = run("all.zip", *due, "--worksheet", sheet)
    assert [row["late_days"] for row in rows.values()] == ["1", "0"]
    assert rows["1234567"]["total"] == "6.3" and status == 0
    # What a person says counts more; a zone in a time counts.
    times = write(tmp_path / "t.csv", "id,time\n1234567,2025-12-04T01:00+02:00\n")
    more = write(tmp_path / "x.csv", "id,due\n1234571,2025-11-30\nnobody,2025-11-30\n")
    status, said, rows = run("all.zip", "--times", times, "--extensions", more)
    assert [row["late_days"] for row in rows.values()] == ["2", "2"]
    assert status == 3 and "x.csv: nobody is not here" in said


def test_a_run_keeps_what_it_does_not_change(tmp_path, run, graded):
    hand_in(tmp_path / "in", "ada")
    times = write(tmp_path / "times.csv", "id,time\nada,2025-12-03T12:00Z\n")
    due = ("--due", "2025-12-01T00:00Z", "--penalty", "0.1", "--times", times)
    _, _, rows = run("in", *due)
    assert (rows["ada"]["late_days"], rows["ada"]["total"]) == ("3", "4.9")
    marks = write(tmp_path / "marks.csv", "id,task,points,comment\nada,why,2,good\n")
    status, _, rows = run("in", "--marks", marks)
    assert (rows["ada"]["late_days"], rows["ada"]["total"]) == ("3", "6.3")
    assert status == 0 and len(graded) == 1
    # The same of a regrade, and of each later run.
    _, _, rows = run("in", "--regrade", "ada")
    assert rows["ada"]["total"] == "6.3" and len(graded) == 2
    _, _, rows = run("in", "--penalty", "none")
    assert rows["ada"]["total"] == "9"


def test_a_dry_run_says_what_would_change_and_writes_nothing(tmp_path, run, graded):
    hand_in(tmp_path / "in", "ada")
    times = write(tmp_path / "times.csv", "id,time\nada,2025-12-03T12:00Z\n")
    run("in", "--times", times)
    hand_in(tmp_path / "in", "bob")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    due = ("--due", "2025-12-01T00:00Z", "--penalty", "10%")
    _, said, _ = run("in", *due, "--dry-run")
    assert "penalty: none -> 10%" in said and "ada: total 7 -> 4.9" in said
    assert "1 of 2 submissions would be graded\n  bob: all tasks" in said
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert len(graded) == 1
    # there is no intake.csv to look into: all is said
    for n in range(15):
        (tmp_path / f"in/{n}.ipynb").write_text("no notebook")
    _, said, _ = run("in", "--dry-run")
    assert said.count("not a notebook") == 15 and "intake.csv" not in said
    _, said, _ = run("in")
    assert said.count("not a notebook") < 15 and "intake.csv names all" in said


def test_what_is_typed_into_review_csv_is_kept(tmp_path, run):
    hand_in(tmp_path / "in", "ada", "bob")
    run("in")
    review = tmp_path / "g/tiny/review.csv"
    text = review.read_text().replace("ada,why,,,", "ada,why,2,Well argued.,")
    review.write_text(text.replace("bob,why,,,", "bob,why,,Only half,"))
    hand_in(tmp_path / "in", "cyd")
    _, _, rows = run("in")
    assert (rows["ada"]["points"], rows["ada"]["open"]) == ("9", "")
    assert "Well argued." in (tmp_path / "g/tiny/feedback/ada.html").read_text()
    assert (
        "bob,why,,Only half," in review.read_text() and "cyd,why" in review.read_text()
    )
    # Another text is read again, and so is one that was taken back.
    for text in ("Another text.", "YOUR ANSWER HERE"):
        hand_in(tmp_path / "in", "ada", why=text)
        _, _, rows = run("in")
        assert rows["ada"]["open"] == "why"
        assert "2 points: Well argued." in review.read_text()


def test_a_roster_is_in_every_table_and_fills_the_worksheet(tmp_path, run):
    platform_zip(tmp_path / "all.zip", MOODLE)
    roster = "submission,id\n1234567,ada\n1234571,kurt\n1234580,zoe\n"
    roster = write(tmp_path / "roster.csv", roster)
    marks = "id,task,points\nada,why,2\nkurt,why,1\n"
    marks = write(tmp_path / "marks.csv", marks)
    text = "Identifier,Full name,Grade\nParticipant 1234567,Ada L,\n"
    text += "Participant 1234571,Kurt G,\nParticipant 1234580,Zoe,\n"
    sheet = write(tmp_path / "sheet.csv", text)
    arguments = ("--roster", roster, "--worksheet", sheet, "--marks", marks)
    status, said, rows = run("all.zip", *arguments)
    filled = rows_of(tmp_path / "g/tiny/moodle_worksheet.csv")
    assert [row["Grade"] for row in filled] == ["9", "8", ""]
    assert "2 of 3 grades" in said and status == 0
    grades = rows_of(tmp_path / "g/tiny/grades.csv")
    assert {r["message"] for r in grades if r["id"] == "zoe"} == {"nothing handed in"}
    assert rows["zoe"]["total"] == "0"
    lines = rows_of(tmp_path / "g/tiny/intake.csv")
    assert [r["what"] for r in lines if r["id"] == "zoe"] == ["nothing handed in"]


def test_who_was_graded_earlier_stays(tmp_path, run):
    hand_in(tmp_path / "in", "ada", "bob")
    run("in")
    hand_in(tmp_path / "late", "cyd")
    _, _, rows = run("late")
    assert rows.keys() == {"ada", "bob", "cyd"}
    assert rows["ada"]["note"] == "graded earlier, not handed in now"
    # The same hand-in under another id is no second student, and keeps its marks.
    marks = write(tmp_path / "marks.csv", "id,task,points,comment\nada,why,1,short\n")
    run("in", "--marks", marks)
    roster = write(tmp_path / "r.csv", "submission,id\nada,a1\nbob,bob\ncyd,cyd\n")
    _, _, rows = run("in", "--roster", roster)
    assert rows.keys() == {"a1", "bob", "cyd"} and rows["a1"]["points"] == "8"


@pytest.mark.parametrize("first", [True, False], ids=["rerun", "first run"])
def test_another_class_secret_is_refused(tmp_path, run, graded, first):
    work = {one: solved(TINY, one, "s") for one in ("ada", "bob")}
    # One student alone has another key, and one's is gone.
    work["cyd"] = solved(TINY, "cyd", "public")
    work["dan"] = work["ada"].replace(b"class_key = ", b"key = ")
    for name, data in work.items():
        write_files(tmp_path / "in", {f"{name}.ipynb": data})
    if first:
        assert run("in", "--secret", "s")[0] == 3 and len(graded) == 4
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    for more in ((), ("--dry-run",)):
        status, said, _ = run("in", *more)
        assert status == 1 and "2 of 3 notebooks were released with another" in said
        assert "COURSEKIT_SECRET" in said and "nothing was graded" in said
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert len(graded) == 4 * first


def test_a_roster_that_comes_later_makes_no_second_people(tmp_path, run):
    platform_zip(tmp_path / "moodle.zip", MOODLE)
    platform_zip(tmp_path / "canvas.zip", CANVAS)
    run("moodle.zip")
    roster = "submission,id\n1234567,ada\n1234571,kurt\n11,lea\n12,grace\nzoe,zoe\n"
    roster = write(tmp_path / "roster.csv", roster)
    run("moodle.zip", "--roster", roster)
    # An upload has another number when work is handed in anew.
    run("canvas.zip", "--roster", "none")
    anew = [name.replace("_90", "_98") for name in CANVAS]
    platform_zip(tmp_path / "anew.zip", anew)
    status, said, rows = run("anew.zip", "--roster", roster)
    assert rows.keys() == {"ada", "kurt", "lea", "grace", "zoe"}
    assert "2 graded, 2 graded earlier, 1 nothing handed in" in said
    lines = {row["id"]: row["what"] for row in rows_of(tmp_path / "g/tiny/intake.csv")}
    assert lines["kurt"] == "graded earlier" and lines["zoe"] == "nothing handed in"
    with zipfile.ZipFile(tmp_path / "g/tiny/moodle_feedback.zip") as made:
        page = made.read(MOODLE[0].replace("/w.ipynb", "/feedback.html"))
    assert b"<p>ada:" in page


def test_a_group_stays_whole_when_it_hands_in_nothing_now(tmp_path, run):
    members = "".join(f'  - {{":sid": {one}}}\n' for one in ("eva", "fay"))
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as made:
        made.writestr("submission_51/w.ipynb", solved(TINY, ""))
        text = f"submission_51:\n  :submitters:\n{members}"
        made.writestr("submission_metadata.yml", text)
    run("export.zip")
    hand_in(tmp_path / "in", "ada")
    assert run("in")[2].keys() == {"eva", "fay", "ada"}


@pytest.mark.parametrize("out", ["grades", ".", "ada"])
def test_grades_among_the_hand_ins_are_nobodys(tmp_path, monkeypatch, out):
    hand_in(tmp_path / "ada", "work")
    hand_in(tmp_path / "bob", "work")
    (tmp_path / "grades").mkdir()
    (tmp_path / "grades/.DS_Store").write_text("")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        command = ["grade", str(TINY), ".", "--out", out, "--jobs", "1"]
        cli.main(command)
        rows = rows_of(tmp_path / out / "tiny/totals.csv")
        # An empty folder that is not the command's is somebody's.
        more = set() if out == "grades" else {"grades"}
        assert {row["id"] for row in rows} == {"ada", "bob"} | more
    # Another assignment's, too.
    (tmp_path / out / "tiny").rename(tmp_path / out / "other")
    cli.main(command)
    rows = rows_of(tmp_path / out / "tiny/totals.csv")
    assert {row["id"] for row in rows} == {"ada", "bob"} | more


def test_another_class_secret_is_told_where_no_notebook_tells(tmp_path, run):
    bare = solved(TINY, "ada").replace(b"class_key = ", b"key = ")
    write_files(tmp_path / "in", {"ada.ipynb": bare})
    assert run("in", "--secret", "s")[0] == 0
    status, said, _ = run("in")
    assert status == 3 and "graded earlier with another class secret, 1 in all" in said
    assert run("in")[0] == 0


def test_two_answers_are_a_question_that_can_be_answered(tmp_path, run, graded):
    hand_in(tmp_path / "in", "ada")
    hand_in(tmp_path / "in/bob", "one")
    hand_in(tmp_path / "in/bob", "two", why="Another text.")
    status, said, rows = run("in")
    assert status == 3 and "[chosen]" in said and "'bob/one.ipynb'" in said
    # A rerun answers nothing.
    assert "not graded" not in said
    assert rows["bob"]["open"] == "mean stddev network why"
    kept = tmp_path / "g/tiny/class.toml"
    kept.write_text(kept.read_text() + '[chosen]\nbob = "bob/two.ipynb"\n')
    status, _, rows = run("in")
    assert rows["bob"]["points"] == "7" and len(graded) == 2
    assert "bob/two.ipynb" in kept.read_text()


def test_many_ids_that_differ_are_one_sentence(tmp_path, run):
    for number in range(8):
        hand_in(tmp_path / "in", f"s{number}")
        (tmp_path / f"in/s{number}.ipynb").rename(tmp_path / f"in/x{number}.ipynb")
    status, said, _ = run("in")
    assert status == 3 and said.count("Look:") == 1 and "--roster says who" in said


def test_many_files_to_look_at_hide_nothing_of_the_class(tmp_path, run):
    (tmp_path / "in").mkdir()
    for number in range(13):
        (tmp_path / f"in/s{number:02}.ipynb").write_text("no notebook")
    status, said, _ = run("in", "--penalty", "10%")
    looks = [line for line in said.splitlines() if line.startswith("Look:")]
    assert status == 3 and len(looks) == 12
    assert "no --due: nothing is late" in looks[0] and "s00 (s00.ipynb)" in looks[1]
    assert looks[-1] == "Look: and 3 more: intake.csv names all"
    due = ("--due", yesterday(), "--penalty", "10%")
    assert "when 13 handed in is not known" in run("in", *due)[1]


def test_numbers_of_two_platforms_are_one_sentence(tmp_path, run):
    names = [name.replace("1234567", "11").replace("1234571", "12") for name in MOODLE]
    platform_zip(tmp_path / "moodle.zip", names)
    run("moodle.zip")
    platform_zip(tmp_path / "canvas.zip", CANVAS)
    said = run("canvas.zip")[1]
    assert said.count("Look:") == 1 and "; and so with 12; if they" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--penalty", "10"], "10%, or 0.1"),
        (["--penalty=-0.1"], "its unit"),
        (["--due", "tomorrow"], "2026-12-01T23:59"),
        (["--roster", "none.csv"], "none.csv: there is no such file"),
        (["--worksheet", str(TINY)], "not Moodle's grading worksheet"),
        (["--marks", "none.csv"], "none.csv: there is no such file"),
        (["--times", "none.csv"], "none.csv: there is no such file"),
    ],
)
def test_what_cannot_be_used_is_said_before_the_grading(
    tmp_path, run, graded, arguments, said
):
    hand_in(tmp_path / "in", "ada")
    status, text, _ = run("in", *arguments)
    assert status == 1 and said in text
    assert not graded and not (tmp_path / "g").exists()


def test_a_penalty_without_a_due_time_is_told(tmp_path, run):
    hand_in(tmp_path / "in", "ada")
    status, said, _ = run("in", "--penalty", "10%")
    assert status == 3 and "no --due: nothing is late" in said


def test_a_day_is_due_when_it_begins_and_that_is_told(tmp_path, run):
    hand_in(tmp_path / "in", "ada")
    status, said, _ = run("in", "--due", "2025-12-01")
    assert status == 3 and "write 2025-12-01T23:59 for its last" in said
    status, said, _ = run("in", "--due", "2025-12-01T23:59")
    assert status == 0


def test_one_number_of_two_platforms_is_looked_at(tmp_path, run):
    platform_zip(tmp_path / "moodle.zip", [f"Ada L_11{MOODLE[0][13:]}"])
    assert run("moodle.zip")[0] == 0 and run("moodle.zip")[0] == 0
    platform_zip(tmp_path / "canvas.zip", CANVAS[:1])
    status, said, _ = run("canvas.zip")
    assert status == 3 and "in place of Moodle's Ada L_11_assignsub" in said


def test_one_students_results(tmp_path, run):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/my work.ipynb").write_bytes(solved(TINY, "ada"))
    (tmp_path / "in/notes.txt").write_text("nothing")
    made = tmp_path / "results.json"
    status, _, rows = run("in", "--id", "ada", "--results", made)
    assert status == 1 and rows.keys() == {"ada"} and '"score": 7' in made.read_text()
    hand_in(tmp_path / "in", "bob")
    status, said, _ = run("in", "--results", made)
    assert status == 1 and "--results is for one student, and 3 handed in" in said


@pytest.mark.parametrize(("more", "again"), [({}, 1), ({"alone": True}, 0)])
def test_deaths_of_an_older_journal_are_looked_at_again(
    tmp_path, run, graded, more, again
):
    hand_in(tmp_path / "in", "ada")
    run("in")
    journal = tmp_path / "g/tiny/journal.jsonl"
    one = json.loads(journal.read_text())
    one["rows"][1] |= {"status": "died", **more}
    journal.write_text(json.dumps(one) + "\n")
    run("in")
    assert graded[1:] == [("ada", ("stddev",))] * again


GRADESCOPE = """\
submission_51:
  :submitters:
  - {":name": Eva S, ":sid": eva, ":email": e@x}
  :created_at: 2025-12-01 10:00:00 Z
"""


def test_a_term(tmp_path, run, graded, monkeypatch):
    """Three platforms, two extensions, marks, a second hand-in, a regrade, exports."""
    assert cli.main(["release", str(TINY), "--no-check", "--out", str(tmp_path)]) == 0
    platform_zip(tmp_path / "moodle.zip", MOODLE)
    platform_zip(tmp_path / "canvas.zip", CANVAS)
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as made:
        made.writestr("a_1_export/submission_51/w.ipynb", solved(TINY, ""))
        made.writestr("a_1_export/submission_metadata.yml", GRADESCOPE)
    roster = "submission,id\n1234567,ada\n1234571,kurt\n11,lea\n12,grace\n"
    roster = write(tmp_path / "roster.csv", f"{roster}eva,eva\nfay,fay\n")
    sheet = "Identifier,Grade,Last modified (submission)\n"
    sheet += 'Participant 1234567,,"Monday, 1 December 2025, 9:00 AM"\n'
    sheet += 'Participant 1234571,,"Wednesday, 3 December 2025, 9:00 AM"\n'
    sheet = write(tmp_path / "sheet.csv", sheet)
    canvas = "Student,ID,Section,tiny (7)\nLea,11,A,\nGrace,12,A,\n"
    canvas = write(tmp_path / "canvas.csv", canvas)
    # Kurt and Eva have two days more; Grace's days are not known.
    more = "id,due\nkurt,2025-12-03T00:00Z\neva,2025-12-02T00:00Z\n"
    more = write(tmp_path / "more.csv", more)
    said = ("--due", "2025-12-01T00:00Z", "--penalty", "10%", "--timezone", "UTC")
    said += ("--extensions", more, "--roster", roster)
    run("moodle.zip", *said, "--worksheet", sheet)
    run("canvas.zip", "--gradebook", canvas)
    _, _, rows = run("export.zip")
    days = {one: row["late_days"] for one, row in rows.items()}
    late = {"ada": "1", "kurt": "1", "lea": "0", "grace": "late", "eva": "0"}
    assert days == late | {"fay": "0"} and len(graded) == 5
    # Marks, typed where the message says to, survive hand-ins and a regrade.
    review = tmp_path / "g/tiny/review.csv"
    text = review.read_text()
    for one in ("ada", "kurt", "lea", "eva"):
        text = text.replace(f"{one},why,,,", f"{one},why,2,Good.,")
    review.write_text(text.replace("grace,why,,,", "grace,why,,Unclear.,"))
    times = write(tmp_path / "times.csv", "id,time\ngrace,2025-12-02T12:00Z\n")
    _, _, rows = run("canvas.zip", "--times", times)
    # Points 2, 0 and 5, and 2 for the text.
    totals = {"ada": "8.1", "kurt": "8.1", "lea": "9", "grace": "5.6", "eva": "9"}
    assert {one: row["total"] for one, row in rows.items()} == totals | {"fay": "0"}
    # Fay hands in late, Ada another text; the text of a test was wrong for Lea.
    hand_in(tmp_path / "in", "fay")
    hand_in(tmp_path / "in", "ada", why="Another text.")
    monkeypatch.setitem(STATUS, "stddev", "ok")
    run("in")
    _, _, rows = run("canvas.zip", "--regrade", "lea", "--task", "stddev")
    assert (rows["lea"]["total"], rows["lea"]["open"]) == ("12", "")
    assert rows["ada"]["open"] == rows["fay"]["open"] == rows["grace"]["open"] == "why"
    assert "2 points: Good." in review.read_text()
    assert "grace,why,,Unclear.," in review.read_text()
    assert {one: rows[one]["late_days"] for one in late} == late | {"grace": "2"}
    # What goes back: whole totals alone, each page to its platform.
    out = tmp_path / "g/tiny"
    assert [r["Grade"] for r in rows_of(out / "moodle_worksheet.csv")] == ["", "8.1"]
    assert [r["tiny (7)"] for r in rows_of(out / "canvas_gradebook.csv")] == ["12", ""]
    assert len(rows_of(out / "grades.csv")) == 6 * len(MASTER.tasks)
    with zipfile.ZipFile(out / "moodle_feedback.zip") as made:
        assert len(made.namelist()) == 6
        assert MOODLE[1].replace("/w.ipynb", "/feedback.html") in made.namelist()
    with zipfile.ZipFile(out / "canvas_feedback.zip") as made:
        names = [name.removesuffix("_w.ipynb") for name in sorted(CANVAS)]
        assert made.namelist() == [f"{name}_feedback.html" for name in names]
    # The page to mark texts shows those of earlier hand-ins, too.
    assert "not among the hand-ins" not in (out / "review.html").read_text()
    assert "Another text." in (out / "review.html").read_text()


def test_numbers_of_a_platform_that_are_others_ids(tmp_path, run):
    """Blind marking: the platform's 1 is the class's 2."""
    names = [f"Participant {n}_{n}_assignsubmission_file_/w.ipynb" for n in (1, 2)]
    for name, data in zip(names, (solved(TINY, "2"), solved(TINY, "1")), strict=True):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    roster = write(tmp_path / "r.csv", "id,submission\n1,2\n2,1\n")
    sheet = write(
        tmp_path / "s.csv",
        "Identifier,Grade,Last modified (submission)\n"
        "Participant 1,,2026-12-01T10:00\nParticipant 2,,2026-12-05T10:00\n",
    )
    marked = write(tmp_path / "m.csv", "id,task,points\n1,why,2\n2,why,0\n")
    late = ("--due", "2026-12-01T23:59", "--penalty", "10%")
    _, _, sums = run(
        *("in", "--roster", roster, "--worksheet", sheet, "--marks", marked), *late
    )
    assert (sums["1"]["late_days"], sums["2"]["late_days"]) == ("4", "0")
    filled = rows_of(tmp_path / "g/tiny/moodle_worksheet.csv")
    assert [row["Grade"] for row in filled] == [sums["2"]["total"], sums["1"]["total"]]


def test_a_line_of_canvas_that_is_nobodys_gets_no_grade(tmp_path, run):
    """Nor does somebody whose number is the id of another."""
    hand_in(tmp_path / "in", "5")
    sheet = write(
        tmp_path / "s.csv",
        "Student,ID,Section,A tiny assignment (7)\n Points Possible,,,12\n"
        "Ada,5,A,\nBob,9,A,\n",
    )
    roster = write(tmp_path / "r.csv", "id,submission\n5,9\n")
    (tmp_path / "in/5.ipynb").rename(tmp_path / "in/9.ipynb")
    marked = write(tmp_path / "m.csv", "id,task,points\n5,why,2\n")
    journal = tmp_path / "g/tiny/journal.jsonl"
    options = ("--roster", roster, "--marks", marked)
    run("in", *options)
    # an entry from before labels were kept
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    write(journal, "".join(json.dumps(one | {"label": ""}) + "\n" for one in lines))
    _, _, sums = run("in", *options, "--gradebook", sheet)
    filled = rows_of(tmp_path / "g/tiny/canvas_gradebook.csv")
    column = [row["A tiny assignment (7)"] for row in filled]
    assert column == ["12", "", sums["5"]["total"]]


def test_marks_typed_while_a_class_is_graded_stay(tmp_path, run, monkeypatch):
    hand_in(tmp_path / "in", "ada")
    run("in")
    review = tmp_path / "g/tiny/review.csv"
    grade = whole_class.grade_class

    def slow(*arguments):
        review.write_text(review.read_text("utf-8-sig").replace("why,,", "why,2,well"))
        return grade(*arguments)

    monkeypatch.setattr(whole_class, "grade_class", slow)
    run("in", "--regrade", "ada")
    kept = json.loads((tmp_path / "g/tiny/marks.json").read_text())
    assert kept["ada"]["why"]["points"] == 2


def test_what_every_room_shows_is_refused(tmp_path, run, monkeypatch):
    hand_in(tmp_path / "in", "ada")
    monkeypatch.setattr(bubblewrap, "_SYSTEM", ("/usr", str(tmp_path / "in")))
    status, said, _ = run("in")
    assert status == 1 and "every notebook may read" in said


def test_somebody_who_is_chosen_and_not_here(tmp_path, run):
    hand_in(tmp_path / "in", "ada")
    run("in")
    kept = tmp_path / "g/tiny/class.toml"
    write(kept, kept.read_text() + '\n[chosen]\nAda = "ada.ipynb"\n')
    status, said, _ = run("in")
    assert status == 3 and "names Ada, who is not here" in said
