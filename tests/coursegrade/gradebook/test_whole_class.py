"""A class from the command line: journal, tables, late days, marks, a cluster."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from coursegrade import cli
from coursegrade.assignment.master import read_master
from coursegrade.examiner import client
from coursegrade.gradebook import feedback, intake, marks, tables, whole_class
from coursegrade.gradebook.journal import Journal, write_atomically
from coursegrade.sandbox import bubblewrap
from coursegrade.sandbox.bubblewrap import SandboxError
from submissions import grader_environment, sandbox_or_skip, solved

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests/data/tiny.md"
MASTER = read_master(TINY)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def entry(student="ann", statuses=("ok", "wrong", "ok", "needs_review"), **more):
    rows = []
    for task, status in zip(MASTER.tasks.values(), statuses, strict=True):
        points = {"ok": task.points, "needs_review": None}.get(status, 0)
        rows.append(
            {
                "task": task.name,
                "points": points,
                "of": task.points,
                "status": status,
                "message": "",
                "seconds": 0.5,
            }
        )
    made = {"id": student, "name": "", "where": student, "rows": rows}
    made |= {"submitted": "2026-12-03T10:00:00", "digest": "d", "stamp": "s"}
    return made | more


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("ada.ipynb", ("ada", "")),
        ("ada/work.ipynb", ("ada", "")),
        ("Ada L_123_assignsubmission_file_/w.ipynb", ("123", "Ada L")),
        ("Ada L_123_assignsubmission_file_w.ipynb", ("123", "Ada L")),
        ("ladaada_12345_678_work-2.ipynb", ("12345", "ladaada")),
        ("ladaada_LATE_12345_678_work.ipynb", ("12345", "ladaada")),
        ("ada_lovelace.ipynb", ("ada_lovelace", "")),
        ("Zoë/work.ipynb", ("Zoë", "")),
    ],
)
def test_names_of_platforms(tmp_path, name, who):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{}")
    (one,) = intake.collect(tmp_path)
    assert (one.id, one.name) == who
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, "{}")
    (two,) = intake.collect(archive)
    assert (two.id, two.name, two.where) == (one.id, one.name, one.where)


def test_the_latest_of_two_counts(tmp_path):
    for name, when in (("a.ipynb", 2_000_000_000), ("b.ipynb", 1_000_000_000)):
        (tmp_path / "ada").mkdir(exist_ok=True)
        (tmp_path / "ada" / name).write_text(name)
        os.utime(tmp_path / "ada" / name, (when, when))
    (one,) = intake.collect(tmp_path)
    assert one.data == b"a.ipynb"


def test_a_roster_gives_ids(tmp_path):
    (tmp_path / "X_77_assignsubmission_file_a.ipynb").write_text("{}")
    roster = tmp_path / "roster.csv"
    roster.write_text("submission,id\n77,ann\n")
    (one,) = intake.collect(tmp_path, tables.read_roster(roster))
    assert one.id == "ann"
    roster.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="columns submission and id"):
        tables.read_roster(roster)


def test_nothing_to_grade(tmp_path):
    with pytest.raises(intake.IntakeError, match="no notebook"):
        intake.collect(tmp_path)
    with pytest.raises(intake.IntakeError, match="neither a folder nor a zip"):
        intake.collect(tmp_path / "none")


def test_file_names_stay_apart_and_plain():
    names = [intake.file_name(x) for x in ("a b", "a_b", "a/b", "../a", "é", "", "..")]
    assert len(set(names)) == len(names)
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names
    )


def test_journal_survives_a_cut_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add({"id": "ann", "x": 1})
    with open(path, "a") as file:
        file.write('{"id": "bob", "x"')
    journal = Journal(path)
    assert set(journal.entries) == {"ann"}
    journal.add({"id": "cy", "x": 3})
    journal.add({"id": "ann", "x": 4})
    assert Journal(path).entries == {
        "ann": {"id": "ann", "x": 4},
        "cy": {"id": "cy", "x": 3},
    }


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.csv"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"


def test_late_days_and_penalty():
    entries = {"ann": entry()}
    for due, days, total in (
        ("2026-12-03T10:00", 0, 7),
        ("2026-12-03T09:59", 1, 6.3),
        ("2026-12-01T09:00", 3, 4.9),
        ("2026-10-01T09:00", 64, 0),
    ):
        sums = tables.totals(MASTER, entries, datetime.fromisoformat(due), 0.1)
        assert sums["ann"]["late_days"] == days
        assert sums["ann"]["total"] == pytest.approx(total)
    assert sums["ann"]["open"] == ["why"]


def test_tables(tmp_path):
    entries = {"=ann": entry("=ann"), "bob": entry("bob")}
    sums = tables.totals(MASTER, entries)
    rows = rows_of(tables.write_grades(tmp_path, MASTER, entries))
    assert tuple(rows[0]) == tables.COLUMNS
    assert [row["points"] for row in rows[:4]] == ["2", "0", "5", ""]
    assert rows[0]["id"] == "'=ann" and rows[3]["status"] == "needs_review"
    assert rows_of(tables.write_totals(tmp_path, sums))[1]["total"] == "7"
    review = rows_of(tables.write_review(tmp_path, MASTER, entries))
    assert [(row["id"], row["task"]) for row in review] == [
        ("'=ann", "why"),
        ("bob", "why"),
    ]


def test_moodle_worksheet(tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        "Identifier,Full name,Grade\nParticipant 12,Ann,\nParticipant 13,Bo,\n"
    )
    done = entry("12", ("ok",) * 4)
    sums = tables.totals(MASTER, {"12": done, "13": entry("13")})
    rows = rows_of(tables.fill_worksheet(sheet, tmp_path, sums))
    # A grade that is not whole yet does not go out.
    assert [row["Grade"] for row in rows] == ["12", ""]
    sheet.write_text("a,b\n")
    with pytest.raises(ValueError, match="not Moodle's grading worksheet"):
        tables.fill_worksheet(sheet, tmp_path, sums)


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


def test_no_sandbox_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bubblewrap.shutil, "which", lambda name: None)
    (tmp_path / "ann.ipynb").write_bytes(solved(TINY, "ann"))
    status = cli.main(["grade", str(TINY), str(tmp_path), "--out", str(tmp_path / "g")])
    assert status == 1 and "apt install bubblewrap" in capsys.readouterr().err
    assert not (tmp_path / "g/tiny/grades.csv").exists()
    monkeypatch.undo()
    monkeypatch.setattr(bubblewrap.sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="needs Linux"):
        whole_class.grade_class(TINY.read_text(), [], tmp_path, whole_class.Settings())


def test_no_master(capsys):
    assert cli.main(["grade", "nowhere", "x"]) == 1
    assert "no master 'nowhere'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def warm():
    """One process of the grader for the tests that do not need a new one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "stop", lambda: None)
        yield
    client.stop()


def test_trust_says_so_in_every_row(tmp_path):
    (tmp_path / "ann.ipynb").write_bytes(solved(TINY, "ann"))
    arguments = ["grade", str(TINY), str(tmp_path), "--out", str(tmp_path / "g")]
    assert cli.main([*arguments, "--trust", "--jobs", "1"]) == 0
    rows = rows_of(tmp_path / "g/tiny/grades.csv")
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "needs_review"]
    assert all("without a sandbox" in row["message"] for row in rows)


def test_a_class_from_release_to_marks(tmp_path, capsys, warm):
    sandbox_or_skip()
    out = ["--out", str(tmp_path / "released")]
    assert cli.main(["release", str(TINY), *out, "--secret", "s"]) == 0
    assert (tmp_path / "released/tiny.ipynb").is_file()
    work = tmp_path / "work"
    work.mkdir()
    bad = {"stddev": "def he_stddev(fan_in):\n    return 1"}
    (work / "ann.ipynb").write_bytes(solved(TINY, "ann", "s"))
    (work / "bob.ipynb").write_bytes(solved(TINY, "bob", "s", bad))
    # Numbers that belong to another student's data.
    copied = {
        "mean": "from coursekit.grading import personal_rng\n"
        "mean = personal_rng('ann', class_key, 'mean').normal(size=9).mean()"
    }
    (work / "cy.ipynb").write_bytes(solved(TINY, "cy", "s", copied))
    grade = [
        "grade",
        str(TINY),
        str(work),
        "--out",
        str(tmp_path / "g"),
        "--secret",
        "s",
    ]
    assert cli.main(grade) == 0
    found = {
        (row["id"], row["task"]): row["status"]
        for row in rows_of(tmp_path / "g/tiny/grades.csv")
    }
    assert found["ann", "mean"] == found["ann", "stddev"] == "ok"
    assert found["bob", "stddev"] == "wrong" and found["bob", "network"] == "ok"
    assert found["cy", "mean"] == "wrong" and found["cy", "stddev"] == "ok"
    journal = tmp_path / "g/tiny/journal.jsonl"
    before = journal.read_text()
    # Again: nothing to do. Then bob hands in anew, one task is graded once more.
    assert cli.main(grade) == 0 and journal.read_text() == before
    (work / "bob.ipynb").write_bytes(solved(TINY, "bob", "s"))
    review = tmp_path / "g/tiny/review.csv"
    review.write_text(review.read_text().replace("ann,why,,", "ann,why,2,yes"))
    assert cli.main([*grade, "--marks", str(review)]) == 0
    assert cli.main([*grade, "--regrade", "cy", "--task", "mean"]) == 0
    lines = journal.read_text().splitlines()
    assert len(lines) == len(before.splitlines()) + 2
    assert [row["task"] for row in json.loads(lines[-1])["rows"]] == list(MASTER.tasks)
    sums = {row["id"]: row for row in rows_of(tmp_path / "g/tiny/totals.csv")}
    assert (sums["ann"]["total"], sums["ann"]["open"]) == ("12", "")
    assert sums["bob"]["points"] == "10"
    capsys.readouterr()
    assert cli.main([*grade, "--regrade", "zoe"]) == 1
    assert "no submission zoe" in capsys.readouterr().err


def test_an_interrupted_run_goes_on(tmp_path):
    sandbox_or_skip()
    work = tmp_path / "work"
    work.mkdir()
    slow = {"stddev": "import time; time.sleep(1)\ndef he_stddev(n): return 1"}
    for number in range(8):
        (work / f"s{number}.ipynb").write_bytes(solved(TINY, f"s{number}", "s", slow))
    command = [sys.executable, "-m", "coursegrade.cli", "grade", str(TINY)]
    command += [str(work), "--out", str(tmp_path / "g"), "--secret", "s", "--jobs", "1"]
    environment = grader_environment()
    journal = tmp_path / "g/tiny/journal.jsonl"
    run = subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # A runner in the background may have been started with it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if journal.exists() and len(journal.read_text().splitlines()) >= 2:
            break
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130 and "goes on from here" in run.stderr.read()
    done = journal.read_text().splitlines()
    assert 2 <= len(done) < 8
    subprocess.run(command, env=environment, check=True, stderr=subprocess.PIPE)
    lines = journal.read_text().splitlines()
    assert lines[: len(done)] == done
    assert sorted(json.loads(line)["id"] for line in lines) == [
        f"s{n}" for n in range(8)
    ]
    assert len(rows_of(tmp_path / "g/tiny/grades.csv")) == 8 * len(MASTER.tasks)


def test_a_cluster_that_loses_a_worker(tmp_path):
    sandbox_or_skip()
    distributed = pytest.importorskip("distributed")
    submissions = []
    slow = {"stddev": "import time; time.sleep(0.5)\ndef he_stddev(n): return 1"}
    for number in range(10):
        data = solved(TINY, f"s{number}", "s", slow)
        path = tmp_path / f"s{number}.ipynb"
        path.write_bytes(data)
    submissions = intake.collect(tmp_path)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        killed = []

        class Progress:
            def __init__(self, count):
                self.done = 0

            def update(self, count):
                self.done += count
                if self.done == 3:
                    worker = next(iter(cluster.workers.values()))
                    killed.append(worker.process.process.pid)
                    os.kill(killed[0], signal.SIGKILL)

            def close(self):
                pass

        settings = whole_class.Settings("s", scheduler=cluster.scheduler_address)
        entries = whole_class.grade_class(
            TINY.read_text(), submissions, tmp_path / "g", settings, progress=Progress
        )
    assert killed
    lines = (tmp_path / "g/journal.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(entries)
    assert len(entries) == 10
    for one in entries.values():
        found = [row["status"] for row in one["rows"]]
        assert found == ["ok", "wrong", "ok", "needs_review"], one


def test_csv_reads_back(tmp_path):
    odd = entry('a,b"c')
    text = tables.write_grades(tmp_path, MASTER, {odd["id"]: odd}).read_text()
    assert next(csv.DictReader(io.StringIO(text)))["id"] == odd["id"]
