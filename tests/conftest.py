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


def place(path: Path, root: Path, names: tuple[str, ...]) -> int:
    """Return the number of the first name that a file lies in, or their count."""
    inside = (path.is_relative_to(root / name) for name in names)
    return next((number for number, found in enumerate(inside) if found), len(names))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Order and group the tests of a run on several cores; one core needs neither."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    root = config.rootpath
    items.sort(key=lambda item: place(item.path, root, LONG))
    for item in items:
        # A file's tests share its fixtures.
        group = str(item.path.relative_to(root))
        if place(item.path, root, GRADER) < len(GRADER):
            group = "grader"
        item.add_marker(pytest.mark.xdist_group(group))
