"""How workers share the tests: what belongs together, and what comes first."""

import os
from pathlib import Path

import pytest

# These start the grader, which uses all cores by itself, watches memory and looks
# for processes that it left behind: one worker runs them one after the other.
GRADER = ("tests/coursegrade", "tests/book/test_teach.py")
# Folders and files, slowest first. What is not named keeps its place behind them;
# the many files that take seconds even out what is left at the end.
LONG = (
    *GRADER,
    "_build/notebooks",
    "tests/page/test_buttons.py",
    "tests/coursekit/clinic",
    "tests/lab",
    "tests/page",
)


def place(file: str, names: tuple[str, ...]) -> int:
    """Return the number of the first name that a file lies in, or their count."""
    inside = (Path(file).is_relative_to(name) for name in names)
    return next((number for number, found in enumerate(inside) if found), len(names))


def group(nodeid: str) -> str:
    """Return what a test belongs to: its file, whose fixtures it shares, or more."""
    file = nodeid.partition("::")[0]
    return file if place(file, GRADER) == len(GRADER) else "grader"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give a worker one group after the other."""
    # only where there are workers
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    return Groups(config, log)


def pytest_collection_modifyitems(items):
    """Put long files first; one core needs no order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: place(item.nodeid.partition("::")[0], LONG))
