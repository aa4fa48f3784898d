"""Which cells a test needs."""

from coursegrade.assignment.master import read_master
from coursegrade.assignment.needs import needed
from submissions import TINY


def test_needed_follows_given_cells():
    master = read_master(TINY)
    given, asked = needed(master.cells, master.tasks["mean"].test)
    assert asked == {"mean"}
    assert [cell.id for cell in given] == ["given_2", "given_4"]
    given, asked = needed(master.cells, master.tasks["network"].test)
    assert asked == {"network"} and [cell.id for cell in given] == ["given_2"]
