"""Results for platforms that run the grader: Gradescope, GitHub Classroom."""

import base64
import json

from coursegrade.gradebook import results, tables
from submissions import MASTER, entry


def written(path, one):
    total = tables.totals(MASTER, {"ann": one})["ann"]
    return results.write_results(path, MASTER, one, total)


def test_gradescopes_file(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    assert not written(tmp_path / "results.json", entry())
    made = json.loads((tmp_path / "results.json").read_text())
    assert made["score"] == 7 and made["stdout_visibility"] == "hidden"
    names = ["name", "max_score", "output", "score"]
    assert [list(one) for one in made["tests"]] == [names] * 3 + [names[:3]]
    assert made["tests"][1]["name"] == "He's standard deviation"
    assert made["tests"][1]["score"] == 0 and made["tests"][1]["max_score"] == 3
    right = entry(statuses=("ok", "ok", "ok", "needs_review"))
    assert written(tmp_path / "all.json", right)


def test_what_github_classrooms_reporter_reads(tmp_path, monkeypatch):
    output = tmp_path / "output"
    output.write_text("other=1\n")
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    written(tmp_path / "results.json", entry())
    first, second = output.read_text().splitlines()
    assert first == "other=1" and second.startswith("result=")
    told = json.loads(base64.b64decode(second.removeprefix("result=")))
    assert (told["status"], told["max_score"]) == ("fail", 12)
    assert [one["status"] for one in told["tests"]] == ["pass", "fail", "pass", "pass"]
    assert sum(one["score"] for one in told["tests"]) == 7
    assert told["tests"][1]["message"].startswith("Not right yet.")
