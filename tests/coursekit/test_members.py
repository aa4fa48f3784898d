"""Members that are drawn equal members that are built, bit by bit."""

import random

import keras
import numpy as np
import pytest

from coursekit import Ensemble, _members, models

layers = keras.layers
NORMAL = keras.initializers.RandomNormal


@pytest.fixture
def how(monkeypatch):
    """A list that tells for each ensemble whether its members were drawn."""
    found = []
    drawn = _members._drawn

    def noted(*arguments):
        found.append(False)
        values = drawn(*arguments)
        found[-1] = True
        return values

    monkeypatch.setattr(_members, "_drawn", noted)
    return found


def _by_default(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(6, "relu"),
            layers.BatchNormalization(),
            layers.Dense(3, kernel_initializer=NORMAL(0.1)),
        ]
    )


def _last_layer_first(seed):
    keras.utils.set_random_seed(seed)
    head = layers.Dense(3, kernel_initializer="orthogonal")
    return keras.Sequential([keras.Input((8,)), layers.Dense(6), head])


def _lstm(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((4, 3)), layers.LSTM(5, unroll=True), layers.Dense(2)]
    )


def _scales(setting):
    scale, seed = setting
    return models.mlp(2, width=5, kernel_initializer=NORMAL(scale), seed=seed)


def _kinds(seed):
    kind = ("he_normal", "glorot_uniform", "orthogonal")[seed % 3]
    return models.mlp(2, width=5, kernel_initializer=kind, seed=seed)


def _constants(seed):
    constant = keras.initializers.Constant(seed)
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, bias_initializer=constant)]
    )


DRAWN = {
    "mlp": (lambda s: models.mlp(3, width=8, seed=s), range(40)),
    "float64": (lambda s: models.mlp(2, width=8, seed=s, dtype="float64"), range(8)),
    "rnn": (lambda s: models.rnn(4, cell="gru", seed=s), range(30)),
    "normalized": (
        lambda s: models.mlp(2, width=8, seed=s, batch_normalization="before"),
        range(8),
    ),
    "default seeds": (_by_default, range(40)),
    "last layer first": (_last_layer_first, range(6)),
    "lstm": (_lstm, range(6)),
    "scales": (_scales, [(a, s) for a in (0.1, 0.2) for s in range(3)]),
    "kinds": (_kinds, range(9)),
    "one seed": (lambda s: models.mlp(2, width=8, seed=0), range(6)),
    "large seeds": (
        lambda s: models.mlp(
            2, width=8, seed=2**31 + s, kernel_initializer="he_normal"
        ),
        range(30),
    ),
}


def _equal(nets, build, settings):
    for member, setting in enumerate(settings):
        wanted = build(setting).get_weights()
        for stacked, own in zip(nets.weights, wanted, strict=True):
            assert stacked.dtype == own.dtype
            np.testing.assert_array_equal(stacked[member], own)


@pytest.mark.parametrize("case", DRAWN)
def test_what_is_drawn_is_what_is_built(case, how):
    build, settings = DRAWN[case]
    _equal(Ensemble(build, settings), build, settings)
    assert how == [True]


class _OwnDense(layers.Dense):
    pass


def _functional(seed):
    keras.utils.set_random_seed(seed)
    i = keras.Input((8,))
    return keras.Model(i, layers.Dense(2)(layers.Dense(4)(i)))


def _own_layer(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((8,)), _OwnDense(2)])


def _weights_set(seed):
    model = models.mlp(2, width=4, seed=seed)
    model.layers[0].kernel.assign(np.full((64, 4), seed))
    return model


def _one_is_touched(seed):
    model = models.mlp(2, width=4, seed=seed)
    if seed == 5:
        model.layers[0].bias.assign(np.ones(4))
    return model


def _one_is_another(seed):
    kernel = "zeros" if seed == 5 else "he_normal"
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((8,)), layers.Dense(4, kernel_initializer=kernel), layers.Dense(2)]
    )


@pytest.mark.parametrize(
    "build",
    [_functional, _own_layer, _weights_set, _one_is_touched, _one_is_another],
)
def test_what_cannot_be_drawn_is_built(build, how):
    _equal(Ensemble(build, range(7)), build, range(7))
    assert True not in how


def test_constants_of_each_member():
    nets = Ensemble(_constants, range(6))
    assert nets.weights[1][:, 0].tolist() == list(range(6))


def test_build_is_called_once_a_setting(how):
    asked = []
    rng = np.random.default_rng(0)

    def build(setting):
        asked.append(setting)
        return models.mlp(2, width=4, seed=int(rng.integers(1000)))

    nets = Ensemble(build, range(8))
    assert asked == list(range(8)) and how == [True]
    rng = np.random.default_rng(0)
    seeds = [int(rng.integers(1000)) for _ in range(8)]
    _equal(nets, lambda s: models.mlp(2, width=4, seed=s), seeds)


def test_chance_goes_on_as_after_building():
    def after(make):
        keras.utils.set_random_seed(1)
        make()
        return random.random(), np.random.rand()

    def build(_):
        return keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(2)])

    built = after(lambda: [build(s) for s in range(9)])
    assert after(lambda: Ensemble(build, range(9))) == built


@pytest.mark.parametrize(
    "build",
    [
        lambda s: models.mlp(3 if s == 6 else 2, width=4, seed=s),
        lambda s: models.mlp(
            2, width=4, seed=s, activation="relu" if s < 6 else "tanh"
        ),
        lambda s: models.mlp(
            2, width=4, kernel_regularizer=keras.regularizers.L2(0.1 + (s == 6))
        ),
        lambda s: models.mlp(2, width=4, input_shape=(64 + (s == 6),)),
    ],
)
def test_another_architecture_is_refused_late_as_well(build):
    with pytest.raises(ValueError, match="setting 6 differs from that of 0"):
        Ensemble(build, range(8))


def test_keras_is_left_as_it_was():
    before = keras.layers.Layer.__new__, keras.Sequential.__new__, random.randint
    for build in (_one_is_touched, _by_default):
        Ensemble(build, range(7))
    after = keras.layers.Layer.__new__, keras.Sequential.__new__, random.randint
    assert after == before


def test_a_thousand_members_fit_in_memory(how):
    def build(seed):
        return models.mlp(2, width=16, seed=seed)

    nets = Ensemble(build, range(1000))
    assert how == [True]  # what that saves, benchmarks/ensemble.py measures
    assert nets.weights[0].shape == (1000, 64, 16)
    for member in (2, 500, 999):
        for stacked, own in zip(nets.weights, build(member).get_weights(), strict=True):
            np.testing.assert_array_equal(stacked[member], own)
