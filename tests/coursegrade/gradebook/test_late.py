"""When work came, by whom it is said, and what late days take."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from coursegrade.gradebook.late import LATE, Deadline, parse_time, read_times, until
from coursegrade.gradebook.sheets import SheetError

BERLIN = ZoneInfo("Europe/Berlin")
DUE = datetime(2026, 12, 1, 23, 59, tzinfo=UTC)


def entry(late=None, **more):
    return {"id": "ada", "late": late} | more


@pytest.mark.parametrize(
    ("after", "days"),
    [(-60, 0), (0, 0), (1, 1), (86_400, 1), (86_401, 2), (64 * 86_400, 64)],
)
def test_each_day_that_began_is_late(after, days):
    deadline = Deadline(DUE, 0.1, times={"ada": DUE + timedelta(seconds=after)})
    assert deadline.late_days(entry()) == days
    assert deadline.total(10, days) == pytest.approx(max(0, 10 - days))


@pytest.mark.parametrize(
    ("due", "came", "days"),
    [
        # The clocks go back, and forth: the day in Berlin has 25 and 23 hours.
        ("2026-10-24T23:59", "2026-10-25T23:59", 1),
        ("2026-10-24T23:59", "2026-10-25T22:59Z", 1),
        ("2026-10-24T21:59Z", "2026-10-25T23:59", 1),
        ("2026-10-24T23:59", "2026-10-26T00:00", 2),
        ("2026-03-28T23:59", "2026-03-29T23:59", 1),
        ("2026-03-28T22:59Z", "2026-03-29T21:59:01Z", 2),
        # 2:30 comes twice: first when it is due, then 15 minutes before, and late.
        ("2026-10-25T02:30", "2026-10-25T01:15Z", 1),
        ("2026-10-25T02:30", "2026-10-25T00:30Z", 0),
        ("2026-12-01T23:59-12:00", "2026-12-02T11:59Z", 0),
        ("2026-12-01T23:59-12:00", "2026-12-02T12:59:01+01:00", 1),
    ],
)
def test_one_moment_is_as_late_however_it_is_written(due, came, days):
    due, came = parse_time(due, BERLIN), parse_time(came, BERLIN)
    deadline = Deadline(due, 0.1, times={"ada": came}, zone=BERLIN)
    assert deadline.late_days(entry()) == days


def test_who_says_so():
    deadline = Deadline(DUE, 0.1)
    assert Deadline().late_days(entry()) == 0
    # Nobody does: nothing is taken. The platform does, without a number: no total yet.
    assert deadline.late_days(entry()) is None and deadline.total(10, None) == 10
    assert deadline.late_days(entry(False)) == 0
    assert deadline.late_days(entry(True)) == LATE and deadline.total(10, LATE) is None
    assert Deadline(DUE).total(10, LATE) == 10
    # A time says more than a word.
    known = Deadline(DUE, 0.1, times={"ada": DUE})
    assert known.late_days(entry(True)) == 0
    assert deadline.late_days(entry(absent=True)) == 0


def test_a_minute_lasts_to_its_end():
    due = until("2026-12-01T23:59", BERLIN)
    for second, days in (("23:59:40", 0), ("23:59:59.5", 0), ("23:59", 0)):
        came = parse_time(f"2026-12-01T{second}", BERLIN)
        assert Deadline(due, 0.1, {}, {"ada": came}).late_days(entry()) == days
    came = parse_time("2026-12-02T00:00:00", BERLIN)
    assert Deadline(due, 0.1, {}, {"ada": came}).late_days(entry()) == 1
    exact = until("2026-12-01T23:59:00", BERLIN)
    assert exact == parse_time("2026-12-01T23:59", BERLIN)


def test_an_extension_is_one_students():
    later = DUE + timedelta(days=7)
    deadline = Deadline(DUE, 0.1, {"ada": later}, {"ada": later, "bob": later})
    assert deadline.late_days(entry()) == 0
    assert deadline.late_days({"id": "bob"}) == 7
    # The platform compares with the class's due time.
    assert Deadline(DUE, 0.1, {"ada": later}).late_days(entry(True)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-12-01T23:59", "2026-12-01T23:59+01:00"),
        ("2026-12-01 23:59:30+05:30", "2026-12-01T23:59:30+05:30"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00+00:00"),
        ("Tuesday, 2 December 2025, 11:59 PM", "2025-12-02T23:59+01:00"),
        ("Tuesday, 2 December 2025, 12:05 AM", "2025-12-02T00:05+01:00"),
        ("Sonntag, 1. März 2026, 09:00", "2026-03-01T09:00+01:00"),
        ("mardi 14 juillet 2026, 08:05", "2026-07-14T08:05+02:00"),
        ("martes, 5 de mayo de 2026, 00:00", "2026-05-05T00:00+02:00"),
        ("Wednesday, 4 March 2026, 3:07 pm", "2026-03-04T15:07+01:00"),
        ("Tuesday, December 2, 2025, 11:59 PM", "2025-12-02T23:59+01:00"),
        ("Tuesday 2nd of December 2025, 23:59", "2025-12-02T23:59+01:00"),
        ("2/Dec/2025 23:59", "2025-12-02T23:59+01:00"),
        ("lundi 1er juin 2026, 08:05", "2026-06-01T08:05+02:00"),
        ("dijous, 2 d\u2019abril de 2026, 8:05", "2026-04-02T08:05+02:00"),
        ("2-Dec-2025 23:59", "2025-12-02T23:59+01:00"),
        # Narrow and other spaces, which a newer PHP writes; a mark of the direction.
        ("Tuesday, 2 December 2025, 11:59\u202fPM", "2025-12-02T23:59+01:00"),
        ("martes, 2 de diciembre de 2025, 11:59\u00a0p.\u00a0m.",)
        + ("2025-12-02T23:59+01:00",),
        ("\u200f2025-12-02 23:59", "2025-12-02T23:59+01:00"),
        ("Fri, 04 Dec 2026 10:00:00 GMT", "2026-12-04T10:00+00:00"),
    ],
)
def test_times(text, expected):
    assert parse_time(text, BERLIN) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "3/4/26, 10:00",
        "31 February 2026, 10:00",
        "2 2026 10:00",
        "2 brumaire 2026, 10:00",
        "2 December 2026, 10:00 EST",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match="no time"):
        parse_time(text)


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_a_year_that_another_zone_does_not_have(year):
    with pytest.raises(ValueError, match="out of range"):
        parse_time(f"{year}-12-31T23:59", BERLIN)


def test_a_time_without_a_zone_is_this_machines():
    assert parse_time("2026-12-01T23:59") == datetime(2026, 12, 1, 23, 59).astimezone()


def test_a_table_of_times(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("id;time\n'=ada;2026-12-01T23:59\nbob;\n")
    assert read_times(path, "time", UTC) == {"=ada": DUE}
    path.write_text("id,time\nada,2026-12-01\nada,2026-12-02\n")
    with pytest.raises(SheetError, match="line 3: the id 'ada' is that of line 2"):
        read_times(path, "time")
    path.write_text("id,due\nada,monday\n")
    with pytest.raises(SheetError, match="line 2: 'monday' is no time"):
        read_times(path, "due")
