"""The tables of a class: grades and totals."""

import csv
import io
from datetime import UTC, datetime

from coursegrade.gradebook import tables
from coursegrade.gradebook.late import Deadline
from submissions import MASTER, entry, rows_of

DUE = datetime(2026, 12, 1, tzinfo=UTC)


def test_tables(tmp_path):
    entries = {"=ann": entry("=ann"), "bob": entry("bob")}
    sums = tables.totals(MASTER, entries)
    rows = rows_of(tables.write_grades(tmp_path, MASTER, entries))
    assert tuple(rows[0]) == tables.COLUMNS
    assert [row["points"] for row in rows[:4]] == ["2", "0", "5", ""]
    assert rows[0]["id"] == "'=ann" and rows[3]["status"] == "needs_review"
    ann, bob = rows_of(tables.write_totals(tmp_path, sums))
    assert (bob["total"], bob["open"], bob["late_days"]) == ("7", "why", "0")


def test_a_column_that_an_older_journal_does_not_have_is_empty(tmp_path):
    old = entry("ann")
    for row in old["rows"]:
        del row["message"]
    rows = rows_of(tables.write_grades(tmp_path, MASTER, {"ann": old}))
    assert {row["message"] for row in rows} == {""} and rows[0]["points"] == "2"


def test_late_days_in_a_table(tmp_path):
    entries = {name: entry(name) for name in ("ann", "bob", "cy")}
    entries["cy"]["late"] = True
    deadline = Deadline(DUE, 0.1, times={"ann": DUE.replace(day=3)})
    sums = tables.totals(MASTER, entries, deadline)
    rows = rows_of(tables.write_totals(tmp_path, sums))
    assert [(row["late_days"], row["total"]) for row in rows] == [
        ("2", "5.6"),
        ("", "7"),
        ("late", ""),
    ]
    assert rows[0]["handed_in"].startswith("2026-12-03 00:00")
    assert not tables.changes(tmp_path, sums)
    later = tables.totals(MASTER, entries)
    assert tables.changes(tmp_path, later) == [
        "ann: total 5.6 -> 7",
        "cy: total open -> 7",
    ]


def test_csv_reads_back(tmp_path):
    odd = entry('a,b"c')
    text = tables.write_grades(tmp_path, MASTER, {odd["id"]: odd}).read_text()
    assert next(csv.DictReader(io.StringIO(text)))["id"] == odd["id"]
