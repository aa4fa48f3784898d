"""Files of strangers: what is damaged, odd or a link costs itself."""

import io
import os
import zipfile

import pytest

from coursegrade.gradebook import hand_ins, intake
from coursegrade.gradebook.roster import read_roster
from submissions import MASTER, TINY, found, solved, write_files

RIGHT = solved(TINY, "")
M = "_assignsubmission_file_"


def test_no_time_of_a_file_is_read(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada.ipynb", RIGHT)
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 12 : at + 16] = b"\0\0\0\0"
    path.write_bytes(content)
    assert found(intake.collect(path, MASTER)) == {"ada": "ada.ipynb"}
    write_files(tmp_path / "in", {"ada.ipynb": RIGHT})
    try:
        os.utime(tmp_path / "in/ada.ipynb", (3e11, 3e11))
    except OSError:
        pass
    assert found(intake.collect(tmp_path / "in", MASTER)) == {"ada": "ada.ipynb"}


def test_one_notebook_is_a_hand_in(tmp_path):
    (tmp_path / "ada (1).IPYNB").write_bytes(RIGHT)
    taken = intake.collect(tmp_path / "ada (1).IPYNB", MASTER)
    assert found(taken) == {"ada": "ada (1).IPYNB"}


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
    taken = intake.collect(write_files(tmp_path / "in", {folder: RIGHT}), MASTER)
    (one,) = taken.submissions
    assert (one.id, one.owner.name) == ("124", "Müller Eva")
    one.file.encode()
    # Letters in two pieces, as macOS writes them, in a folder and on a roster.
    write_files(tmp_path / "b", {"Zoe\u0308.ipynb": RIGHT})
    roster = tmp_path / "roster.csv"
    roster.write_text("submission,id\nZoë,z17\n", encoding="utf-8")
    taken = intake.collect(tmp_path / "b", MASTER, read_roster(roster))
    assert found(taken) == {"z17": "Zoë.ipynb"}


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        # Marks of a direction, a joiner, a byte order mark: nobody sees them.
        ("\u200fעדה\u200e", "עדה"),
        ("עדה", "\u2067עדה\u2069"),
        ("می\u200cخواهم", "میخواهم"),
        ("ada", "\ufeffada"),
        # Spaces that do not break, and letters of another width.
        ("ada\u00a0l", "ada l"),
        ("ａｄａ１", "ada1"),
    ],
)
def test_names_that_look_the_same_are_one(tmp_path, name, listed):
    roster = tmp_path / "roster.csv"
    roster.write_text(f"id;submission\r\nx1;{listed}\r\n", encoding="utf-8-sig")
    write_files(tmp_path / "in", {f"{name}/w.ipynb": RIGHT, "\u200b/w.ipynb": RIGHT})
    taken = intake.collect(tmp_path / "in", MASTER, read_roster(roster))
    assert found(taken).keys() == {"x1", "_"} and not taken.absent
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr(f"{name}.ipynb", RIGHT)
        archive.writestr("\u200b/w.ipynb", RIGHT)
    taken = intake.collect(tmp_path / "in.zip", MASTER, read_roster(roster))
    assert found(taken).keys() == {"x1", "_"} and not taken.absent


def test_links_and_empty_folders_have_a_row(tmp_path):
    write_files(tmp_path / "in", {"ada.ipynb": RIGHT})
    (tmp_path / "in/bob").symlink_to(tmp_path / "in")
    (tmp_path / "in/cyd.ipynb").symlink_to(tmp_path / "in/ada.ipynb")
    (tmp_path / "in/dan").mkdir()
    got = found(intake.collect(tmp_path / "in", MASTER))
    assert got.keys() == {"ada", "bob", "cyd", "dan"}
    assert "a link" in got["bob"] and "a link" in got["cyd"]
    assert got["dan"] == "an empty folder"


def test_nothing_to_grade(tmp_path):
    with pytest.raises(hand_ins.IntakeError, match="no hand-in"):
        intake.collect(tmp_path, MASTER)
    with pytest.raises(hand_ins.IntakeError, match="neither a folder nor a zip"):
        intake.collect(tmp_path / "none", MASTER)


@pytest.mark.parametrize(
    "names", [["ada"], ["all/ada", "all/bob"], ["submitted/ada/tiny"]]
)
def test_empty_folders_alone(tmp_path, names):
    for name in names:
        (tmp_path / "in" / name).mkdir(parents=True)
    taken = intake.collect(tmp_path / "in", MASTER)
    assert set(found(taken).values()) == {"an empty folder"}


def test_a_name_that_no_disk_takes_costs_itself(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("(1)" * 20_000 + "x.ipynb", RIGHT)
        archive.writestr("ada.ipynb", RIGHT)
    got = found(intake.collect(path, MASTER))
    assert len(got) == 2 and got["ada"] == "ada.ipynb"


def test_a_zip_without_end_costs_itself(tmp_path):
    held = b"x"
    for _ in range(6):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made:
            made.writestr("more.zip", held)
        held = file.getvalue()
    write_files(tmp_path / "in", {"mal.zip": held, "ada.ipynb": RIGHT})
    got = found(intake.collect(tmp_path / "in", MASTER))
    assert got["ada"] == "ada.ipynb" and got["mal"].startswith("a zip in a zip")
