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
        Others may be the cause: it counts when it is so without them, too.
    """

    def __new__(cls, name, meaning, points, *flags):
        """Make a member that is equal to its name."""
        made = str.__new__(cls, name)
        made._value_, made.meaning, made.points = name, meaning, points
        if strange := set(flags) - set(FLAGS):
            raise ValueError(f"{name}: no such flag: {', '.join(strange)}")
        for flag in FLAGS:
            setattr(made, flag, flag in flags)
        return made

    OK = "ok", "Right.", "all", "explained"
    WRONG = "wrong", "Not right yet.", "none", "explained"
    ERROR = (
        "error",
        "The code raised an error: restart the kernel and run all cells to see it.",
        "none",
        "explained",
    )
    TIMEOUT = (
        "timeout",
        "Not done within the time allowed: look for a loop that never ends.",
        "none",
        "alone",
    )
    MEMORY = (
        "memory",
        "Needed more memory than is allowed: look for lists and arrays that grow.",
        "none",
    )
    DIED = (
        "died",
        "The code ended its own process: leave out exit(), and run all cells anew.",
        "none",
        "alone",
    )
    MISSING = (
        "missing",
        "There is no answer: run the notebook's last cell before you hand in.",
        "none",
        "explained",
    )
    UNREADABLE = (
        "unreadable",
        "The notebook cannot be read: download it again and open it once yourself.",
        "none",
        "explained",
    )
    NEEDS_REVIEW = "needs_review", "A person will read this.", "open", "waits"
    # The grader's own failure: no point is taken.
    NOT_GRADED = (
        "not_graded",
        "Not graded yet; this is not your fault.",
        "open",
        "waits",
        "again",
    )
