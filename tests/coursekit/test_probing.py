"""The probe against tapes written by hand, theory, and models of all kinds."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from coursekit import probing, theory
from coursekit._norms import stable_norm
from coursekit.data import digit_rows, digits
from coursekit.models import mlp, rnn
from coursekit.probing import probe, slope

LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
LOGITS64 = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
RNG = np.random.default_rng(0)
layers = keras.layers


@pytest.fixture(scope="module")
def batch():
    (x, y), _ = digits()
    return x[:128], y[:128]


@pytest.fixture(scope="module")
def rows():
    (x, y), _ = digit_rows()
    return x[:32], y[:32]


@pytest.fixture(scope="module")
def images(batch):
    return batch[0][:16].reshape(-1, 8, 8, 1), batch[1][:16]


def _rms(gradient):
    """Root mean square over samples of the norm, from the mean loss's gradient."""
    g = np.asarray(gradient, dtype="float64")
    return np.sqrt(len(g)) * np.linalg.norm(g)


def _by_hand(model, x, y, phi):
    """Run the weights of ``model`` through plain matmuls, in float64."""
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    kernels = [tf.constant(d.kernel.numpy(), tf.float64) for d in dense]
    h, z_all, h_all = tf.constant(x, tf.float64), [], []
    with tf.GradientTape() as tape:
        tape.watch(kernels)
        for number, (d, kernel) in enumerate(zip(dense, kernels, strict=True)):
            z = h @ kernel + tf.constant(d.bias.numpy(), tf.float64)
            h = z if number == len(dense) - 1 else phi(z)
            z_all.append(z)
            h_all.append(h)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)
        )
    dz, dw = tape.gradient(loss, (z_all, kernels))
    return kernels, h_all, dz, dw, float(loss)


# --- numbers --------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_against_a_tape_written_by_hand(batch, activation):
    x, y = batch
    model = mlp(3, activation=activation, dtype="float64", seed=0)
    for layer in model.layers[:-1:2]:
        layer.bias.assign(RNG.normal(size=100))
    report = probe(model, x, y, loss=LOGITS64)
    _, h, dz, dw, loss = _by_hand(model, x, y, getattr(tf.nn, activation))
    assert report.layers == ["hidden_1", "hidden_2", "hidden_3", "output"]
    close = {"rtol": 1e-10}
    np.testing.assert_allclose(report.delta_norm, [_rms(g) for g in dz], **close)
    np.testing.assert_allclose(
        report.kernel_gradient_norm, [np.linalg.norm(g) for g in dw], **close
    )
    np.testing.assert_allclose(
        report.activation_ms, [np.mean(a.numpy() ** 2) for a in h], **close
    )
    assert report.loss == pytest.approx(loss, rel=1e-10)
    assert report.time_norm == {}


@pytest.mark.parametrize("depth", [10, 20])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "linear"])
def test_delta_slopes_are_those_of_theory(batch, activation, depth):
    x, y = batch[0][:64], batch[1][:64]
    q1 = 0.01**2 * np.mean(np.sum(x.astype("float64") ** 2, axis=1))
    expected = theory.delta_slopes(activation, 0.1, depth, q1).mean()
    found = []
    for seed in range(3):
        kernel = keras.initializers.RandomNormal(stddev=0.01)
        model = mlp(
            depth,
            activation=activation,
            kernel_initializer=kernel,
            dtype="float64",
            seed=seed,
        )
        report = probe(model, x, y, loss=LOGITS64)
        found.append(slope(report.delta_norm[:-1]))
    assert np.mean(found) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_kernel_times_gradient_is_equal_in_all_layers(batch, activation):
    x, y = batch
    model = mlp(4, activation=activation, dtype="float64", seed=0)
    phi = tf.nn.relu if activation == "relu" else tf.identity
    kernels, _, _, dw, _ = _by_hand(model, x, y, phi)
    products = [float(tf.reduce_sum(w * g)) for w, g in zip(kernels, dw, strict=True)]
    np.testing.assert_allclose(products, products[0], rtol=1e-10)
    norms = probe(model, x, y, loss=LOGITS64).kernel_gradient_norm
    lengths = [np.linalg.norm(w) for w in kernels]
    # Cauchy-Schwarz: no layer's gradient can vanish alone
    assert (norms * lengths >= abs(products[0])).all()


def test_sum_reduction_gives_the_same_delta(batch):
    x, y = batch
    model = mlp(3, seed=0)
    total = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="sum"
    )
    mean, summed = probe(model, x, y, loss=LOGITS), probe(model, x, y, loss=total)
    np.testing.assert_allclose(summed.delta_norm, mean.delta_norm, rtol=1e-5)
    np.testing.assert_allclose(
        summed.kernel_gradient_norm, 128 * mean.kernel_gradient_norm, rtol=1e-5
    )
    model.compile("sgd", loss=total)
    compiled = probe(model, x, y)
    np.testing.assert_allclose(compiled.delta_norm, mean.delta_norm, rtol=1e-5)


def test_compiled_loss_counts_penalties_once(batch):
    model = mlp(2, seed=0, kernel_regularizer=keras.regularizers.L2(0.3))
    model.compile("sgd", loss=LOGITS)
    compiled, passed = probe(model, *batch), probe(model, *batch, loss=LOGITS)
    assert compiled.loss == pytest.approx(passed.loss, rel=1e-5)
    np.testing.assert_allclose(
        compiled.kernel_gradient_norm, passed.kernel_gradient_norm, rtol=1e-5
    )


def test_penalties_enter_the_kernel_gradient_but_not_delta(batch):
    x, y = batch
    penalty = keras.regularizers.L2(0.3)
    model = mlp(2, dtype="float64", seed=0, kernel_regularizer=penalty)
    report = probe(model, x, y, loss=LOGITS64)
    kernels, _, dz, dw, _ = _by_hand(model, x, y, tf.nn.relu)
    np.testing.assert_allclose(report.delta_norm, [_rms(g) for g in dz], rtol=1e-6)
    expected = [np.linalg.norm(g + 0.6 * w) for g, w in zip(dw, kernels, strict=True)]
    np.testing.assert_allclose(report.kernel_gradient_norm, expected, rtol=1e-6)


def _small_sigmoid(depth):
    kernel = keras.initializers.RandomNormal(stddev=0.01)
    return mlp(depth, activation="sigmoid", kernel_initializer=kernel, seed=0)


def test_zero_gradients_are_true_zeros(batch):
    report = probe(_small_sigmoid(50), *batch, loss=LOGITS)
    zeros = report.zero_gradients
    assert zeros[0] == 1
    assert zeros[-1] == 0
    assert (np.diff(zeros) <= 0).all()
    assert ((report.kernel_gradient_norm == 0) == (zeros == 1)).all()


def test_norms_do_not_underflow_where_gradients_do_not(batch):
    model = _small_sigmoid(20)
    with tf.GradientTape() as tape:
        loss = LOGITS(batch[1], model(batch[0], training=True))
    gradient = tape.gradient(loss, model.layers[0].kernel.value).numpy()
    assert gradient.any()
    assert np.sum(gradient**2) == 0
    report = probe(model, *batch, loss=LOGITS)
    expected = np.linalg.norm(gradient.astype("float64"))
    assert report.kernel_gradient_norm[0] == pytest.approx(expected, rel=1e-4)
    assert report.zero_gradients[0] == 0


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_stable_norm(scale):
    found = stable_norm([[3 * scale], [[4 * scale]]])
    assert found == pytest.approx(5 * scale, rel=1e-14)


def test_dead_and_saturated_fractions():
    x, y = np.ones((4, 3), "float32"), np.zeros(4, "int32")
    relu = layers.Dense(4, "relu", name="relu")
    tanh = layers.Dense(4, "tanh", name="tanh")
    sigmoid = layers.Dense(4, name="sigmoid")
    model = keras.Sequential(
        [keras.Input((3,)), relu, tanh, sigmoid, layers.Activation("sigmoid")]
    )
    relu.bias.assign([-1e3, -1e3, 1e3, 1e3])
    tanh.kernel.assign(np.zeros((4, 4)))
    # tanh(1.8) = .947, tanh(1.9) = .956
    tanh.bias.assign([-1.9, 1.8, 1.9, 0])
    sigmoid.kernel.assign(np.zeros((4, 4)))
    # sigmoid(3.6) = .973, sigmoid(3.7) = .976
    sigmoid.bias.assign([-3.7, 3.6, 0, 0])
    report = probe(model, x, y, loss=LOGITS)
    assert report.layers == ["relu", "tanh", "sigmoid"]
    np.testing.assert_allclose(report.dead_fraction, [0.5, 0.25, 0])
    np.testing.assert_allclose(report.saturated_fraction, [np.nan, 0.5, 0.25])


def test_layer_with_a_very_negative_bias_is_dead(batch):
    model = mlp(2, seed=0)
    model.layers[0].bias.assign(np.full(100, -1e4))
    report = probe(model, *batch, loss=LOGITS)
    assert report.dead_fraction[0] == 1
    assert report.zero_gradients.tolist() == [1, 1, 1]


# --- kinds of models ------------------------------------------------------


def test_convolution_batchnorm_activation_is_one_row(images):
    x, y = images
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Flatten(),
            layers.Dense(10, name="output"),
        ]
    )
    report = probe(model, x, y, loss=LOGITS)
    assert report.layers == ["conv", "output"]
    conv, norm, activation, flat, dense = model.layers
    with tf.GradientTape() as tape:
        z = conv(x)
        tape.watch(z)
        h = activation(norm(z, training=True))
        loss = LOGITS(y, dense(flat(h)))
    assert report.delta_norm[0] == pytest.approx(_rms(tape.gradient(loss, z)), rel=1e-4)
    assert report.activation_ms[0] == pytest.approx(np.mean(h**2), rel=1e-4)


def test_nested_model(batch):
    flat = mlp(3, width=20, seed=0)
    inner = keras.Sequential(flat.layers[2:4], name="inner")
    nested = keras.Sequential([keras.Input((64,)), *flat.layers[:2], inner])
    for layer in flat.layers[4:]:
        nested.add(layer)
    report, expected = (probe(m, *batch, loss=LOGITS) for m in (nested, flat))
    assert report.layers == expected.layers
    np.testing.assert_allclose(report.delta_norm, expected.delta_norm, rtol=1e-5)
    np.testing.assert_allclose(report.activation_ms, expected.activation_ms, rtol=1e-5)


def test_shared_layer_is_one_row_of_both_calls():
    x, y = RNG.normal(size=(8, 5)), np.arange(8) % 5
    shared = layers.Dense(5, "tanh", dtype="float64", name="shared")
    model = keras.Sequential([keras.Input((5,), dtype="float64"), shared, shared])
    report = probe(model, x, y, loss=LOGITS64)
    w = tf.constant(shared.kernel.numpy())
    with tf.GradientTape() as tape:
        tape.watch(w)
        z1 = x @ w
        h1 = tf.tanh(z1)
        z2 = h1 @ w
        h2 = tf.tanh(z2)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=h2)
        )
    d1, d2, dw = tape.gradient(loss, (z1, z2, w))
    assert report.layers == ["shared"]
    both = math.hypot(_rms(d1), _rms(d2))
    assert report.delta_norm[0] == pytest.approx(both, rel=1e-9)
    assert report.kernel_gradient_norm[0] == pytest.approx(np.linalg.norm(dw), rel=1e-9)
    assert report.activation_ms[0] == pytest.approx(
        np.mean(np.concatenate([h1, h2]) ** 2), rel=1e-9
    )


@pytest.mark.parametrize("container", [list, dict])
def test_two_inputs_and_two_outputs(container):
    a, b = keras.Input((3,), name="a"), keras.Input((4,), name="b")
    h = layers.Concatenate()(
        [layers.Dense(5, "relu", name="one")(a), layers.Dense(5, name="two")(b)]
    )
    u, v = layers.Dense(2, name="u")(h), layers.Dense(3, name="v")(h)
    x = [RNG.normal(size=(6, n)).astype("float32") for n in (3, 4)]
    y = [np.zeros((6, n), "float32") for n in (2, 3)]
    if container is list:
        model = keras.Model([a, b], [u, v])
    else:
        model = keras.Model({"a": a, "b": b}, {"u": u, "v": v})
        x, y = dict(zip("ab", x, strict=True)), dict(zip("uv", y, strict=True))
    model.compile("sgd", loss="mse")
    report = probe(model, x, y)
    assert sorted(report.layers) == ["one", "two", "u", "v"]
    out = model(x)
    value = out[0] if container is list else out["u"]
    # d/du of the mean of u**2 over 2 entries is u
    expected = np.sqrt(np.mean(np.sum(np.asarray(value) ** 2, axis=1)))
    found = report.delta_norm[report.layers.index("u")]
    assert found == pytest.approx(expected, rel=1e-5)


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [layers.Dense(9, "tanh", name=f"block_{i}") for i in range(3)]
        self.head = layers.Dense(10, name="head")

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_subclassed_model_that_was_never_called(batch):
    model = _Subclassed()
    report = probe(model, *batch, loss=LOGITS)
    assert report.layers == ["block_0", "block_1", "block_2", "head"]
    assert (report.delta_norm > 0).all()
    assert np.isfinite(report.saturated_fraction[:3]).all()


# --- what follows a kernel -------------------------------------------------

LOW = keras.initializers.Constant(-100.0)


class _OwnScale(layers.Layer):
    """A normalization that no list knows."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        size = keras.ops.mean(keras.ops.square(x), axis=-1, keepdims=True)
        return x * keras.ops.rsqrt(size + 1e-6) * self.gain


class _OwnDropout(layers.Layer):
    """Noise without a seed generator of its own."""

    def call(self, x, training=False):
        noise = tf.random.stateless_uniform(tf.shape(x), [1, 2])
        return tf.where(noise < 0.5, 0.0, x) if training else x


def _regression():
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    return x, x[:, :1] - x[:, 1:2]


@pytest.mark.parametrize(
    "between",
    [
        list,
        lambda: [layers.LayerNormalization()],
        lambda: [layers.RMSNormalization()],
        lambda: [layers.UnitNormalization()],
        lambda: [layers.GroupNormalization(4)],
        lambda: [_OwnScale()],
        lambda: [layers.Rescaling(2.0), layers.ActivityRegularization(l2=0.0)],
        lambda: [keras.Sequential([_OwnScale()])],
    ],
)
def test_an_activation_is_found_behind_any_normalization(between):
    x, y = _regression()
    below = layers.Dense(32, bias_initializer=LOW)
    model = keras.Sequential(
        [keras.Input((8,)), below, *between(), layers.Activation("relu")]
    )
    out = model(x, training=True)
    model.add(layers.Dense(1))
    report = probe(model, x, y, "mse")
    assert report.dead_fraction[0] == np.mean(np.all(out == 0, axis=0))
    assert report.activation_ms[0] == pytest.approx(np.mean(out**2), rel=1e-4)


def test_a_prelu_behind_a_convolution_is_no_kernel(images):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3),
            layers.PReLU(name="prelu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    assert len(probe(model, *images, loss=LOGITS).layers) == 2


class _Calls(keras.Model):
    """Dense layers with a function between them."""

    def __init__(self, function, bias=-20.0):
        super().__init__()
        self.function = function
        low = keras.initializers.Constant(bias)
        self.a = layers.Dense(16, name="a")
        self.b = layers.Dense(16, bias_initializer=low, name="b")
        self.c = layers.Dense(1, name="c")

    def call(self, x):
        return self.c(self.function(self.b(self.function(self.a(x)))))


def _functional(function):
    low = keras.initializers.Constant(-20.0)
    i = keras.Input((8,))
    h = function(layers.Dense(16, name="a")(i))
    h = function(layers.Dense(16, bias_initializer=low, name="b")(h))
    return keras.Model(i, layers.Dense(1, name="c")(h))


def _layer(make):
    return lambda x: make()(x)


@pytest.mark.parametrize(
    "model",
    [
        lambda: _functional(_layer(lambda: layers.Activation("relu"))),
        lambda: _functional(_layer(layers.ReLU)),
        lambda: _functional(_layer(lambda: layers.Lambda(tf.nn.relu))),
        lambda: _functional(keras.ops.relu),
        lambda: _functional(keras.ops.relu6),
        lambda: _functional(keras.activations.relu),
        lambda: _functional(lambda x: keras.ops.maximum(x, 0.0)),
        lambda: _Calls(tf.nn.relu),
        lambda: _Calls(keras.ops.relu),
        lambda: _Calls(lambda x: tf.maximum(x, 0.0)),
        lambda: _Calls(lambda x: keras.ops.where(x > 0, x, keras.ops.zeros_like(x))),
        # erf is -1 there in float32
        lambda: _Calls(lambda x: 0.5 * x * (1 + tf.math.erf(x / 1.4142))),
    ],
)
def test_a_relu_is_one_in_every_form(model):
    report = probe(model(), *_regression(), "mse")
    assert report.layers == ["a", "b", "c"]
    assert report.dead_fraction[1] == 1
    assert report.activation_ms[1] == 0
    # the layer below is alive, though no gradient reaches it
    assert report.dead_fraction[0] < 1 and report.delta_norm[0] == 0
    assert report.dead_fraction[2] == 0


def test_a_gelu_written_out_is_followed_to_its_end():
    x, y = _regression()

    def gelu(z):
        return 0.5 * z * (1 + tf.math.erf(z / 1.4142135))

    model = _Calls(gelu, bias=0.0)
    report = probe(model, x, y, "mse")
    h = gelu(model.a(x))
    assert report.activation_ms[0] == pytest.approx(np.mean(h**2), rel=1e-5)


def test_a_saturated_function_between_layers():
    x, y = _regression()
    for function in (tf.tanh, keras.ops.tanh, keras.layers.Lambda(tf.tanh)):
        report = probe(_Calls(function, bias=3.0), x, y, "mse")
        assert report.saturated_fraction[1] > 0.5
        assert np.isnan(report.saturated_fraction[2])
    # the sigmoid inside of a swish is no activation
    swish = probe(_Calls(tf.nn.silu, bias=20.0), x, y, "mse")
    assert np.isnan(swish.saturated_fraction[1])


@pytest.mark.parametrize(
    "noise",
    [
        lambda: layers.Dropout(0.9),
        lambda: layers.GaussianNoise(1.0),
        lambda: layers.AlphaDropout(0.9),
        _OwnDropout,
    ],
)
def test_noise_is_no_activation(noise):
    x, y = _regression()
    below = layers.Dense(32)
    model = keras.Sequential([keras.Input((8,)), below, noise(), layers.Dense(1)])
    found = probe(model, x, y, "mse").activation_ms[0]
    assert found == pytest.approx(np.mean(np.square(below(x))), rel=1e-5)


class _Aside(keras.Model):
    """Does something else with an activation before the next layer reads it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = layers.Dense(16), layers.Dense(1)

    def call(self, x):
        h = tf.nn.relu(self.a(x))
        self.add_loss(tf.reduce_mean(h**4))
        tf.zeros_like(h), tf.cast(h > 0, "float32")
        return self.b(h)


def test_what_the_next_layer_reads_is_the_activation():
    x, y = _regression()
    model = _Aside()
    report = probe(model, x, y, "mse")
    h = tf.nn.relu(model.a(x))
    assert report.activation_ms[0] == pytest.approx(np.mean(h**2), rel=1e-5)
    assert report.dead_fraction[0] < 1


def test_a_sum_of_two_branches_is_neither():
    x, y = _regression()
    i = keras.Input((8,))
    a, b = layers.Dense(8, name="a")(i), layers.Dense(8, name="b")(i)
    model = keras.Model(i, layers.Dense(1)(keras.ops.relu(a + b - 1e3)))
    report = probe(model, x, y, "mse")
    for name in "ab":
        h = model.get_layer(name)(x)
        found = report.activation_ms[report.layers.index(name)]
        assert found == pytest.approx(np.mean(h**2), rel=1e-5)
    assert not report.dead_fraction.any()


class _OwnKernel(layers.Layer):
    """A kernel and a ReLU of its own; an attribute that its call ignores."""

    def __init__(self, units, bias=0.0):
        super().__init__()
        self.units, self.start, self.activation = units, bias, tf.nn.relu

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], self.units), name="w")
        self.b = self.add_weight(
            shape=(self.units,), initializer=keras.initializers.Constant(self.start)
        )

    def call(self, x):
        return tf.nn.relu(x @ self.w + self.b)


def test_a_layer_whose_activation_is_never_called():
    x, y = _regression()
    model = keras.Sequential([keras.Input((8,)), _OwnKernel(8), layers.Dense(1)])
    report = probe(model, x, y, "mse")
    own, head = model.layers
    with tf.GradientTape() as tape:
        z = x @ own.w.value + own.b.value
        tape.watch(z)
        loss = tf.reduce_mean((head(tf.nn.relu(z)) - y) ** 2)
    expected = _rms(tape.gradient(loss, z))
    assert report.delta_norm[0] == pytest.approx(expected, rel=1e-5)
    dead = keras.Sequential([keras.Input((8,)), _OwnKernel(8, -1e3), layers.Dense(1)])
    assert probe(dead, x, y, "mse").dead_fraction.tolist() == [1, 0]


# --- an exact zero is not always a death ------------------------------------


def _residual(gamma):
    def conv(h, name=None):
        layer = layers.Conv2D(
            8, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        layer.name = name or layer.name
        return layer(h)

    i = keras.Input((12, 12, 3))
    h = layers.ReLU()(layers.BatchNormalization()(conv(i)))
    for k in range(2):
        b = layers.ReLU()(layers.BatchNormalization()(conv(h)))
        b = conv(b, f"b{k}_conv2")
        b = layers.BatchNormalization(gamma_initializer=gamma)(b)
        h = layers.ReLU()(layers.Add()([h, b]))
    return keras.Model(i, layers.Dense(3)(layers.GlobalAveragePooling2D()(h)))


@pytest.mark.parametrize("gamma", ["ones", "zeros"])
def test_a_residual_branch_that_starts_at_zero_is_not_dead(gamma):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 12, 12, 3)).astype("float32")
    report = probe(_residual(gamma), x, rng.integers(0, 3, 16), LOGITS)
    assert report.dead_fraction[report.layers.index("b0_conv2")] == 0
    assert not report.dead_fraction.any()


class _ReZero(keras.Model):
    """``x + alpha * f(x)`` with a trained alpha that starts at 0."""

    def __init__(self):
        super().__init__()
        self.a = layers.Dense(8, "relu", bias_initializer="ones", name="a")
        self.alpha = self.add_weight(shape=(), initializer="zeros", name="alpha")
        self.head = layers.Dense(1, name="head")

    def call(self, x):
        return self.head(x + self.alpha * self.a(x))


@pytest.mark.parametrize(
    "model",
    [
        lambda: _ReZero(),
        # a kernel of zeros, as in the last layer of a block or of LoRA
        lambda: keras.Sequential(
            [
                layers.Dense(8, kernel_initializer="zeros", name="a"),
                layers.Dense(1, name="head"),
            ]
        ),
        lambda: keras.Sequential(
            [
                layers.Dense(8, "tanh", kernel_initializer="zeros", name="a"),
                layers.Dense(1, name="head"),
            ]
        ),
    ],
)
def test_a_unit_that_moves_at_the_first_step_is_not_dead(model):
    assert not probe(model(), *_regression(), "mse").dead_fraction.any()


def test_a_relu_behind_a_zero_factor_passes_nothing():
    zeros = layers.Dense(8, kernel_initializer="zeros", name="a")
    model = keras.Sequential([zeros, layers.ReLU(), layers.Dense(1, name="head")])
    assert probe(model, *_regression(), "mse").dead_fraction.tolist() == [1, 0]


def test_a_dead_relu_stays_dead_behind_a_normalization():
    model = keras.Sequential(
        [
            layers.Dense(8, "relu", bias_initializer=LOW, name="a"),
            layers.BatchNormalization(beta_initializer="ones"),
            layers.Dense(1, name="head"),
        ]
    )
    assert probe(model, *_regression(), "mse").dead_fraction[0] == 1


# --- recurrence -----------------------------------------------------------


def _simple_rnn_by_hand(model, x, y):
    """Unroll a float64 SimpleRNN of one layer: dL/dh_t and dL/dz_t."""
    cell, dense = model.layers[0].cell, model.layers[1]
    w, u = (tf.constant(k.numpy()) for k in (cell.kernel, cell.recurrent_kernel))
    states, pre = [], []
    h = tf.zeros((len(x), u.shape[0]), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch((w, u))
        for t in range(x.shape[1]):
            z = tf.constant(x[:, t], tf.float64) @ w + h @ u
            h = tf.tanh(z)
            pre.append(z)
            states.append(h)
        logits = h @ tf.constant(dense.kernel.numpy())
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        )
    return tape.gradient(loss, (states, pre, [w, u]))


@pytest.mark.parametrize("unroll", [True, False])
def test_simple_rnn_against_a_tape_written_by_hand(rows, unroll):
    model = rnn(12, unroll=unroll, dtype="float64", seed=0)
    report = probe(model, *rows, loss=LOGITS64)
    dh, dz, dw = _simple_rnn_by_hand(model, *rows)
    name = model.layers[0].name
    assert report.layers == [name, "output"]
    np.testing.assert_allclose(
        report.time_norm[name], [_rms(g) for g in dh], rtol=1e-10
    )
    norm = np.sqrt(sum(_rms(g) ** 2 for g in dz))
    assert report.delta_norm[0] == pytest.approx(norm, rel=1e-10)
    norm = np.sqrt(sum(np.linalg.norm(g) ** 2 for g in dw))
    assert report.kernel_gradient_norm[0] == pytest.approx(norm, rel=1e-10)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gated_cells_do_not_depend_on_unrolling(rows, cell):
    reports = []
    for unroll in (True, False):
        model = rnn(6, cell=cell, unroll=unroll, dtype="float64", seed=0)
        reports.append(probe(model, *rows, loss=LOGITS64))
        assert model.layers[0].unroll is unroll
    first, second = reports
    (norms,), (again,) = first.time_norm.values(), second.time_norm.values()
    assert norms.shape == (8,)
    assert (norms > 0).all()
    np.testing.assert_allclose(norms, again, rtol=1e-12)
    np.testing.assert_allclose(first.delta_norm, second.delta_norm, rtol=1e-12)
    assert 0 <= first.saturated_fraction[0] < 1


def test_bidirectional_has_a_row_for_each_direction(rows):
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.Bidirectional(layers.LSTM(4, name="lstm")),
            layers.Dense(10),
        ]
    )
    report = probe(model, *rows, loss=LOGITS)
    assert list(report.time_norm) == ["forward_lstm", "backward_lstm"]
    for norms in report.time_norm.values():
        assert norms.shape == (8,)
        # in the order of processing: only the last step feeds the output directly
        assert norms[-1] > norms[0] > 0


@pytest.mark.parametrize("rho", [0.5, 1.0, 1.3])
def test_linear_rnn_changes_by_rho_a_step(rows, rho):
    recurrent = keras.initializers.Orthogonal(gain=rho)
    model = rnn(
        10,
        activation="linear",
        recurrent_initializer=recurrent,
        dtype="float64",
        seed=0,
    )
    (norms,) = probe(model, *rows, loss=LOGITS64).time_norm.values()
    np.testing.assert_allclose(norms[:-1] / norms[1:], rho, rtol=1e-9)


# --- leaving the model alone ----------------------------------------------


def _everything(rate=0.5):
    return keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.LSTM(6, dropout=rate),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Dropout(rate),
            layers.Dense(10),
        ]
    )


def _state(model):
    variables = [*model.variables, *model.metrics_variables]
    return [v.numpy().copy() for v in variables]


def _attributes(model):
    return [dict(vars(layer)) for layer in model._flatten_layers()]


def _same_attributes(model, before):
    after = _attributes(model)
    assert [a.keys() for a in after] == [b.keys() for b in before]
    for a, b in zip(after, before, strict=True):
        for key in {"call", "activation", "recurrent_activation", "unroll"} & a.keys():
            assert a[key] is b[key]


def test_model_is_left_as_it_was(rows, tmp_path):
    model = _everything()
    model.compile("adam", loss=LOGITS, metrics=["accuracy"])
    model.fit(*rows, verbose=0)
    predicted = model.predict(rows[0], verbose=0)
    before, attributes = _state(model), _attributes(model)
    probe(model, *rows)
    for old, new in zip(before, _state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    _same_attributes(model, attributes)
    assert not tf.config.functions_run_eagerly()
    np.testing.assert_array_equal(model.predict(rows[0], verbose=0), predicted)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(rows[0], verbose=0), predicted, rtol=1e-5)


def test_probing_twice_gives_the_same_numbers(rows):
    model = _everything()
    first, second = (probe(model, *rows, loss=LOGITS) for _ in range(2))
    np.testing.assert_array_equal(first.delta_norm, second.delta_norm)


def test_inference_switches_dropout_off(rows):
    model = _everything(0.9)
    plain = _everything(0.0)
    plain.set_weights(model.get_weights()[: len(plain.get_weights())])
    for a, b in zip(plain.trainable_variables, model.trainable_variables, strict=True):
        a.assign(b)
    reports = [probe(m, *rows, loss=LOGITS, training=False) for m in (model, plain)]
    np.testing.assert_allclose(*[r.delta_norm for r in reports], rtol=1e-6)


def test_nothing_is_left_after_an_exception(rows):
    model = _everything()
    # Keras adds attributes of its own at the first call
    model(rows[0], training=True)
    before, attributes = _state(model), _attributes(model)

    def broken(y, outputs):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        probe(model, *rows, loss=broken)
    _same_attributes(model, attributes)
    for old, new in zip(before, _state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not tf.config.functions_run_eagerly()


# --- how the model was compiled -------------------------------------------


@pytest.mark.parametrize("how", [{"jit_compile": True}, {"run_eagerly": True}])
def test_way_of_compiling_does_not_matter(batch, how):
    model = mlp(3, seed=0)
    expected = probe(model, *batch, loss=LOGITS)
    model.compile("sgd", loss=LOGITS, **how)
    report = probe(model, *batch)
    np.testing.assert_allclose(report.delta_norm, expected.delta_norm, rtol=1e-5)
    assert report.loss == pytest.approx(expected.loss, rel=1e-5)


@pytest.fixture
def policy_restored():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("policy_restored")
@pytest.mark.parametrize("place", ["argument", "policy"])
def test_mixed_precision_undoes_the_loss_scale(batch, place):
    exact = mlp(3, seed=0)
    expected = probe(exact, *batch, loss=LOGITS)
    if place == "policy":
        keras.config.set_dtype_policy("mixed_float16")
        model = mlp(3, seed=0)
    else:
        model = mlp(3, seed=0, dtype="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    model.compile(optimizer, loss=LOGITS)
    report = probe(model, *batch)
    np.testing.assert_allclose(report.delta_norm, expected.delta_norm, rtol=0.02)
    np.testing.assert_allclose(
        report.kernel_gradient_norm, expected.kernel_gradient_norm, rtol=0.02
    )


# --- errors ---------------------------------------------------------------


def test_not_a_model(batch):
    with pytest.raises(TypeError, match="model is a Dense: give a keras.Model"):
        probe(layers.Dense(3), *batch)


def test_no_loss(batch):
    with pytest.raises(ValueError, match="no loss: compile it, or pass loss="):
        probe(mlp(1), *batch)


def test_no_kernel(batch):
    model = keras.Sequential([keras.Input((64,)), layers.Activation("relu")])
    with pytest.raises(ValueError, match="no layer with a kernel"):
        probe(model, *batch, loss=LOGITS)


@pytest.mark.parametrize("n, m", [(5, 4), (0, 0)])
def test_lengths_of_the_batch(batch, n, m):
    with pytest.raises(ValueError, match=f"x and y hold {n}, {m} samples"):
        probe(mlp(1), batch[0][:n], batch[1][:m], loss=LOGITS)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("labels", [np.full(128, 10), np.zeros((128, 3))])
def test_labels_that_do_not_fit(batch, labels, compiled):
    model = mlp(1)
    model.compile("sgd", loss=LOGITS)
    with pytest.raises(ValueError, match=r"y of shape \(128.*check the labels"):
        probe(model, batch[0], labels, loss=None if compiled else LOGITS)


class Silent(keras.losses.SparseCategoricalCrossentropy):
    """As on a GPU: a label that is no class raises nothing."""

    def call(self, y, z):
        return tf.reduce_mean(z, axis=-1)


@pytest.mark.parametrize("wrong", [-1, 10, 10.0])
def test_labels_that_are_no_classes_need_no_error_of_the_loss(batch, wrong):
    x, labels = batch[0], np.array(batch[1]).astype(np.asarray(wrong).dtype)
    labels[5] = wrong
    with pytest.raises(ValueError, match=r"check the labels.*outside of the classes"):
        probe(mlp(1), x, labels, Silent())
    assert probe(mlp(1), x, labels, Silent(ignore_class=wrong)).layers
    i = keras.Input((64,))
    heads = {"one": layers.Dense(1)(i), "ten": layers.Dense(10)(i)}
    model = keras.Model(i, heads)
    model.compile("sgd", {"ten": Silent(), "one": "mse"})
    targets = {"one": np.zeros((len(x), 1)), "ten": np.array(batch[1])}
    assert probe(model, x, targets).layers
    with pytest.raises(ValueError, match="outside of the classes 0 to 9"):
        probe(model, x, targets | {"ten": labels})


def test_loss_without_reduction(batch):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    with pytest.raises(ValueError, match="a mean over the batch, or a sum"):
        probe(mlp(1), *batch, loss=loss)


# --- the report -----------------------------------------------------------


def test_report_prints_a_line_a_layer(batch):
    lines = str(probe(mlp(2, seed=0), *batch, loss=LOGITS)).splitlines()
    assert [line.split()[0] for line in lines] == [
        "layer",
        "hidden_1",
        "hidden_2",
        "output",
    ]


@pytest.mark.parametrize(
    "norms, expected",
    [
        ([1e-4, 5.0, 1e-2, 1e-1], -1.0),
        ([100.0, 1.0], 2.0),
        ([0.0, 1.0, 1.0], -math.inf),
        ([1.0, 0.0], math.inf),
        ([0.0, 1.0, 0.0], math.nan),
    ],
)
def test_slope(norms, expected):
    assert slope(norms) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("norms", [[1.0], [], 3.0, np.ones((2, 2))])
def test_slope_needs_two_layers(norms):
    with pytest.raises(ValueError, match="norms has shape .*two layers or more"):
        slope(norms)


def test_report_as_html_holds_the_same_numbers(batch):
    report = probe(mlp(2, seed=0), *batch, loss=LOGITS)
    report.layers[0] = "<b>"
    text = report._repr_html_()
    assert text.count("<tr>") == 4 and "&lt;b&gt;" in text and "<b>" not in text
    assert f"{report.delta_norm[1]:.1e}" in text


# --- one batch, in whatever form ---------------------------------------------


@pytest.fixture
def small():
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, "relu"), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


class _Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.batches = [(x[i : i + 16], y[i : i + 16]) for i in (0, 16)]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return self.batches[number]


@pytest.mark.parametrize(
    "form",
    [
        lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(16),
        lambda x, y: iter(tf.data.Dataset.from_tensor_slices((x, y)).batch(16)),
        _Batches,
        lambda x, y: iter([(x[:16], y[:16])]),
    ],
)
def test_the_first_batch_of_a_dataset_is_taken(form, small):
    x, y = _regression()
    found = probe(small, form(x, y))
    np.testing.assert_allclose(
        found.delta_norm, probe(small, x[:16], y[:16]).delta_norm, rtol=1e-5
    )


def test_a_dataset_brings_its_sample_weights(small):
    x, y = _regression()
    weights = np.arange(64, dtype="float32")
    data = tf.data.Dataset.from_tensor_slices((x, y, weights)).batch(64)
    expected = probe(small, x, y, sample_weight=weights).delta_norm
    np.testing.assert_allclose(probe(small, data).delta_norm, expected, rtol=1e-5)


def _dataset(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(16)


@pytest.mark.parametrize(
    "form, message",
    [
        (lambda x, y: (_dataset(x, y), _dataset(x, y)), "give the dataset as x alone"),
        (lambda x, y: (_dataset(x, y), y), "without y"),
        (lambda x, y: ([0.0, 1.0], [0.0, 1.0]), r"give arrays, .* np.asarray\(x\)"),
        (lambda x, y: (x.tolist(), y.tolist()), "list of numbers"),
        (lambda x, y: (x, y.tolist()), r"np.asarray\(y\)"),
        (lambda x, y: (x[0], y[0]), r"one sample without a batch axis: .*x\[None\]"),
        (lambda x, y: (x[0], y[0, 0]), r"x\[None\]"),
        (lambda x, y: (x, None), "give both x and y"),
        (lambda x, y: (x, y[0, 0]), "needs a batch axis"),
    ],
)
def test_what_is_no_batch_says_what_to_give(form, message, small):
    with pytest.raises(ValueError, match=message):
        probe(small, *form(*_regression()))


def test_a_batch_of_numbers_needs_no_last_axis():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    x = np.arange(5, dtype="float32")
    report = probe(model, x, x, "mse")
    expected = probe(model, x[:, None], x[:, None], "mse").delta_norm
    np.testing.assert_allclose(report.delta_norm, expected, rtol=1e-6)


def test_large_tensors_are_summed_up_in_pieces(small, monkeypatch):
    whole = probe(small, *_regression())
    monkeypatch.setattr(probing, "BLOCK", 7)
    pieces = probe(small, *_regression())
    for name in ("activation_ms", "delta_norm", "kernel_gradient_norm"):
        one, other = getattr(whole, name), getattr(pieces, name)
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_progress_counts_every_layer_up_and_down(small, monkeypatch):
    counted = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, count=1):
            counted.append(count)

    def progress(total, verbose):
        counted.append((total, verbose))
        return Bar()

    monkeypatch.setattr(probing, "progress", progress)
    probe(small, *_regression(), verbose=True)
    assert counted == [(4, True), 1, 1, 1, 1]


@pytest.mark.parametrize("bad, rows", [(np.nan, 32), (np.nan, 1), (np.inf, 1)])
def test_what_is_not_finite_has_no_shares(bad, rows):
    x = np.ones((32, 4), "float32")
    x[:rows, 1] = bad
    # with kernels below 0 a ReLU would make 0 of infinity
    hidden = [keras.layers.Dense(8, "relu", kernel_initializer="ones")]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(8)])
    report = probe(model, x, np.zeros((32, 8)), "mse")
    assert np.isnan(report.dead_fraction).all()
    for row in str(report).splitlines()[1:]:
        assert row.split()[-3:] == ["-", "-", "-"]
    gate = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh")])
    gate.layers[0].kernel.assign(np.full((4, 8), np.nan))
    assert np.isnan(probe(gate, x, np.zeros((32, 8)), "mse").saturated_fraction[0])


class _Unknown(keras.Model):
    """A model that does not know the shape of its inputs."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(1)

    def call(self, x):
        return self.head(x)


def test_inputs_of_another_shape_are_refused_with_both_shapes():
    x, y = np.zeros((8, 6), "float32"), np.zeros((8, 1), "float32")
    unknown = _Unknown()
    unknown(x)
    known = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    inputs = keras.Input((6,)), keras.Input((3,))
    two = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(inputs)))
    for model, given, words in (
        (known, x[:, :5], r"shape \(8, 5\): the model takes \(None, 6\)$"),
        (two, [x, x], r"\(8, 6\) and \(8, 6\): .* takes \(None, 6\) and \(None, 3\)$"),
        (two, x, r"shape \(8, 6\): the model takes \(None, 6\) and \(None, 3\)$"),
        (unknown, x[:, :5], r"shape \(8, 5\): .* value 6"),
        (_Unknown(), np.zeros(8), r"shape \(8,\): .*min_ndim=2"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            probe(model, given, y, "mse")
        assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b"), ("b", "c", "a")])
def test_heads_stand_in_the_order_of_the_outputs(order):
    i = keras.Input((4,))
    trunk = keras.layers.Dense(5, name="trunk")(i)
    heads = {n: keras.layers.Dense(2, name=n)(trunk) for n in "abc"}
    active = {n: keras.layers.ReLU()(h) if n == "b" else h for n, h in heads.items()}
    model = keras.Model(i, [active[n] for n in order])
    model.compile("sgd", ["mse"] * 3)
    x, y = np.ones((8, 4), "float32"), [np.zeros((8, 2))] * 3
    assert probe(model, x, y).layers == ["trunk", *order]


def test_a_head_that_feeds_another_stays_below_it():
    i = keras.Input((4,))
    early = keras.layers.Dense(5, name="early")(i)
    model = keras.Model(i, [keras.layers.Dense(2, name="late")(early), early])
    model.compile("sgd", ["mse"] * 2)
    x, y = np.ones((8, 4), "float32"), [np.zeros((8, 2)), np.zeros((8, 5))]
    assert probe(model, x, y).layers == ["early", "late"]
