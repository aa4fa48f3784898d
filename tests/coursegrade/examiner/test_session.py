"""A submission's room: its time, and which of its cells is to blame for a loss."""

import select
import threading

import pytest

from coursegrade.examiner.notebook import Step
from coursegrade.examiner.session import Session
from coursegrade.examiner.talk import Failed, Lost, Room

LIMITS = {"memory_mb": 512, "processes": 64, "file_mb": 16}


def session(box, *steps, free=60, seconds=20, **options):
    """Return a session of cells, each a text or a pair of a task and a text."""
    made = []
    for step in steps:
        task, source = step if isinstance(step, tuple) else ("", step)
        made.append(Step("run", source, task))
        if task:
            made.append(Step("keep", task=task))
    tasks = {step.task: seconds for step in made}
    return Session(lambda: box.room(**LIMITS), made, {**tasks, "": free}, **options)


def value(made, task, name):
    made.ensure(task)
    try:
        return made.get(task, name)[1]
    finally:
        made.close()


BURN = (
    "import time\nstart = time.process_time()\n"
    "while time.process_time() - start < {}: pass\n"
)


def test_time_is_the_time_of_all_processes(box):
    # Sleeping is no work, and what two children do counts twice.
    room = Room(lambda: box.room(**LIMITS))
    room.allow(30)
    room.ask("run", source="import time; time.sleep(1)")
    assert room.used() < 0.5
    fork = "import os\nfor _ in range(2):\n    if os.fork() == 0:\n        "
    burn = BURN.format(0.5).replace("\n", "\n        ")
    room.ask("run", source=f"{fork}{burn}os._exit(0)\nos.wait(); os.wait()")
    # A little less than 2 x 0.5 s is counted in whole ticks of 10 ms.
    assert room.used() > 0.9
    room.close()


def test_eighty_processes_of_a_neighbour_cost_no_time(box):
    """The others use the cores: what is allowed is the own CPU time."""
    hog, victim = (Room(lambda: box.room(**LIMITS | {"processes": 96})) for _ in "ab")
    many = "import os\nfor _ in range(80):\n    if os.fork() == 0:\n"
    many += "        os.setsid()\n        while True: pass\nwhile True: pass"
    hog.allow(5)
    victim.allow(2)
    lost = []

    def ask():
        with pytest.raises(Lost) as caught:
            hog.ask("run", source=many)
        lost.append(caught.value.status)

    thread = threading.Thread(target=ask)
    thread.start()
    # On two cores this takes three seconds, as long as the neighbour lives.
    assert "error" not in victim.ask("run", source=BURN.format(0.5))
    thread.join(300)
    assert lost == ["timeout"]
    victim.close()


@pytest.mark.parametrize(
    "source",
    ["while True: pass", "import time; time.sleep(99)", "import os\nos.kill(0, 19)"],
)
def test_what_computes_or_sleeps_too_long_is_a_timeout(box, source):
    room = Room(lambda: box.room(**LIMITS))
    room.allow(1)
    with pytest.raises(Lost) as caught:
        room.ask("run", source=source)
    assert caught.value.status == "timeout"


def test_a_thread_that_ends_a_later_cell_is_blamed(box):
    late = "import os, threading\nthreading.Timer({}, os._exit, (0,)).start()"
    wait = "import time; time.sleep(1)\nx = 1"
    steps = ["a = 1", late.format(0.4), "b = 2", ("one", wait)]
    assert value(session(box, *steps, search=True), "one", "x") == 1
    made = session(box, ("one", late.format(0.4)), ("two", wait), search=True)
    assert value(made, "two", "x") == 1
    assert [made.steps[index].task for index in made.bad] == ["one"]
    # One that ends its own process is to blame itself, whatever came before.
    made = session(box, "a = 1", ("one", "import os; os._exit(3)"), search=True)
    with pytest.raises(Failed) as caught:
        value(made, "one", "x")
    assert caught.value.status == "died" and list(made.bad) == [1]


def test_a_thread_that_ends_the_room_while_a_test_runs(box):
    late = "import os, threading\nthreading.Timer(0.5, os._exit, (0,)).start()"
    made = session(box, late, ("one", "def f(): import time; time.sleep(3)"))
    made.search = True
    made.ensure("one")
    with pytest.raises(Lost):
        made.get("one", "f")
        made.call("one", "f", (), {})
    assert made.innocent() and list(made.bad) == [0]
    made = session(box, "a = 1", ("one", "def f(): import os; os._exit(0)"))
    made.ensure("one")
    with pytest.raises(Lost):
        made.call("one", "f", (), {})
    assert not made.innocent()
    made.close()


def test_a_room_that_ends_between_two_tests_is_no_failure_of_ours(box):
    late = "import os, threading\nthreading.Timer(0.5, os._exit, (0,)).start()"
    made = session(box, late, ("one", "x = 1"), search=True)
    made.run()
    assert select.select([made.room.life], [], [], 60)[0]
    with pytest.raises(Lost) as caught:
        made.ensure("one")
    assert caught.value.status == "died" and made.room is None
    assert made.innocent() and value(made, "one", "x") == 1


def test_slow_cells_of_no_task_cost_no_task(box, monkeypatch):
    # Each of the sleepers rests for as long as it may; the one that computes uses
    # its share up. What was fast, and what was slow but done, stays.
    sleeps = "import time; time.sleep(60)"
    steps = [BURN.format(0.5) + "a = 1", sleeps, "while True: pass", sleeps, "b = 2"]
    monkeypatch.setattr("coursegrade.examiner.session.LEAST_SECONDS", 1)
    made = session(box, *steps, ("one", "x = a + b"), free=2)
    assert value(made, "one", "x") == 3
    assert sorted(made.bad) == [1, 2, 3]


def test_who_loses_many_rooms_loses_no_task(box, monkeypatch):
    monkeypatch.setattr("coursegrade.examiner.session.MOST_LOST", 4)
    exits = ["import os; os._exit(0)"] * 40
    made = session(box, *exits, ("one", "x = 1"))
    assert value(made, "one", "x") == 1


def test_names_are_as_they_were_at_their_task(box):
    made = session(
        box,
        (
            "one",
            "n = 2\ndef f(): return n * later\ndef g(): global n; n += 1; return n",
        ),
        ("two", "n = 8\ndef h(): return n\ndef f(): return -1"),
        "later = 10",
        "%reset -f\nlater = 10",
    )
    made.ensure("one")
    assert made.call("one", "f", (), {}) == 20
    assert made.call("two", "h", (), {}) == 8
    assert made.call("one", "g", (), {}) == 3 and made.call("one", "f", (), {}) == 30
    assert made.call("two", "f", (), {}) == -1 and made.get("one", "n") == (True, 2)
    made.close()


def test_a_copy_of_the_process_answers_nothing(box):
    """Code that forks and comes back twice costs no later question."""
    forks = "import os\ndef f(): os.fork(); return 1"
    made = session(box, ("one", forks), ("two", "def g(): return 2"))
    made.ensure("one")
    assert made.call("one", "f", (), {}) == 1 and made.call("two", "g", (), {}) == 2
    made.close()


def test_a_name_below_its_test_says_where(box):
    made = session(box, ("one", "x = 1"), "y = 2")
    made.steps[-1] = Step("run", "y = 2", "", 7)
    with pytest.raises(Failed, match="`y` is not defined; cell 7 defines it, below"):
        value(made, "one", "y")


REPLY = (
    "from coursegrade.sandbox import room\n"
    "deep = []\nfor _ in range(970): deep = [deep]\n"
    "room._failure = lambda e: {}\n1 / 0"
)


@pytest.mark.parametrize(
    "failure",
    ["{'error': deep, 'kind': 'x'}", "{'error': 3}", "{'error': {}, 'kind': [1]}"],
)
def test_an_error_that_is_no_text(box, failure):
    made = session(box, ("one", REPLY.format(failure)))
    with pytest.raises(Failed, match="the cell raised an error|is not JSON") as caught:
        value(made, "one", "x")
    assert caught.value.status == "error"


def test_a_number_that_no_message_holds_cannot_be_graded(box):
    made = session(box, ("one", "x = 10 ** 5000\ndef f(): return [x]"))
    made.ensure("one")
    for ask in (lambda: made.get("one", "x"), lambda: made.call("one", "f", (), {})):
        with pytest.raises(Failed, match="cannot be graded") as caught:
            ask()
        assert caught.value.status == "wrong"
    made.close()
