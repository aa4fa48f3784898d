"""The page for instructors: its walk, its masters, the quiz bank, the figures."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import figures
import quiz
from coursegrade.gradebook.tables import COLUMNS
from coursegrade.statuses import Status
from submissions import grader_environment, sandbox_or_skip

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book/teach.md").read_text(encoding="utf-8")


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_walk_of_the_page(tmp_path):
    sandbox_or_skip()
    (walk,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "assignments").symlink_to(ROOT / "assignments")
    # The command of the environment that runs the tests.
    tools = tmp_path / "tools"
    tools.mkdir()
    command = tools / "coursekit"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m coursegrade.cli "$@"\n')
    command.chmod(0o755)
    environment = grader_environment()
    environment["PATH"] = os.pathsep.join((str(tools), os.environ["PATH"]))
    run = subprocess.run(
        ["sh", "-e", "-c", walk],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    expected = rows_of(tmp_path / "expected.csv")
    out = tmp_path / "grades/vanishing_exploding"
    found = {(row["id"], row["task"]): row for row in rows_of(out / "grades.csv")}
    wrong = [
        (row, found[row["id"], row["task"]])
        for row in expected
        if found[row["id"], row["task"]]["status"] != row["status"]
    ]
    assert not wrong
    assert len(expected) == len(found) == 30 * 4
    assert len({row["status"] for row in expected}) == 6
    named = re.findall(r"^\| `([\w.]+)/?` \|", PAGE, re.MULTILINE)
    assert len(named) >= 7 and all((out / name).exists() for name in named)


def test_the_page_names_every_status_and_column():
    section = PAGE.partition("A status is one of")[2].partition("##")[0]
    assert set(re.findall(r"`(\w+)`", section)) == set(Status)
    # What takes no point says so.
    for line in section.replace("\n  ", " ").splitlines():
        worth = {Status(name).points for name in re.findall(r"`(\w+)`", line)}
        free = "not 0" in line or "No point is taken" in line
        assert ("open" in worth) == free, line
    assert ", ".join(COLUMNS) in PAGE


def test_quiz_bank():
    text = quiz.bank(ROOT)
    questions = re.findall(r"^::(.+?)::", text, re.MULTILINE)
    chapters = {name.split()[0] for name in questions}
    pages = (ROOT / "book").glob("*.md")
    asked = {page.stem for page in pages if "{admonition} Predict" in page.read_text()}
    assert asked <= chapters and len(questions) == len(set(questions))
    total = sum(
        page.read_text().count("{admonition} Predict")
        for page in (ROOT / "book").glob("*.md")
    )
    assert len([q for q in questions if not q.endswith("lab")]) == total
    # Every bracket that is not part of an answer block is escaped.
    for part in text.split("\n\n"):
        bare = re.sub(r"\\.", "", part)
        if part.startswith("::"):
            assert bare.count("{") == bare.count("}") == 1, part
        assert "{numref}" not in part and "{doc}" not in part


def test_quiz_escapes():
    escape = quiz.escape
    assert escape("a = {b}: $x^2$") == r"a \= \{b\}\: \\(x^2\\)"
    assert escape("see {doc}`lab` and {ref}`this <there>`") == "see lab and this"


@pytest.mark.parametrize("chapter", ["clipping"])
def test_figures(tmp_path, chapter):
    assert chapter in figures.pages()
    figures.main([str(tmp_path), chapter])
    names = set(
        re.findall(r"name: (fig-[\w-]+)", (ROOT / f"book/{chapter}.md").read_text())
    )
    assert {path.stem for path in tmp_path.glob("*.svg")} == names
    assert {path.stem for path in tmp_path.glob("*.pdf")} == names
    assert "CC BY" in (tmp_path / "LICENCE.txt").read_text()
