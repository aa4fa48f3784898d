"""The package as it is imported, seeds, and what Keras's clipping does."""

import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

import coursekit
from coursekit import reproducible


def _run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_is_cheap():
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'sklearn'}"
    out = _run(f"import coursekit, sys; print({heavy} & set(sys.modules))")
    assert out.strip() == "set()"


def test_every_public_name_is_there():
    for name in coursekit.__all__:
        assert getattr(coursekit, name) is not None
    assert dir(coursekit) == sorted(coursekit.__all__)


def test_unknown_attribute_lists_what_is_offered():
    with pytest.raises(AttributeError, match=r"'prob'.*offers .*reproducible"):
        coursekit.prob  # noqa: B018


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
    yield
    config.disable_op_determinism()


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


def _step(gradients, **clipping):
    """Return minus the change of variables that start at 0: what SGD used."""
    variables = [keras.Variable(np.zeros(len(g), "float32")) for g in gradients]
    optimizer = keras.optimizers.SGD(1.0, **clipping)
    optimizer.apply([tf.constant(g, tf.float32) for g in gradients], variables)
    return [-v.numpy() for v in variables]


@pytest.mark.parametrize(
    "clipping, gradients, expected",
    [
        ({"clipvalue": 1.0}, [[0.9, 100.0]], [[0.9, 1.0]]),
        ({"clipnorm": 1.0}, [[0.9, 100.0]], [[0.0089996, 0.9999595]]),
        ({"global_clipnorm": 1.0}, [[0.9, 100.0]], [[0.0089996, 0.9999595]]),
        (
            {"clipvalue": 1.0},
            [[3.0, 4.0], [0.3, 0.4]],
            [[1.0, 1.0], [0.3, 0.4]],
        ),
        (
            {"clipnorm": 1.0},
            [[3.0, 4.0], [0.3, 0.4]],
            [[0.6, 0.8], [0.3, 0.4]],
        ),
        (
            {"global_clipnorm": 1.0},
            [[3.0, 4.0], [0.3, 0.4]],
            [[0.597022, 0.796030], [0.0597022, 0.0796030]],
        ),
    ],
)
def test_clipping(clipping, gradients, expected):
    for found, wanted in zip(_step(gradients, **clipping), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=6e-7)
