"""The order in which two workers share the files: those that take long come first."""

import os
from pathlib import Path

# Folders and files, slowest first. What is not named keeps its place behind them;
# the many files that take seconds even out what is left at the end.
LONG = (
    "tests/coursegrade/sandbox",
    "tests/book/test_teach.py",
    "_build/notebooks",
    "tests/page/test_buttons.py",
    "tests/coursegrade",
    "tests/coursekit/clinic",
    "tests/lab",
    "tests/page",
)


def rank(path: Path, root: Path) -> int:
    """Return the place in the queue of a file."""
    for number, name in enumerate(LONG):
        if path.is_relative_to(root / name):
            return number
    return len(LONG)


def pytest_collection_modifyitems(config, items):
    """Sort the files of a run on several cores; one core needs no order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: rank(item.path, config.rootpath))
