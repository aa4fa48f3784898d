"""delta_sweep against a probe of each member."""

import keras
import numpy as np
import pytest

from coursekit import data, delta_sweep, models, probe, sweep

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def batch():
    (x, y), _ = data.digits()
    return x[:32], y[:32]


def _stacked(nets):
    every = [net.get_weights() for net in nets]
    return [np.stack(same) for same in zip(*every, strict=True)]


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "tanh"},
        {"activation": "relu", "batch_normalization": "before"},
    ],
)
def test_each_member_is_its_probe(batch, options, monkeypatch):
    # three calls, and the last one is filled up
    monkeypatch.setattr(sweep, "CHUNK", 4)
    nets = [models.mlp(4, seed=s, dtype="float64", **options) for s in range(11)]
    before = nets[0].get_weights()
    found = delta_sweep(nets[0], _stacked(nets), *batch, LOSS)
    wanted = [probe(net, *batch, LOSS).delta_norm for net in nets]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    for old, new in zip(before, nets[0].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_recurrent_steps_count_as_one_vector():
    (x, y), _ = data.digit_rows()
    nets = [models.rnn(8, seed=s, dtype="float64") for s in range(2)]
    found = delta_sweep(nets[0], _stacked(nets), x[:16], y[:16], LOSS)
    wanted = [probe(net, x[:16], y[:16], LOSS).delta_norm for net in nets]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_small_norms_do_not_underflow(batch):
    net = models.mlp(
        20,
        activation="sigmoid",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        seed=0,
        dtype="float32",
    )
    found = delta_sweep(net, _stacked([net]), *batch, LOSS)[0]
    assert 0 < found[0] < 1e-25
    np.testing.assert_allclose(found, probe(net, *batch, LOSS).delta_norm, rtol=1e-4)


def test_bad_input(batch):
    net = models.mlp(2, seed=0)
    with pytest.raises(TypeError, match="give a keras.Model"):
        delta_sweep("net", [], *batch, LOSS)
    with pytest.raises(ValueError, match="6 arrays .* leading axis"):
        delta_sweep(net, net.get_weights(), *batch, LOSS)
    with pytest.raises(ValueError, match="no member"):
        delta_sweep(net, [w[:0] for w in _stacked([net])], *batch, LOSS)
    with pytest.raises(ValueError, match="build it first"):
        delta_sweep(keras.Sequential([keras.layers.Dense(2)]), [], *batch, LOSS)
