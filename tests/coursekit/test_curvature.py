"""The largest curvature against the eigenvalues of the whole Hessian."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from coursekit import largest_curvature

LOSS = keras.losses.MeanSquaredError()


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)), rng.normal(size=(20, 2))


def _net(seed=0, normalized=False):
    keras.utils.set_random_seed(seed)
    middle = [keras.layers.BatchNormalization(dtype="float64")] if normalized else []
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh", dtype="float64"),
            *middle,
            keras.layers.Dense(2, dtype="float64"),
        ]
    )


def _eigenvalues(net, x, y, training=False):
    shapes = [v.shape for v in net.trainable_variables]
    sizes = [int(np.prod(s)) for s in shapes]
    flat = tf.Variable(
        np.concatenate([v.numpy().ravel() for v in net.trainable_variables])
    )
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            parts = [
                tf.reshape(part, shape)
                for part, shape in zip(tf.split(flat, sizes), shapes, strict=True)
            ]
            outputs, _ = net.stateless_call(
                parts, net.non_trainable_variables, x, training=training
            )
            value = LOSS(y, outputs)
        gradient = inner.gradient(value, flat)
    return np.linalg.eigvalsh(outer.jacobian(gradient, flat).numpy())


@pytest.mark.parametrize("normalized", [False, True])
def test_against_the_whole_hessian(batch, normalized):
    net = _net(normalized=normalized)
    found = largest_curvature(net, *batch, LOSS, steps=200, training=True)
    wanted = np.abs(_eigenvalues(net, *batch, training=True)).max()
    assert np.isclose(found, wanted, rtol=1e-6)


def test_linear_regression_is_a_parabola(batch):
    x, y = batch
    net = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, use_bias=False, dtype="float64")]
    )
    wanted = np.linalg.eigvalsh(2 * x.T @ x / y.size)[-1]
    assert np.isclose(largest_curvature(net, x, y, LOSS, steps=100), wanted)


def test_many_settings_and_the_model_is_as_before(batch):
    net, twin = _net(normalized=True), _net(seed=1, normalized=True)
    before = net.get_weights()
    settings = [before, twin.get_weights()]
    found = largest_curvature(net, *batch, LOSS, settings, training=True)
    alone = [largest_curvature(m, *batch, LOSS, training=True) for m in (net, twin)]
    assert found.shape == (2,)
    assert np.allclose(found, alone)
    assert all(
        np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True)
    )


def test_errors(batch):
    with pytest.raises(ValueError, match="steps=0 .* give 1 or more"):
        largest_curvature(_net(), *batch, LOSS, steps=0)
    net = _net()
    net.trainable = False
    with pytest.raises(ValueError, match="0 trainable variables .* give 1 or more"):
        largest_curvature(net, *batch, LOSS)
