"""The journal and whole files, whatever happens in between."""

import pytest

from coursegrade.gradebook.journal import Journal, write_atomically


def test_journal_survives_a_cut_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add({"id": "ann", "x": 1})
    with open(path, "a") as file:
        file.write('{"id": "bob", "x"')
    journal = Journal(path)
    assert set(journal.entries) == {"ann"}
    journal.add({"id": "cy", "x": 3})
    journal.add({"id": "ann", "x": 4})
    assert Journal(path).entries == {
        "ann": {"id": "ann", "x": 4},
        "cy": {"id": "cy", "x": 3},
    }


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.csv"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
