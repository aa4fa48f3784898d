"""Grade one submission: what joblib gives to a thread here, or to a cluster.

A process that grades has one child, the examiner, which imports TensorFlow and
starts the sandbox once. For each thread it forks a server, and the thread talks to
its server alone.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading

from coursegrade.assignment.master import parse_master
from coursegrade.examiner.notebook import UnreadableError, read_notebook
from coursegrade.sandbox.bubblewrap import SandboxError, package_path
from coursegrade.statuses import Status

START_SECONDS = 240
_examiners, _servers = {}, {}
_lock = threading.Lock()
_stops = 0


class _Examiner:
    """A process of :mod:`coursegrade.examiner.server`."""

    def __init__(self, trust):
        self.control, theirs = socket.socketpair()
        command = [sys.executable, "-m", "coursegrade.examiner.server"]
        command.append(str(theirs.fileno()))
        environment = {
            **os.environ,
            "PYTHONPATH": package_path(),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "MPLBACKEND": "agg",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
        }
        with theirs:
            self.process = subprocess.Popen(
                [*command, "--trust"] if trust else command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None
                if os.environ.get("COURSEKIT_DEBUG")
                else subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is for the grader, which then ends this process.
                start_new_session=True,
            )
        self.control.settimeout(START_SECONDS)
        try:
            said = json.loads(self.control.recv(4096))
        except (OSError, ValueError):
            said = {}
        if "ready" not in said:
            self.close()
            raise SandboxError(
                said.get("unavailable", "the grader's process did not start")
            )

    def close(self):
        self.control.close()
        self.process.kill()
        self.process.wait()


class _Server:
    """A fork of the examiner that grades one submission after the other."""

    def __init__(self, examiner):
        self.examiner, self.pid = examiner, 0
        self.sock, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(examiner.control, [b"serve"], [theirs.fileno()])
        self.lines = self.sock.makefile("r", encoding="utf-8")
        first = self.next(START_SECONDS)
        if first is None:
            self.close()
            raise OSError("the grader's process is gone")
        self.pid = first["pid"]

    def next(self, seconds):
        """Return what the server says next, or None if it says nothing more."""
        self.sock.settimeout(seconds)
        try:
            line = self.lines.readline()
        except OSError:
            return None
        # A line that the process's death cut off is not read.
        return json.loads(line) if line.endswith("\n") else None

    def ask(self, job, seconds):
        """Return a job's rows, and what failed in the grader itself, if so."""
        rows = []
        try:
            self.sock.settimeout(seconds)
            self.sock.sendall(json.dumps(job).encode() + b"\n")
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
        """End the server and the fork that grades for it."""
        self.lines.close()
        self.sock.close()
        if self.pid:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


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
        said = {"status": Status.UNREADABLE, "message": str(error)}
        rows = [{"task": name, **said} for name in names]
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
    stops = _stops
    for _ in range(2):
        if _stops != stops:
            # Stopped meanwhile: this thread is left over, and starts nothing.
            break
        try:
            server = _server(job["trust"])
        except OSError as error:
            failed = str(error)
            continue
        more, failed = server.ask(sent, seconds)
        rows += more
        done = {row["task"] for row in rows}
        sent["tasks"] = [name for name in names if name not in done]
        if not failed:
            break
        _forget(server)
    for name in sent["tasks"]:
        # Our failure, not the student's: no point is taken, a person looks.
        rows.append(dict(task=name, status=Status.NOT_GRADED, message=failed))
    order = {name: index for index, name in enumerate(names)}
    rows.sort(key=lambda row: order[row["task"]])
    return [_finish(row, master, job) for row in rows]


def _finish(row, master, job):
    task, status = master.tasks[row["task"]], Status(row["status"])
    points = {"all": task.points, "none": 0, "open": None}[status.points]
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


def _server(trust):
    """Return this thread's server; start what is missing."""
    me = (os.getpid(), threading.get_ident(), trust)
    with _lock:
        examiner = _examiners.get(me[::2])
        if examiner is None or examiner.process.poll() is not None:
            examiner = _examiners[me[::2]] = _Examiner(trust)
        server = _servers.get(me)
        if server is None or server.examiner is not examiner:
            server = _servers[me] = _Server(examiner)
        return server


def _forget(server):
    with _lock:
        server.close()
        for key in [key for key, one in _servers.items() if one is server]:
            del _servers[key]


def stop():
    """End the processes that this one has kept."""
    global _stops
    _stops += 1
    with _lock:
        for one in (*_servers.values(), *_examiners.values()):
            one.close()
        _servers.clear()
        _examiners.clear()


atexit.register(stop)
