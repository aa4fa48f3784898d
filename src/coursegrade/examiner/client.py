"""Grade one submission: what joblib gives to a thread here, or to a cluster.

A process that grades has one child, the examiner, which imports TensorFlow and
starts the sandbox once. For each thread it forks a server, and the thread talks to
its server alone. What may be a neighbour's doing is done once more without any.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from coursegrade.assignment.master import parse_master
from coursegrade.border import channel
from coursegrade.examiner.notebook import UnreadableError, read_notebook
from coursegrade.sandbox import start
from coursegrade.sandbox.bubblewrap import SandboxError
from coursegrade.statuses import Status

START_SECONDS = 240
# Each cell and test has its own limit: this one is for an examiner that hangs.
HANG_SECONDS = 4 * 3600
_examiners, _servers = {}, {}
_lock = threading.Lock()
_stops = 0


class _Examiner:
    """A process of :mod:`coursegrade.examiner.server`."""

    def __init__(self, trust):
        self.gone = False
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "coursegrade.examiner.server"]
        command.append(str(theirs.fileno()))
        with theirs:
            self.process = subprocess.Popen(
                [*command, "--trust"] if trust else command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None
                if os.environ.get("COURSEKIT_DEBUG")
                else subprocess.DEVNULL,
                env=start.environment(inside=False),
                pass_fds=[theirs.fileno()],
                # Ctrl-C is for the grader, which then ends this process.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        try:
            said, _ = channel.receive_packet(self.control, deadline=deadline)
        except (OSError, ValueError, channel.ClosedError):
            said = {}
        if "ready" not in said:
            self.close()
            raise SandboxError(
                said.get("unavailable", "the grader's process did not start")
            )

    def usable(self):
        """Return whether it can grade: it runs, and so does its sandbox."""
        return not self.gone and self.process.poll() is None

    def close(self):
        """End it with its sandbox."""
        self.control.close()
        self.process.kill()
        self.process.wait()


class _Server:
    """A fork of the examiner that grades one submission after the other."""

    def __init__(self, examiner):
        self.examiner, self.pid = examiner, 0
        self.sock, theirs = socket.socketpair()
        try:
            with theirs:
                channel.send_packet(examiner.control, {}, [theirs.fileno()])
            deadline = time.monotonic() + START_SECONDS
            self.pid = channel.receive(self.sock, deadline)["pid"]
        except (OSError, channel.ClosedError):
            self.close()
            raise OSError("the grader's process is gone") from None

    def ask(self, job):
        """Return a job's rows, and what failed in the grader itself, if so."""
        rows = []
        try:
            self.sock.settimeout(HANG_SECONDS)
            channel.send(self.sock, job)
            while True:
                said = channel.receive(self.sock, time.monotonic() + HANG_SECONDS)
                if "done" in said:
                    self.examiner.gone |= said["gone"]
                    return rows, said["done"]
                rows.append(said)
        except (OSError, channel.ClosedError):
            return rows, "the grader's process ended or hangs"

    def close(self):
        """End the server and the fork that grades for it."""
        self.sock.close()
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


class _Gate:
    """Lets many in at a time, or one alone."""

    def __init__(self):
        self.changed = threading.Condition()
        self.inside = self.waiting = 0

    @contextlib.contextmanager
    def among_others(self):
        """Be inside with others, while nobody wants to be alone."""
        with self.changed:
            self.changed.wait_for(lambda: not self.waiting and self.inside >= 0)
            self.inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def alone(self):
        """Be inside when all others have left."""
        with self.changed:
            self.waiting += 1
            self.changed.wait_for(lambda: self.inside == 0)
            self.waiting -= 1
            self.inside = -1
        try:
            yield
        finally:
            self._leave()

    def _leave(self):
        with self.changed:
            self.inside = max(0, self.inside - 1)
            self.changed.notify_all()


_gate = _Gate()


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
    stops = _stops
    with _gate.among_others():
        rows, failed = _asked(sent, job["trust"], stops)
    rows = {row["task"]: row for row in rows}
    sent["tasks"] = [
        name for name in names if name not in rows or Status(rows[name]["status"]).alone
    ]
    if sent["tasks"]:
        sent["alone"] = True
        for name in sent["tasks"]:
            rows.pop(name, None)
        with _gate.alone():
            more, failed = _asked(sent, job["trust"], stops)
        rows |= {row["task"]: row for row in more}
    for name in names:
        if name not in rows:
            # Our failure, not the student's: no point is taken, a person looks.
            rows[name] = {"task": name, "status": Status.NOT_GRADED, "message": failed}
    return [_finish(rows[name], master, job) for name in names]


def _asked(job, trust, stops):
    """Return the rows that this thread's server gives, and what failed."""
    if _stops != stops:
        # Stopped meanwhile: this thread is left over, and starts nothing.
        return [], "the grader was stopped"
    try:
        server = _server(trust)
    except OSError as error:
        return [], str(error)
    rows, failed = server.ask(job)
    if failed:
        _forget(server)
    return rows, failed


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
        # A row without this word comes from before such tasks were done once more.
        **({"alone": True} if status.alone else {}),
    }


def _server(trust):
    """Return this thread's server; start what is missing."""
    me = (os.getpid(), threading.get_ident(), trust)
    with _lock:
        examiner = _examiners.get(me[::2])
        if examiner is None or not examiner.usable():
            if examiner is not None:
                examiner.close()
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
