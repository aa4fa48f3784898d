"""A sandbox and an examiner that import TensorFlow once, for all tests that may."""

import pytest

from coursegrade.examiner import client
from coursegrade.sandbox.bubblewrap import Sandbox
from submissions import sandbox_or_skip


@pytest.fixture(scope="session")
def _boxes():
    made = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def box(_boxes):
    """A sandbox, for rooms without an examiner; a new one where a test ended it."""
    sandbox_or_skip()
    if not _boxes or _boxes[-1].gone(0):
        _boxes.append(Sandbox())
        _boxes[-1].wait()
    return _boxes[-1]


@pytest.fixture(scope="session")
def _ends():
    stop = client.stop
    yield
    stop()


@pytest.fixture
def warm(_ends, monkeypatch):
    """Go on with the examiner that is there, and leave it to the next test."""
    sandbox_or_skip()
    monkeypatch.setattr(client, "stop", lambda: None)
