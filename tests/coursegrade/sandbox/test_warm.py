"""The process that all rooms share: nothing ends it, and its end is told as such."""

import os
import signal

import pytest

from coursegrade.examiner.notebook import Step
from coursegrade.examiner.session import Session
from coursegrade.examiner.talk import GoneError
from coursegrade.sandbox import warm


def test_a_room_that_cannot_be_watched_ends_alone():
    class Broken:
        reason = ""

        def watch(self):
            raise ValueError("what nobody thought of")

        def end(self, reason=""):
            self.reason = reason

    room = Broken()
    warm._Rooms._guarded(None, room.watch)
    assert "what nobody thought of" in room.reason


def test_a_dead_sandbox_is_told_as_such(box):
    """Last of the tests that share the sandbox: the next one would start another."""
    steps = [Step("run", "x = 1", "one"), Step("keep", task="one")]
    limits = {"memory_mb": 512, "processes": 64, "file_mb": 16}
    made = Session(lambda: box.room(**limits), steps, {"one": 20, "": 60})
    made.ensure("one")
    assert not box.gone(0)
    os.kill(box.process.pid, signal.SIGKILL)
    assert box.gone(60)
    with pytest.raises(GoneError):
        made.get("one", "x")
    with pytest.raises(GoneError):
        made.ensure("one")
