"""What a failure of the grader's own is taken for: never for a wrong answer."""

import random
from pathlib import Path

import numpy as np
import pytest

from coursegrade.assignment.master import parse_master, read_master
from coursegrade.examiner.talk import GoneError, Room
from coursegrade.examiner.task_tests import TaskTest
from coursegrade.sandbox.bubblewrap import SandboxError

MASTER = read_master(Path(__file__).parents[2] / "data/tiny.md")


class Broken:
    """A session whose sandbox is lost at one of its methods."""

    def __init__(self, lost):
        self.lost, self.room = lost, None

    def __getattr__(self, name):
        def answer(*args):
            if name == self.lost:
                raise GoneError("the sandbox has ended")
            return False, None

        return answer


@pytest.mark.parametrize("lost", ["ensure", "get", "call"])
def test_a_lost_sandbox_is_no_wrong_answer(lost):
    with pytest.raises(GoneError):
        TaskTest(MASTER, MASTER.tasks["stddev"], {}).run(Broken(lost), True)


def test_no_room_is_a_lost_sandbox():
    def launch():
        raise SandboxError("the sandbox has ended")

    with pytest.raises(GoneError, match="has ended"):
        Room(launch)


class Here:
    """A session whose answers are Python objects of this process."""

    def __init__(self, **names):
        self.names, self.room, self.quiet = names, None, True

    def ensure(self, task):
        pass

    def get(self, task, name):
        plain = not callable(self.names[name])
        return plain, self.names[name] if plain else None

    def call(self, task, name, args, kwargs):
        return self.names[name](*args, **kwargs)


TEST = """\
---
grading: {assignment: one}
---

```{code-cell}
import numpy as np
```

```{code-cell}
---
grade: {task: t, points: 1}
---
### BEGIN SOLUTION
def f(x): return x * x
### END SOLUTION
```

```{code-cell}
---
grade: {tests: t}
---
assert f(2) == 4
assert 9 == f(3)
assert np.allclose(f(4), [16, 16]), "both"
assert isinstance(f(5), int)
### BEGIN HIDDEN TESTS
assert f(6) == 36
### END HIDDEN TESTS
```
"""


@pytest.mark.parametrize(
    ("answer", "hidden", "message"),
    [
        (lambda x: 5, False, "a public test of this task failed; got 5; expected 4"),
        (lambda x: 4, False, "a public test of this task failed; got 4; expected 9"),
        (lambda x: x * x + (x == 4), False, "both (a public test); got 17; expected"),
        # No comparison: what an earlier one compared is not shown.
        (lambda x: float(x * x), False, "a public test of this task failed"),
        (lambda x: 7 if x == 6 else x * x, True, "a hidden test of this task failed"),
    ],
)
def test_public_tests_show_both_sides(answer, hidden, message):
    master = parse_master(TEST)
    test = TaskTest(master, master.tasks["t"], {})
    status, said = test.run(Here(f=answer), hidden)
    assert status == "wrong" and said.startswith(message)
    assert ("got" in said) == ("got" in message)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_right_answer_passes_watched_tests(hidden):
    named = {"he_stddev": lambda n: (2 / n) ** 0.5}
    test = TaskTest(MASTER, MASTER.tasks["stddev"], {})
    assert test.run(Here(**named), hidden) == ("ok", "")


def test_what_has_passed_is_asked_again_in_another_room_alone():
    asked = []
    here = Here(f=lambda x: asked.append(x) or x * x)
    master = parse_master(TEST)
    test = TaskTest(master, master.tasks["t"], {})
    assert test.run(here, False) == ("ok", "") and asked == [2, 3, 4, 5]
    assert test.run(here, True) == ("ok", "") and asked[4:] == [6]
    here.room = "another"
    assert test.run(here, True) == ("ok", "") and asked[5:] == [2, 3, 4, 5, 6]


def test_hidden_tests_inside_of_a_public_statement_run_with_it():
    asked = []
    here = Here(f=lambda x: asked.append(x) or x * x)
    inside = "if f(1):\n    assert f(5)\n    ### BEGIN HIDDEN TESTS\n    assert f(6)"
    master = parse_master(TEST.replace("### BEGIN HIDDEN TESTS\nassert f(6)", inside))
    test = TaskTest(master, master.tasks["t"], {})
    assert test.run(here, False) == ("ok", "") and asked == [2, 3, 4, 5, 1, 5]
    assert test.run(here, True) == ("ok", "") and asked[6:] == [2, 3, 4, 5, 1, 5, 6]


def test_hidden_tests_draw_what_they_draw_right_behind_the_public_ones():
    seeded = "np.random.seed(1)\nrandom.seed(1)\nassert f(2) == 4"
    drawn = "assert np.random.rand() == np.random.RandomState(1).rand()\n"
    drawn += "assert random.random() == random.Random(1).random()"
    text = TEST.replace("import numpy as np", "import random\nimport numpy as np")
    text = text.replace("assert f(2) == 4", seeded).replace("assert f(6) == 36", drawn)
    master = parse_master(text)
    test = TaskTest(master, master.tasks["t"], {})
    here = Here(f=lambda x: x * x)
    assert test.run(here, False) == ("ok", "")
    # Another task's public tests come between.
    np.random.rand(), random.random()
    assert test.run(here, True) == ("ok", "")
