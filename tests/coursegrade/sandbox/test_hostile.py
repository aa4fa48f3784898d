"""A class of good, broken and hostile submissions, each with its right grade."""

import json
import os
import socket
import threading
import zipfile
from pathlib import Path

import nbformat
import pytest

import hostile
import processes
from coursegrade.assignment.master import parse_master
from coursegrade.examiner import client
from coursegrade.examiner.notebook import LIMIT_MB, Step
from coursegrade.examiner.session import Session
from coursegrade.gradebook import feedback, intake, tables, whole_class
from coursegrade.release import released_notebook
from submissions import TINY, sandbox_or_skip

# Less time than a student has: some use all of it, and twice. They do so in `stddev`,
# whose right answers take some hundredths of a second; a model takes a quarter.
WITH_KERAS = TINY.read_text(encoding="utf-8").replace("seconds: 8", "seconds: 4")
WITH_KERAS = WITH_KERAS.replace("points: 3, seconds: 4", "points: 3, seconds: 1.5")
assert WITH_KERAS.count("seconds: 1.5") == 1
WITHOUT = WITH_KERAS
for there, instead in (
    ('    hidden = [keras.layers.Dense(8, "relu") for _ in range(depth)]\n', ""),
    ("keras.Sequential([keras.Input((4,)), *hidden])", "[8] * depth"),
    ("assert len(network(3).layers) == 3", "assert network(3) == [8] * 3"),
    ("assert [layer.units for layer in made.layers] == [8] * depth\n", ""),
    ("assert made(np.ones((2, 4))).shape == (2, 8)", "assert made == [8] * depth"),
):
    assert WITHOUT.count(there) == 1
    WITHOUT = WITHOUT.replace(there, instead)
MASTER = parse_master(WITH_KERAS)
SECRET = "s3cret-of-the-class"
TASKS = ("mean", "stddev", "network")
POINTS = {"mean": 2, "stddev": 3, "network": 5}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The class, graded once, with what it could have touched."""
    sandbox_or_skip()
    root = tmp_path_factory.mktemp("class")
    released = {
        text: json.loads(nbformat.writes(released_notebook(parse_master(text), SECRET)))
        for text in (WITH_KERAS, WITHOUT)
    }
    handed_in = root / "submissions"
    handed_in.mkdir()
    untouched = root / "untouched"
    untouched.mkdir(mode=0o777)
    untouched.chmod(0o777)
    server = socket.create_server(("127.0.0.1", 0))
    reached = []

    def listen():
        while True:
            try:
                reached.append(server.accept())
            except OSError:
                return

    threading.Thread(target=listen, daemon=True).start()
    port = server.getsockname()[1]
    for case in hostile.CASES:
        text = WITH_KERAS if case.keras else WITHOUT
        data = hostile.notebook(released[text], case.name, case)
        data = data.replace(
            b"PLACE", json.dumps(str(untouched)).encode()[1:-1].join((b"'", b"'"))
        ).replace(b"PORT", str(port).encode())
        (handed_in / f"{case.name}.ipynb").write_bytes(data)
    # Files that are tricks in themselves.
    (handed_in / "link.ipynb").symlink_to(handed_in / "good.ipynb")
    with open(handed_in / "two_gigabytes.ipynb", "wb") as file:
        file.truncate(2 * 2**30)
    (handed_in / "=cmd('x')\n..‮ipynb.ipynb").write_bytes(
        (handed_in / "good.ipynb").read_bytes()
    )
    submissions = intake.collect(handed_in, MASTER).submissions
    without = {case.name for case in hostile.CASES if not case.keras}
    before = sorted(p.name for p in handed_in.iterdir())
    out, entries = root / "grades", {}
    try:
        for text, folder in ((WITHOUT, "without"), (WITH_KERAS, "with")):
            mine = [
                one for one in submissions if (one.id in without) == (text == WITHOUT)
            ]
            # Many of them wait, so more at a time than there are cores.
            settings = whole_class.Settings(SECRET, jobs=4)
            entries |= whole_class.grade_class(text, mine, root / folder, settings)
    finally:
        client.stop()
        server.close()
    out.mkdir()
    tables.write_grades(out, MASTER, entries)
    feedback.write_pages(out, MASTER, entries, tables.totals(MASTER, entries))
    assert sorted(p.name for p in handed_in.iterdir()) == before
    return {
        "entries": entries,
        "out": out,
        "untouched": untouched,
        "reached": reached,
    }


def statuses(entry):
    by_task = {row["task"]: row["status"] for row in entry["rows"]}
    return tuple(by_task[name] for name in TASKS)


@pytest.mark.parametrize("case", hostile.CASES, ids=lambda case: case.name)
def test_grade(graded, case):
    entry = graded["entries"][case.name]
    for found, expected in zip(statuses(entry), case.expected, strict=True):
        allowed = expected if isinstance(expected, set) else {expected}
        assert found in allowed, entry["rows"]
    for row in entry["rows"]:
        if row["task"] in POINTS:
            right = row["status"] == "ok"
            assert row["points"] == (POINTS[row["task"]] if right else 0)


def test_files_that_are_tricks(graded):
    entries = graded["entries"]
    for name, text in (("link", "a link"), ("two_gigabytes", "larger than 64 MB")):
        assert statuses(entries[name]) == ("unreadable",) * 3
        assert text in entries[name]["rows"][0]["message"]
    (odd,) = [name for name in entries if name.startswith("=cmd")]
    # Personal data follow the id: a copy under another name is not right.
    assert statuses(entries[odd]) == ("ok", "ok", "ok")
    assert "\n" not in odd and "/" not in odd
    grades = (graded["out"] / "grades.csv").read_text()
    assert "\n'=cmd" in grades and "\n=cmd" not in grades


def test_nothing_outside_was_touched(graded):
    assert list(graded["untouched"].iterdir()) == []
    assert not Path("/tmp/boom").exists()
    assert not Path("/coursekit_was_here").exists()
    assert graded["reached"] == []


def test_no_process_outlives_its_sandbox(graded, box):
    if not Path("/proc").is_dir():
        pytest.skip("no /proc to look into")
    examiners = processes.running("\0coursegrade.examiner.server\0")
    assert not [pid for pid in examiners if os.getpid() in processes.parents(pid)]
    # Others may grade on the same machine: theirs have somebody who asked for them.
    warm = processes.running("\0coursegrade.sandbox.warm\0")
    askers = processes.running("python").keys() - warm.keys()
    left = {pid for pid in warm if not askers & {*processes.parents(pid)}}
    assert box.process.pid in warm.keys() - left, "what is looked for is found"
    assert left == set()


def test_messages_leak_no_hidden_input(graded):
    # What a room sends while it knows an input stays out of all tables and pages.
    rows = [row for one in graded["entries"].values() for row in one["rows"]]
    words = ("LEAK", "KeyError", "IndexError")
    assert not [row for row in rows if any(word in row["message"] for word in words)]
    (row,) = [
        row
        for row in graded["entries"]["leaks_by_status"]["rows"]
        if row["status"] == "died"
    ]
    assert "77" not in row["message"]


def test_messages_say_what_happened(graded):
    for name, said in (
        ("answer_below_its_test", "not defined; cell 17 defines it, below its test"),
        ("returns_nothing", "`he_stddev` returned None: is its `return` missing?"),
        ("one_wrong", "a hidden test of this task failed"),
    ):
        assert said in graded["entries"][name]["rows"][1]["message"]


def test_feedback_leaks_nothing(graded):
    pages = list((graded["out"] / "feedback").glob("*.html"))
    assert len(pages) == len(graded["entries"])
    hidden = ("secret_rng", "LEAK", SECRET, "isclose", "<script>")
    for page in pages:
        text = page.read_text()
        assert not [word for word in hidden if word in text], page.name
    script = (graded["out"] / "feedback/script_in_message-").parent
    text = next(script.glob("script_in_message*.html")).read_text()
    assert "&lt;script&gt;" in text


def test_zip_bomb(tmp_path):
    bomb = tmp_path / "all.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("ada.ipynb", "w", force_zip64=True) as file:
            for _ in range(LIMIT_MB + 1):
                file.write(bytes(2**20))
        archive.writestr("../../bob.ipynb", "{}")
        archive.writestr("/etc/cy.ipynb", "{}")
        archive.writestr("__MACOSX/._ada.ipynb", "{}")
    found = {one.id: one for one in intake.collect(bomb, MASTER).submissions}
    assert set(found) == {"ada", "bob", "etc"}
    assert "larger than" in found["ada"].problem and found["ada"].data is None


def test_rooms_share_nothing(box):
    note = (
        "import os\nwrote = []\nfor folder, folders, _ in os.walk('/'):\n"
        "    if folder.count('/') > 2: folders.clear()\n"
        "    try:\n"
        "        with open(os.path.join(folder, 'note-to-others'), 'w'): pass\n"
        "        wrote.append(folder)\n"
        "    except OSError: pass\n"
    )
    look = (
        "import os\nfound = [folder for folder, _, files in os.walk('/')"
        " if 'note-to-others' in files and not folder.startswith('/proc')]\n"
    )
    for source, name in ((note, "wrote"), (look, "found")):
        steps = [Step("run", source, "task"), Step("keep", task="task")]
        session = Session(
            lambda: box.room(memory_mb=256, processes=64, file_mb=8),
            steps,
            {"": 30, "task": 60},
        )
        session.ensure("task")
        _, value = session.get("task", name)
        # The first room has a place to write, or this would show nothing.
        assert bool(value) == (name == "wrote"), value
        session.close()
