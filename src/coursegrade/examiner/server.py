"""The trusted process of a grader: it owns the sandbox and runs the tests.

``python -m coursegrade.examiner.server FD`` imports TensorFlow, starts the sandbox,
and then forks a server for each socket that it gets through the socket FD. A server
reads a job and writes its rows, a message each. The job runs in a fork with limits of
its own, so that a model too large to build, or a test that never ends, costs one task
and not the submission.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import time
import traceback

from coursegrade.assignment.master import parse_master
from coursegrade.border import channel
from coursegrade.examiner import notebook
from coursegrade.examiner.session import Session
from coursegrade.examiner.talk import BUSY, WARM_SECONDS, GoneError
from coursegrade.examiner.task_tests import TOO_LONG, TaskTest, TimeUp
from coursegrade.sandbox import start
from coursegrade.sandbox.bubblewrap import Sandbox, SandboxError
from coursegrade.statuses import Status
from coursekit.grading import class_key, seed_hidden_inputs

ROOM = {"processes": 96, "file_mb": 64}
FREE_SECONDS = 120.0
# Building what was returned takes some, besides the test's own time.
BUILD_SECONDS = 5
EXAMINER_MB = 1536
# More CPU time than that is used by what no exception reaches, code in C++.
DEAF_SECONDS = 30


def grade(job, sandbox, write):
    """Grade the tasks of one job that are not done; write a row for each.

    ``job`` has ``master`` (text), ``cells`` (of the submission), ``student``
    (id), ``secret`` and ``tasks`` (names still to do); with ``force``, tasks
    without an answer are tested as well, and with ``alone``, each in a room of its
    own, in which nothing has run but what stands above its test.
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
    seconds[""] = FREE_SECONDS
    limits = {**ROOM, "memory_mb": master.memory_mb}

    def session(steps, **options):
        return Session(lambda: sandbox.room(**limits), steps, seconds, **options)

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
            todo.append(TaskTest(master, task, student))
    if not job.get("alone"):
        _test(todo, session(steps), write)
        return
    for test in todo:
        name = test.task.name
        write(begins=name)
        _test([test], session(notebook.up_to(steps, name), search=True), write)


def _test(todo, session, write):
    """Test tasks in one room: all of their public tests come first."""
    for hidden in (False, True):
        for test in list(todo):
            row = _tested(test, session, write, hidden)
            lost = row["status"] == Status.DIED and session.room is None
            if lost and session.search and session.innocent():
                row = _tested(test, session, write, hidden)
            if hidden or row["status"] != Status.OK:
                write(**row)
                todo.remove(test)
    session.close()


def _tested(test, session, write, hidden):
    """Return the row of a task."""
    task = test.task
    session.run()
    write(begins=task.name)
    begun = time.monotonic()
    with _alarm(task.seconds + BUILD_SECONDS) as alarm:
        status, message = test.run(session, hidden)
    if alarm["rang"]:
        # Whatever was made of the exception on its way.
        status, message = Status.TIMEOUT, TOO_LONG
    used = session.spent.get(task.name, 0.0) + time.monotonic() - begun
    row = {"task": task.name, "status": status, "message": message}
    return {**row, "seconds": round(used, 2)}


@contextlib.contextmanager
def _alarm(seconds):
    """Raise TimeUp in what computes longer, or takes much longer by the clock."""
    alarm = {"rang": False, "set": True}

    def ring(number, frame):
        if alarm["set"]:
            alarm["rang"] = True
            raise TimeUp

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    most = int(time.process_time() + seconds + DEAF_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))
    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, BUSY * seconds + WARM_SECONDS),
    )
    before = [signal.signal(number, ring) for number, _, _ in timers]
    try:
        for _, timer, wait in timers:
            # Once more each second, where the exception was caught.
            signal.setitimer(timer, wait, 1)
        yield alarm
    except TimeUp:
        pass
    finally:
        alarm["set"] = False
        for (number, timer, _), old in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, old)
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def main(argv):
    """Start the sandbox, say so, and fork servers until the grader is gone."""
    control = socket.socket(fileno=int(argv[0]))
    try:
        sandbox = Sandbox(trust="--trust" in argv)
        # What the forks need, imported once while the sandbox does the same.
        start.preload("jupytext", "keras", "IPython.core.inputtransformer2")
        sandbox.wait()
    except SandboxError as error:
        channel.send_packet(control, {"unavailable": str(error)})
        return
    channel.send_packet(control, {"ready": True})
    # Nobody asks how a server ended: its socket tells.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            _, fds = channel.receive_packet(control, most=1)
        except channel.ClosedError:
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
    """Grade a job, and say what failed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Who ends this process's group ends the fork that grades, too.
    os.setpgid(0, 0)
    with contextlib.suppress(channel.ClosedError, OSError):
        channel.send(sock, {"pid": os.getpid()})
        failed = _one(channel.receive(sock), sandbox, sock)
        gone = bool(failed) and sandbox.gone()
        channel.send(sock, {"done": failed, "gone": gone})


def _one(job, sandbox, sock):
    """Grade a job in a fork; where it dies, blame the task and go on.

    Returns what failed in the grader itself, or an empty text.
    """
    while job["tasks"]:
        rows, tell = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            rows.close()
            sock.close()
            _child(job, sandbox, tell)
        tell.close()
        current, failed = None, ""
        with rows, contextlib.suppress(channel.ClosedError):
            while not failed:
                row = channel.receive(rows)
                failed = row.get("failed", "")
                if "task" in row:
                    job["tasks"].remove(row["task"])
                    channel.send(sock, row)
                current = row.get("begins")
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if failed or status == 0:
            return failed
        if not current:
            return f"the grader's process ended with status {status}"
        job["tasks"].remove(current)
        row = {"task": current, "status": Status.DIED, "seconds": 0.0}
        row["message"] = "testing what was returned ended the grader's process"
        if status == -signal.SIGXCPU:
            row |= {"status": Status.TIMEOUT, "message": TOO_LONG}
        channel.send(sock, row)
    return ""


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

        def write(**row):
            channel.send(tell, row)

        try:
            grade(job, sandbox, write)
        except (Exception, GoneError) as error:
            traceback.print_exc()
            write(failed=f"{type(error).__name__}: {error}"[:300])
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
