"""Every member of an ensemble against plain Keras, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import ensemble as benchmark
from coursekit import Ensemble, data, models

SEEDS = range(3)


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = data.digits()
    return x[:640], y[:640]


@pytest.fixture(scope="module")
def rows():
    (x, y), _ = data.digit_rows()
    return x[:640], y[:640]


def _loss(dtype):
    # Keras computes a loss in float32 unless told otherwise
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)


def _dense(dtype):
    return lambda s: models.mlp(3, width=16, seed=s, dtype=dtype)


def _normalized(dtype):
    return lambda s: models.mlp(
        5, width=16, batch_normalization="before", seed=s, dtype=dtype
    )


def _recurrent(dtype):
    return lambda s: models.rnn(8, seed=s, dtype=dtype)


def _alone(build, optimizer, x, y, dtype, epochs=1, seeds=SEEDS):
    """Yield the seed, weights and losses of plain fits; their step is traced once."""
    model = build(0)
    model.compile(optimizer, _loss(dtype))
    optimizer.build(model.trainable_variables)
    start = [variable.numpy() for variable in optimizer.variables]
    for seed in seeds:
        model.set_weights(build(seed).get_weights())
        for variable, value in zip(optimizer.variables, start, strict=True):
            variable.assign(value)
        run = model.fit(x, y, 32, epochs, shuffle=False, verbose=0)
        yield seed, model.get_weights(), run.history["loss"]


def _distance(a, b):
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300)


def _assert_equal(nets, member, wanted, limit=1e-9):
    """Hold one member's weights to those of a model; name all that differ."""
    found = {
        variable.path: float(_distance(stacked[member], own))
        for variable, stacked, own in zip(
            nets.model(member).weights, nets.weights, wanted, strict=True
        )
    }
    off = {path: distance for path, distance in found.items() if not distance <= limit}
    assert not off, f"member {member}, relative distances above {limit}: {off}"


CLIPPING = [
    {},
    {"clipvalue": 0.003},
    {"clipnorm": 0.05},
    {"global_clipnorm": 0.1},
]


@pytest.mark.parametrize("option", CLIPPING, ids=str)
def test_members_equal_fit_in_float64(option, digits):
    build = _dense("float64")
    nets = Ensemble(build, SEEDS)
    nets.compile(keras.optimizers.SGD(0.1, **option), _loss("float64"))
    run = nets.fit(*digits, 32, shuffle=False)
    assert run.loss.shape == (3, 20)
    # clipping that never happens would test nothing
    assert run.clipped.all() == bool(option)
    optimizer = keras.optimizers.SGD(0.1, **option)
    for s, wanted, _ in _alone(build, optimizer, *digits, "float64"):
        _assert_equal(nets, s, wanted)


@pytest.mark.parametrize("kind", [_normalized, _recurrent])
def test_members_of_other_kinds_equal_fit_in_float64(kind, digits, rows):
    """Their step takes long to trace, so one of them has all ways of clipping."""
    x, y = rows if kind is _recurrent else digits
    build = kind("float64")
    nets = Ensemble(build, range(len(CLIPPING)))
    nets.compile(keras.optimizers.SGD(0.1), _loss("float64"), clipping=CLIPPING)
    run = nets.fit(x, y, 32, shuffle=False)
    assert run.clipped.all(axis=1).tolist() == [False, True, True, True]
    for member, option in enumerate(CLIPPING):
        sgd = keras.optimizers.SGD(0.1, **option)
        ((_, wanted, _),) = _alone(build, sgd, x, y, "float64", seeds=[member])
        _assert_equal(nets, member, wanted)


def _cells(seed):
    """Build recurrent layers of three kinds on top of each other, with a mask."""
    keras.utils.set_random_seed(seed)
    how = {"unroll": True, "dtype": "float64"}
    layers = [
        keras.layers.Masking(dtype="float64"),
        keras.layers.LSTM(3, return_sequences=True, **how),
        keras.layers.GRU(4, return_sequences=True, go_backwards=True, **how),
        keras.layers.SimpleRNN(5, use_bias=False, **how),
        keras.layers.Dense(10, dtype="float64"),
    ]
    return keras.Sequential([keras.Input((3, 2), dtype="float64"), *layers])


def test_recurrent_layers_of_all_kinds_equal_fit(digits):
    # fit makes float32 of whatever it is given
    x = np.random.default_rng(0).normal(size=(64, 3, 2)).astype("float32")
    y = digits[1][:64]
    x[::3, 2:] = 0
    nets = Ensemble(_cells, [0, 1])
    nets.compile(keras.optimizers.SGD(0.1), _loss("float64"))
    nets.fit(x, y, 32, shuffle=False)
    sgd = keras.optimizers.SGD(0.1)
    ((_, wanted, _),) = _alone(_cells, sgd, x, y, "float64", seeds=[1])
    _assert_equal(nets, 1, wanted)


@pytest.mark.parametrize("cell", ["simple_rnn", "lstm", "gru"])
def test_a_sequence_is_multiplied_with_its_kernel_at_once(cell, rows):
    x, y = rows[0][:32], rows[1][:32]
    products = []
    for steps in (3, 4):

        def build(seed, steps=steps):
            return models.rnn(4, cell=cell, input_shape=(steps, 8), seed=seed)

        nets = Ensemble(build, [0, 1])
        nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
        run = nets._compiled(x[:, :steps], y, 32, "columns").get_concrete_function()
        functions = run.graph.as_graph_def().library.function
        kinds = [node.op for function in functions for node in function.node_def]
        products.append(kinds.count("BatchMatMulV2"))
    # one more time step: with the state, and its two gradients
    assert products[1] - products[0] == 3


def test_variables_of_one_shape_are_updated_together(digits):
    updates = []
    for depth in (3, 5):
        nets = Ensemble(lambda s, d=depth: models.mlp(d, width=8, seed=s), [0, 1])
        nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
        run = nets._compiled(*digits, 32, "columns").get_concrete_function()
        functions = run.graph.as_graph_def().library.function
        kinds = [node.op for function in functions for node in function.node_def]
        updates.append(kinds.count("AssignSubVariableOp"))
    # kernels of the first, the hidden and the last layers, and biases of two shapes
    assert updates == [5, 5]


class _Named(keras.layers.Layer):
    def call(self, x):
        x = tf.matmul(a=x, b=tf.eye(4))
        x = tf.nn.bias_add(value=x, bias=tf.zeros(4))
        return tf.matmul(x, x, True)


def test_products_beside_a_sequence_may_be_written_in_any_way(rows):
    def build(seed):
        keras.utils.set_random_seed(seed)
        cells = keras.layers.SimpleRNN(4, unroll=True)
        body = cells, _Named(), keras.layers.Dense(10)
        return keras.Sequential([keras.Input((8, 8), batch_size=4), *body])

    nets = Ensemble(build, [0, 1])
    nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
    assert np.isfinite(nets.fit(rows[0][:4], rows[1][:4], 4).loss).all()


def test_members_equal_fit_when_compiled_by_xla(digits):
    x, y = digits
    build = _dense("float64")
    option = {"global_clipnorm": 0.1}
    nets = Ensemble(build, SEEDS)
    optimizer = keras.optimizers.SGD(0.1, **option)
    nets.compile(optimizer, _loss("float64"), jit_compile=True)
    assert nets.fit(x, y, 32, shuffle=False).clipped.all()
    optimizer = keras.optimizers.SGD(0.1, **option)
    for s, wanted, _ in _alone(build, optimizer, x, y, "float64"):
        _assert_equal(nets, s, wanted)


def _embedded(seed):
    keras.utils.set_random_seed(seed)
    numbers = keras.layers.Embedding(20, 4, dtype="float64")
    flat, head = keras.layers.Flatten(), keras.layers.Dense(3, dtype="float64")
    return keras.Sequential([keras.Input((5,)), numbers, flat, head])


def _convolved(seed):
    keras.utils.set_random_seed(seed)
    filters = keras.layers.Conv1D(3, 2, dtype="float64")
    flat, head = keras.layers.Flatten(), keras.layers.Dense(3, dtype="float64")
    return keras.Sequential([keras.Input((5, 2)), filters, flat, head])


# XLA differentiates no loop, and a convolution has no map
@pytest.mark.parametrize("build, xla", [(_embedded, False), (_convolved, True)])
def test_sparse_gradients_and_operations_without_a_map(build, xla):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, (64, 5) if build is _embedded else (64, 5, 2))
    y = rng.integers(0, 3, 64)
    nets = Ensemble(build, SEEDS)
    nets.compile(keras.optimizers.SGD(0.1), _loss("float64"), jit_compile=xla)
    nets.fit(x, y, 32, shuffle=False)
    for s, wanted, _ in _alone(build, keras.optimizers.SGD(0.1), x, y, "float64"):
        _assert_equal(nets, s, wanted)


@tf.custom_gradient
def _reversed(x):
    return tf.identity(x), lambda gradient: -2 * gradient


class _Reversed(keras.layers.Layer):
    def call(self, x):
        return _reversed(x)


def _small(*layers):
    def build(seed):
        keras.utils.set_random_seed(seed)
        first, head = keras.layers.Dense(5, "tanh"), keras.layers.Dense(1)
        return keras.Sequential([keras.Input((4,)), first, *layers, head])

    return build


def _masked(seed):
    keras.utils.set_random_seed(seed)
    i = keras.Input((4,))
    seen = keras.layers.Masking()(keras.layers.Reshape((4, 1))(i))
    return keras.Model(i, keras.layers.Dense(1)(seen))


def _shared(seed):
    keras.utils.set_random_seed(seed)
    i = keras.Input((4,))
    twice = keras.layers.Dense(4, "tanh", activity_regularizer="l2")
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.ActivityRegularization(1)]
    )
    outputs = keras.layers.Dense(1)(inner(twice(inner(twice(i)))))
    return keras.Model(i, outputs)


def _own(y, outputs):
    return tf.reduce_mean((y - outputs) ** 2, axis=-1)


@pytest.mark.parametrize(
    "build, loss, scale",
    [
        # a gradient that a person has written
        (_small(_Reversed()), "mse", None),
        # a function as the loss: targets of (samples,), and masks
        (_small(), _own, None),
        (_masked, "mse", None),
        # a layer, and a model, that is called twice and adds to the loss each time
        (_shared, "mse", None),
        # what fit multiplies the loss by
        (_small(), "mse", 64.0),
    ],
)
def test_what_fit_does_beside_the_step(build, loss, scale):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 4)).astype("float32")
    x[::3, 2:] = 0
    y = rng.normal(size=(16, 4, 1) if build is _masked else 16).astype("float32")
    nets = Ensemble(build, [0, 1])
    nets.compile(keras.optimizers.SGD(0.1, loss_scale_factor=scale), loss)
    nets.fit(x, y, 8, epochs=2, shuffle=False)
    alone = build(1)
    alone.compile(keras.optimizers.SGD(0.1, loss_scale_factor=scale), loss)
    alone.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
    _assert_equal(nets, 1, alone.get_weights(), 1e-5)


@pytest.mark.gpu
def test_variables_and_steps_are_on_the_gpu(digits):
    nets = Ensemble(_dense("float32"), SEEDS)
    nets.compile(keras.optimizers.SGD(0.1), _loss("float32"), jit_compile=True)
    assert np.isfinite(nets.fit(*digits, 32).loss).all()
    assert all("GPU" in v.value.device for v in nets._trainable.variables)


@pytest.mark.parametrize("kind", [_dense, _normalized, _recurrent])
def test_members_equal_fit_after_one_step_in_float32(kind, digits, rows):
    x, y = rows if kind is _recurrent else digits
    build = kind("float32")
    nets = Ensemble(build, SEEDS)
    nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
    nets.fit(x[:32], y[:32], 32, shuffle=False)
    optimizer = keras.optimizers.SGD(0.1)
    for s, wanted, _ in _alone(build, optimizer, x[:32], y[:32], "float32"):
        _assert_equal(nets, s, wanted, 1e-5)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.Adam(0.01, clipnorm=0.01),
        lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: keras.optimizers.RMSprop(0.01),
        lambda: keras.optimizers.SGD(
            keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
        ),
    ],
    ids=["momentum", "adam", "adamw", "rmsprop", "schedule"],
)
def test_other_optimizers(optimizer, digits):
    build = _dense("float64")
    nets = Ensemble(build, SEEDS)
    nets.compile(optimizer(), _loss("float64"))
    nets.fit(*digits, 32, shuffle=False)
    for s, wanted, _ in _alone(build, optimizer(), *digits, "float64"):
        _assert_equal(nets, s, wanted)


def test_penalties_and_a_last_batch_that_is_smaller(digits):
    x, y = digits[0][:100], digits[1][:100]

    def build(seed):
        return models.mlp(2, width=8, seed=seed, kernel_regularizer="l2")

    nets = Ensemble(build, SEEDS)
    nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
    run = nets.fit(x, y, 32, epochs=2, shuffle=False)
    assert run.loss.shape == (3, 8)
    assert run.steps_per_epoch == 4
    sizes = np.array([32, 32, 32, 4])
    sgd = keras.optimizers.SGD(0.1)
    for s, wanted, losses in _alone(build, sgd, x, y, "float32", epochs=2):
        for stacked, own in zip(nets.weights, wanted, strict=True):
            np.testing.assert_allclose(stacked[s], own, atol=1e-5)
        # Keras weights the batches of an epoch by their size
        own = (run.loss[s].reshape(2, 4) * sizes).sum(axis=1) / 100
        np.testing.assert_allclose(own, losses, rtol=1e-4)


def test_learning_rates_and_clipping_of_each_member(digits):
    rates, limits = [0.01, 0.1, 0.5], [{}, {"clipnorm": 0.05}, {"clipvalue": 0.003}]
    build = _dense("float64")
    nets = Ensemble(lambda _: build(0), SEEDS)
    nets.compile(
        keras.optimizers.SGD(momentum=0.9), _loss("float64"), rates, clipping=limits
    )
    run = nets.fit(*digits, 32, shuffle=False)
    assert run.clipped.all(axis=1).tolist() == [False, True, True]
    for member, (rate, limit) in enumerate(zip(rates, limits, strict=True)):
        sgd = keras.optimizers.SGD(rate, momentum=0.9, **limit)
        ((_, wanted, _),) = _alone(build, sgd, *digits, "float64", seeds=[0])
        _assert_equal(nets, member, wanted)


def test_a_member_that_breaks_leaves_the_others_alone(digits):
    def build(scale):
        init = keras.initializers.RandomNormal(stddev=scale)
        return models.mlp(6, kernel_initializer=init, seed=0)

    def train(scales):
        nets = Ensemble(build, scales)
        nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
        return nets, nets.fit(*digits, 32, order=[0] * len(scales))

    both, run = train([0.1, 3.0])
    alone, _ = train([0.1])
    assert run.first_nan_step[0] is None
    assert 1 <= run.first_nan_step[1] <= 5
    step = run.first_nan_step[1] - 1
    finite = np.isfinite(run.loss[1]) & np.isfinite(run.global_norm[1])
    assert finite[:step].all() and not finite[step]
    for a, b in zip(both.weights, alone.weights, strict=True):
        np.testing.assert_allclose(a[0], b[0], atol=1e-4)
    right = both.accuracy(*digits)
    assert right[0] > 0.1 and np.isnan(right[1])
    assert str(run).splitlines()[2].split()[-1] == str(step + 1)


def test_what_comes_out_agrees_with_the_keras_model(digits):
    x, y = digits
    nets = Ensemble(_normalized("float32"), SEEDS)
    start = [w.copy() for w in nets.weights]
    nets.compile(keras.optimizers.SGD(0.1), _loss("float32"))
    run = nets.fit(x, y, 64, epochs=2)
    outputs = nets.predict(x)
    assert outputs.shape == (3, 640, 10)
    for s in SEEDS:
        model = nets.model(s)
        np.testing.assert_allclose(
            outputs[s], model.predict(x, verbose=0), rtol=1e-3, atol=1e-4
        )
    assert np.allclose(nets.accuracy(x, y), np.mean(outputs.argmax(-1) == y, axis=1))
    batch = np.mean(nets.predict(x, training=True).argmax(-1) == y, axis=1)
    assert np.array_equal(nets.accuracy(x, y, training=True), batch)
    kernels = [(a, b) for a, b in zip(start, nets.weights, strict=True) if a.ndim == 3]
    change = nets.kernel_change()
    assert change.shape == (3, 6)
    for number, (before, after) in enumerate(kernels):
        wanted = [_distance(after[s], before[s]) for s in SEEDS]
        np.testing.assert_allclose(change[:, number], wanted, rtol=1e-5)
    assert run.accuracy.shape == run.loss.shape == (3, 20)
    np.testing.assert_allclose(
        run.per_epoch(run.loss)[:, 1], run.loss[:, 10:].mean(axis=1), rtol=1e-6
    )


def test_order_of_the_batches(digits):
    def losses(order, fits=1):
        nets = Ensemble(lambda _: _dense("float32")(0), SEEDS)
        nets.compile(keras.optimizers.SGD(0.0), _loss("float32"))
        runs = [nets.fit(*digits, 64, order=order) for _ in range(fits)]
        return [run.loss for run in runs]

    (paired,) = losses([7, 7, 8])
    np.testing.assert_allclose(paired[0], paired[1], rtol=1e-6)
    assert not np.allclose(paired[0], paired[2], rtol=1e-3)
    first, second = losses(None, fits=2)
    assert not np.allclose(first, second, rtol=1e-3)


def test_regression_has_no_accuracy(digits):
    x = digits[0]
    nets = Ensemble(lambda s: models.mlp(1, width=4, seed=s), SEEDS)
    nets.compile(keras.optimizers.SGD(0.01), "mse")
    run = nets.fit(x, np.ones((len(x), 10), "float32"), epochs=2)
    assert run.accuracy is None
    first, second = run.per_epoch(run.loss).T
    assert np.all(second < first)


def _head(activation, units=1):
    """Return a build function of a small model with one head."""

    def build(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(16, "relu"),
                keras.layers.Dense(units, activation),
            ]
        )

    return build


def _two_classes():
    x = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
    return x, (x[:, 0] > -0.5).astype("int64")


@pytest.mark.parametrize("labels", ["int64", "float32", "bool"])
@pytest.mark.parametrize("logits", [False, True])
def test_one_output_is_compared_with_a_threshold(logits, labels):
    x, y = _two_classes()
    nets = Ensemble(_head(None if logits else "sigmoid"), SEEDS)
    loss = keras.losses.BinaryCrossentropy(from_logits=logits)
    nets.compile(keras.optimizers.Adam(0.02), loss)
    run = nets.fit(x, y[:, None].astype(labels), epochs=8)
    limit = 0.0 if logits else 0.5
    expected = np.mean((nets.predict(x)[..., 0] > limit) == y, axis=1)
    assert (expected > 0.9).all()
    for given in (y, y[:, None], y.astype(labels)):
        np.testing.assert_allclose(nets.accuracy(x, given), expected)
    assert (run.accuracy[:, -8:].mean(axis=1) > 0.9).all()


def test_whole_numbers_are_no_classes_of_a_regression():
    x, y = _two_classes()
    for units, targets in ((1, y[:, None]), (1, np.arange(256)), (3, y[:, None])):
        targets = np.broadcast_to(targets, (256, units)) if units > 1 else targets
        nets = Ensemble(_head(None, units), [0, 1])
        nets.compile("sgd", "mse")
        assert nets.fit(x, targets).accuracy is None
        with pytest.raises(ValueError, match="no classes|integer labels"):
            nets.accuracy(x, targets)


def test_one_hot_labels():
    x, y = _two_classes()
    hot = np.eye(2, dtype="int64")[y]
    nets = Ensemble(_head("softmax", 2), [0, 1])
    nets.compile("adam", "categorical_crossentropy")
    assert nets.fit(x, hot).accuracy is None
    with pytest.raises(ValueError, match="give integer labels, such as np.argmax"):
        nets.accuracy(x, hot)
    assert np.isfinite(nets.accuracy(x, y)).all()
    nets.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="give integer labels, or categorical"):
        nets.fit(x, hot)
    assert nets.fit(x, y[:, None]).accuracy.shape == (2, 8)


def test_a_class_a_step_of_a_sequence():
    def build(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((5, 4)), keras.layers.Dense(3)])

    x = np.random.default_rng(0).normal(size=(64, 5, 4)).astype("float32")
    y = x[..., :3].argmax(-1)
    nets = Ensemble(build, [0, 1])
    nets.compile("adam", _loss("float32"))
    assert nets.fit(x, y, epochs=2).accuracy.shape == (2, 4)
    expected = np.mean(nets.predict(x).argmax(-1) == y, axis=(1, 2))
    np.testing.assert_allclose(nets.accuracy(x, y), expected)


def test_functional_models_with_automatic_names():
    def build(units=8, twist=False):
        i = keras.Input((8,))
        a, b = keras.layers.Dense(units)(i), keras.layers.Dense(units)(i)
        inner = keras.Sequential([keras.layers.Dense(4)])
        return keras.Model(i, keras.layers.Dense(2)(inner(a - b if twist else a + b)))

    assert len(Ensemble(lambda s: build(), range(3))) == 3
    for different in (lambda s: build(8 + s), lambda s: build(twist=s == 1)):
        with pytest.raises(ValueError, match="setting 1 differs from that of 0"):
            Ensemble(different, range(2))

    def wired(crossed):
        i = keras.Input((8,))
        a, b = keras.layers.Dense(8, "relu")(i), keras.layers.Dense(8)(i)
        pair = [b, a] if crossed else [a, b]
        return keras.Model(i, keras.layers.Concatenate()(pair))

    with pytest.raises(ValueError, match="setting True differs"):
        Ensemble(wired, [False, True])


@pytest.mark.parametrize(
    "build, settings, message",
    [
        (_head(None), 3, r"settings=3: give a sequence, .* range\(3\)"),
        (_head(None), None, "settings=None: give a sequence"),
        (_head(None)(0), range(2), "build is a Sequential: give a function"),
        ([1], range(2), "build is a list: give a function"),
    ],
)
def test_arguments_that_are_mixed_up(build, settings, message):
    with pytest.raises(TypeError, match=message):
        Ensemble(build, settings)


def test_datasets_and_lists():
    x, y = _two_classes()
    nets = Ensemble(_head("sigmoid"), [0, 1])
    nets.compile("sgd", "binary_crossentropy")
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    for batches in (dataset, iter(dataset)):
        with pytest.raises(ValueError, match="trains on arrays, x and y"):
            nets.fit(batches)
    with pytest.raises(ValueError, match="y is missing"):
        nets.fit(x)
    assert nets.fit(x.tolist(), y[:, None].tolist()).loss.shape == (2, 8)


def test_repr_names_what_is_trained():
    nets = Ensemble(_head(None), [0, 1])
    assert "2 members of 161 parameters, not compiled" in repr(nets)
    nets.compile("adam", "mse")
    assert "Adam, epochs=0" in repr(nets)


def _dropout(seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((64,)), keras.layers.Dropout(0.5), keras.layers.Dense(10)]
    return keras.Sequential(layers)


def _recurrent_dropout(seed):
    keras.utils.set_random_seed(seed)
    memory = keras.layers.LSTM(3, unroll=True, recurrent_dropout=0.5)
    return keras.Sequential([keras.Input((4, 3)), memory])


def _two_outputs(seed):
    i = keras.Input((4,))
    return keras.Model(i, [keras.layers.Dense(1)(i), keras.layers.Dense(1)(i)])


def _spectral(seed):
    keras.utils.set_random_seed(seed)
    dense = keras.layers.SpectralNormalization(keras.layers.Dense(3))
    return keras.Sequential([keras.Input((4,)), dense])


@pytest.mark.parametrize(
    "build, settings, message",
    [
        (_dense("float32"), [], "settings is empty"),
        (lambda d: models.mlp(d), [1, 2], "setting 2 differs from that of 1"),
        (lambda a: models.mlp(1, activation=a), ["relu", "tanh"], "in more than"),
        (
            lambda c: models.mlp(1, kernel_regularizer=keras.regularizers.L2(c)),
            [0.1, 0.2],
            "one ensemble an architecture",
        ),
        (_dropout, [0, 1], "random numbers"),
        (_recurrent_dropout, [0, 1], "random numbers"),
        (lambda s: models.rnn(4, unroll=False), [0], "unroll=True"),
        (_two_outputs, [0, 1], "several inputs or outputs"),
        (_spectral, [0, 1], "sets its kernel while it runs"),
        (lambda s: keras.Sequential([keras.layers.Dense(2)]), [0], "keras.Input"),
    ],
)
def test_what_cannot_be_an_ensemble(build, settings, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(build, settings)


def test_a_build_that_returns_no_model():
    with pytest.raises(TypeError, match="build returned a int"):
        Ensemble(lambda s: s, [1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"optimizer": 0.1}, "optimizer=0.1: give a Keras optimizer"),
        ({"optimizer": "adafactor"}, "Adafactor looks at whole variables"),
        ({"optimizer": keras.optimizers.Lamb()}, "Lamb looks at whole variables"),
        (
            {"optimizer": keras.optimizers.Adam(), "learning_rates": [1, 2, 3]},
            "one ensemble a rate",
        ),
        (
            {
                "optimizer": keras.optimizers.SGD(weight_decay=0.1),
                "learning_rates": [1, 2, 3],
            },
            "without weight_decay",
        ),
        (
            {"optimizer": keras.optimizers.SGD(), "learning_rates": [1, 2]},
            r"one a member, \(3,\)",
        ),
        (
            {"optimizer": keras.optimizers.SGD(clipnorm=1), "clipping": [{}] * 3},
            "choose one",
        ),
        ({"optimizer": keras.optimizers.SGD(), "clipping": [{}]}, "1 entries for 3"),
        ({"optimizer": keras.optimizers.SGD(use_ema=True)}, "use_ema"),
        (
            {
                "optimizer": keras.optimizers.SGD(
                    clipnorm=1, gradient_accumulation_steps=2
                )
            },
            "choose one of both",
        ),
        (
            {"optimizer": keras.optimizers.SGD(), "clipping": [{"norm": 1}] * 3},
            "give one of clipvalue, clipnorm, global_clipnorm",
        ),
        (
            {"optimizer": keras.optimizers.SGD(), "clipping": [{"clipnorm": 0}] * 3},
            "above 0",
        ),
    ],
)
def test_what_cannot_be_compiled(arguments, message):
    nets = Ensemble(_dense("float32"), SEEDS)
    rates = {"learning_rates": [0.1] * 3}
    nets.compile(keras.optimizers.SGD(), _loss("float32"), **rates)
    before = dict(vars(nets))
    with pytest.raises(ValueError, match=message):
        nets.compile(loss=_loss("float32"), **arguments)
    # it trains as it did before
    assert all(vars(nets)[name] is value for name, value in before.items())


def test_what_would_be_left_out_is_refused():
    def held(seed):
        limit = keras.constraints.MaxNorm(0.1)
        layer = keras.layers.Dense(3, kernel_constraint=limit)
        return keras.Sequential([keras.Input((4,)), layer])

    with pytest.raises(ValueError, match="kernel has a constraint"):
        Ensemble(held, SEEDS)
    decay = keras.optimizers.AdamW()
    decay.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(ValueError, match="exclude_from_weight_decay"):
        Ensemble(_dense("float32"), SEEDS).compile(decay, _loss("float32"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y": np.zeros(3, int)}, "x has 640 samples and y 3"),
        ({"x": np.zeros((640, 5), "float32")}, r"samples of shape \(5,\)"),
        ({"batch_size": 0}, "batch_size=0: give 1 or more"),
        ({"batch_size": 641}, "above the 640 samples"),
        ({"epochs": 0}, "epochs=0"),
        ({"order": [1]}, "order has 1 seeds for 3 members"),
    ],
)
def test_what_cannot_be_fitted(change, message, digits):
    nets = Ensemble(_dense("float32"), SEEDS)
    nets.compile(keras.optimizers.SGD(), _loss("float32"))
    arguments = {"x": digits[0], "y": digits[1]} | change
    with pytest.raises(ValueError, match=message):
        nets.fit(**arguments)


def test_fit_before_compile(digits):
    with pytest.raises(ValueError, match="compile the ensemble before fit"):
        Ensemble(_dense("float32"), SEEDS).fit(*digits)


@pytest.mark.parametrize("together, met", [(8.0, [True, True]), (21.0, [False, False])])
def test_the_benchmark_of_a_gpu(together, met, monkeypatch):
    def interleave(ways, rounds, warm):
        for way in ways.values():
            way()
        return {"fits": np.full(rounds, 15.0), "ensemble": np.full(rounds, together)}

    def small(seed):
        return models.mlp(1, width=2, seed=seed)

    gpus = []
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: gpus if kind else []
    )
    assert benchmark.measure_many(1) == []
    monkeypatch.setattr(benchmark._ratio, "interleave", interleave)
    monkeypatch.setattr(benchmark, "mlp", small)
    for name in ("fit_each", "fit_all"):
        monkeypatch.setattr(benchmark, name, lambda *_, **__: None)
    gpus.append("one")
    limit, fits = benchmark.measure_many(1, members=100, steps=2)
    # 100 fits of 5 s each; 21 s are 23.8 times as fast
    assert fits["median"] == 500 / together and limit["median"] == 20 / together
    assert [limit["met"], fits["met"]] == met
    assert "100 fits 500 s, scaled from 3 of 5.0 s each" in fits["notes"][0]
