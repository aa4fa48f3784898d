"""The command: release, grade, mark, grade again."""

import json
import subprocess
import sys

import pytest

from coursegrade import cli
from coursegrade.gradebook import whole_class
from coursegrade.sandbox import bubblewrap
from coursegrade.sandbox.bubblewrap import SandboxError
from submissions import MASTER, TINY, grader_environment, rows_of, solved


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


def test_trust_says_so_in_every_row(tmp_path, warm):
    (tmp_path / "ann.ipynb").write_bytes(solved(TINY, "ann"))
    arguments = ["grade", str(TINY), str(tmp_path), "--out", str(tmp_path / "g")]
    assert cli.main([*arguments, "--trust", "--jobs", "1"]) == 0
    rows = rows_of(tmp_path / "g/tiny/grades.csv")
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "needs_review"]
    assert all("without a sandbox" in row["message"] for row in rows)


def test_a_class_from_release_to_marks(tmp_path, capsys, warm):
    out = ["--out", str(tmp_path / "released")]
    assert cli.main(["release", str(TINY), *out, "--secret", "s", "--no-check"]) == 0
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
    grade = ["grade", str(TINY), str(work), "--out", str(tmp_path / "g")]
    grade += ["--secret", "s"]
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


def test_nothing_is_imported_from_where_the_hand_ins_lie(tmp_path, warm):
    """Neither by the command as a module, nor by what it starts."""
    work = tmp_path / "work"
    (work / "keras").mkdir(parents=True)
    (work / "ann.ipynb").write_bytes(solved(TINY, "ann"))
    trap = f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()"
    for name in ("keras/__init__.py", "jupytext.py", "yaml.py", "numpy.py"):
        (work / name).write_text(trap)
    out = ["--out", str(tmp_path / "g")]
    command = [sys.executable, "-m", "coursegrade", "grade", str(TINY), ".", *out]
    subprocess.run(command, cwd=work, env=grader_environment(), check=False)
    assert not (tmp_path / "ran").exists()
    rows = rows_of(tmp_path / "g/tiny/grades.csv")
    assert [r["status"] for r in rows if r["id"] == "ann"][:3] == ["ok"] * 3


@pytest.mark.parametrize(
    ("module", "extra"), [("distributed", "cluster"), ("jupytext", "grading")]
)
def test_what_is_not_installed_is_named_with_its_extra(
    monkeypatch, capsys, module, extra
):
    def missing(name):
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr(cli, "find_master", missing)
    assert cli.main(["grade", "tiny", "x"]) == 1
    assert f"[{extra}]" in capsys.readouterr().err
