"""Which notebook counts, and what became of every file."""

import warnings
import zipfile
from dataclasses import replace

from coursegrade.gradebook import intake
from coursekit.grading import class_key
from submissions import (
    MASTER,
    RIGHT,
    SCRATCH,
    TINY,
    WRONG,
    found,
    rows_of,
    solved,
    write_files,
)

Q = "asked"


def test_what_a_person_must_look_at(tmp_path):
    write_files(
        tmp_path / "in", {"ada/a.ipynb": RIGHT, "ada/b.ipynb": WRONG, "ada/n.pdf": b""}
    )
    write_files(tmp_path / "in", {"bob/w.ipynb": SCRATCH})
    taken = intake.collect(tmp_path / "in", MASTER)
    path = intake.write_intake(tmp_path, taken)
    lines = {row["file"]: row for row in rows_of(path)}
    assert [lines[f"ada/{n}"]["what"] for n in ("a.ipynb", "b.ipynb", "n.pdf")] == [
        "asked",
        "asked",
        "set aside",
    ]
    assert "[chosen]" in lines["ada/a.ipynb"]["why"]
    assert [lines[f"ada/{n}"]["look"] for n in ("a.ipynb", "n.pdf")] == ["yes", ""]
    assert lines["bob/w.ipynb"]["why"] == "holds no cell of the assignment"
    # The instructor's choice is an answer.
    taken = intake.collect(tmp_path / "in", MASTER, chosen={"ada": "ada/b.ipynb"})
    assert found(taken)["ada"] == "ada/b.ipynb"
    taken = intake.collect(tmp_path / "in", MASTER, chosen={"ada": "ada/c.ipynb"})
    assert found(taken)["ada"] == Q


def test_spellings_of_one_id_and_of_one_file_are_looked_at(tmp_path):
    path = tmp_path / "all.zip"
    names = ["Ada/w.ipynb", "ada/w.ipynb", "bob/w.ipynb", "bob/w.ipynb", "cyd/w.ipynb"]
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as made:
        warnings.simplefilter("ignore")
        for name, data in zip(names, (RIGHT, RIGHT, RIGHT, WRONG, RIGHT), strict=True):
            made.writestr(name, data)
    taken = intake.collect(path, MASTER)
    # Two ids, as nobody says that they are one; two notebooks under one name.
    assert found(taken) == {one: f"{one}/w.ipynb" for one in ("Ada", "ada", "cyd")} | {
        "bob": Q
    }
    assert {line.id: line.why for line in taken.look if line.what == "graded"} == {
        "Ada": "the id is spelled 'ada' as well",
        "ada": "the id is spelled 'Ada' as well",
    }


def test_the_id_in_the_notebook(tmp_path):
    other, spelled = solved(TINY, "ada"), solved(TINY, "Cy-D 1")
    taken = intake.collect(
        write_files(
            tmp_path, {"ada.ipynb": other, "bob.ipynb": other, "cy_d_1.ipynb": spelled}
        ),
        MASTER,
    )
    assert len(taken.submissions) == 3
    assert [(line.id, line.why) for line in taken.look] == [
        ("bob", f"{intake.OTHER_ID} 'ada'")
    ]


def test_the_class_key_in_the_notebook(tmp_path):
    line = f'class_key = "{class_key("public", MASTER.name)}"'.encode()
    line = line.replace(b'"', rb"\"")
    nbs = {"ada": RIGHT, "bob": RIGHT.replace(line, b"")}
    # As the master has it, which was not released.
    nbs["cyd"] = RIGHT.replace(line, rb"class_key = \"public\"")
    files = {f"{name}.ipynb": data for name, data in nbs.items()}
    taken = intake.collect(write_files(tmp_path, files), MASTER)
    keys = {one.id: one.key for one in taken.submissions}
    assert keys == {"ada": class_key("public", "tiny"), "bob": "", "cyd": ""}


def test_an_id_that_stands_in_the_path_is_looked_at(tmp_path):
    """Where the data hang on no id: sections of one student, under any names."""
    own = [c for c in MASTER.cells if c.role == "student"]
    free = [c for c in MASTER.cells if "student_id" not in c.source]
    master = replace(MASTER, cells=tuple(own + free))
    mine = {one: solved(TINY, one) for one in ("ada", "bob")}
    files = {"Monday/ada.ipynb": mine["ada"], "Friday/bob/w.ipynb": mine["bob"]}
    taken = intake.collect(write_files(tmp_path / "a", files), master)
    assert {line.id: line.why for line in taken.look} == {
        "Monday": f"{intake.OTHER_ID} 'ada'",
        "Friday": f"{intake.OTHER_ID} 'bob'",
    }
    # A platform says who it is, and another name of a file is no id.
    files = {
        "A_1_assignsubmission_file_/ada.ipynb": mine["ada"],
        "B_2_assignsubmission_file_/w.ipynb": mine["bob"],
    }
    assert not intake.collect(write_files(tmp_path / "b", files), master).look
    files = {"x1/w.ipynb": mine["ada"], "bob/my work.ipynb": mine["bob"]}
    assert not intake.collect(write_files(tmp_path / "c", files), master).look


def test_file_names_stay_apart_and_plain():
    names = [intake.file_name(x) for x in ("a b", "a_b", "a/b", "../a", "é", "", "..")]
    names += [intake.file_name("a" * 80 + end) for end in "bc"]
    names += [f"{intake.file_name(one)}-" for one in ("con", "lpt1")]
    assert not {"con-", "lpt1-"} & {*names}
    assert len(set(names)) == len(names)
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names
    )


def test_many_notebooks_do_not_fill_the_memory(tmp_path, monkeypatch):
    many = {f"ada/{n}.ipynb": RIGHT for n in range(9)}
    write_files(tmp_path / "in", many | {"bob.ipynb": RIGHT})
    monkeypatch.setattr(intake, "_MOST_MB", 2.5 * len(RIGHT) / 2**20)
    taken = intake.collect(tmp_path / "in", MASTER)
    assert found(taken) == {"ada": "ada/0.ipynb", "bob": "bob.ipynb"}
    assert sum("not opened" in line.why for line in taken.lines) == 6


def test_notebooks_of_several_people_under_one_name_are_looked_at(tmp_path):
    """A drive numbers what several people have uploaded under one name."""
    for n, who in enumerate(("ada", "bob", "bob")):
        name = f"tiny ({n}).ipynb" if n else "tiny.ipynb"
        path = tmp_path / ("one" if n else "two") / name
        for folder in (tmp_path / "all", path.parent):
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(solved(TINY, who))
    mixed = intake.collect(tmp_path / "all", MASTER)
    assert any("of several people, ada, bob" in line.why for line in mixed.look)
    same = intake.collect(tmp_path / "one", MASTER)
    assert not any("several people" in line.why for line in same.lines)
