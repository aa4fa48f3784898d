"""The three assignments: their own solutions get all points, for several ids."""

from pathlib import Path

import pytest

from coursegrade.assignment.master import MasterError, parse_master
from coursegrade.examiner.client import stop
from coursegrade.release import check_master
from submissions import sandbox_or_skip

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/data/tiny.md"
MASTERS = sorted(ROOT.glob("assignments/*.md"))


@pytest.fixture(scope="module", autouse=True)
def sandbox():
    sandbox_or_skip()
    yield
    stop()


@pytest.mark.parametrize("path", MASTERS, ids=lambda path: path.stem)
def test_the_solution_gets_all_points_and_the_empty_notebook_none(path):
    # Raises where a solution fails or an empty answer passes.
    check_master(path.read_text(encoding="utf-8"), "a secret", students=2)


def test_a_wrong_solution_is_found():
    text = TINY.read_text(encoding="utf-8").replace(
        "np.sqrt(2 / fan_in)\n    ###", "1\n    ###"
    )
    with pytest.raises(MasterError, match="own solution gets wrong"):
        check_master(text, students=1)


def test_tests_that_assert_nothing_are_found():
    text = TINY.read_text(encoding="utf-8")
    start = text.index("assert np.isclose(he_stddev(2)")
    end = text.index("### END HIDDEN TESTS", start)
    empty = f"{text[:start]}### BEGIN HIDDEN TESTS\npass\n{text[end:]}"
    assert parse_master(empty).tasks["stddev"].test is not None
    with pytest.raises(MasterError, match="pass without an answer"):
        check_master(empty, students=1)
