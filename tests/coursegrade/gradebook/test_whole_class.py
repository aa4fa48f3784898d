"""A class from the command line: stopped and resumed, on a cluster."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from coursegrade import cli
from coursegrade.gradebook import intake, whole_class
from submissions import (
    MASTER,
    TINY,
    grader_environment,
    rows_of,
    solved,
    write_files,
)

FOUND = ["ok", "wrong", "ok", "needs_review"]
WRONG = {"stddev": "def he_stddev(n): return 1"}
#: What a worker of a cluster grades with, where neither rooms nor Keras are the point.
STAND_IN = """
import time

from coursegrade.assignment.master import parse_master
from coursegrade.gradebook import whole_class


def graded(job):
    time.sleep(0.3)
    rows = []
    for task, status in zip(parse_master(job["master"]).tasks.values(), {found}):
        row = {{"task": task.name, "points": 0, "of": task.points, "status": status}}
        rows.append(row | {{"message": "", "seconds": 0.3}})
    return rows


whole_class.grade_submission = graded
"""


class Progress:
    """A bar that does something when the first notebook is graded."""

    def __init__(self, first=lambda: None):
        self.first = first

    def __call__(self, count):
        return self

    def update(self, count):
        self.first()
        self.first = lambda: None

    def close(self):
        pass


def handed_in(folder, count):
    data = {f"s{n}.ipynb": solved(TINY, f"s{n}", "s", WRONG) for n in range(count)}
    return write_files(folder, data)


def test_an_interrupted_run_goes_on(tmp_path, warm):
    work = handed_in(tmp_path / "work", 3)
    endless = {"stddev": "while True: pass"}
    (work / "s1.ipynb").write_bytes(solved(TINY, "s1", "s", endless))
    arguments = ["grade", str(TINY), str(work), "--out", str(tmp_path / "g")]
    arguments += ["--secret", "s", "--jobs", "1"]
    journal = tmp_path / "g/tiny/journal.jsonl"
    run = subprocess.Popen(
        [sys.executable, "-m", "coursegrade", *arguments],
        env=grader_environment(),
        stderr=subprocess.PIPE,
        text=True,
        # A runner in the background may have been started with it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # The first is done, the second takes the 8 seconds that it may.
    deadline = time.monotonic() + 600
    while run.poll() is None and time.monotonic() < deadline:
        if journal.exists() and b"\n" in journal.read_bytes():
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130 and "goes on from here" in run.stderr.read()
    done = journal.read_text().splitlines()
    assert [json.loads(line)["id"] for line in done] == ["s0"]
    handed_in(work, 3)
    assert cli.main(arguments) == 0
    lines = journal.read_text().splitlines()
    assert lines[: len(done)] == done
    assert [json.loads(line)["id"] for line in lines] == ["s0", "s1", "s2"]
    assert len(rows_of(tmp_path / "g/tiny/grades.csv")) == 3 * len(MASTER.tasks)


@pytest.mark.parametrize("lost", [False, True], ids=["whole", "loses a worker"])
def test_a_cluster(tmp_path, request, lost):
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": 1, "processes": False}
    if lost:
        stand_in = tmp_path / "stand_in.py"
        stand_in.write_text(STAND_IN.format(found=FOUND))
        how = {"n_workers": 2, "preload": [str(stand_in)]}
    else:
        # In this process, a worker takes the sandbox that is there.
        request.getfixturevalue("warm")
    folder = handed_in(tmp_path / "in", 4 if lost else 1)
    submissions = intake.collect(folder, MASTER).submissions
    killed = []
    with distributed.LocalCluster(
        threads_per_worker=1, dashboard_address=None, **how
    ) as cluster:

        def kill():
            worker = next(iter(cluster.workers.values()))
            killed.append(worker.process.process.pid)
            os.kill(killed[0], signal.SIGKILL)

        settings = whole_class.Settings("s", scheduler=cluster.scheduler_address)
        bar = Progress(kill) if lost else Progress()
        entries = whole_class.grade_class(
            TINY.read_text(), submissions, tmp_path / "g", settings, progress=bar
        )
    assert len(killed) == lost
    lines = (tmp_path / "g/journal.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(entries)
    assert len(entries) == len(submissions)
    for one in entries.values():
        assert [row["status"] for row in one["rows"]] == FOUND, one
        assert all((row["seconds"] == 0.3) == lost for row in one["rows"])
