"""What a task's row can say: one table of all statuses."""

from enum import StrEnum


class Status(StrEnum):
    """A status is its name, with what follows from it.

    ``Status("no such name")`` raises ValueError: rows are made through it, so a
    status that is not in this table fails where it is given.

    Attributes
    ----------
    meaning : str
        A sentence for the student.
    explained : bool
        The row's message says more than the meaning; the student reads both.
    points : str
        What it is worth: ``"all"``, ``"none"``, or ``"open"`` while nobody knows.
    waits : bool
        A person has to look.
    again : bool
        The next run grades it once more.
    """

    def __new__(
        cls, name, meaning, points="none", explained=False, waits=False, again=False
    ):
        """Make a member that is equal to its name."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.meaning, made.points, made.explained = meaning, points, explained
        made.waits, made.again = waits, again
        return made

    OK = "ok", "Right.", "all", True
    WRONG = "wrong", "Not right yet.", "none", True
    ERROR = "error", "The code raised an error.", "none", True
    TIMEOUT = "timeout", "Not done within the time allowed."
    MEMORY = "memory", "Needed more memory than is allowed."
    DIED = "died", "The code ended its own process."
    MISSING = "missing", "There is no answer.", "none", True
    UNREADABLE = "unreadable", "The notebook cannot be read.", "none", True
    NEEDS_REVIEW = "needs_review", "A person will read this.", "open", False, True
    # The grader's own failure: no point is taken.
    NOT_GRADED = (
        "not_graded",
        "Not graded yet; this is not your fault.",
        "open",
        False,
        True,
        True,
    )
