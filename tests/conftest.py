"""How workers share the tests: what belongs together, what comes first, the GPU."""

import gc
import os
import sys
from pathlib import Path

import pytest

# Files that share a sandbox, an examiner or engines of browsers, which take long to
# start: one worker runs such files one after the other.
TOGETHER = (
    ("tests/coursegrade/examiner", "tests/coursegrade/sandbox"),
    (
        "tests/coursegrade/gradebook/test_whole_class.py",
        "tests/coursegrade/test_cli.py",
        "tests/coursegrade/test_release.py",
        "tests/coursegrade/test_simulate.py",
    ),
    (
        "tests/page/test_parts.py",
        "tests/page/test_figures.py",
        "tests/page/test_style.py",
        "tests/page/test_maths.py",
        "tests/page/test_chapter.py",
    ),
)
# Folders and files, slowest first. What is not named keeps its place behind them;
# the many files that take seconds even out what is left at the end.
LONG = (
    *TOGETHER[1],
    *TOGETHER[0],
    "_build/notebooks",
    "tests/coursekit/clinic/diagnosis",
    *TOGETHER[2],
    "tests/page/test_rules_of_pages.py",
    "tests/coursekit/clinic",
    "tests/lab",
    "tests/page",
    "tests/coursegrade/test_nbgrader.py",
    "tests/coursekit",
)


# TensorFlow takes all of a GPU's memory otherwise, and kernels of notebooks do, too.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Kernels of notebooks run it first.
os.environ["PYTHONSTARTUP"] = str(Path(__file__).parent / "helpers/kernel_start.py")
#: Where a marked test can run, and what is said of it elsewhere.
DEVICES = {"gpu": "needs a GPU", "cpu": "holds on a CPU alone"}


def device() -> str:
    """Return what TensorFlow computes on: "gpu" or "cpu"."""
    import tensorflow as tf

    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def pytest_configure(config):
    for name, why in DEVICES.items():
        config.addinivalue_line("markers", f"{name}: {why}")


def pytest_runtest_setup(item):
    marked = {mark.name for mark in item.iter_markers()} & DEVICES.keys()
    if marked and device() not in marked:
        pytest.skip(" and ".join(DEVICES[name] for name in sorted(marked)))


def pytest_sessionfinish():
    """End the browsers that tests have left running for the next ones."""
    if engines := sys.modules.get("engines"):
        engines.close()


@pytest.fixture(autouse=True, scope="session")
def _rounds_as_a_cpu_does():
    """Multiply float32 as on a CPU; where no test computes, TensorFlow stays away."""
    if tf := sys.modules.get("tensorflow"):
        tf.config.experimental.enable_tensor_float_32_execution(False)


def place(file: str, names: tuple[str, ...]) -> int:
    """Return the number of the first name that a file lies in, or their count."""
    inside = (Path(file).is_relative_to(name) for name in names)
    return next((number for number, found in enumerate(inside) if found), len(names))


def group(nodeid: str) -> str:
    """Return what a test belongs to: its file, whose fixtures it shares, or more."""
    file = nodeid.partition("::")[0]
    for names in TOGETHER:
        if place(file, names) < len(names):
            return names[0]
    return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give a worker one group after the other."""
    # only where there are workers
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    return Groups(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Let the collector rest while modules are imported: what they make stays.

    It took a quarter of the time that importing TensorFlow takes.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """Put long files first; one core needs no order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: place(item.nodeid.partition("::")[0], LONG))
