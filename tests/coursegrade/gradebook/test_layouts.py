"""Whose hand-in a path is: every layout, nobody lost."""

import io
import re
import zipfile
from datetime import UTC, datetime

import pytest

from coursegrade.gradebook import intake, layouts
from coursegrade.gradebook.late import parse_time
from coursegrade.gradebook.roster import Roster
from submissions import MASTER, RIGHT, SCRATCH, TINY, WRONG, found, solved, write_files

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
M = "_assignsubmission_file_"
B = "2025-12-01-10-00-00"
CANVAS = ("lovelaceada_11_901_w.ipynb", "hoppergrace_12_902_w.ipynb")
Q = "asked"
NONE = "no notebook"


def inner(**files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for name, data in files.items():
            made.writestr(name.replace("__", "."), data)
    return held.getvalue()


# As Gradescope's "Export Submissions" writes it.
GRADESCOPE = b"""\
---
submission_51:
  :submitters:
  - :name: Ada L
    :sid: a1
    :email: a@x
  :created_at: 2025-12-01 19:32:20.000000000 Z
submission_52:
  :submitters:
  - :name: Bob M
    :sid: b2
    :email: b@x
  - :name: Cyd N
    :sid:
    :email: c@x
  :created_at: 2025-12-03 19:32:20.000000000 Z
"""


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
    "a folder on top, files beside it that are no answers": (
        {f"week 3/{n}.ipynb": RIGHT for n in ("ada", "bob")}
        | {"notes.txt": b"x", "cyd.pdf": b"%PDF", "week 3/dan.ipynb": b""},
        {"ada": "week 3/ada.ipynb", "bob": "week 3/bob.ipynb"}
        | {"cyd": NONE, "notes": NONE, "dan": "the file is empty"},
    ),
    "one student's folder, and another's file": (
        {"ada/w.ipynb": RIGHT, "ada/notes.txt": b"x", "bob.pdf": b"%PDF"},
        {"ada": "ada/w.ipynb", "bob": NONE},
    ),
    "groups": (
        {"group 1.zip": inner(ada__ipynb=RIGHT, bob__ipynb=RIGHT)}
        | {"group 2/cyd.ipynb": RIGHT},
        {"ada": "group 1/ada.ipynb", "bob": "group 1/bob.ipynb"}
        | {"cyd": "group 2/cyd.ipynb"},
    ),
    "a team's hand-in": (
        {"team 1/w.ipynb": RIGHT, "team 2/w.ipynb": RIGHT},
        {"team 1": "team 1/w.ipynb", "team 2": "team 2/w.ipynb"},
    ),
    "one student with a friend's notebook": (
        {f"bob/{n}.ipynb": solved(TINY, n) for n in ("ada", "bob")},
        {"bob": Q},
    ),
    "the assignment's folder": (
        {"tiny/ada.ipynb": RIGHT},
        {"ada": "tiny/ada.ipynb"},
    ),
    "files named after the assignment": (
        {"tiny_ada.ipynb": RIGHT, "tiny_bob.ipynb": RIGHT},
        {"ada": "tiny_ada.ipynb", "bob": "tiny_bob.ipynb"},
    ),
    "one student, not a folder on top": (
        {"ada/work.ipynb": RIGHT, "ada/data.csv": b"1"},
        {"ada": "ada/work.ipynb"},
    ),
    "a zip of Canvas in a folder in another": (
        {"week 3.zip": inner(**{"a/lovea_11_901_w__ipynb": RIGHT})}
        | {"week 4.zip": inner(**{"a/hoppg_12_902_w__ipynb": RIGHT})},
        {"11": "week 3/a/lovea_11_901_w.ipynb", "12": "week 4/a/hoppg_12_902_w.ipynb"},
    ),
    "a zip of Canvas in a student's folder of Moodle": (
        {f"Ada L_11{M}/c.zip": inner(**{"all/lovea_77_901_w__ipynb": RIGHT})}
        | {f"Bob M_12{M}/w.ipynb": RIGHT},
        {"11": f"Ada L_11{M}/c/all/lovea_77_901_w.ipynb", "12": f"Bob M_12{M}/w.ipynb"},
    ),
    "two zips of Google Drive's": (
        {"Week 3-20251201T100000Z-1-001.zip": inner(**{"Week 3/ada__ipynb": RIGHT})}
        | {"Week 3-20251201T100000Z-1-002.zip": inner(**{"Week 3/bob__ipynb": WRONG})},
        {
            "ada": "Week 3-20251201T100000Z-1-001/Week 3/ada.ipynb",
            "bob": "Week 3-20251201T100000Z-1-002/Week 3/bob.ipynb",
        },
    ),
    "separators of Windows, folders too": (
        {
            "all.zip": inner(
                **{"hand-ins\\": b"", "hand-ins\\ada\\w__ipynb": RIGHT},
                **{"hand-ins\\bob\\": b"", "hand-ins\\bob\\w__ipynb": RIGHT},
            )
        },
        {n: f"all/hand-ins/{n}/w.ipynb" for n in ("ada", "bob")},
    ),
    "resource forks alone": (
        {"ada.zip": inner(**{"__MACOSX/.__w__ipynb": b"x", "__DS_Store": b"x"})}
        | {"bob.zip": inner(**{"bob/": b"", "bob/__DS_Store": b"x"})}
        | {"cyd.zip": inner(), "dan.ipynb": RIGHT},
        {"ada": "an empty zip", "bob": "an empty folder", "cyd": "an empty zip"}
        | {"dan": "dan.ipynb"},
    ),
    "students named like platforms": (
        {"submission_7/w.ipynb": RIGHT, "LATE/w.ipynb": RIGHT, "anon/w.ipynb": RIGHT}
        | {"assignsubmission_file/w.ipynb": RIGHT, "attempt_1/w.ipynb": RIGHT},
        {n: f"{n}/w.ipynb" for n in ("submission_7", "LATE", "anon", "attempt_1")}
        | {"assignsubmission_file": "assignsubmission_file/w.ipynb"},
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
    "the assignment and a dash in front": (
        {"tiny - ada/tiny.ipynb": RIGHT, "tiny - bob/tiny.ipynb": RIGHT},
        {n: f"tiny - {n}/tiny.ipynb" for n in ("ada", "bob")},
    ),
    "zipped twice": (
        {
            "all.zip": inner(
                **{"week 3/ada__zip": inner(**{"tiny/w__ipynb": RIGHT})},
                **{"week 3/bob__zip": inner(**{"tiny/w__ipynb": RIGHT})},
            )
        },
        {n: f"all/week 3/{n}/tiny/w.ipynb" for n in ("ada", "bob")},
    ),
    "alphabets": (
        {f"{n}/работа.ipynb": RIGHT for n in ("Ада", "עדה", "أحمد", "张伟")},
        {n: f"{n}/работа.ipynb" for n in ("Ада", "עדה", "أحمد", "张伟")},
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
    "names that look like Canvas's, of one group": (
        {f"group_1_2_{n}.ipynb": RIGHT for n in ("ada", "bob", "cyd")},
        {f"group_1_2_{n}": f"group_1_2_{n}.ipynb" for n in ("ada", "bob", "cyd")},
    ),
    "one name that looks like Canvas's, with a date": (
        {"lovelace_ada_2026_12_01.ipynb": RIGHT},
        {"lovelace_ada": "lovelace_ada_2026_12_01.ipynb"},
    ),
    "weeks and dates that look like Canvas's": (
        {"lab_3_2026_12_01_ada.ipynb": RIGHT, "lab_3_2026_12_01_bob.ipynb": RIGHT},
        {
            f"lab_3_2026_12_01_{n}": f"lab_3_2026_12_01_{n}.ipynb"
            for n in ("ada", "bob")
        },
    ),
    "Canvas, a date in a student's own name": (
        {"obrien_1003_90003_w_2026_11_30.ipynb": RIGHT}
        | {"lovelaceada_1001_90001_w.ipynb": RIGHT},
        {"1001": "lovelaceada_1001", "1003": "obrien_1003_90003_w_2026_11_30.ipynb"},
    ),
    "Canvas, a date in the name of a class of one": (
        {"obrien_1003_90003_w_2026_11_30.ipynb": RIGHT},
        {"1003": "obrien_1003_90003_w_2026_11_30.ipynb"},
    ),
    "Canvas, a browser's copy": (
        {"lovelaceada_1001_90001_w.ipynb": EMPTY, "obrien_1003_90003_w.ipynb": RIGHT}
        | {"lovelaceada_1001_90001_w (1).ipynb": RIGHT},
        {"1001": "lovelaceada_1001_90001_w (1).ipynb", "1003": "obrien_1003_90003"},
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
    "a browser's copies, without spaces": (
        {"Copy_of_0073.ipynb": RIGHT, "Kopie_von_0074.ipynb": RIGHT}
        | {"0075_(1).ipynb": RIGHT, "0076_-_Copy_(2).ipynb": RIGHT}
        | {"de_la_cruz.ipynb": RIGHT},
        {"0073": "Copy_of_0073.ipynb", "0074": "Kopie_von_0074.ipynb"}
        | {"0075": "0075_(1).ipynb", "0076": "0076_-_Copy_(2).ipynb"}
        | {"de_la_cruz": "de_la_cruz.ipynb"},
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
    "Gradescope's export": (
        {f"assignment_1_export/submission_{n}/w.ipynb": RIGHT for n in (51, 52, 53)}
        | {"assignment_1_export/submission_metadata.yml": GRADESCOPE}
        | {"assignment_1_export/submission_51/submission_metadata.yml": b"x: 1"},
        {"a1": "assignment_1_export/submission_51/w.ipynb"}
        | {one: "assignment_1_export/submission_52/w.ipynb" for one in ("b2", "c@x")}
        | {"53": "assignment_1_export/submission_53/w.ipynb"},
    ),
    "Gradescope's export, of which entries are damaged": (
        {f"submission_{n}/w.ipynb": RIGHT for n in (49, 50, 51, 52, 53)}
        | {
            "submission_metadata.yml": GRADESCOPE.replace(
                b"---\n",
                b"---\nsubmission_49:\nsubmission_50:\n  :submitters: [5]\n",
            )
        },
        {"a1": "submission_51/w.ipynb"}
        | {one: "submission_52/w.ipynb" for one in ("b2", "c@x")}
        | {str(n): f"submission_{n}/w.ipynb" for n in (49, 50, 53)},
    ),
    "Blackboard's zip": (
        {"My_task_ada_attempt_2025-12-01-10-00-00_w.ipynb": RIGHT}
        | {"My_task_ada_attempt_2025-12-01-10-00-00.txt": b"Name: Ada"}
        | {
            "My_task_mal_attempt_2025-12-01-10-00-00_x_ada_attempt_"
            "2025-12-01-10-00-00_w.ipynb": WRONG
        },
        {"ada": "My_task_ada_attempt_2025-12-01-10-00-00_w.ipynb"}
        | {"mal": "My_task_mal_attempt_2025-12-01-10-00-00_x_ada"},
    ),
    "nbgrader's exchange, handed in twice": (
        {"ada+tiny+2025-12-01 10:00:00.1 UTC+x/tiny.ipynb": EMPTY}
        | {"ada+tiny+2025-12-02 10:00:00.1 UTC+y/tiny.ipynb": RIGHT}
        | {"bob+tiny+2025-12-01 10:00:00.1 UTC/tiny.ipynb": RIGHT},
        {"ada": "ada+tiny+2025-12-02", "bob": "bob+tiny+2025-12-01"},
    ),
    "Blackboard, ids with the same end": (
        {f"T_1_{n}_attempt_{B}_w.ipynb": RIGHT for n in ("a_o", "b_o", "cyd")}
        | {f"T_1_a_o_attempt_{B}.txt": b"Name: A O (a_o)"},
        {n: f"T_1_{n}_attempt" for n in ("a_o", "b_o", "cyd")},
    ),
    "Brightspace's folders, one handed in twice": (
        {"index.html": b"<p>", "12-3 - Ada L - Dec 1, 2025 1000 AM/w.ipynb": EMPTY}
        | {"12-3 - Ada L - Dec 2, 2025 905 PM/w.ipynb": RIGHT}
        | {"14-3 - Bob O'N-S - Dec 1, 2025 1000 AM/12-3 - Ada L.ipynb": RIGHT},
        {"12": "12-3 - Ada L - Dec 2", "14": "14-3 - Bob O'N-S"},
    ),
    "Brightspace's files": (
        {"index.html": b"<p>", "12-3 - Ada L- Dec 1, 2025 1000 AM - w.ipynb": RIGHT}
        | {
            "14-3 - Mal - Dec 1, 2025 1000 AM - 12-3 - Ada L - "
            "Dec 2, 2025 1000 AM - w.ipynb": WRONG
        },
        {"12": "12-3 - Ada L", "14": "14-3 - Mal"},
    ),
    "a page beside the folders": (
        {"index.html": b"<p>", "ada/w.ipynb": RIGHT, "bob/w.ipynb": RIGHT},
        {n: f"{n}/w.ipynb" for n in ("ada", "bob")},
    ),
    "a file that is an ending alone": (
        {"ada/.ipynb": RIGHT, "bob/.w.ipynb": RIGHT, "bob/w.ipynb": WRONG},
        {"ada": "ada/.ipynb", "bob": "bob/w.ipynb"},
    ),
    "not a notebook, an empty one": (
        {"ada.ipynb": b"{}", "bob.ipynb": b"", "cyd.ipynb": RIGHT},
        {"ada": "not a notebook", "bob": "the file is empty", "cyd": "cyd.ipynb"},
    ),
}


@pytest.mark.parametrize(
    ("names", "ids", "roster"),
    [
        (["Ada L - tiny.ipynb", "Bob M - tiny.ipynb"], {"Ada L", "Bob M"}, ()),
        (
            [
                f"Tiny/{n}/Submission attachment(s)/w.ipynb"
                for n in ("L, A(a)", "M, B(b)")
            ],
            {"a", "b"},
            (),
        ),
        ([f"Lovelace, Ada ({n}).ipynb" for n in (1, 2)], {"Lovelace, Ada"}, ()),
        ([f"T_{n}_attempt_{B}_w.ipynb" for n in ("a_l", "b_k")], {"a_l", "b_k"}, ()),
        ([f"T_{n}_attempt_{B}_w.ipynb" for n in ("s_1", "s_2")], {"1", "2"}, ()),
        (
            [f"T_{n}_attempt_{B}_w.ipynb" for n in ("s_1", "s_2")],
            {"s_1", "s_2"},
            ("s_1", "s_2"),
        ),
        (
            [f"hw_{n}.ipynb" for n in (20210512, 20210611)],
            {"20210512", "20210611"},
            ("20210512", "20210611"),
        ),
    ],
    ids=[
        *("Classroom", "Sakai", "copies", "Blackboard", "shared start", "roster"),
        "numbers like dates",
    ],
)
def test_ids_of_other_platforms(tmp_path, names, ids, roster):
    write_files(tmp_path, dict.fromkeys(names, RIGHT))
    known = Roster(roster, {one: one for one in roster}) if roster else None
    taken = intake.collect(tmp_path, MASTER, known)
    assert found(taken).keys() == ids


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
        write_files(root, files)
    taken = intake.collect(root, MASTER)
    got = found(taken)
    assert got.keys() == expected.keys()
    for student, what in expected.items():
        assert got[student].startswith(what), student
    # Every file has its line, and a hand-in without a notebook is one to look at.
    assert len(taken.lines) >= len(files)
    bad = {one.id for one in taken.submissions if one.data is None}
    assert bad <= {line.id for line in taken.look}


def test_a_hand_in_beside_a_platforms_is_looked_at(tmp_path):
    files = {f"Ada L_11{M}/w.ipynb": RIGHT, f"Bob M_12{M}/w.ipynb": RIGHT}
    taken = intake.collect(write_files(tmp_path, files | {"cyd.ipynb": RIGHT}), MASTER)
    assert found(taken)["cyd"] == "cyd.ipynb"
    assert [line.rule for line in taken.look] == ["file name, unlike Moodle's"]


def test_a_name_that_cannot_be_canvass_is_looked_at(tmp_path):
    names = [f"x_{n}_90{n}_w.ipynb" for n in (1001, 1002, 1003)]
    names += ["ada_2026_12_01.ipynb"]
    taken = intake.collect(write_files(tmp_path, dict.fromkeys(names, RIGHT)), MASTER)
    assert found(taken).keys() == {"1001", "1002", "1003", "ada"}
    assert [line.rule for line in taken.look] == ["file name, unlike Canvas's"]


@pytest.mark.parametrize("names", [[f"X_{n}{M}/w.ipynb" for n in (11, 12)], CANVAS])
def test_a_file_beside_a_platforms_folder_is_nobodys_and_looked_at(tmp_path, names):
    files = {f"all/{name}": RIGHT for name in names}
    stray = {"notes.pdf": b"%PDF", "Untitled.ipynb": SCRATCH}
    write_files(tmp_path / "in", files | stray)
    taken = intake.collect(tmp_path / "in", MASTER)
    assert found(taken).keys() == {"11", "12"}
    assert {(line.file, line.id) for line in taken.look} == {(n, "") for n in stray}
    # An answer there is somebody's, and of many files none is a companion.
    for more in ({"ada.ipynb": RIGHT}, {"c.pdf": b"x"}):
        write_files(tmp_path / "in", more)
        assert "11" not in found(intake.collect(tmp_path / "in", MASTER))
        (tmp_path / "in/ada.ipynb").unlink(missing_ok=True)


@pytest.mark.parametrize("top", ["", "week 3/"])
def test_an_ending_hides_no_hand_in(tmp_path, top):
    others = ("bob.csv", "cyd.MD", "dan (1).xlsx", "eve.log")
    files = {f"{top}{name}": b"x" for name in (*others, "names.csv", "README.md")}
    files |= {f"{top}{n}.ipynb": RIGHT for n in ("ada", "hal")}
    files |= {f"{top}requirements.ipynb": RIGHT}
    files |= {f"{top}fay.ipynb.md": RIGHT, f"{top}notes.md": b"x"}
    files |= {f"{top}gil.ipynb.log": b"{", f"{top}license.ipynb": SCRATCH}
    write_files(tmp_path / "in", files)
    ids = ("ada", "bob", "cyd", "dan", "eve", "hal")
    roster = Roster(ids, {one: one for one in ids})
    taken = intake.collect(tmp_path / "in", MASTER, roster)
    got = found(taken)
    assert got.keys() == {*ids, "requirements", "fay"} and not taken.absent
    assert got["fay"] == f"{top}fay.ipynb.md"
    assert all(got[one].startswith(NONE) for one in ids[1:5])
    look = {line.file for line in taken.look if line.what == "set aside"}
    assert look == {f"{top}notes.md", f"{top}gil.ipynb.log"}
    assert {f"{top}{name}" for name in others} < {line.file for line in taken.look}
    # Without a roster a table is one beside the hand-ins.
    taken = intake.collect(tmp_path / "in", MASTER)
    assert found(taken).keys() == {"ada", "hal", "requirements", "fay"}
    look = {line.file.removeprefix(top) for line in taken.look}
    assert look == {"notes.md", "cyd.MD", "gil.ipynb.log"}


def test_whose_name_ends_like_a_table_beside_a_folder(tmp_path):
    files = {f"all/{n}.ipynb": RIGHT for n in ("ada", "bob")} | {"cyd.csv": b"x"}
    roster = Roster(("ada", "cyd"), {"ada": "ada", "cyd": "cyd"})
    taken = intake.collect(write_files(tmp_path, files), MASTER, roster)
    assert found(taken).keys() == {"ada", "bob", "cyd"}


def test_a_section_of_one_student_is_known_by_a_sign_or_asked(tmp_path):
    def taken(name, files, roster=None):
        return intake.collect(write_files(tmp_path / name, files), MASTER, roster)

    def own(section, student, said):
        return {f"{section}.zip": inner(**{f"{student}__ipynb": solved(TINY, said)})}

    # The notebooks' own ids are those of the names in the sections, or of the sections.
    sure = own("section A", "ada", "ada") | own("section B", "bob", "Bob")
    got = taken("a", sure)
    assert found(got).keys() == {"ada", "bob"} and not got.look
    team = own("group 1", "work", "group 1") | own("group 2", "our", "group_2")
    got = taken("b", team)
    assert found(got).keys() == {"group 1", "group 2"} and not got.look
    # Nothing tells: a person does, once for all by the roster.
    open_ = own("section A", "ada", "") | own("section B", "bob", "")
    got = taken("c", open_)
    assert {one.id for one in got.look} == {"section A", "section B"}
    assert all("--roster says which" in one.rule for one in got.look)
    got = taken("d", open_, Roster(("ada", "bob"), {"ada": "ada", "bob": "bob"}))
    assert found(got).keys() == {"ada", "bob"} and not got.look
    # Of many, one is asked; what a student writes does not move the others.
    many = {f"section A/{n}.ipynb": RIGHT for n in ("ada", "bob")}
    got = taken("e", many | own("section B", "cyd", ""))
    assert found(got).keys() == {"ada", "bob", "cyd"}
    assert [one.id for one in got.look] == ["cyd"]
    # What groups call alike is nobody's name, whatever one of them writes.
    teams = own("group 1", "ada", "ada") | own("group 2", "work", "bob")
    got = taken("g", teams | own("group 3", "work", "cyd"))
    assert found(got).keys() == {"group 1", "group 2", "group 3"}
    assert {one.id for one in got.look} == {"group 1", "group 2", "group 3"}
    # A platform's names are a sign.
    got = taken("f", {f"section {n}/X_{n}{M}/w.ipynb": RIGHT for n in (1, 2)})
    assert found(got).keys() == {"1", "2"} and not got.look


@pytest.mark.parametrize("empty", ["section B/", "section B/.git/x", "section B.zip"])
@pytest.mark.parametrize("start", ["", "tiny-", "X_{}" + M + "/"])
def test_an_empty_section_is_nobodys_and_looked_at(tmp_path, empty, start):
    path, people = tmp_path / "in.zip", ("71", "72")
    with zipfile.ZipFile(path, "w") as archive:
        for one in people:
            name = f"{start.format(one)}{'w' if '{' in start else one}.ipynb"
            archive.writestr(f"section A/{name}", RIGHT)
        archive.writestr(empty, inner() if empty.endswith(".zip") else b"")
    taken = intake.collect(path, MASTER)
    assert found(taken).keys() == set(people)
    (line,) = taken.look
    assert (line.file, line.id) == ("section B/", "") and "empty" in line.why


def test_times_that_stand_in_names(tmp_path):
    files = LAYOUTS["nbgrader's exchange, handed in twice"][0]
    taken = intake.collect(write_files(tmp_path / "a", files), MASTER).submissions
    assert taken[1].owner.time == "2025-12-01 10:00:00.1+00:00"
    # Of two hand-ins the graded one counts, which is the later one here.
    assert taken[0].owner.time == "2025-12-02 10:00:00.1+00:00"
    files = {"a_11_901_w.ipynb": EMPTY, "a_LATE_11_902_w-1.ipynb": RIGHT}
    taken = intake.collect(write_files(tmp_path / "d", files), MASTER).submissions
    assert taken[0].owner.late and taken[0].owner.where == "a_LATE_11_902_"
    files = LAYOUTS["Brightspace's folders, one handed in twice"][0]
    taken = intake.collect(write_files(tmp_path / "e", files), MASTER).submissions
    assert parse_time(taken[0].owner.time, UTC) == datetime(
        2025, 12, 2, 21, 5, 0, 0, UTC
    )
    files = LAYOUTS["Blackboard's zip"][0]
    taken = intake.collect(write_files(tmp_path / "b", files), MASTER).submissions
    assert taken[0].owner.time == "2025-12-01T10:00:00"
    files = LAYOUTS["Gradescope's export"][0]
    taken = intake.collect(write_files(tmp_path / "c", files), MASTER)
    assert taken.submissions[1].owner.time == "2025-12-01 19:32:20+00:00"
    # Whom the export does not name is one to look at.
    assert [line.id for line in taken.look if line.what == "graded"] == ["53"]


@pytest.mark.parametrize(
    "pattern, second",
    [
        # what a name may say, and what it never says
        (r"hw-(?P<id>[a-z]+)(-(?P<name>[A-Z]\w+))?(-(?P<time>20[\d-]+))?", ""),
        (
            r"hw-(?P<id>[a-z]+)(-(?P<name>[A-Z]\w+))?(-(?P<time>20[\d-]+))?",
            "-Bob-2025-12-01",
        ),
        (r"hw-(?P<id>[a-z]+)(-(?P<late>LATE))?(-(?P<file>\d+))?", "-LATE-7"),
    ],
)
def test_a_layout_says_what_it_knows(monkeypatch, tmp_path, pattern, second):
    monkeypatch.setattr(
        layouts, "LAYOUTS", {"New": re.compile(f"(?P<place>{pattern})")}
    )
    files = {"hw-ada/w.ipynb": RIGHT, f"hw-bob{second}/w.ipynb": WRONG}
    taken = intake.collect(write_files(tmp_path / "in", files), MASTER)
    ada, bob = (one.owner for one in taken.submissions)
    assert (ada.label, ada.name, ada.time) == ("ada", "", "")
    assert ada.platform == "New" and not ada.late and not taken.look
    expected = ("Bob", "2025-12-01") if "Bob" in second else ("", "")
    assert (bob.label, bob.name, bob.time) == ("bob", *expected)
    assert bool(bob.late) == ("LATE" in second)


def test_what_a_platform_says(tmp_path):
    names = ("lovelaceada_11_901_w.ipynb", "hoppergrace_LATE_12_902_w.ipynb")
    one, two = intake.collect(
        write_files(tmp_path, dict.fromkeys(names, RIGHT)), MASTER
    ).submissions
    assert (one.owner.name, one.owner.late, two.owner.late) == (
        "lovelaceada",
        False,
        True,
    )
    assert two.owner.where == "hoppergrace_LATE_12_902_"
