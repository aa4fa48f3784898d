"""The first cell of every notebook: in Colab, outside of it, without a repository."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement

from coursekit.colab import METADATA, commit, setup_source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_first_cell(monkeypatch, capsys):
    """Run a first cell; return what it installs and what it prints."""

    def run(source, in_colab, installed):
        lines = []
        shell = InteractiveShell()
        shell.register_magic_function(lines.append, magic_name="pip")
        if in_colab:
            colab = ModuleType("google.colab")
            colab.files = SimpleNamespace(upload=lambda: {"the course.zip": b""})
            monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
            monkeypatch.setitem(sys.modules, "google.colab", colab)
        with monkeypatch.context() as patch:
            found = object() if installed else None
            patch.setattr("importlib.util.find_spec", lambda name: found)
            shell.run_cell(source).raise_error()
        return lines, capsys.readouterr().out

    return run


FIRST_CELLS = {
    "repository": setup_source("owner/name", "abc"),
    "folder": setup_source("", "abc"),
}


@pytest.mark.parametrize("kind", FIRST_CELLS)
@pytest.mark.parametrize("colab", [False, True])
def test_first_cell_does_nothing_when_the_helpers_are_there(
    run_first_cell, kind, colab
):
    assert run_first_cell(FIRST_CELLS[kind], colab, True) == ([], "")


def test_first_cell_installs_the_commit(run_first_cell):
    lines, printed = run_first_cell(FIRST_CELLS["repository"], True, False)
    url = "git+https://github.com/owner/name@abc"
    assert lines == [f'install -q "gradient-coursekit @ {url}"'] and printed == ""
    assert str(Requirement(lines[0].split('"')[1]).url) == url


@pytest.mark.parametrize("known", [("", "abc"), ("owner/name", ""), ("", "")])
def test_first_cell_asks_for_the_folder(run_first_cell, known):
    lines, printed = run_first_cell(setup_source(*known), True, False)
    assert lines == ['install -q "the course.zip"'] and "ZIP" in printed


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("repository", r"gradient-coursekit @ git\+.*@abc"),
        ("folder", r"pip install \."),
    ],
)
def test_first_cell_stops_where_the_next_one_would_fail(run_first_cell, kind, cure):
    with pytest.raises(ImportError, match=cure):
        run_first_cell(FIRST_CELLS[kind], False, False)


@pytest.mark.parametrize("kind", FIRST_CELLS)
def test_first_cell_passes_linter_and_nbval(tmp_path, kind):
    cell = new_code_cell(FIRST_CELLS[kind], id="setup", execution_count=1)
    notebook = new_notebook(cells=[cell], metadata=METADATA)
    nbformat.write(notebook, tmp_path / "page.ipynb")
    lint = ["ruff", "check", "--config", str(ROOT / "pyproject.toml")]
    nbval = ["pytest", "--nbval", "--nbval-current-env", "-q"]
    for tool, passed in ((lint, "All checks passed"), (nbval, "1 passed")):
        command = [sys.executable, "-m", *tool, str(tmp_path)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0 and passed in run.stdout, run.stdout + run.stderr


def test_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_SHA", "abc")
    assert commit(tmp_path) == "abc"
    monkeypatch.delenv("GITHUB_SHA")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) == ""


def test_colab_keeps_its_versions():
    """An install in Colab must leave its TensorFlow, Keras and NumPy alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    text = (ROOT / ".github" / "constraints" / "colab.txt").read_text()
    versions = dict(re.findall(r"^([a-z-]+)==([\d.]+)\.\*$", text, re.MULTILINE))
    assert {"tensorflow", "keras", "numpy", "matplotlib"} <= versions.keys()
    for name, version in versions.items():
        assert f"{version}.0" in ranges[name], name
    assert all("==" not in str(one) for one in ranges.values())


def test_first_cell_fits_a_phone():
    for source in FIRST_CELLS.values():
        assert max(map(len, source.split("\n"))) <= 72
