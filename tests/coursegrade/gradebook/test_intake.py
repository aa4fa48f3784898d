"""Who handed in what, from the names in a folder or zip."""

import os
import zipfile

import pytest

from coursegrade.gradebook import intake, tables


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("ada.ipynb", ("ada", "")),
        ("ada/work.ipynb", ("ada", "")),
        ("Ada L_123_assignsubmission_file_/w.ipynb", ("123", "Ada L")),
        ("Ada L_123_assignsubmission_file_w.ipynb", ("123", "Ada L")),
        ("ladaada_12345_678_work-2.ipynb", ("12345", "ladaada")),
        ("ladaada_LATE_12345_678_work.ipynb", ("12345", "ladaada")),
        ("ada_lovelace.ipynb", ("ada_lovelace", "")),
        ("Zoë/work.ipynb", ("Zoë", "")),
    ],
)
def test_names_of_platforms(tmp_path, name, who):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{}")
    (one,) = intake.collect(tmp_path)
    assert (one.id, one.name) == who
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, "{}")
    (two,) = intake.collect(archive)
    assert (two.id, two.name, two.where) == (one.id, one.name, one.where)


def test_the_latest_of_two_counts(tmp_path):
    for name, when in (("a.ipynb", 2_000_000_000), ("b.ipynb", 1_000_000_000)):
        (tmp_path / "ada").mkdir(exist_ok=True)
        (tmp_path / "ada" / name).write_text(name)
        os.utime(tmp_path / "ada" / name, (when, when))
    (one,) = intake.collect(tmp_path)
    assert one.data == b"a.ipynb"


def test_a_roster_gives_ids(tmp_path):
    (tmp_path / "X_77_assignsubmission_file_a.ipynb").write_text("{}")
    roster = tmp_path / "roster.csv"
    roster.write_text("submission,id\n77,ann\n")
    (one,) = intake.collect(tmp_path, tables.read_roster(roster))
    assert one.id == "ann"
    roster.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="columns submission and id"):
        tables.read_roster(roster)


def test_nothing_to_grade(tmp_path):
    with pytest.raises(intake.IntakeError, match="no notebook"):
        intake.collect(tmp_path)
    with pytest.raises(intake.IntakeError, match="neither a folder nor a zip"):
        intake.collect(tmp_path / "none")


def test_file_names_stay_apart_and_plain():
    names = [intake.file_name(x) for x in ("a b", "a_b", "a/b", "../a", "é", "", "..")]
    assert len(set(names)) == len(names)
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for name in names
    )
