"""Seeds that repeat a run, and numbers as the course prints them."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from coursekit import mean_sd, models, probe, probe_seeds, reproducible

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_mean_and_population_sd():
    assert mean_sd([1.0, 3.0]) == "2.00 (sd 1.00)"
    assert mean_sd([-1.604, -1.602], digits=3) == "-1.603 (sd 0.001)"


def test_a_zero_has_no_sign():
    assert mean_sd([-1e-9, -1e-9]) == "0.00 (sd 0.00)"


@pytest.mark.parametrize("values", [[], 1.0, [[1.0]]])
def test_one_number_a_seed(values):
    with pytest.raises(ValueError, match="give one number a seed"):
        mean_sd(values)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_reproducible_refuses_a_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed={seed}: .*0 to"):
        reproducible(seed)


@pytest.mark.parametrize("seed", [None, 1.0, "1"])
def test_reproducible_refuses_what_is_no_integer(seed):
    with pytest.raises(TypeError, match="seed=.*integer"):
        reproducible(seed)


@pytest.fixture
def chance_allowed_afterwards():
    rounded = tf.config.experimental.tensor_float_32_execution_enabled()
    yield
    config.disable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(rounded)


@pytest.mark.usefixtures("chance_allowed_afterwards")
def test_reproducible_repeats_every_source_of_chance():
    def draw(seed):
        reproducible(seed)
        return [
            random.random(),
            np.random.rand(),
            float(tf.random.normal(())),
            float(keras.random.normal(())),
        ]

    first = draw(np.int64(3))
    assert draw(3) == first
    assert all(a != b for a, b in zip(draw(4), first, strict=True))
    assert config.is_op_determinism_enabled()


@pytest.mark.usefixtures("chance_allowed_afterwards")
def test_reproducible_multiplies_in_float32():
    tf.config.experimental.enable_tensor_float_32_execution(True)
    reproducible(0)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    # 1 + 2**-12 is 1 in TF32, which keeps 10 bits
    factor = tf.fill([64, 64], 1 + 2**-12)
    product = factor @ tf.eye(64)
    np.testing.assert_array_equal(product, factor)


def test_probe_seeds_has_a_row_a_seed():
    def build(seed):
        return models.mlp(2, width=4, input_shape=(3,), classes=2, seed=seed)

    x, y = np.eye(3, dtype="float32"), np.array([0, 1, 1])
    # so many that not all of them are built
    probed = probe_seeds(build, range(6), x, y, LOSS)
    assert probed["delta_norm"].shape == (6, 3)
    for seed in (1, 5):
        wanted = probe(build(seed), x, y, LOSS)
        for name, values in probed.items():
            np.testing.assert_array_equal(values[seed], getattr(wanted, name))


@pytest.mark.parametrize("seeds", [[], [1, 2]])
def test_probe_seeds_wants_one_architecture_and_a_seed(seeds):
    def build(depth):
        return models.mlp(depth, width=4, input_shape=(3,), classes=2)

    x, y = np.eye(3, dtype="float32"), np.array([0, 1, 1])
    with pytest.raises(ValueError, match="give one or more"):
        probe_seeds(build, seeds, x, y, LOSS)
