"""A sandbox and an examiner that import TensorFlow once, for all tests that may."""

import pytest

from coursegrade.examiner import client
from coursegrade.sandbox.bubblewrap import Sandbox
from submissions import sandbox_or_skip


@pytest.fixture(scope="session")
def box():
    """A sandbox, for rooms without an examiner."""
    sandbox_or_skip()
    made = Sandbox()
    made.wait()
    yield made
    made.close()


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
