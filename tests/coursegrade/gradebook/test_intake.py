"""Who handed in what: every layout, every file accounted for, nobody lost."""

import io
import json
import os
import zipfile

import pytest

from coursegrade.gradebook import hand_ins, intake
from coursegrade.gradebook.roster import Roster, read_roster
from coursegrade.gradebook.sheets import SheetError
from submissions import MASTER, TINY, rows_of, solved

RIGHT = solved(TINY, "")
WRONG = solved(TINY, "", change={"mean": "mean = 0.5"})
EMPTY = solved(
    TINY,
    "",
    change={
        "mean": "# YOUR CODE HERE\nraise NotImplementedError()",
        "stddev": "def he_stddev(fan_in):\n"
        '    """Return the standard deviation of He\'s initializer."""\n'
        "    # YOUR CODE HERE\n    raise NotImplementedError()",
        "network": "def network(depth):\n"
        '    """Return a Sequential model with so many Dense layers of 8 units."""\n'
        "    # YOUR CODE HERE\n    raise NotImplementedError()",
        "why": "YOUR ANSWER HERE",
    },
)
CELL = {"cell_type": "code", "metadata": {}, "source": "1+1", "outputs": []}
SCRATCH = json.dumps({"cells": [CELL], "metadata": {}, "nbformat": 4}).encode()
M = "_assignsubmission_file_"
Q = "asked"
NONE = "no notebook"


def inner(**files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for name, data in files.items():
            made.writestr(name.replace("__", "."), data)
    return held.getvalue()


def write(root, files):
    for name, data in files.items():
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return root


def found(taken):
    """Return what counts of each student: a path, "asked", or why there is none."""
    return {
        one.id: "asked" if one.asked else (one.file or one.problem)
        for one in taken.submissions
    }


# name: files, and by id the file that counts, or the beginning of a problem.
LAYOUTS = {
    "a folder on top of folders": (
        {f"submissions/{n}/work.ipynb": RIGHT for n in ("ada", "bob", "cyd")},
        {n: f"submissions/{n}/work.ipynb" for n in ("ada", "bob", "cyd")},
    ),
    "a folder on top of files": (
        {f"week 3/{n}.ipynb": RIGHT for n in ("ada", "bob", "cyd")},
        {n: f"week 3/{n}.ipynb" for n in ("ada", "bob", "cyd")},
    ),
    "two folders on top": (
        {f"a/b/{n}/work.ipynb": RIGHT for n in ("ada", "bob")},
        {n: f"a/b/{n}/work.ipynb" for n in ("ada", "bob")},
    ),
    "a folder on top, a table beside it": (
        {"all/ada.ipynb": RIGHT, "all/bob.ipynb": RIGHT, "names.csv": b"a"},
        {"ada": "all/ada.ipynb", "bob": "all/bob.ipynb"},
    ),
    "one student, not a folder on top": (
        {"ada/work.ipynb": RIGHT, "ada/data.csv": b"1"},
        {"ada": "ada/work.ipynb"},
    ),
    "nbgrader's course, above and within": (
        {
            "gradients/submitted/ada/tiny/tiny.ipynb": RIGHT,
            "gradients/submitted/bob/tiny/tiny.ipynb": RIGHT,
            "gradients/submitted/bob/other/other.ipynb": SCRATCH,
            "gradients/source/tiny/tiny.ipynb": RIGHT,
            "gradients/gradebook.db": b"",
        },
        {n: f"gradients/submitted/{n}/tiny/tiny.ipynb" for n in ("ada", "bob")},
    ),
    "nbgrader's course, one student": (
        {"submitted/ada/tiny/tiny.ipynb": RIGHT},
        {"ada": "submitted/ada/tiny/tiny.ipynb"},
    ),
    "GitHub Classroom": (
        {
            "tiny-submissions/tiny-ada/w.ipynb": RIGHT,
            "tiny-submissions/tiny-b-o/w.ipynb": RIGHT,
        },
        {
            "ada": "tiny-submissions/tiny-ada/w.ipynb",
            "b-o": "tiny-submissions/tiny-b-o/w.ipynb",
        },
    ),
    "endings": (
        {
            "ada.ipynb": RIGHT,
            "bob.IPYNB": RIGHT,
            "cyd.ipynb.txt": RIGHT,
            "dan/work.py": b"x = 1",
            "eve/work.zip": inner(work__ipynb=RIGHT),
            "fay/work.ipynb.json": RIGHT,
            "gil/work.pdf": b"%PDF",
            "hal.zip": inner(hal__ipynb=RIGHT),
            "ida/work": RIGHT,
            "jon.pdf": b"%PDF",
        },
        {
            "ada": "ada.ipynb",
            "bob": "bob.IPYNB",
            "cyd": "cyd.ipynb.txt",
            "dan": NONE,
            "eve": "eve/work/work.ipynb",
            "fay": "fay/work.ipynb.json",
            "gil": NONE,
            "hal": "hal/hal.ipynb",
            "ida": "ida/work",
            "jon": NONE,
        },
    ),
    "a zip in a zip": (
        {"ada/w.zip": inner(more__zip=inner(w__ipynb=RIGHT)), "bob.zip": b"PK no zip"},
        {"ada": "ada/w/more/w.ipynb", "bob": "a damaged zip"},
    ),
    "Moodle": (
        {
            f"Ada L_11{M}/one.ipynb": RIGHT,
            f"Bob M_12{M}/one.pdf": b"%PDF",
            f"Cyd N_13{M}/one.zip": inner(one__ipynb=RIGHT),
            "Dan O_14_assignsubmission_onlinetext/onlinetext.html": b"<p>x</p>",
            f"Eve P_15{M}/one.ipynb": RIGHT,
            "Eve P_15_assignsubmission_onlinetext_/onlinetext.html": b"<p>x</p>",
        },
        {
            "11": f"Ada L_11{M}/one.ipynb",
            "12": NONE,
            "13": f"Cyd N_13{M}/one/one.ipynb",
            "14": NONE,
            "15": f"Eve P_15{M}/one.ipynb",
        },
    ),
    "Moodle, flat, named after another": (
        {f"Vic T_124{M}w.ipynb": RIGHT, f"Mal L_125{M}x_124{M}y.ipynb": WRONG},
        {"124": f"Vic T_124{M}w.ipynb", "125": f"Mal L_125{M}x_124{M}y.ipynb"},
    ),
    "Moodle, a folder's file named after another": (
        {
            f"Vic T_124{M}/w.ipynb": RIGHT,
            f"Mal L_125{M}/x_124{M}y.ipynb": WRONG,
            f"Ned K_126{M}/vic_124_9_w.ipynb": WRONG,
        },
        {
            "124": f"Vic T_124{M}/w.ipynb",
            "125": f"Mal L_125{M}/x_124{M}y.ipynb",
            "126": f"Ned K_126{M}/vic_124_9_w.ipynb",
        },
    ),
    "Moodle in a folder, groups apart": (
        {f"g1/Ada L_11{M}/w.ipynb": RIGHT, f"g2/Bob M_12{M}/w.ipynb": RIGHT},
        {"11": f"g1/Ada L_11{M}/w.ipynb", "12": f"g2/Bob M_12{M}/w.ipynb"},
    ),
    "a student's folder named after Moodle's": (
        {
            "all/ada/w.ipynb": RIGHT,
            "all/vic/w.ipynb": RIGHT,
            f"all/mal/Vic T_124{M}/w.ipynb": WRONG,
        },
        {"ada": "all/ada/w.ipynb", "vic": "all/vic/w.ipynb"}
        | {"mal": f"all/mal/Vic T_124{M}/w.ipynb"},
    ),
    "Canvas": (
        {
            "lovelaceada_11_901_w.ipynb": RIGHT,
            "hoppergrace_LATE_12_902_w-1.ipynb": RIGHT,
            "turingalan_13_903_w.pdf": b"%PDF",
            "de_la_cruzana_14_906_w.ipynb": RIGHT,
            "doejo_15_text.html": b"x",
            "anon_Ab3xZ_904_x.ipynb": RIGHT,
            "anon_LATE_Cd4yW_905_x.ipynb": RIGHT,
        },
        {
            "11": "lovelaceada_11_901_w.ipynb",
            "12": "hoppergrace_LATE_12_902_w-1.ipynb",
            "13": NONE,
            "14": "de_la_cruzana_14_906_w.ipynb",
            "15": NONE,
            "Ab3xZ": "anon_Ab3xZ_904_x.ipynb",
            "Cd4yW": "anon_LATE_Cd4yW_905_x.ipynb",
        },
    ),
    "files that look like Canvas's": (
        {"ada/lab_3_2_final.ipynb": RIGHT, "bob/lab_3_2_final.ipynb": WRONG},
        {"ada": "ada/lab_3_2_final.ipynb", "bob": "bob/lab_3_2_final.ipynb"},
    ),
    "dates that look like Canvas's": (
        {"ada_2026_12_01.ipynb": RIGHT, "bob_2026_12_01.ipynb": RIGHT},
        {"ada": "ada_2026_12_01.ipynb", "bob": "bob_2026_12_01.ipynb"},
    ),
    "names that look like Canvas's, of two": (
        {"ada_lab_3_2_x.ipynb": RIGHT, "bob_lab_3_2_x.ipynb": RIGHT},
        {
            "ada_lab_3_2_x": "ada_lab_3_2_x.ipynb",
            "bob_lab_3_2_x": "bob_lab_3_2_x.ipynb",
        },
    ),
    "a scratch notebook beside the answer": (
        {"ada/tiny.ipynb": RIGHT, "ada/Untitled.ipynb": SCRATCH},
        {"ada": "ada/tiny.ipynb"},
    ),
    "two answers": (
        {"ada/new.ipynb": RIGHT, "ada/old.ipynb": WRONG, "bob.ipynb": RIGHT},
        {"ada": Q, "bob": "bob.ipynb"},
    ),
    "the same twice": (
        {"ada/new.ipynb": RIGHT, "ada/old.ipynb": RIGHT, "bob.ipynb": RIGHT},
        {"ada": "ada/new.ipynb", "bob": "bob.ipynb"},
    ),
    "a browser's copies": (
        {"ada.ipynb": EMPTY, "ada (1).ipynb": RIGHT, "Copy of ada.ipynb": RIGHT}
        | {"bob - Copy (2).ipynb": RIGHT, "cyd-Copy1.ipynb": RIGHT},
        {"ada": "Copy of ada.ipynb", "bob": "bob - Copy (2).ipynb"}
        | {"cyd": "cyd-Copy1.ipynb"},
    ),
    "the empty notebook beside the answer": (
        {"ada/a.ipynb": EMPTY, "ada/b.ipynb": RIGHT, "bob.ipynb": EMPTY},
        {"ada": "ada/b.ipynb", "bob": "bob.ipynb"},
    ),
    "long names": (
        {f"{'a' * 80}-ada/w.ipynb": RIGHT, f"{'a' * 80}-bob/w.ipynb": WRONG},
        {f"{'a' * 80}-{n}": f"{'a' * 80}-{n}/w.ipynb" for n in ("ada", "bob")},
    ),
    "tools' own files": (
        {
            "__MACOSX/ada/._w.ipynb": b"x",
            "ada/.ipynb_checkpoints/w.ipynb": WRONG,
            "ada/w.ipynb": RIGHT,
            "bob/w.ipynb": RIGHT,
            ".DS_Store": b"",
        },
        {"ada": "ada/w.ipynb", "bob": "bob/w.ipynb"},
    ),
    "not a notebook, an empty one": (
        {"ada.ipynb": b"{}", "bob.ipynb": b"", "cyd.ipynb": RIGHT},
        {"ada": "not a notebook", "bob": "the file is empty", "cyd": "cyd.ipynb"},
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout, packed):
    files, expected = LAYOUTS[layout]
    root = tmp_path / "in"
    if packed:
        root = tmp_path / "in.zip"
        with zipfile.ZipFile(root, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        write(root, files)
    taken = intake.collect(root, MASTER)
    got = found(taken)
    assert got.keys() == expected.keys()
    for student, what in expected.items():
        assert got[student].startswith(what), student
    # Every file has its line, and a hand-in without a notebook is one to look at.
    assert len(taken.lines) >= len(files)
    bad = {one.id for one in taken.submissions if one.data is None}
    assert bad <= {line.id for line in taken.look}


def test_what_a_person_must_look_at(tmp_path):
    write(
        tmp_path / "in", {"ada/a.ipynb": RIGHT, "ada/b.ipynb": WRONG, "ada/n.pdf": b""}
    )
    write(tmp_path / "in", {"bob/w.ipynb": SCRATCH})
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


def test_a_hand_in_beside_a_platforms_is_looked_at(tmp_path):
    files = {f"Ada L_11{M}/w.ipynb": RIGHT, f"Bob M_12{M}/w.ipynb": RIGHT}
    taken = intake.collect(write(tmp_path, files | {"cyd.ipynb": RIGHT}), MASTER)
    assert found(taken)["cyd"] == "cyd.ipynb"
    assert [line.rule for line in taken.look] == ["file name, unlike Moodle's"]


def test_what_a_platform_says(tmp_path):
    names = ("lovelaceada_11_901_w.ipynb", "hoppergrace_LATE_12_902_w.ipynb")
    one, two = intake.collect(
        write(tmp_path, dict.fromkeys(names, RIGHT)), MASTER
    ).submissions
    assert (one.owner.name, one.owner.late, two.owner.late) == (
        "lovelaceada",
        False,
        True,
    )
    assert two.owner.where == "hoppergrace_LATE_12_902_"


def test_no_time_of_a_file_is_read(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada.ipynb", RIGHT)
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 12 : at + 16] = b"\0\0\0\0"
    path.write_bytes(content)
    assert found(intake.collect(path, MASTER)) == {"ada": "ada.ipynb"}
    write(tmp_path / "in", {"ada.ipynb": RIGHT})
    try:
        os.utime(tmp_path / "in/ada.ipynb", (3e11, 3e11))
    except OSError:
        pass
    assert found(intake.collect(tmp_path / "in", MASTER)) == {"ada": "ada.ipynb"}


@pytest.mark.parametrize(
    "how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]
)
def test_a_damaged_entry_costs_itself(tmp_path, how):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("ada.ipynb", RIGHT)
        start = archive.fp.tell()
        archive.writestr("bob.ipynb", RIGHT)
    content = bytearray(path.read_bytes())
    content[start + 60 : start + 66] = b"\xff" * 6
    path.write_bytes(content)
    got = found(intake.collect(path, MASTER))
    assert got["ada"] == "ada.ipynb" and got["bob"].startswith("damaged inside the zip")
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(hand_ins.IntakeError, match="all.zip.*download it again"):
        intake.collect(path, MASTER)


def test_names_in_other_encodings(tmp_path):
    folder = f"Müller Eva_124{M}".encode("latin-1") + b"/w.ipynb"
    taken = intake.collect(write(tmp_path / "in", {folder: RIGHT}), MASTER)
    (one,) = taken.submissions
    assert (one.id, one.owner.name) == ("124", "Müller Eva")
    one.file.encode()
    # Letters in two pieces, as macOS writes them, in a folder and on a roster.
    write(tmp_path / "b", {"Zoe\u0308.ipynb": RIGHT})
    roster = tmp_path / "roster.csv"
    roster.write_text("submission,id\nZoë,z17\n", encoding="utf-8")
    taken = intake.collect(tmp_path / "b", MASTER, read_roster(roster))
    assert found(taken) == {"z17": "Zoë.ipynb"}


def test_links_and_empty_folders_have_a_row(tmp_path):
    write(tmp_path / "in", {"ada.ipynb": RIGHT})
    (tmp_path / "in/bob").symlink_to(tmp_path / "in")
    (tmp_path / "in/cyd.ipynb").symlink_to(tmp_path / "in/ada.ipynb")
    (tmp_path / "in/dan").mkdir()
    got = found(intake.collect(tmp_path / "in", MASTER))
    assert got.keys() == {"ada", "bob", "cyd", "dan"}
    assert "a link" in got["bob"] and "a link" in got["cyd"]
    assert got["dan"] == "an empty folder"


def test_the_id_in_the_notebook(tmp_path):
    other, spelled = solved(TINY, "ada"), solved(TINY, "Cy-D 1")
    taken = intake.collect(
        write(
            tmp_path, {"ada.ipynb": other, "bob.ipynb": other, "cy_d_1.ipynb": spelled}
        ),
        MASTER,
    )
    assert [one.spelled for one in taken.submissions] == ["ada", "bob", "Cy-D 1"]
    assert [(line.id, line.why) for line in taken.look] == [
        ("bob", f"{intake.OTHER_ID} 'ada'")
    ]


def test_a_roster(tmp_path):
    write(tmp_path / "in", {f"X_77{M}/a.ipynb": RIGHT, f"Y_78{M}/a.ipynb": RIGHT})
    roster = tmp_path / "roster.csv"
    # As Excel saves it in Europe.
    roster.write_bytes("submission;id\n77;ann\n80;jörg\n".encode("cp1252"))
    taken = intake.collect(tmp_path / "in", MASTER, read_roster(roster))
    assert found(taken).keys() == {"ann", "78"} and taken.absent == ["jörg"]
    assert [(line.id, line.why) for line in taken.look] == [("78", "not on the roster")]
    # A roster tells which level of the folders has the students.
    write(tmp_path / "b", {"ada/ann/w.ipynb": RIGHT})
    taken = intake.collect(tmp_path / "b", MASTER, Roster(("ann",), {"ann": "ann"}))
    assert found(taken).keys() == {"ann"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column id"),
        ("submission,id\n77,ann\n78,ann\n", "line 3: the id 'ann' is that of line 2"),
        ("submission,id\n77,ann\n77,bob\n", "line 3: '77' is both 'ann' and 'bob'"),
        ("submission,id\nada\n", "line 2: no id for 'ada'"),
    ],
)
def test_a_roster_that_cannot_be_used(tmp_path, text, said):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    with pytest.raises(SheetError, match=said):
        read_roster(path)


def test_nothing_to_grade(tmp_path):
    with pytest.raises(hand_ins.IntakeError, match="no hand-in"):
        intake.collect(tmp_path, MASTER)
    with pytest.raises(hand_ins.IntakeError, match="neither a folder nor a zip"):
        intake.collect(tmp_path / "none", MASTER)


def test_file_names_stay_apart_and_plain():
    names = [intake.file_name(x) for x in ("a b", "a_b", "a/b", "../a", "é", "", "..")]
    names += [intake.file_name("a" * 80 + end) for end in "bc"]
    assert len(set(names)) == len(names)
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names
    )
