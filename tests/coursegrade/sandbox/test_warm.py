"""The process that all rooms share: nothing ends it, and its end is told as such."""

import os
import signal
import site

import pytest

from coursegrade.examiner.notebook import Step
from coursegrade.examiner.session import Session
from coursegrade.examiner.talk import GoneError
from coursegrade.sandbox import bubblewrap, start, warm


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


def test_what_was_installed_for_one_user_is_found(monkeypatch, tmp_path):
    """`pip install --user` puts packages where only that user's Python looks."""
    base = tmp_path / "base"
    monkeypatch.setattr(site, "USER_BASE", str(base))
    monkeypatch.setattr(site, "USER_SITE", str(base / "packages"))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    assert str(base / "packages") not in bubblewrap._python_folders()
    (base / "packages").mkdir(parents=True)
    assert str(base / "packages") in bubblewrap._python_folders()
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    assert str(base / "packages") not in bubblewrap._python_folders()
    assert start.environment(inside=True)["PYTHONUSERBASE"] == str(base)


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
