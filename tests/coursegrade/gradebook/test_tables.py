"""The tables of a class: grades, totals, worksheets."""

import csv
import io
from datetime import datetime

import pytest

from coursegrade.gradebook import tables
from submissions import MASTER, entry, rows_of


def test_late_days_and_penalty():
    entries = {"ann": entry()}
    for due, days, total in (
        ("2026-12-03T10:00", 0, 7),
        ("2026-12-03T09:59", 1, 6.3),
        ("2026-12-01T09:00", 3, 4.9),
        ("2026-10-01T09:00", 64, 0),
    ):
        sums = tables.totals(MASTER, entries, datetime.fromisoformat(due), 0.1)
        assert sums["ann"]["late_days"] == days
        assert sums["ann"]["total"] == pytest.approx(total)
    assert sums["ann"]["open"] == ["why"]


def test_tables(tmp_path):
    entries = {"=ann": entry("=ann"), "bob": entry("bob")}
    sums = tables.totals(MASTER, entries)
    rows = rows_of(tables.write_grades(tmp_path, MASTER, entries))
    assert tuple(rows[0]) == tables.COLUMNS
    assert [row["points"] for row in rows[:4]] == ["2", "0", "5", ""]
    assert rows[0]["id"] == "'=ann" and rows[3]["status"] == "needs_review"
    assert rows_of(tables.write_totals(tmp_path, sums))[1]["total"] == "7"
    review = rows_of(tables.write_review(tmp_path, MASTER, entries))
    assert [(row["id"], row["task"]) for row in review] == [
        ("'=ann", "why"),
        ("bob", "why"),
    ]


def test_moodle_worksheet(tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(
        "Identifier,Full name,Grade\nParticipant 12,Ann,\nParticipant 13,Bo,\n"
    )
    done = entry("12", ("ok",) * 4)
    sums = tables.totals(MASTER, {"12": done, "13": entry("13")})
    rows = rows_of(tables.fill_worksheet(sheet, tmp_path, sums))
    # A grade that is not whole yet does not go out.
    assert [row["Grade"] for row in rows] == ["12", ""]
    sheet.write_text("a,b\n")
    with pytest.raises(ValueError, match="not Moodle's grading worksheet"):
        tables.fill_worksheet(sheet, tmp_path, sums)


def test_csv_reads_back(tmp_path):
    odd = entry('a,b"c')
    text = tables.write_grades(tmp_path, MASTER, {odd["id"]: odd}).read_text()
    assert next(csv.DictReader(io.StringIO(text)))["id"] == odd["id"]
