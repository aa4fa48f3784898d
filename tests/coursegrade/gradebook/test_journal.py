"""The journal and whole files, whatever happens in between."""

import pytest

from coursegrade.gradebook.journal import Journal, write_atomically


def line(student, number):
    made = {"id": student, "digest": "d", "stamp": "s", "rows": []}
    return made | {"seconds": number}


@pytest.mark.parametrize(
    "bad",
    ['{"id": "ada"}', "[1]", "7", '{"id": ["a"], "digest": "", "stamp": 1}', "\xff"],
)
def test_a_line_that_is_no_grade_is_left_out(tmp_path, bad):
    path = tmp_path / "journal.jsonl"
    Journal(path).add(line("ann", 1))
    with open(path, "a", encoding="latin-1") as file:
        file.write(bad + "\n")
    assert set(Journal(path).entries) == {"ann"}


def test_reading_writes_nothing(tmp_path):
    assert not Journal(tmp_path / "new/journal.jsonl").entries
    assert not (tmp_path / "new").exists()


def test_journal_survives_a_cut_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add(line("ann", 1))
    with open(path, "a") as file:
        file.write('{"id": "bob", "x"')
    journal = Journal(path)
    assert set(journal.entries) == {"ann"}
    journal.add(line("cy", 3))
    journal.add(line("ann", 4))
    assert Journal(path).entries == {
        "ann": line("ann", 4),
        "cy": line("cy", 3),
    }


def test_the_newest_entry_stands_last(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for number, student in enumerate(("ann", "bob", "ann")):
        journal.add(line(student, number))
    assert list(journal.entries) == list(Journal(path).entries) == ["bob", "ann"]


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.csv"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
