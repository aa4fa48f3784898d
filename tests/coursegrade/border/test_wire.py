"""Values that cross: numbers arrive as they were, and nothing else arrives."""

import decimal
import fractions

import numpy as np
import pytest

from coursegrade.border import wire


def crossed(value):
    return wire.decode(wire.encode(value))


class Agrees(np.ndarray):
    """An array that says that it is equal to everything."""

    __array_priority__ = 1e9

    def __eq__(self, other):
        return True

    def __array_function__(self, *arguments):
        return True


class Two(int):
    """A number that says that it is another one."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


@pytest.mark.parametrize(
    "value",
    [
        np.array(0.5),
        np.float32(0.5),
        np.zeros((0, 1)),
        np.arange(3.0)[::-1],
        np.arange(6).reshape(2, 3).T,
        np.array([1, 2], ">f8"),
        np.array([True, False]),
    ],
)
def test_an_array_arrives_as_it_was(value):
    got = crossed(value)
    assert isinstance(got, np.generic) == isinstance(value, np.generic)
    assert got.shape == value.shape and (got == value).all()


def test_what_claims_to_be_equal_is_a_plain_number():
    got = crossed([np.ones(1).view(Agrees), Two(2)])
    assert type(got[0]) is np.ndarray and type(got[1]) is int and got[1] != 3


@pytest.mark.parametrize("value", [None, "a", [1, (2, {"a": 0.5})], {1: [], (2,): 3}])
def test_plain_data_arrive_as_they_were(value):
    assert crossed(value) == value


ENDLESS = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value",
    [
        np.void(b"12345678"),
        np.zeros(1, [("a", "f8")]),
        np.array([lambda: 1], object),
        (one for one in "a"),
        1j,
        fractions.Fraction(1, 2),
        decimal.Decimal(1),
        {1, 2},
        ENDLESS,
        print,
    ],
)
def test_other_kinds_are_refused(value):
    with pytest.raises(wire.WireError):
        wire.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {"!": "array", "dtype": "<f8", "shape": [2], "data": "AAAA"},
        {"!": "array", "dtype": "<f8", "shape": [-1], "data": ""},
        {"!": "array", "dtype": "O", "shape": [0], "data": ""},
        {"!": "array", "dtype": "<c16", "shape": [0], "data": ""},
        {"!": "tuple"},
        {"!": "dict", "items": [[{"!": "dict", "items": []}, 1]]},
        {"!": "pickle"},
        {"a": 1},
    ],
)
def test_forged_data_are_refused(data):
    with pytest.raises(wire.WireError):
        wire.decode(data)
