"""A class from the command line: stopped and resumed, on a cluster."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from coursegrade.gradebook import intake, whole_class
from submissions import (
    MASTER,
    TINY,
    grader_environment,
    rows_of,
    sandbox_or_skip,
    solved,
)


def test_an_interrupted_run_goes_on(tmp_path):
    sandbox_or_skip()
    work = tmp_path / "work"
    work.mkdir()
    slow = {"stddev": "import time; time.sleep(1)\ndef he_stddev(n): return 1"}
    for number in range(4):
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
        if journal.exists() and len(journal.read_text().splitlines()) >= 1:
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 130 and "goes on from here" in run.stderr.read()
    done = journal.read_text().splitlines()
    assert 1 <= len(done) < 4
    subprocess.run(command, env=environment, check=True, stderr=subprocess.PIPE)
    lines = journal.read_text().splitlines()
    assert lines[: len(done)] == done
    assert sorted(json.loads(line)["id"] for line in lines) == [
        f"s{n}" for n in range(4)
    ]
    assert len(rows_of(tmp_path / "g/tiny/grades.csv")) == 4 * len(MASTER.tasks)


def test_a_cluster_that_loses_a_worker(tmp_path):
    sandbox_or_skip()
    distributed = pytest.importorskip("distributed")
    slow = {"stddev": "import time; time.sleep(0.5)\ndef he_stddev(n): return 1"}
    for number in range(4):
        data = solved(TINY, f"s{number}", "s", slow)
        path = tmp_path / f"s{number}.ipynb"
        path.write_bytes(data)
    submissions = intake.collect(tmp_path, MASTER).submissions
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        killed = []

        class Progress:
            def __init__(self, count):
                self.done = 0

            def update(self, count):
                self.done += count
                if self.done == 1:
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
    assert len(entries) == 4
    for one in entries.values():
        found = [row["status"] for row in one["rows"]]
        assert found == ["ok", "wrong", "ok", "needs_review"], one
