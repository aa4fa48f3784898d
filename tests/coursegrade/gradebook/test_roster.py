"""Who is in the class, and who is not."""

import pytest

from coursegrade.gradebook import intake
from coursegrade.gradebook.roster import Roster, read_roster
from coursegrade.gradebook.sheets import SheetError
from coursekit.grading import personal_rng
from submissions import MASTER, TINY, found, solved, write_files

RIGHT = solved(TINY, "")
M = "_assignsubmission_file_"


def test_a_roster(tmp_path):
    write_files(tmp_path / "in", {f"X_77{M}/a.ipynb": RIGHT, f"Y_78{M}/a.ipynb": RIGHT})
    roster = tmp_path / "roster.csv"
    # As Excel saves it in Europe.
    roster.write_bytes("submission;id\n77;ann\n80;jörg\n".encode("cp1252"))
    taken = intake.collect(tmp_path / "in", MASTER, read_roster(roster))
    assert found(taken).keys() == {"ann", "78"} and taken.absent == ["jörg"]
    assert [(line.id, line.why) for line in taken.look] == [("78", "not on the roster")]
    # A roster tells which level of the folders has the students.
    write_files(tmp_path / "b", {"ada/ann/w.ipynb": RIGHT})
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


def test_a_roster_without_the_zeros_in_front(tmp_path):
    files = {"0071/w.ipynb": solved(TINY, "0071"), "0x72/w.ipynb": RIGHT}
    write_files(tmp_path, files)
    taken = intake.collect(tmp_path, MASTER, Roster(("71", "9"), {"71": "71"}))
    # The notebook's own id is the same one, whose data it has.
    assert found(taken).keys() == {"71", "0x72"} and taken.absent == ["9"]
    assert {line.id for line in taken.look} == {"0x72"}
    mine, theirs = (personal_rng(one, "key", "t").normal() for one in ("71", "0071"))
    assert mine == theirs
    both = Roster(("0071", "71"), {"0071": "0071", "71": "71"})
    assert [both.find(one) for one in ("0071", "71", "071")] == ["0071", "71", ""]
    lost = Roster(("ada",), {"71": "ada", "ada": "ada"})
    assert [lost.find(one) for one in ("0071", "0", "")] == ["ada", "", ""]
