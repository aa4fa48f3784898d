"""Numbers as the course prints them."""

import pytest

from coursekit import mean_sd


def test_mean_and_population_sd():
    assert mean_sd([1.0, 3.0]) == "2.00 (sd 1.00)"
    assert mean_sd([-1.604, -1.602], digits=3) == "-1.603 (sd 0.001)"


def test_a_zero_has_no_sign():
    assert mean_sd([-1e-9, -1e-9]) == "0.00 (sd 0.00)"


@pytest.mark.parametrize("values", [[], 1.0, [[1.0]]])
def test_one_number_a_seed(values):
    with pytest.raises(ValueError, match="give one number a seed"):
        mean_sd(values)
