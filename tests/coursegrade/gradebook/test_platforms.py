"""Moodle's worksheet and Canvas's gradebook, read and filled in."""

import csv
from datetime import UTC, datetime

import pytest

from coursegrade.gradebook.platforms import read_worksheet
from coursegrade.gradebook.sheets import SheetError
from submissions import MASTER, rows_of

EN = ("Identifier", "Grade", "Last modified (submission)", "Participant 12")
DE = ("ID", "Bewertung", "Zuletzt geändert (Abgabe)", "Teilnehmer/in12")
FR = ("Identifiant", "Note", "Dernière modification (travail remis)", "Participant 12")
ES = (
    "Identificador",
    "Calificación",
    "Última modificación (entrega)",
    "Alumno 12",
)


def total(value, **more):
    return {"total": value, "open": [], "absent": False} | more


@pytest.mark.parametrize("names", [EN, DE, FR, ES], ids=["en", "de", "fr", "es"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_moodles_worksheet(tmp_path, names, separator):
    key, grade, time, twelve = names
    sheet = tmp_path / "sheet.csv"
    columns = (key, "Name", grade, time)
    text = [columns, (twelve, "Ann", "", "2 December 2025, 11:59 PM")]
    text += [(twelve.replace("12", n), "Bo", "", "-") for n in ("13", "14", "15", "16")]
    with sheet.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows(text)
    worksheet = read_worksheet(sheet, MASTER)
    times, strange = worksheet.times(UTC)
    assert times == {"12": datetime(2025, 12, 2, 23, 59, tzinfo=UTC)} and not strange
    # A grade that is not whole yet does not go out, nor one of who handed in nothing.
    sums = {
        "ann": total(5.5),
        "bo": total(3, open=["why"]),
        "cy": total(0, absent=True),
        "di": total(None),
    }
    by_label = {"12": "ann", "13": "bo", "14": "cy", "15": "di"}
    path, count = worksheet.fill(tmp_path, sums, by_label)
    assert path.name == "moodle_worksheet.csv" and count == 1
    assert [row[grade] for row in rows_of(path)] == ["5.5", "", "", "", ""]


def test_a_column_of_another_name(tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("Auðkenni,Einkunn\nÞátttakandi 12,\n", encoding="utf-8")
    with pytest.raises(SheetError, match='not Moodle.*column = "..."; .*Einkunn'):
        read_worksheet(sheet, MASTER)
    path, _ = read_worksheet(sheet, MASTER, "Einkunn").fill(
        tmp_path, {"12": total(2)}, {"12": "12"}
    )
    assert rows_of(path)[0]["Einkunn"] == "2"
    with pytest.raises(SheetError, match="no column 'Mark'"):
        read_worksheet(sheet, MASTER, "Mark")
    sheet.write_text("a,b\n1,2\n")
    with pytest.raises(SheetError, match="not Moodle's grading worksheet"):
        read_worksheet(sheet, MASTER)


def test_a_time_that_cannot_be_read_is_told(tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("Identifier,Grade,Last modified (submission)\nP 12,,3/4/26\n")
    assert read_worksheet(sheet, MASTER).times() == ({}, ["3/4/26"])


def test_canvas_gradebook(tmp_path):
    sheet = tmp_path / "export.csv"
    sheet.write_text(
        "Student,ID,SIS Login ID,Section,A tiny assignment (7),Other (8),Final Score\n"
        "    Points Possible,,,,12,5,(read only)\n"
        '"Lovelace, Ada",11,ada,A,,,\n"Hopper, Grace",12,grace,A,3,,\n'
    )
    worksheet = read_worksheet(sheet, MASTER)
    path, count = worksheet.fill(tmp_path, {"ada": total(7.25)}, {"11": "ada"})
    assert path.name == "canvas_gradebook.csv" and count == 1
    # Only what an import needs: no other assignment is touched.
    with path.open(newline="") as file:
        head, *lines = csv.reader(file)
    assert head[-1] == "A tiny assignment (7)" and "Other (8)" not in head
    assert [line[-1] for line in lines] == ["12", "7.25", "3"]
    sheet.write_text("Student,ID,Section,One (7),Two (8)\n")
    with pytest.raises(SheetError, match=r"which column .* there are One \(7\), Two"):
        read_worksheet(sheet, MASTER)
    assert read_worksheet(sheet, MASTER, "Two (8)").grade == "Two (8)"


@pytest.mark.parametrize(
    ("table", "most"),
    [
        ("Identifier,Grade,Maximum Grade\nP 12,,{}\n", "100.00"),
        ("Identifiant,Note,Note maximale\nP 12,,{}\n", "100"),
        (
            "Student,ID,Section,A tiny assignment (7)\n"
            " Points Possible,,,{}\nAda,11,A,\n",
            "100",
        ),
    ],
)
def test_another_maximum_is_told(tmp_path, table, most):
    sheet = tmp_path / "sheet.csv"
    for points in (most, f"{MASTER.points:g}"):
        # a grade that is there, without a maximum, is none
        sheet.write_text(table.format("").replace("P 12,,", "P 12,7,"))
        assert read_worksheet(sheet, MASTER).other_scale(MASTER) == ""
        sheet.write_text(table.format(points))
        said = read_worksheet(sheet, MASTER).other_scale(MASTER)
        assert ("counts 100 points, the assignment 12" in said) == (points == most)
