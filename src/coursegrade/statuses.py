"""What a task's row can say: one table of all statuses."""

from enum import StrEnum

FLAGS = ("explained", "waits", "again", "alone")


class Status(StrEnum):
    """A status is its name, with what follows from it.

    ``Status("no such name")`` raises ValueError: rows are made through it, so a
    status that is not in this table fails where it is given.

    Attributes
    ----------
    meaning : str
        What it means, for the student, and what to do.
    points : str
        What it is worth: ``"all"``, ``"none"``, or ``"open"`` while nobody knows.
    explained : bool
        The row's message says more than the meaning; the student reads both.
    waits : bool
        A person has to look.
    again : bool
        The next run grades it once more.
    alone : bool
        Another notebook that runs at the same time may be the cause: the task is
        tested once more with nothing else running, and only that counts.
    """

    def __new__(cls, name, points, flags, meaning):
        """Make a member that is equal to its name."""
        made = str.__new__(cls, name)
        made._value_, made.meaning, made.points = name, meaning, points
        if strange := set(flags.split()) - set(FLAGS):
            raise ValueError(f"{name}: no such flag: {', '.join(strange)}")
        for flag in FLAGS:
            setattr(made, flag, flag in flags.split())
        return made

    OK = "ok", "all", "explained", "Right."
    WRONG = "wrong", "none", "explained", "Not right yet."
    ERROR = (
        *("error", "none", "explained"),
        "The code raised an error: restart the kernel and run all cells to see it; or "
        "a test called it with other numbers.",
    )
    TIMEOUT = (
        *("timeout", "none", "alone"),
        "Not done within the time allowed: look for a loop that never ends.",
    )
    MEMORY = (
        *("memory", "none", ""),
        "Needed more memory than is allowed: look for lists and arrays that grow.",
    )
    DIED = (
        *("died", "none", "alone"),
        "The code ended its own process: leave out exit(), and run all cells anew.",
    )
    MISSING = (
        *("missing", "none", "explained"),
        "There is no answer: run the notebook's last cell before you hand in.",
    )
    UNREADABLE = (
        *("unreadable", "none", "explained"),
        "The notebook cannot be read: download it again and open it once yourself.",
    )
    NEEDS_REVIEW = "needs_review", "open", "waits", "A person will read this."
    # The grader's own failure: no point is taken.
    NOT_GRADED = (
        *("not_graded", "open", "waits again"),
        "Not graded yet; this is not your fault.",
    )
