"""The models are plain Keras, and repeat when told to."""

import keras
import numpy as np
import pytest

from coursekit.models import mlp, rnn


def _hidden(model):
    return [layer for layer in model.layers if layer.name.startswith("hidden_")]


def _types(model):
    return [type(layer).__name__ for layer in model.layers]


def test_mlp_is_a_plain_sequential_model():
    model = mlp(3, width=7, classes=4)
    assert type(model) is keras.Sequential
    assert [layer.name for layer in _hidden(model)] == [
        "hidden_1",
        "hidden_2",
        "hidden_3",
    ]
    assert model.layers[-1].name == "output"
    assert _types(model) == ["Dense", "Activation"] * 3 + ["Dense"]
    assert [layer.kernel.shape for layer in _hidden(model)] == [(64, 7), (7, 7), (7, 7)]
    assert model.output_shape == (None, 4)
    assert model.layers[-1].activation is keras.activations.linear
    assert all(not layer.bias.numpy().any() for layer in _hidden(model))
    assert not model.compiled


def test_mlp_flattens_images():
    model = mlp(1, width=3, input_shape=(4, 5, 2))
    assert _hidden(model)[0].kernel.shape == (40, 3)
    assert model(np.zeros((2, 4, 5, 2), "float32")).shape == (2, 10)


@pytest.mark.parametrize(
    "place, types, bias",
    [
        ("before", ["Dense", "BatchNormalization", "Activation"], False),
        ("after", ["Dense", "Activation", "BatchNormalization"], True),
    ],
)
def test_mlp_batch_normalization(place, types, bias):
    model = mlp(2, width=5, batch_normalization=place)
    assert _types(model) == types * 2 + ["Dense"]
    assert [layer.use_bias for layer in _hidden(model)] == [bias] * 2
    assert model.layers[-1].use_bias
    norms = [x for x in model.layers if "BatchNorm" in type(x).__name__]
    assert [norm.momentum for norm in norms] == [0.9, 0.9]


@pytest.mark.parametrize("place", [None, "before"])
def test_mlp_in_float64(place):
    model = mlp(2, width=5, dtype="float64", batch_normalization=place)
    assert {str(weight.dtype) for weight in model.weights} == {"float64"}
    assert keras.backend.standardize_dtype(model(np.zeros((1, 64))).dtype) == "float64"


def test_mlp_regularizes_all_kernels():
    model = mlp(2, width=5, kernel_regularizer=keras.regularizers.L2(0.5))
    expected = sum(0.5 * (x.kernel.numpy() ** 2).sum() for x in model.layers[::2])
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


BUILDERS = [
    lambda seed: mlp(3, width=64, classes=64, seed=seed),
    lambda seed: mlp(
        3,
        width=64,
        classes=64,
        kernel_initializer=keras.initializers.HeNormal(seed=5),
        seed=seed,
    ),
    lambda seed: rnn(8, classes=8, recurrent_initializer="glorot_uniform", seed=seed),
]


def _kernels(model):
    return [w.numpy() for w in model.weights if "bias" not in w.name]


@pytest.mark.parametrize("build", BUILDERS, ids=["mlp", "mlp-instance", "rnn"])
@pytest.mark.parametrize("seed", [0, None])
def test_every_kernel_has_its_own_values(build, seed):
    kernels = _kernels(build(seed))
    for i, first in enumerate(kernels):
        for second in kernels[:i]:
            assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.5


@pytest.mark.parametrize("build", BUILDERS, ids=["mlp", "mlp-instance", "rnn"])
def test_same_seed_same_weights(build):
    first, again, other = map(_kernels, map(build, (1, 1, 2)))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    "cell, layer", [("simple_rnn", "SimpleRNN"), ("gru", "GRU"), ("lstm", "LSTM")]
)
def test_rnn(cell, layer):
    model = rnn(6, cell=cell, input_shape=(64, 1), classes=3, unroll=False)
    assert type(model) is keras.Sequential
    assert _types(model) == [layer, "Dense"]
    assert model.layers[0].unroll is False
    assert model.output_shape == (None, 3)
    recurrent = model.layers[0].cell.recurrent_kernel.numpy()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(6), atol=1e-5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mlp(0), "depth=0.*1 or more"),
        (lambda: mlp(2.0), "depth=2.0.*integer"),
        (lambda: mlp(True), "depth=True.*integer"),
        (lambda: mlp(1, width=0), "width=0.*1 or more"),
        (lambda: mlp(1, classes="10"), "classes='10'.*integer"),
        (lambda: mlp(1, activation="rleu"), "activation='rleu'.*'relu'"),
        (
            lambda: mlp(1, kernel_initializer="he"),
            "kernel_initializer='he'.*'he_normal'",
        ),
        (
            lambda: mlp(1, batch_normalization="middle"),
            "batch_normalization='middle'.*None, 'before', 'after'",
        ),
        (lambda: mlp(1, input_shape=64), r"input_shape=64.*\(64,\)"),
        (lambda: mlp(1, input_shape=(0,)), "input_shape=0.*1 or more"),
        (lambda: mlp(1, seed=-1), "seed=-1.*0 or more"),
        (lambda: mlp(1, seed=1.5), "seed=1.5.*integer"),
        (lambda: mlp(1, kernel_regularizer="l3"), "kernel_regularizer='l3'"),
        (lambda: rnn(0), "units=0.*1 or more"),
        (lambda: rnn(classes=0), "classes=0.*1 or more"),
        (lambda: rnn(cell="rnn"), "cell='rnn'.*'simple_rnn', 'gru', 'lstm'"),
        (lambda: rnn(activation="thanh"), "activation='thanh'.*'tanh'"),
        (
            lambda: rnn(recurrent_initializer="ortho"),
            "recurrent_initializer='ortho'.*'orthogonal'",
        ),
        (lambda: rnn(kernel_initializer="he"), "kernel_initializer='he'"),
        (lambda: rnn(input_shape=(8,)), r"input_shape=\(8,\).*time steps, features"),
        (lambda: rnn(seed="a"), "seed='a'.*integer"),
    ],
)
def test_errors_name_the_argument_and_what_is_accepted(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
