"""README and CONTRIBUTING name every room, and nothing that is not there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = {".py", ".js", ".md", ".yml", ".sh", ".txt", ""}
# Made when the book is built, or a name that stands for any.
NOT_THERE = re.compile(r"_build/|name\.md|\*|released|^\.venv|requirements\*")


def rooms():
    """Return the folders that hold tracked files: of `src` and `book/_ext` all."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    found = set()
    for path in map(Path, done.stdout.splitlines()):
        top = path.parts[0]
        if len(path.parts) > 1 and top != "src":
            found.add(top)
        if path.suffix in {".py", ".js"} and "static" not in path.parts:
            if path.is_relative_to("src") or path.is_relative_to("book/_ext"):
                found.add(path.parent.as_posix())
    return found


def table():
    """Return the first column and the rest of README's table of rooms."""
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", README, re.MULTILINE)
    assert len(rows) > 10
    return rows


@pytest.mark.parametrize("room", sorted(rooms()))
def test_the_table_names_every_room(room):
    """By its path in the first column, or by its name in the row of its parent."""
    parent, _, name = room.rpartition("/")
    named = any(f"`{room}/`" in where for where, _ in table())
    within = any(
        f"`{parent}/`" in where and f"`{name}/`" in what for where, what in table()
    )
    assert named or within


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_named_files_exist(text):
    tops = "|".join(re.escape(p.name) for p in ROOT.iterdir() if p.name != ".git")
    paths = set(
        re.findall(rf"(?<![\w/.])((?:{tops})(?:/[\w.*-]+)*/?)(?=[`),\s])", text)
    )
    there = {path for path in paths if not NOT_THERE.search(path)}
    assert len(there) > 10
    assert not {path for path in there if not (ROOT / path).exists()}


# What comments name that is made by the build, or is another project's.
ELSEWHERE = {"constants.js", "src/main.js", "console-results.js", "notify-classroom.js"}


def test_files_that_comments_name_exist():
    """By a path, or by the end of one."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    paths = done.stdout.split()
    ends = tuple(f"/{path}" for path in paths)
    found = {}
    for path in paths:
        if Path(path).suffix in {".py", ".js", ".css", ".yml", ".sh"}:
            text = (ROOT / path).read_text(encoding="utf-8")
            for name in re.findall(r"`([\w./-]+\.(?:py|js))`", text):
                found.setdefault(name, path)
    assert len(found) > 10 and ELSEWHERE <= found.keys()
    lost = {
        f"{path} names {name}"
        for name, path in found.items()
        if not any(end.endswith(f"/{name}") for end in ends)
    }
    assert {one.rpartition(" ")[2] for one in lost} == ELSEWHERE, lost


def test_every_target_of_make_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(
        re.findall(r"`make ([a-z]+)|^make ([a-z]+)", README + CONTRIBUTING, re.M)
    )
    assert {one or other for one, other in named} <= targets


def test_every_benchmark_has_its_promise():
    promised = set(re.findall(r"^\| `(\w+)\.py` \|", CONTRIBUTING, re.MULTILINE))
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert promised == scripts - {"_ratio", "clipping_mnist"}


def test_recipes():
    """What a stranger comes to change has a heading, and links in README lead on."""
    recipes = set(re.findall(r"^### (.+)$", CONTRIBUTING, re.MULTILINE))
    for what in (
        "chapter",
        "preset",
        "activation",
        "threshold",
        "grader",
        "TensorFlow",
    ):
        assert any(what in heading for heading in recipes), what
