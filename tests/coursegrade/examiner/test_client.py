"""What a neighbour can cost: nothing. Graded once more alone, or in a new sandbox."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import processes
from coursegrade.border import channel
from coursegrade.examiner import client
from submissions import TINY, solved


def job(student, **change):
    text = TINY.read_text(encoding="utf-8")
    data = solved(TINY, student, "s", change)
    return {"id": student, "data": data, "master": text, "secret": "s", "trust": False}


def statuses(rows):
    return [row["status"] for row in rows]


def row(task, status):
    return {"task": task, "status": status, "message": "", "seconds": 0.0}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("timeout", "ok", "ok"),
        ("died", "ok", "ok"),
        ("died", "timeout", "timeout"),
        ("wrong", None, "wrong"),
        # No row: the grader's own failure, now or when it was tried again.
        (None, "ok", "ok"),
        ("timeout", None, "not_graded"),
        (None, None, "not_graded"),
    ],
)
def test_what_a_neighbour_may_have_done_is_done_once_more_alone(
    monkeypatch, first, second, expected
):
    asked = []

    def answer(job, trust, stops):
        asked.append((list(job["tasks"]), job.get("alone", False)))
        rows = [row(name, "ok") for name in job["tasks"] if name != "stddev"]
        mine = second if job.get("alone") else first
        return rows + ([row("stddev", mine)] if mine else []), "it failed"

    monkeypatch.setattr(client, "_asked", answer)
    rows = client.grade_submission(job("ann"))
    assert statuses(rows) == ["ok", expected, "ok", "ok"]
    again = first != "wrong"
    assert asked[1:] == ([(["stddev"], True)] if again else [])
    assert rows[1]["points"] == {"ok": 3, "not_graded": None}.get(expected, 0)


def test_the_gate_lets_one_in_alone():
    gate, inside, seen = client._Gate(), set(), []

    def others(number):
        for _ in range(20):
            with gate.among_others():
                inside.add(number)
                seen.append(set(inside))
                time.sleep(0.001)
                inside.discard(number)

    def alone():
        for _ in range(5):
            with gate.alone():
                seen.append({"alone"} | inside)
                time.sleep(0.002)

    threads = [threading.Thread(target=others, args=(n,)) for n in range(3)]
    threads += [threading.Thread(target=alone) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen.count({"alone"}) == 10
    assert not [one for one in seen if "alone" in one and len(one) > 1]


def test_a_server_that_comes_when_all_is_stopped_is_ended():
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    server = subprocess.Popen(sleeper, start_new_session=True)
    one = client._Examiner.__new__(client._Examiner)
    one.gone, one.servers, one.process = False, set(), subprocess.Popen(sleeper)
    one.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found = []
    grader = threading.Thread(target=lambda: found.append(one.grade({"tasks": []})))
    grader.start()
    _, fds = channel.receive_packet(theirs, most=1)
    one.close()
    with theirs, socket.socket(fileno=fds[0]) as sock:
        channel.send(sock, {"pid": server.pid})
        try:
            assert server.wait(60) == -signal.SIGKILL
        finally:
            server.kill()
            grader.join(60)
    assert found == [([], "the grader's process ended or hangs")]


def test_a_sandbox_that_dies_costs_nobody_a_point(warm):
    slow = "import time; time.sleep(1.5)\ndef he_stddev(n): return (2 / n) ** 0.5"
    assert statuses(client.grade_submission(job("ann")))[:3] == ["ok"] * 3
    examiner = client._examiners[os.getpid(), False]
    (sandbox,) = (
        pid
        for pid in processes.running("bwrap")
        if processes.parents(pid)[:1] == [examiner.process.pid]
    )
    found = {}

    def grade(student):
        asked = {**job(student, stddev=slow), "tasks": ["stddev"]}
        found[student] = client.grade_submission(asked)

    def rooms():
        """Return all below the sandbox: two of its own, and three for each room."""
        warm = processes.running("coursegrade.sandbox.warm")
        return [pid for pid in warm if sandbox in processes.parents(pid)]

    threads = [threading.Thread(target=grade, args=(n,)) for n in ("bo", "cy")]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(rooms()) < 2 + 2 * 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(sandbox, signal.SIGKILL)
    for thread in threads:
        thread.join(500)
    assert [statuses(rows) for rows in found.values()] == [["ok"]] * 2
    # The dead one is not asked again.
    assert examiner not in client._examiners.values()
