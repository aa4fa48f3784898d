"""Answers of readers: read, or refused with a sentence."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from coursekit.answers import check, number, numbers


@pytest.mark.parametrize(
    "value",
    [
        3,
        3.0,
        np.float32(3),
        np.int64(3),
        np.array(3.0),
        tf.constant(3),
        Fraction(6, 2),
        Decimal(3),
    ],
)
def test_a_number_of_any_kind_is_read(value):
    assert number(value) == 3.0
    assert type(number(value)) is float


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("3", "the text '3': give a number, no quotes"),
        (b"3", "the text b'3'"),
        ([3], "a list: give one number"),
        (np.array([3.0]), "a list: give one number"),
        (tf.constant([1.0, 2.0]), "a list"),
        ({}, "a dict: give one number"),
        ({1}, "a set: give one number"),
        (range(3), "a range: give one number"),
        ((0, 125), "(0, 125), because of the comma: give one number. Python's decimal"),
        ((3,), "because of the comma"),
        ("0,125", "no quotes. Python's decimal mark is a point."),
        (True, "True: give one number"),
        (np.True_, "give one number"),
        (1j, "1j: give one number"),
        (np.complex128(1j), "give one number"),
        (print, "give one number"),
        (10**400, "give one number"),
        (float("nan"), "nan: give a finite number"),
        (-np.inf, "-inf: give a finite number"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(value, sentence):
    with pytest.raises(ValueError) as error:
        number(value)
    assert sentence in str(error.value)
    assert len(str(error.value)) < 120


def test_a_number_may_have_a_lower_bound():
    assert number(0.1, above=0) == 0.1
    with pytest.raises(ValueError, match="0: give a number above 0"):
        number(0, above=0)


@pytest.mark.parametrize("value", [[1, 2], (1.0, 2), np.array([1, 2]), range(1, 3)])
def test_two_numbers_are_read(value):
    assert numbers(value, 2).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1.0, "1.0: give 2 numbers in a list"),
        ("12", "'12': give 2 numbers"),
        ([1, 2, 3], "a list of 3: give 2 numbers"),
        ([0, 5, 0, 25], "a list of 4: give 2 numbers in a list. Python's decimal mark"),
        ((0, 5, 0, 25), "Python's decimal mark is a point"),
        ([[1, 2], [3, 4]], "an entry that is a list: give one number"),
        (np.ones((2, 2)), "an entry that is a list"),
        ([1, "2"], "an entry that is the text '2'"),
        ([1, np.nan], "an entry that is nan"),
        ({1.0, 2.0}, "give 2 numbers in a list"),
        ({1: 2, 3: 4}, "give 2 numbers in a list"),
        (np.array(1.0), "give 2 numbers in a list"),
        (iter([1, 2]), "give 2 numbers in a list"),
    ],
)
def test_other_counts_and_kinds_are_refused(value, sentence):
    with pytest.raises(ValueError) as error:
        numbers(value, 2)
    assert sentence in str(error.value)


def positive(value):
    return None if number(value) > 0 else "it must be positive."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "Set my_number, then run this cell again."),
        (1, "Right."),
        (-1, "Not yet: it must be positive."),
        ("1", "Not yet: my_number is the text '1': give a number, no quotes."),
    ],
)
def test_check_says_what_is_unmet(value, said, capsys):
    check(positive, my_number=value)
    assert capsys.readouterr().out == said + "\n"


def test_check_takes_one_answer():
    with pytest.raises(TypeError, match="one answer, not 2"):
        check(positive, a=1, b=2)


def test_an_error_of_the_exercise_itself_is_not_hidden():
    def broken(value):
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        check(broken, my_number=1)
