"""Grade one submission: what joblib gives to a thread here, or to a cluster.

A process that grades has one child, the examiner, which imports TensorFlow and
starts the sandbox once. For each submission it forks a server. What may be a
neighbour's doing is done once more without any.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from coursegrade.assignment.master import parse_master
from coursegrade.border import channel
from coursegrade.examiner.notebook import UnreadableError, read_notebook, written
from coursegrade.sandbox import start
from coursegrade.sandbox.bubblewrap import SandboxError
from coursegrade.statuses import Status

START_SECONDS = 240
# Each cell and test has its own limit: this one is for an examiner that hangs.
HANG_SECONDS = 4 * 3600
_examiners = {}
_lock = threading.Lock()
_stops = 0


class _Examiner:
    """A process of :mod:`coursegrade.examiner.server`."""

    def __init__(self, trust):
        self.gone, self.servers = False, set()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # not from the current folder: what was handed in may lie there
        command = [sys.executable, "-P", "-m", "coursegrade.examiner.server"]
        command.append(str(theirs.fileno()))
        words = tempfile.TemporaryFile()
        with theirs:
            self.process = subprocess.Popen(
                [*command, "--trust"] if trust else command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("COURSEKIT_DEBUG") else words,
                # oneDNN's own allocator tries for 10 seconds what is too large.
                env=start.environment(inside=False)
                | {"TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1"},
                pass_fds=[theirs.fileno()],
                # Ctrl-C is for the grader, which then ends this process.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        try:
            said, _ = channel.receive_packet(self.control, deadline=deadline)
        except (OSError, ValueError, channel.ClosedError):
            said = {}
        with words:
            words.seek(0)
            last = words.read().decode(errors="replace").strip().splitlines()[-1:]
        if "ready" not in said:
            self.close()
            failed = f"the grader's process did not start: {(last or ['no word'])[0]}"
            raise SandboxError(said.get("unavailable", failed))

    def usable(self):
        """Return whether it can grade: it runs, and so does its sandbox."""
        return not self.gone and self.process.poll() is None

    def grade(self, job):
        """Return a job's rows, and what failed in the grader itself, if so."""
        rows, pid = [], 0
        sock, theirs = socket.socketpair()
        with sock, contextlib.suppress(OSError, channel.ClosedError):
            with theirs:
                channel.send_packet(self.control, {}, [theirs.fileno()])
            pid = channel.receive(sock, time.monotonic() + START_SECONDS)["pid"]
            self.servers.add(pid)
            if self.control.fileno() < 0:
                # Closed meanwhile, when this server was not among those to end.
                raise channel.ClosedError
            sock.settimeout(HANG_SECONDS)
            channel.send(sock, job)
            while True:
                said = channel.receive(sock, time.monotonic() + HANG_SECONDS)
                if "done" in said:
                    self.gone |= said["gone"]
                    self.servers.discard(pid)
                    return rows, said["done"]
                rows.append(said)
        self._end(pid)
        return rows, "the grader's process ended or hangs"

    def _end(self, pid):
        """End a server and the fork that grades for it."""
        if pid in self.servers:
            self.servers.discard(pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def close(self):
        """End it with its servers and its sandbox."""
        self.control.close()
        for pid in list(self.servers):
            self._end(pid)
        self.process.kill()
        self.process.wait()


class _Gate:
    """Lets many in at a time, or one alone."""

    def __init__(self, seats=1024):
        # Who wants to be alone holds the door, and takes all seats.
        self.door, self.count = threading.Lock(), seats
        self.seats = threading.Semaphore(seats)

    @contextlib.contextmanager
    def among_others(self):
        """Be inside with others, while nobody wants to be alone."""
        with self.door:
            self.seats.acquire()
        try:
            yield
        finally:
            self.seats.release()

    @contextlib.contextmanager
    def alone(self):
        """Be inside when all others have left."""
        with self.door:
            for _ in range(self.count):
                self.seats.acquire()
            try:
                yield
            finally:
                self.seats.release(self.count)


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
    """Return the rows that the examiner gives, and what failed."""
    with _lock:
        if _stops != stops:
            # Stopped meanwhile: this thread is left over, and starts nothing.
            return [], "the grader was stopped"
        examiner = _examiners.get((os.getpid(), trust))
        if examiner is None or not examiner.usable():
            if examiner is not None:
                examiner.close()
            examiner = _examiners[os.getpid(), trust] = _Examiner(trust)
    return examiner.grade(job)


def _finish(row, master, job):
    task, status = master.tasks[row["task"]], Status(row["status"])
    points = {"all": task.points, "none": 0, "open": None}[status.points]
    message = written(row["message"])
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


def stop():
    """End the processes that this one has kept."""
    global _stops
    with _lock:
        _stops += 1
        for examiner in _examiners.values():
            examiner.close()
        _examiners.clear()


atexit.register(stop)
