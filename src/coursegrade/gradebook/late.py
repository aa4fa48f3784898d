"""When work was handed in, as far as anybody says, and what a late day takes.

A file's own time says nothing: in a platform's zip it is the time of the download,
and elsewhere its owner chooses it.
"""

import contextlib
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from coursegrade.gradebook.hand_ins import plain
from coursegrade.gradebook.sheets import read_sheet

# The platform says late, not by how much.
LATE = "late"
# How the names of the months begin in Moodle's larger languages.
_MONTHS = [
    tuple(one.split())
    for one in (
        "jan ene gen/feb fev fév/mar mär maa mrt/apr avr abr/may mai mei mag/"
        "jun juin giu/jul juil lug/aug aoû ago/sep set/oct okt ott out/nov/"
        "dec dez déc dic"
    ).split("/")
]
# "11:59 PM", "11:59 p. m."
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?::\d{2})?\s*([ap]\.? ?m)?", re.IGNORECASE)
# "2. Dezember", "1er mai", "2 de mayo", or else "December 2".
_DAY_MONTH = re.compile(
    r"(?<![\d:.])(?P<day>\d{1,2})(?:st|nd|rd|th|er|º)?[\s./-]+"
    r"(?:of |de |d['’])?(?P<month>[^\W\d]{3,})"
)
_MONTH_DAY = re.compile(r"(?P<month>[^\W\d]{3,})[\s.-]+(?P<day>\d{1,2})\b")


@dataclass(frozen=True)
class Deadline:
    """When work is due, and when it came.

    ``due`` is None if nothing is late; ``extensions`` are other due times by id;
    ``times`` are those of handing in, by id, before those that a path told; ``penalty``
    is the part of the points that each late day takes; ``zone`` is that of times that
    name none.
    """

    due: datetime | None = None
    penalty: float = 0.0
    extensions: dict[str, datetime] = field(default_factory=dict)
    times: dict[str, datetime] = field(default_factory=dict)
    zone: tzinfo | None = None

    def handed_in(self, entry):
        """Return the time at which an entry's work came, or None."""
        if entry["id"] in self.times:
            return self.times[entry["id"]]
        with contextlib.suppress(ValueError):
            return parse_time(entry.get("time", ""), self.zone)

    def late_days(self, entry):
        """Return the number of days begun after the due time; None if not known.

        Where the platform says no more than that it is late, return ``"late"``.
        """
        due = self.extensions.get(entry["id"], self.due)
        if due is None or entry.get("absent"):
            return 0
        if time := self.handed_in(entry):
            return _days_begun(due, time, self.zone)
        if entry.get("late") is None:
            return None
        extended = entry["id"] in self.extensions
        # The platform knows the class's due time, not this student's.
        return (None if extended else LATE) if entry["late"] else 0

    def total(self, points, days):
        """Return the points that are left after late days, None if not known."""
        if days == LATE and self.penalty:
            return None
        taken = self.penalty * days if isinstance(days, int) else 0.0
        return points * max(0.0, 1 - taken)


def parse_time(text, zone: tzinfo | None = None):
    """Return a time with a zone; without one in the text it is ``zone``, or here.

    Takes ISO 8601 and the long dates of a Moodle in its larger languages:
    "Tuesday, 2 December 2025, 11:59 PM".

    Raises
    ------
    ValueError
        If the text is no time.
    """
    text = plain(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = _long_date(text)
    if time is None:
        raise ValueError(f"{text!r} is no time; write it like 2026-12-01T23:59")
    try:
        if time.tzinfo is None:
            time = time.replace(tzinfo=zone) if zone else time.astimezone()
        time.timestamp()
        if not 1 < time.year < 9999:
            # In another zone, it may have no year.
            raise OverflowError
    except (OverflowError, OSError, ValueError):
        raise ValueError(f"{text!r} is out of range") from None
    return time


def until(text, zone=None):
    """Return the last moment of a due time: without seconds the minute's end."""
    time = parse_time(text, zone)
    whole = re.search(r"\d\d:\d\d:\d\d|T\d{6}", text) is None
    return time + timedelta(seconds=59, microseconds=999_999) if whole else time


def read_times(path, column, zone=None, read=parse_time):
    """Return times by id from a CSV with the columns ``id`` and another.

    Raises
    ------
    SheetError
        If a column is missing, or a line's text is no time.
    """
    sheet, made = read_sheet(path, ("id", column)), {}
    for number, student, line in sheet.by_id():
        if line[column]:
            try:
                made[student] = read(line[column], zone)
            except ValueError as error:
                raise sheet.error(number, error) from None
    return made


def _days_begun(due, time, zone):
    """Return the days begun by the clock on the wall: one day has 25 hours a year."""
    if time <= due:
        return 0
    late, on_time = (one.astimezone(zone).replace(tzinfo=None) for one in (time, due))
    return max(1, math.ceil((late - on_time).total_seconds() / 86_400))


def _long_date(text):
    """Return the time of a date in words, or None."""
    clock, year = _CLOCK.search(text), re.search(r"\b20\d\d\b", text)
    date = _DAY_MONTH.search(text) or _MONTH_DAY.search(text)
    if not (clock and year and date):
        return None
    zone = re.search(r"\b[A-Z]{2,5}\b", text[clock.end() :])
    if zone and zone[0] not in ("GMT", "UTC"):
        # Too many zones have the same letters.
        return None
    name, hour = date["month"].casefold(), int(clock[1])
    month = next((n for n, one in enumerate(_MONTHS, 1) if name.startswith(one)), 0)
    if clock[3]:
        hour = hour % 12 + 12 * (clock[3][0] in "pP")
    try:
        time = datetime(int(year[0]), month, int(date["day"]), hour, int(clock[2]))
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if zone else time
