"""The best constant's loss against closed forms; an error; samples that are mixed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from coursekit.clinic._baseline import best_constant
from coursekit.clinic._checkup import checkup

RNG = np.random.default_rng(0)
N = 200
LABELS = RNG.choice(3, N, p=[0.6, 0.3, 0.1])
SHARES = np.bincount(LABELS) / N
ENTROPY = -np.sum(SHARES * np.log(SHARES))
RATE = (LABELS == 2).mean()
BINARY_ENTROPY = -RATE * np.log(RATE) - (1 - RATE) * np.log(1 - RATE)
NUMBERS = RNG.exponential(size=(N, 1)) - 5
L = keras.losses

CASES = {
    "mean squares": (L.MeanSquaredError(), NUMBERS, 1, NUMBERS.var()),
    "absolute errors": (
        L.MeanAbsoluteError(),
        NUMBERS,
        1,
        np.abs(NUMBERS - np.median(NUMBERS)).mean(),
    ),
    "targets of one axis": (L.MeanSquaredError(), NUMBERS[:, 0], 1, NUMBERS.var()),
    "classes": (L.SparseCategoricalCrossentropy(), LABELS, 3, ENTROPY),
    "classes in a column": (
        L.SparseCategoricalCrossentropy(),
        LABELS[:, None],
        3,
        ENTROPY,
    ),
    "classes, logits": (
        L.SparseCategoricalCrossentropy(from_logits=True),
        LABELS,
        3,
        ENTROPY,
    ),
    "one-hot": (L.CategoricalCrossentropy(), np.eye(3)[LABELS], 3, ENTROPY),
    "one-hot, logits": (
        L.CategoricalCrossentropy(from_logits=True),
        np.eye(3)[LABELS],
        3,
        ENTROPY,
    ),
    "two classes": (L.BinaryCrossentropy(), LABELS[:, None] == 2, 1, BINARY_ENTROPY),
    "two classes, logits": (
        L.BinaryCrossentropy(from_logits=True),
        LABELS[:, None] == 2,
        1,
        BINARY_ENTROPY,
    ),
}


def found(loss, targets, outputs, scale=1.0):
    """Return the best constant's loss beside outputs of a scale."""
    targets = np.asarray(targets, "float32")
    outputs = (scale * RNG.normal(size=outputs)).astype("float32")
    return best_constant(lambda out: loss(targets, out), outputs, targets).loss


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_closed_form_whatever_the_outputs_are(name, scale):
    loss, targets, width, expected = CASES[name]
    # Keras clips probabilities at 1e-7
    assert found(loss, targets, (N, width), scale) == pytest.approx(expected, rel=1e-4)


def test_a_loss_without_a_closed_form_is_minimized():
    """A Gaussian likelihood: mean and log of the scale, for one target."""

    def likelihood(y, out):
        mean, scale = out[:, :1], out[:, 1:]
        return keras.ops.mean(
            scale + 0.5 * keras.ops.square(y - mean) * keras.ops.exp(-2 * scale)
        )

    expected = np.log(NUMBERS.std()) + 0.5
    assert found(likelihood, NUMBERS, (N, 2)) == pytest.approx(expected, rel=1e-3)


def test_a_loss_without_a_minimum_is_told_from_one_that_falls_below_0():
    ops = keras.ops
    losses = {
        "a line": lambda y, out: ops.mean(out),
        "a root": lambda y, out: -ops.mean(ops.sqrt(1 + ops.abs(out))),
        "a fifth power": lambda y, out: -ops.mean(ops.abs(out) ** 5),
        "a correlation": lambda y, out: -ops.mean(y * out),
        "a cosine": keras.losses.CosineSimilarity(),
        "a logarithm": lambda y, out: -ops.mean(ops.log(1 + ops.abs(out))),
        "a count": keras.losses.Poisson(),
    }
    least = {
        name: found(loss, np.abs(NUMBERS), (N, 1)) for name, loss in losses.items()
    }
    assert {name for name, value in least.items() if value == -np.inf} == {
        "a line",
        "a root",
        "a fifth power",
        "a correlation",
    }
    assert all(abs(value) < 100 for value in least.values() if value != -np.inf)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "relu", "linear", None])
def test_no_constant_is_taken_that_the_outputs_cannot_be(activation):
    """Less than the sum of the outputs, where there is no end."""
    targets = RNG.dirichlet([1, 2, 3], N).astype("float32")
    outputs = RNG.dirichlet([1, 1, 1], N).astype("float32")

    def value(out):
        return keras.ops.mean(keras.ops.square(targets[:, 0] - out[:, 0]) + out[:, 1])

    best = best_constant(value, outputs, targets, activation)
    if activation in ("linear", None):
        assert best.loss < -1000
    else:
        assert best.loss == pytest.approx(targets[:, 0].var(), abs=1e-4)
    if activation == "softmax":
        sums = np.asarray(best.outputs).sum(axis=1)
        assert sums == pytest.approx(1, abs=1e-5)
    # targets that an activation cannot give are compared as if it could
    far = best_constant(
        lambda out: L.MeanSquaredError()(9 * targets, out),
        outputs,
        9 * targets,
        activation,
    )
    if activation != "relu":
        assert far.loss == pytest.approx(81 * targets.var(axis=0).mean(), rel=1e-3)


def test_classes_that_never_come_cost_nothing():
    labels = np.arange(N) % 2
    loss = L.SparseCategoricalCrossentropy(from_logits=True)
    assert found(loss, labels, (N, 9)) == pytest.approx(np.log(2), rel=1e-5)


def test_few_labels_of_many_classes_do_not_say_which_classes_there_are():
    labels = RNG.integers(0, 1000, 32)
    loss = L.SparseCategoricalCrossentropy()
    # the shares in the batch itself have log(32) = 3.5, all classes log(1000) = 6.9
    assert 6 < found(loss, labels, (32, 1000)) < 7
    tokens = RNG.integers(0, 50, (32, 40))
    assert 3.8 < found(loss, tokens, (32, 40, 50)) < 4


@pytest.mark.parametrize(
    "loss", [L.CategoricalFocalCrossentropy(), L.MeanAbsoluteError(), L.Dice()]
)
def test_shares_of_classes_are_not_best_for_every_loss_of_them(loss):
    targets = np.eye(3, dtype="float32")[LABELS]
    outputs = tf.constant(RNG.dirichlet(np.ones(3), N), "float32")

    def value(outputs):
        return tf.reduce_mean(loss(targets, outputs))

    others = RNG.dirichlet(np.full(3, 0.5), 1000).astype("float32")
    least = min(float(value(tf.broadcast_to(one, (N, 3)))) for one in others)
    assert best_constant(value, outputs, targets, "softmax").loss < 1.002 * least


def test_each_of_several_outputs_has_its_own_constant():
    def loss(outputs):
        classes = L.SparseCategoricalCrossentropy(from_logits=True)(LABELS, outputs[0])
        return classes + L.MeanSquaredError()(NUMBERS, outputs[1])

    outputs = [RNG.normal(size=(N, n)).astype("float32") for n in (3, 1)]
    best = best_constant(loss, outputs, [LABELS, NUMBERS]).loss
    assert best == pytest.approx(ENTROPY + NUMBERS.var(), rel=1e-3)


def test_a_narrow_valley_is_not_followed_for_ever():
    calls = []

    def valley(y, out):
        calls.append(1)
        steep = keras.ops.square(out[:, 1:] - keras.ops.square(out[:, :-1]))
        return keras.ops.mean(100 * steep + keras.ops.square(1 - out[:, :-1]))

    found(valley, NUMBERS, (N, 20), scale=3.0)
    assert 20 < len(calls) < 100


# --- one sample and the others ------------------------------------------------

X = RNG.normal(size=(N, 8)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


def checked(model, y=Y, loss="mse", **options):
    return checkup(model, X, y, loss, **options)[1]


def net(*hidden, head=None):
    parts = [keras.Input((8,)), *hidden, head or keras.layers.Dense(1)]
    return keras.Sequential(parts)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_the_error_of_a_skill_is_its_spread_over_draws(share):
    layers = [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")]
    model, checks = keras.Sequential(layers), []
    for seed in range(25):
        noise = np.random.default_rng(seed).normal(size=(2, N, 1)).astype("float32")
        known, unknown = np.sqrt(share) * noise[0], np.sqrt(1 - share) * noise[1]
        checks.append(checkup(model, known, known + unknown, "mse", step=1)[1])
    spread = np.std([check.skill for check in checks])
    error = np.mean([check.skill_error for check in checks])
    assert error == pytest.approx(spread, rel=0.4)


def test_a_skill_has_no_error_before_training_or_of_one_sample():
    model = net()
    assert np.isnan(checked(model).skill_error)
    assert np.isnan(checkup(model, X[:1], Y[:1], "mse", step=9)[1].skill_error)


class Mean(keras.layers.Layer):
    """Adds a share of the mean over the samples."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def call(self, x):
        return x + self.share * keras.ops.mean(x, axis=0, keepdims=True)


def test_samples_that_depend_on_each_other_are_told_from_such_that_do_not():
    L = keras.layers
    assert checked(net(L.Dense(3), head=L.Softmax(axis=0))).mixes_samples
    assert checked(net(Mean(0.02))).mixes_samples
    assert not checked(net(Mean(2e-4))).mixes_samples
    # with training=False neither of them looks at the batch
    alone = net(L.BatchNormalization(), L.Dropout(0.5), L.Dense(3, "softmax"))
    assert not checked(alone).mixes_samples
    parts = [keras.Input((8,)), L.Reshape((4, 2)), L.LSTM(3), L.Dense(1)]
    assert not checked(keras.Sequential(parts)).mixes_samples


class Squares(keras.losses.Loss):
    """As it is written without a thought for shapes."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


class Partly(Squares):
    """A loss of which only a share compares each output with its target."""

    def __init__(self, share):
        super().__init__()
        self.share = share

    def call(self, y_true, y_pred):
        own = super().call(y_true[:, None], y_pred)
        return super().call(y_true, y_pred) + self.share * own


def test_a_loss_that_compares_all_with_all_is_told():
    model = net()
    assert checked(model, Y[:, 0], Squares()).unpaired
    assert checked(model, 1e6 * (3 + Y[:, 0]), Squares()).unpaired
    assert not checked(model, Y, Squares()).unpaired
    # what is a function Keras gives targets of the outputs' shape
    assert not checked(model, Y[:, 0], Squares().call).unpaired
    assert not checked(model, Y[:, 0], Partly(1e-4)).unpaired
    assert checked(model, Y[:, 0], Partly(1e-9)).unpaired


@pytest.mark.parametrize("loss", ["mae", "mse", "huber", "log_cosh"])
def test_targets_far_from_all_outputs_are_each_one_s_own(loss):
    """There a loss is the same whoever's they are, and that is no fault of its."""
    for y in (40 + 10 * Y, 1e9 + 3e8 * Y, 4 + np.tanh(Y), 1e-3 * Y):
        for targets in (y, y[:, 0]):
            assert not checked(net(), targets, loss).unpaired


def test_a_loss_that_knows_classes_pairs_them():
    """A saturated output loses the same for each wrong class."""
    labels = np.arange(N) % 3
    head = keras.layers.Dense(3, kernel_initializer=keras.initializers.Constant(1e3))
    for y in (labels, labels[:, None]):
        loss = "sparse_categorical_crossentropy"
        assert not checked(net(head=head), y, loss).unpaired
    # weights belong to samples, too, and of one target there is nothing to tell
    weighted = checkup(net(), X, Y[:, 0], Squares(), np.ones(N))[1]
    assert not weighted.unpaired
    assert not checked(net(), 0 * Y[:, 0], Squares()).unpaired


class Noise(keras.layers.Layer):
    """Draws at inference, too, as a sampling layer does."""

    def __init__(self, own):
        super().__init__()
        self.seed = keras.random.SeedGenerator(1) if own else None

    def call(self, x):
        if self.seed is None:
            return x + tf.random.normal(tf.shape(x))
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)


@pytest.mark.parametrize("own", [True, False])
def test_chance_is_no_other_sample(own):
    assert not checked(net(Noise(own))).mixes_samples


def test_a_state_is_no_other_sample():
    parts = [keras.Input(batch_shape=(N, 4, 2)), keras.layers.GRU(3, stateful=True)]
    model = keras.Sequential([*parts, keras.layers.Dense(1)])
    for _ in range(2):
        check = checkup(model, X.reshape(N, 4, 2), Y, "mse", step=1)[1]
        assert not check.mixes_samples
        # the training goes on, and leaves a state
        model(RNG.normal(size=(N, 4, 2)))


def test_a_size_that_is_written_into_a_model_or_a_loss_costs_only_what_needs_another():
    class Fixed(keras.layers.Layer):
        def call(self, x):
            return keras.ops.reshape(x, (32, 8))

    def fixed(y, out):
        return keras.ops.mean(keras.ops.square(out - y) * keras.ops.ones((32, 1)))

    for model, loss, error in ((net(Fixed()), "mse", True), (net(), fixed, False)):
        check = checkup(model, X, Y, loss, step=1, few=32)[1]
        assert check.constant_loss == pytest.approx(Y[:32].var(), rel=1e-3)
        assert np.isfinite(check.skill_error) == error
