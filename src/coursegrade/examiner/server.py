"""The trusted process of a grader: it owns the sandbox and runs the tests.

``python -m coursegrade.examiner.server FD`` imports TensorFlow, starts the sandbox,
and then forks a server for each socket that it gets through the socket FD. A server
reads one job a line and writes its results, a JSON line each. Each job runs in a
fork with limits of its own, so that a model too large to build, or a test that never
ends, costs one task and not the class.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback

from coursegrade.assignment.master import parse_master
from coursegrade.examiner import notebook
from coursegrade.examiner.session import Session
from coursegrade.examiner.task_tests import check_task
from coursegrade.sandbox.bubblewrap import Sandbox, SandboxError
from coursegrade.statuses import Status
from coursekit.grading import class_key, seed_hidden_inputs

ROOM = {"processes": 96, "file_mb": 64}
FREE_SECONDS = 120.0
EXAMINER_MB = 1536


def grade(job, sandbox, write):
    """Grade the tasks of one job that are not done; write a row for each.

    ``job`` has ``master`` (text), ``cells`` (of the submission), ``student``
    (id), ``secret`` and ``tasks`` (names still to do); with ``force``, tasks
    without an answer are tested as well.
    """
    master = parse_master(job["master"])
    submitted = [notebook.Submitted(*cell) for cell in job["cells"]]
    student = {
        "student_id": job["student"],
        "class_key": class_key(job["secret"], master.name),
    }
    seed_hidden_inputs(job["secret"], master.name, job["student"])
    source = "\n".join(f"{name} = {value!r}" for name, value in student.items())
    steps = notebook.plan(master, submitted, source)
    seconds = {name: task.seconds for name, task in master.tasks.items()}
    limits = {**ROOM, "memory_mb": master.memory_mb}
    session = Session(
        lambda: sandbox.room(**limits), steps, {**seconds, "": FREE_SECONDS}
    )
    todo = []
    for name in job["tasks"]:
        task = master.tasks[name]
        why = notebook.unanswered(master, task, submitted)
        # A release is also tried without answers: do the tests see that?
        if why and not job.get("force"):
            write(task=name, status=Status.MISSING, message=why, seconds=0.0)
        elif task.manual:
            write(task=name, status=Status.NEEDS_REVIEW, message="", seconds=0.0)
        else:
            todo.append(task)
    if todo:
        write(begins="")
        session.run()
    for task in todo:
        write(begins=task.name)
        start = time.monotonic()
        session.ensure()
        with _alarm(task.seconds + 5):
            status, message = check_task(master, task, session, student)
        used = session.spent.get(task.name, 0.0) + time.monotonic() - start
        write(task=task.name, status=status, message=message, seconds=round(used, 2))
    session.close()


@contextlib.contextmanager
def _alarm(seconds):
    """Raise TimeoutError in what takes longer."""

    def ring(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main(argv):
    """Start the sandbox, say so, and fork servers until the grader is gone."""
    control = socket.socket(fileno=int(argv[0]))
    try:
        sandbox = Sandbox(trust="--trust" in argv)
        # What the forks need, imported once while the sandbox does the same.
        import jupytext  # noqa: F401
        import keras  # noqa: F401
        from IPython.core import inputtransformer2  # noqa: F401

        import coursekit

        for name in coursekit.__all__:
            getattr(coursekit, name)
        sandbox.wait()
    except SandboxError as error:
        control.sendall(json.dumps({"unavailable": str(error)}).encode())
        return
    control.sendall(json.dumps({"ready": True}).encode())
    # Nobody asks how a server ended: its socket tells.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 16, 1)
        if not data:
            break
        if os.fork() == 0:
            try:
                control.close()
                _serve(socket.socket(fileno=fds[0]), sandbox)
            finally:
                os._exit(0)
        os.close(fds[0])
    sandbox.close()


def _serve(sock, sandbox):
    """Grade one job after the other, until the grader hangs up."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Who ends this process's group ends the fork that grades, too.
    os.setpgid(0, 0)
    with sock, sock.makefile("r") as lines, sock.makefile("w") as out:
        print(json.dumps({"pid": os.getpid()}), file=out, flush=True)
        for line in lines:
            _one(json.loads(line), sandbox, out)
            print(json.dumps({"done": True}), file=out, flush=True)


def _one(job, sandbox, out):
    """Grade a job in a fork; where it dies, blame the task and go on."""
    while job["tasks"]:
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            _child(job, sandbox, tell)
        os.close(tell)
        current = None
        with os.fdopen(told) as rows:
            for line in rows:
                row = json.loads(line)
                if "begins" in row:
                    current = row["begins"]
                    continue
                if "failed" in row:
                    print(json.dumps(row), file=out, flush=True)
                    os.waitpid(pid, 0)
                    return
                job["tasks"].remove(row["task"])
                current = None
                print(json.dumps(row), file=out, flush=True)
        _, status = os.waitpid(pid, 0)
        if status == 0:
            return
        if not current:
            text = f"the grader's process ended with status {status}"
            print(json.dumps({"failed": text}), file=out, flush=True)
            return
        job["tasks"].remove(current)
        row = {"task": current, "status": Status.DIED, "seconds": 0.0}
        row["message"] = "testing what was returned ended the grader's process"
        print(json.dumps(row), file=out, flush=True)


def _child(job, sandbox, tell):
    status = 1
    try:
        most = EXAMINER_MB * 2**20
        with open("/proc/self/statm") as file:
            most += int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except OSError:
        # macOS has no /proc and no such limit; only trusted work runs there.
        pass
    try:
        with os.fdopen(tell, "w") as pipe:

            def write(**row):
                pipe.write(json.dumps(row) + "\n")
                pipe.flush()

            try:
                grade(job, sandbox, write)
            except Exception as error:
                traceback.print_exc()
                write(failed=f"{type(error).__name__}: {error}"[:300])
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
