"""The table of statuses: what each is worth, and that none goes without it."""

import json

import pytest

from coursegrade.examiner.talk import Failed
from coursegrade.statuses import Status


def test_a_status_is_its_name():
    assert json.dumps(Status.OK) == '"ok"' and f"{Status.DIED}" == "died"
    assert Status("ok") is Status.OK and "not_graded" == Status.NOT_GRADED
    # one word: tables are sorted by it, and the page for instructors lists them
    assert all(one.isidentifier() for one in Status)


def test_worth_and_who_waits():
    assert [one for one in Status if one.points == "all"] == ["ok"]
    still_open = {one for one in Status if one.points == "open"}
    assert {one for one in Status if one.waits} == still_open
    # Only our own failure is graded again: all else is the submission's.
    assert [one for one in Status if one.again] == ["not_graded"]
    assert all(one.meaning.endswith(".") for one in Status)


def test_a_status_without_an_entry_fails_where_it_is_given():
    with pytest.raises(ValueError, match="no_such"):
        Failed("no_such", "a message")
