"""A pretend class, on the walk of the page for instructors: released and graded."""

import re
import shlex
from functools import partial
from pathlib import Path

from coursegrade import cli, release
from submissions import rows_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book/teach.md").read_text(encoding="utf-8")


#: Faults that are tried in one task each, the first in the first.
ONCE = ("unfinished", "exits", "reads")


def few(expected):
    """Return one good student, a wrong one for each task, one of each other fault."""
    rows, chosen = {}, {}
    for row in expected:
        rows.setdefault((row["id"], row["kind"]), []).append(row["status"])
    for (student, kind), found in rows.items():
        tasks = [n for n, one in enumerate(found) if one not in ("ok", "needs_review")]
        if kind not in ONCE or tasks == [ONCE.index(kind)]:
            chosen.setdefault((kind, *found), student)
    return set(chosen.values())


def test_the_walk_of_the_page(tmp_path, monkeypatch, warm):
    """The class is made whole, and a few of it are graded."""
    (walk,) = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    secret, *lines = walk.replace("\\\n", "").splitlines()
    word, (name, _, value) = secret.split()[0], shlex.split(secret)[1].partition("=")
    assert (word, name) == ("export", "COURSEKIT_SECRET")
    monkeypatch.setenv(name, value)
    commands = [shlex.split(line) for line in lines]
    assert {command[0] for command in commands} == {"coursekit"}
    assert [command[1] for command in commands] == ["release", "simulate", "grade"]
    # Who never ends uses all the time that his task has, twice.
    (tmp_path / "assignments").mkdir()
    for path in (ROOT / "assignments").glob("*.md"):
        text = path.read_text(encoding="utf-8").replace("seconds: 10,", "seconds: 3,")
        (tmp_path / "assignments" / path.name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # as in test_release.py; nothing else is taken away from the release
    few_students = partial(release.check_master, students=2)
    monkeypatch.setattr(release, "check_master", few_students)
    assert [cli.main(command[1:]) for command in commands[:-1]] == [0, 0]
    expected = rows_of("expected.csv")
    assert len(expected) == 30 * 4
    assert len({row["status"] for row in expected}) == 6
    students = few(expected)
    graded = [row for row in expected if row["id"] in students]
    assert len(students) == 1 + 3 + len(ONCE) + 1
    assert {row["kind"] for row in graded} == {row["kind"] for row in expected}
    for path in Path("submissions").iterdir():
        if path.stem not in students:
            path.unlink()
    assert cli.main(commands[-1][1:]) == 0
    out = Path("grades/vanishing_exploding")
    found = {(row["id"], row["task"]): row for row in rows_of(out / "grades.csv")}
    wrong = [
        (row, found[row["id"], row["task"]])
        for row in graded
        if found[row["id"], row["task"]]["status"] != row["status"]
    ]
    assert not wrong
    assert len(found) == len(students) * 4
    named = re.findall(r"^\| `([\w.]+)/?` \|", PAGE, re.MULTILINE)
    assert len(named) >= 7 and all((out / name).exists() for name in named)
