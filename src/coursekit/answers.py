"""Read a reader's answer to an exercise, and say what it does not meet yet.

An exercise's cell holds one function ``unmet(value)``. It reads the answer with
:func:`number` or :func:`numbers`, and returns a sentence for the first condition
that the answer does not meet. :func:`check` runs it and prints the result, also
where the answer cannot be read at all.
"""

import math
import reprlib

import numpy as np

__all__ = ["check", "number", "numbers"]


_POINT = "Python's decimal mark is a point"


class _UnreadableError(ValueError):
    """What is wrong with an answer, as the end of a sentence."""


def check(unmet, **answer):
    """Print whether an answer is right, or what it does not meet.

    Parameters
    ----------
    unmet : callable
        ``unmet(value)`` returns a sentence, or None if the answer is right.
    **answer
        One name, as the page calls it, with its value; None as long as nobody
        has answered.

    Raises
    ------
    TypeError
        If there is not exactly one answer.
    """
    if len(answer) != 1:
        raise TypeError(f"check(unmet, name=value): one answer, not {len(answer)}")
    ((name, value),) = answer.items()
    if value is None:
        print(f"Set {name}, then run this cell again.")
        return
    try:
        sentence = unmet(value)
    except _UnreadableError as error:
        sentence = f"{name} is {error}"
    print(f"Not yet: {sentence}" if sentence else "Right.")


def number(value, above=-math.inf):
    """Return an answer as a float.

    Parameters
    ----------
    value : object
        A number of Python, NumPy or TensorFlow.
    above : float
        It must be larger than this.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For anything else, a truth value, and what is not finite; inside
        :func:`check` it becomes a sentence.
    """
    if isinstance(value, str | bytes):
        mark = f" {_POINT}." if "," in str(value) else ""
        text = f"the text {_short(value)}: give a number, no quotes.{mark}"
        raise _UnreadableError(text)
    if isinstance(value, tuple):
        why = f"{_short(value)}, because of the comma"
        raise _UnreadableError(f"{why}: give one number. {_POINT}.")
    if _is_list(value):
        kind = "list" if hasattr(value, "shape") else type(value).__name__
        raise _UnreadableError(f"a {kind}: give one number.")
    try:
        if isinstance(value, bool | np.bool_ | complex):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _UnreadableError(f"{_short(value)}: give one number.") from None
    if not math.isfinite(found):
        raise _UnreadableError(f"{found}: give a finite number.")
    if not found > above:
        raise _UnreadableError(f"{found:g}: give a number above {above:g}.")
    return found


def numbers(value, count):
    """Return an answer of ``count`` numbers.

    Parameters
    ----------
    value : object
        A list, a tuple or an array of one axis.
    count : int

    Returns
    -------
    numpy.ndarray of float64, shape (count,)

    Raises
    ------
    ValueError
        As :func:`number`, and for another count.
    """
    wanted = f"give {count} numbers in a list"
    if not _is_list(value) or isinstance(value, str | bytes | dict | set):
        raise _UnreadableError(f"{_short(value)}: {wanted}.")
    if len(value) != count:
        mark = f" {_POINT}." if len(value) == 2 * count else ""
        raise _UnreadableError(f"a list of {len(value)}: {wanted}.{mark}")
    try:
        return np.array([number(entry) for entry in value])
    except _UnreadableError as error:
        raise _UnreadableError(f"a list with an entry that is {error}") from None


def _is_list(value):
    # arrays and tensors without an axis are numbers
    shaped = getattr(value, "shape", None)
    return hasattr(value, "__len__") and (shaped is None or len(shaped) > 0)


def _short(value):
    return reprlib.repr(value)
