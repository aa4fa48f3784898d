"""Where tests run, and how the kernels that they start begin."""

import gc
import os
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture
def conftest(request):
    path = str(Path(__file__).parents[1] / "conftest.py")
    return request.config.pluginmanager.get_plugin(path) or next(
        plugin
        for plugin in request.config.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == path
    )


@pytest.mark.parametrize(
    ("device", "marks", "why"),
    [
        ("cpu", ["gpu"], "needs a GPU"),
        ("gpu", ["cpu"], "holds on a CPU alone"),
        ("cpu", ["cpu"], None),
        ("gpu", ["gpu", "parametrize"], None),
        ("gpu", ["parametrize"], None),
    ],
)
def test_marked_tests(conftest, monkeypatch, device, marks, why):
    monkeypatch.setattr(conftest, "device", lambda: device)
    names = [SimpleNamespace(name=name) for name in marks]
    item = SimpleNamespace(iter_markers=lambda: names)
    if why is None:
        conftest.pytest_runtest_setup(item)
        return
    with pytest.raises(pytest.skip.Exception, match=why):
        conftest.pytest_runtest_setup(item)


def test_kernels_begin_with_a_collector_that_rests():
    before, names = gc.get_threshold(), {}
    try:
        exec(Path(os.environ["PYTHONSTARTUP"]).read_text(encoding="utf-8"), names)
        assert gc.get_threshold()[0] > 10 * before[0]
    finally:
        gc.set_threshold(*before)
    # a notebook finds no name that it has not made
    assert all(name.startswith("__") for name in names)
