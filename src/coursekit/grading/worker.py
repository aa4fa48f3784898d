"""Grade one submission: what joblib sends to a process, here or on a cluster."""

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import coursekit
from coursekit.grading.master import parse_master
from coursekit.grading.notebook import UnreadableError, read_notebook
from coursekit.grading.sandbox import SandboxError

STATUSES = (
    "ok",
    "wrong",
    "error",
    "timeout",
    "memory",
    "died",
    "missing",
    "unreadable",
    "needs_review",
    "not_graded",
)
START_SECONDS = 240
_examiners = {}


class _Examiner:
    """A process of :mod:`coursekit.grading.examiner`, kept for the next job."""

    def __init__(self, trust):
        command = [sys.executable, "-m", "coursekit.grading.examiner"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(coursekit.__file__).parents[1]),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "MPLBACKEND": "agg",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
        }
        self.process = subprocess.Popen(
            [*command, "--trust"] if trust else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("COURSEKIT_DEBUG") else subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        first = self.next(START_SECONDS)
        if first is None or "ready" not in first:
            self.close()
            raise SandboxError(
                (first or {}).get("unavailable", "the grader's process did not start")
            )

    def _read(self):
        for line in self.process.stdout:
            # A line that the process's death cut off is not read.
            if line.endswith("\n"):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, seconds):
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def ask(self, job, seconds):
        """Return a job's rows, and what failed in the grader itself, if so."""
        rows = []
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        except OSError:
            return rows, "the grader's process is gone"
        while True:
            said = self.next(seconds)
            if said is None:
                return rows, "the grader's process ended or hangs"
            if "done" in said:
                return rows, ""
            if "failed" in said:
                self.next(seconds)
                return rows, said["failed"]
            rows.append(said)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


def grade_submission(job):
    """Return one submission's rows.

    Parameters
    ----------
    job : dict
        ``id`` of the student, ``data`` (the notebook's bytes) or ``problem``
        (why there is none), ``master`` (text), ``secret``, ``tasks`` (names,
        all if empty), ``trust``.

    Returns
    -------
    list of dict
        A row a task with ``task``, ``points``, ``of``, ``status``,
        ``message`` and ``seconds``.

    Raises
    ------
    SandboxError
        If there is no sandbox on this machine.
    """
    master = parse_master(job["master"])
    names = job.get("tasks") or list(master.tasks)
    try:
        if job.get("problem"):
            raise UnreadableError(job["problem"])
        cells = read_notebook(job["data"])
    except UnreadableError as error:
        rows = [dict(task=n, status="unreadable", message=str(error)) for n in names]
        return [_finish(row, master, job) for row in rows]
    sent = {
        "master": job["master"],
        "cells": [(cell.id, cell.source, cell.code) for cell in cells],
        "student": job["id"],
        "secret": job["secret"],
        "tasks": list(names),
        "force": bool(job.get("force")),
    }
    # Each task's cells and test may be run once more for each that is lost.
    seconds = 240 + 4 * sum(master.tasks[name].seconds for name in names)
    rows, failed = [], ""
    for _ in range(2):
        examiner = _examiner(job["trust"])
        more, failed = examiner.ask(sent, seconds)
        rows += more
        done = {row["task"] for row in rows}
        sent["tasks"] = [name for name in names if name not in done]
        if not failed:
            break
        examiner.close()
        _examiners.clear()
    for name in sent["tasks"]:
        # Our failure, not the student's: no point is taken, a person looks.
        rows.append(dict(task=name, status="not_graded", message=failed))
    order = {name: index for index, name in enumerate(names)}
    rows.sort(key=lambda row: order[row["task"]])
    return [_finish(row, master, job) for row in rows]


def _finish(row, master, job):
    task, status = master.tasks[row["task"]], row["status"]
    points = task.points if status == "ok" else 0
    if status in ("needs_review", "not_graded"):
        points = None
    message = row["message"]
    if job["trust"]:
        message = f"{message} [graded without a sandbox]".strip()
    return {
        "task": task.name,
        "points": points,
        "of": task.points,
        "status": status,
        "message": message,
        "seconds": row.get("seconds", 0.0),
    }


def _examiner(trust):
    # A worker of Dask may run two threads: each has an examiner of its own.
    key = (os.getpid(), threading.get_ident(), trust)
    if key not in _examiners:
        _examiners[key] = _Examiner(trust)
    return _examiners[key]


def stop():
    """End the processes that this one has kept."""
    for examiner in _examiners.values():
        examiner.close()
    _examiners.clear()


atexit.register(stop)
