"""What can be said of the Makefile without running its long targets."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONFTEST = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
# They download something, or are for other scripts.
NOT_RUN = {"clipping_mnist", "_ratio"}


def variable(name):
    """Return the words of a variable."""
    (found,) = re.findall(rf"^{name} := (.+)$", MAKEFILE, re.MULTILINE)
    return found.split()


def test_make_alone_lists_every_target():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True)
    listed = set(re.findall(r"make ([a-z]+)", done.stdout))
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert listed == targets - {"help"} and len(listed) > 10
    (phony,) = re.findall(r"^\.PHONY: ((?:.+\\\n)*.+)$", MAKEFILE, re.MULTILINE)
    assert set(phony.replace("\\", "").split()) == targets


def test_every_benchmark_is_run():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert set(variable("benchmarks")) == scripts - NOT_RUN


def test_long_files_come_first():
    """One after the other, the last of them would run alone."""
    places = re.findall(r'"((?:tests|_build)/[\w./]+)"', CONFTEST)
    assert len(places) > 5
    ours = [place for place in places if not place.startswith("_build")]
    assert all((ROOT / place).exists() for place in ours)
    command = re.search(r"-m pytest tests _build/notebooks (?:.*\\\n)*", MAKEFILE)[0]
    # Without this, files with many tests come first.
    assert "--no-loadscope-reorder" in command


def test_one_list_of_folders_of_tools():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = pyproject["tool"]["pytest"]["ini_options"]["pythonpath"]
    assert variable("tools") == folders
    assert set(folders) < set(pyproject["tool"]["ruff"]["src"])


def test_tools_find_each_other_in_a_folder_with_a_space(tmp_path):
    """What `make bench` and `make reference` give to a script."""
    folder = tmp_path / "a course"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "setup.sh").touch()
    shutil.copy(ROOT / "Makefile", folder)
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PYTHONPATH"\n')
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "/elsewhere"}
    done = subprocess.run(
        ["make", "reference"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = [str(folder.resolve() / name) for name in variable("tools")]
    assert done.stdout.strip().split(":") == expected
