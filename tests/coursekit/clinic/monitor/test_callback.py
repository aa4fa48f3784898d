"""The monitor against every way of training, and nothing left behind."""

import copy
import csv
import inspect
import json
import math
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import coursekit
from coursekit.clinic import UnhealthyError
from coursekit.clinic.monitor import _batch, _recorder, _rows, _updates
from coursekit.clinic.monitor._log import Log
from coursekit.clinic.monitor.callback import GradientMonitor

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype("float32")
Y = X[:, :1] - X[:, 1:2]
FIT = {"batch_size": 16, "verbose": 0, "shuffle": False}


def _mlp(**compiled):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, "tanh"), layers.Dense(1)]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse"} | compiled)
    return model


def _expected(model, x, y):
    """Norm of each kernel's gradient, by a tape of its own."""
    loss = keras.losses.MeanSquaredError()
    kernels = [layer.kernel.value for layer in model.layers]
    with tf.GradientTape() as tape:
        tape.watch(kernels)
        value = loss(y, model(x, training=True))
    return float(value), [np.linalg.norm(g) for g in tape.gradient(value, kernels)]


def _clean(model):
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # by where it comes from: a method that Keras renames is none that is missed
    for one in (model, optimizer, inner):
        ours = {n: getattr(v, "__module__", None) for n, v in vars(one).items()}
        assert not [n for n, where in ours.items() if "coursekit" in (where or "")]


@pytest.mark.parametrize(
    "closed, scaled", [((0, 1, 2), False), ((0, 2, 1), False), ((1, 0, 2), True)]
)
def test_models_that_share_an_optimizer_are_closed_in_any_order(closed, scaled):
    optimizer = keras.optimizers.SGD(0.0)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    models = [_mlp(optimizer=optimizer) for _ in closed]
    optimizer.build([v for m in models for v in m.trainable_variables])
    monitors = [GradientMonitor() for _ in models]
    watches = [m.watch(model) for m, model in zip(monitors, models, strict=True)]
    for watch in watches:
        watch.__enter__()
    for done, n in enumerate(closed):
        if done == 2:
            models[n].train_on_batch(X, Y)
        watches[n].__exit__(None, None, None)
        assert ("apply" in vars(optimizer)) == (done < 2)
    for model in models:
        _clean(model)
    # those that were closed hear nothing, the last one still does
    assert [len(m.trace().loss) for m in monitors] == [n == closed[2] for n in range(3)]


def test_the_class_in_place_of_an_instance():
    with pytest.raises(TypeError, match=r"callbacks=\[GradientMonitor\(\)\]"):
        _mlp().fit(X, Y, callbacks=[GradientMonitor], **FIT)


# --- numbers --------------------------------------------------------------


def test_every_step_is_what_a_second_tape_finds():
    model, twin = _mlp(), _mlp()
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], epochs=2, **FIT)
    trace = monitor.trace()
    assert trace.steps.tolist() == list(range(1, 9))
    assert trace.layers == [layer.name for layer in model.layers]
    for n in range(8):
        part = slice(16 * (n % 4), 16 * (n % 4) + 16)
        loss, norms = _expected(twin, X[part], Y[part])
        np.testing.assert_allclose(trace.gradient[n], norms, rtol=1e-4)
        assert trace.loss[n] == pytest.approx(loss, rel=1e-4)
        twin.train_on_batch(X[part], Y[part])
    assert trace.learning_rate == pytest.approx(0.01)
    assert not trace.skipped.any()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("scale", [None, 128.0])
def test_the_total_counts_all_trained_weights_and_no_frozen_ones(exact, scale):
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(5, "tanh", name="frozen")
    model = keras.Sequential(
        [keras.Input((6,)), hidden, layers.BatchNormalization(), layers.Dense(1)]
    )
    hidden.trainable = False
    model.compile(keras.optimizers.SGD(0.0, loss_scale_factor=scale), "mse")
    with tf.GradientTape() as tape:
        loss = keras.losses.MeanSquaredError()(Y[:16], model(X[:16], training=True))
    weights = [weight.value for weight in model.trainable_weights]
    gradients = tape.gradient(loss, weights)
    monitor = GradientMonitor()
    monitor.set_model(model)
    monitor._recorder.exact = exact
    model.fit(X[:16], Y[:16], callbacks=[monitor], **FIT)
    trace = monitor.trace()
    assert len(weights) == 4 and trace.layers[0] == "frozen"
    assert trace.total_gradient[0] == pytest.approx(
        float(tf.linalg.global_norm(gradients)), rel=1e-4
    )
    assert np.isnan(trace.gradient[0, 0])
    # gamma, beta, kernel, bias
    kernel = np.linalg.norm(gradients[2])
    assert trace.gradient[0, -1] == pytest.approx(kernel, rel=1e-4)


def test_training_is_the_same_with_and_without():
    def build():
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8, "relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.Dense(1),
            ]
        )
        model.compile("adam", "mse")
        return model

    plain, watched = build(), build()
    plain.fit(X, Y, epochs=3, **FIT)
    monitor = GradientMonitor()
    watched.fit(X, Y, epochs=3, callbacks=[monitor], **FIT)
    coursekit.diagnose(monitor)
    for a, b in zip(plain.weights, watched.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_update_ratio_is_the_weights_real_change():
    model = _mlp(optimizer=keras.optimizers.SGD(0.5, clipnorm=1e-3))
    before = [layer.kernel.numpy() for layer in model.layers]
    monitor = GradientMonitor()
    model.fit(X[:16], Y[:16], callbacks=[monitor], **FIT)
    trace = monitor.trace()
    after = [layer.kernel.numpy() for layer in model.layers]
    changes = [np.linalg.norm(a - b) for a, b in zip(after, before, strict=True)]
    np.testing.assert_allclose(trace.update[0], changes, rtol=1e-5)
    assert trace.update_steps.tolist() == [1]
    # the clipped update is far smaller than rate times gradient
    assert (trace.update[0] < 0.01 * trace.gradient[0]).all()


def test_updates_are_measured_often_at_first_and_then_now_and_then():
    model, monitor = _mlp(), GradientMonitor()
    x, y = (np.concatenate([data] * 25) for data in (X, Y))
    model.fit(x, y, callbacks=[monitor], epochs=5, **FIT)
    assert monitor.trace().update_steps.tolist() == [1, 51, 101, 151, 201, 401]


def test_weights_that_diverge_are_measured_without_a_warning():
    model = _mlp(optimizer=keras.optimizers.SGD(1e25))
    monitor = GradientMonitor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X[:16], Y[:16], callbacks=[monitor], **FIT)
        trace, report = monitor.trace(), coursekit.diagnose(monitor)
    # squares of entries of 1e22 are beyond float32
    assert 1e20 < trace.weight[0, -1] < np.inf
    assert trace.update[0, -1] == pytest.approx(trace.weight[0, -1], rel=1e-5)
    assert report.verdict == "exploding"


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1.0, 1e25])
def test_norms_neither_underflow_nor_overflow(scale):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), lambda y, z: scale * tf.reduce_mean(z - y))
    monitor = GradientMonitor()
    model.fit(X[:16], Y[:16], callbacks=[monitor], **FIT)
    expected = scale * np.linalg.norm(X[:16].mean(axis=0).astype("float64"))
    assert monitor.trace().gradient[0, 0] == pytest.approx(expected, rel=1e-4)


def _scaled_by(variable):
    """Return a model whose gradient is constant but for a factor."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.0), lambda y, z: variable * tf.reduce_mean(z))
    return model


class _SetAt(keras.callbacks.Callback):
    def __init__(self, variable, step, value):
        super().__init__()
        self.variable, self.step, self.value = variable, step, value

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.step:
            self.variable.assign(self.value)


@pytest.mark.parametrize("scale", [1e-25, 0.0, 1e25])
def test_norms_change_to_float64_when_float32_is_too_small(scale):
    factor = tf.Variable(1.0)
    model, monitor = _scaled_by(factor), GradientMonitor()
    x = np.repeat(X[:1], 250, axis=0)
    callbacks = [monitor, _SetAt(factor, 50, scale)]
    model.fit(x, x[:, :1], batch_size=1, verbose=0, callbacks=callbacks)
    norm = np.linalg.norm(X[0].astype("float64"))
    expected = norm * np.where(np.arange(250) < 50, 1.0, scale)
    np.testing.assert_allclose(monitor.trace().gradient[:, 0], expected, rtol=1e-4)
    assert monitor.trace().first_bad_step is None
    assert monitor._recorder.exact


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_ordinary_run_is_traced_once_and_stays_in_float32(monkeypatch, optimizer):
    calls = []
    inner = _recorder.Recorder.on_gradients

    def counted(self, *args, **kwargs):
        calls.append(self.exact)
        return inner(self, *args, **kwargs)

    monkeypatch.setattr(_recorder.Recorder, "on_gradients", counted)
    x, y = (np.concatenate([data] * 15) for data in (X, Y))
    model = _mlp(optimizer=optimizer)
    model.fit(x, y, epochs=2, callbacks=[GradientMonitor()], **FIT)
    assert calls == [False]


def test_rows_wait_for_one_that_is_exact():
    def rows(*pairs):
        made = np.zeros(len(pairs), _rows.step_type(1))
        made["exact"], made["total"] = np.transpose(pairs)
        made["gradient"] = np.nan
        return made

    both = rows((0, 2.0), (0, 0.0))
    sure, waiting = _rows.settle(both)
    assert (sure["total"].tolist(), waiting["total"].tolist()) == ([2.0], [0.0])
    skipped, exact = rows((np.nan, np.nan)), rows((1, 1e-25))
    assert len(_rows.settle(np.concatenate([waiting, skipped]))[1]) == 2
    sure, waiting = _rows.settle(np.concatenate([waiting, skipped, exact]))
    assert len(waiting) == 0
    np.testing.assert_array_equal(sure["total"], [1e-25, np.nan, 1e-25])


def test_the_probe_gets_the_first_samples_and_losses_are_compared_on_more():
    model, monitor = _mlp(), GradientMonitor()
    start = coursekit.probe(model, X[:32], Y[:32])
    model.fit(
        X, Y, epochs=9, batch_size=40, verbose=0, shuffle=False, callbacks=[monitor]
    )
    trace = monitor.trace()
    x, y, weight = monitor._recorder.batch()
    rows = np.tile(np.arange(64), 8)
    np.testing.assert_array_equal(x, X[rows])
    np.testing.assert_array_equal(y, Y[rows])
    assert weight is None
    np.testing.assert_array_equal(trace.probes[0][1].delta_norm, start.delta_norm)
    assert trace.checks[0].constant_loss == pytest.approx(Y.var(), rel=1e-5)
    of_all = model.evaluate(X, Y, verbose=0)
    assert trace.checks[1].loss == pytest.approx(of_all, rel=1e-5)
    assert trace.probes[1][1].loss != pytest.approx(of_all, rel=1e-2)


@pytest.mark.cpu
def test_nothing_of_the_data_stays_on_the_device():
    """With XLA, and on a GPU, the first samples do."""
    model, monitor = _mlp(), GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], **FIT)
    assert all(tf.size(slot) == 0 for slot in monitor._recorder._batch.slots)


def test_zero_is_zero_only_when_every_entry_is():
    model = _mlp(loss=lambda y, z: 1e-30 * tf.reduce_mean(z))
    monitor = GradientMonitor()
    model.fit(X[:16], Y[:16], callbacks=[monitor], **FIT)
    assert (monitor.trace().gradient > 0).all()
    model = _mlp(loss=lambda y, z: 0 * tf.reduce_mean(z))
    monitor = GradientMonitor()
    model.fit(X[:16], Y[:16], callbacks=[monitor], **FIT)
    assert (monitor.trace().gradient == 0).all()
    assert monitor.trace().total_gradient.tolist() == [0]


# --- ways of training -----------------------------------------------------

WAYS = {
    "plain": {},
    "eagerly": {"run_eagerly": True},
    "compiled by XLA": {"jit_compile": True},
    "several steps an execution": {"steps_per_execution": 3},
    "clipping": {"optimizer": keras.optimizers.SGD(0.01, global_clipnorm=1e-2)},
}


@pytest.mark.parametrize("way", WAYS)
def test_fit(way):
    options = dict(WAYS[way])
    if "optimizer" in options:
        options["optimizer"] = type(options["optimizer"]).from_config(
            options["optimizer"].get_config()
        )
    model = _mlp(**options)
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], epochs=2, **FIT)
    trace = monitor.trace()
    assert trace.steps.tolist() == list(range(1, 9))
    assert np.isfinite(trace.loss).all()
    assert (trace.gradient > 0).all()
    assert (trace.update > 0).all()
    assert len(trace.update) >= 1
    assert [step for step, _ in trace.probes] == [0, 8]
    assert trace.notes == []
    _clean(model)


def test_train_on_batch():
    model = _mlp()
    monitor = GradientMonitor()
    with monitor.watch(model):
        for _ in range(405):
            model.train_on_batch(X[:16], Y[:16])
    trace = monitor.trace()
    assert trace.last_step == 405
    assert trace.loss[-1] < trace.loss[0]
    # the schedule of fit
    assert trace.update_steps.tolist() == [1, 51, 101, 151, 201, 401]
    assert [step for step, _ in trace.probes] == [0, 405]
    _clean(model)
    model.train_on_batch(X[:16], Y[:16])
    assert monitor.trace().last_step == 405


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_custom_loop(compiled, built):
    keras.utils.set_random_seed(0)
    # built by its first call, never compiled
    model = keras.Sequential([layers.Dense(5, "tanh"), layers.Dense(1)])
    if built:
        model.build((None, 6))
    optimizer = keras.optimizers.SGD(0.1)
    loss = keras.losses.MeanSquaredError()
    monitor = GradientMonitor()

    def step(x, y):
        with tf.GradientTape() as tape:
            value = monitor.record_loss(loss(y, model(x, training=True)))
        variables = model.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(value, variables), variables, strict=True)
        )

    with monitor.watch(model, optimizer=optimizer, loss="mse", batch=(X, Y)):
        step = tf.function(step) if compiled else step
        for _ in range(12):
            step(X, Y)
    trace = monitor.trace()
    assert trace.last_step == 12
    assert trace.loss[-1] < trace.loss[0]
    if compiled and not built:
        # weights that are made while the step is traced have no values yet
        assert [step for step, _ in trace.probes] == [12]
        return
    assert [step for step, _ in trace.probes] == [0, 12]
    assert trace.probes[0][1].loss == pytest.approx(trace.loss[0], rel=1e-4)
    assert coursekit.diagnose(monitor).verdict == "healthy"
    assert "apply" not in vars(optimizer)


def test_gradient_accumulation():
    model = _mlp(optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], epochs=2, **FIT)
    trace = monitor.trace()
    assert trace.last_step == 8
    assert (trace.gradient > 0).all()
    # measured over the four steps that make one update
    assert trace.update_steps.tolist() == [4]
    assert (trace.update > 0).all()
    assert not any(f.kind == "still" for f in coursekit.diagnose(monitor).findings)


def _half(scale):
    keras.utils.set_random_seed(0)
    policy = "mixed_float16"
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, "tanh", dtype=policy),
            layers.Dense(1, dtype=policy),
            layers.Activation("linear", dtype="float32"),
        ]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=scale
    )
    model.compile(optimizer, "mse")
    return model


def test_mixed_precision_is_unscaled_and_its_warm_up_no_explosion():
    exact, model = _mlp(), _half(2.0**22)
    monitors = [GradientMonitor(), GradientMonitor()]
    for m, monitor in zip((exact, model), monitors, strict=True):
        m.fit(X, Y, callbacks=[monitor], epochs=8, **FIT)
    wanted, trace = (monitor.trace() for monitor in monitors)
    assert trace.last_step == 32
    skipped = trace.skipped.sum()
    assert 2 < skipped < 15
    assert trace.skipped[:skipped].all()
    first = trace.gradient[skipped]
    part = slice(16 * (skipped % 4), 16 * (skipped % 4) + 16)
    np.testing.assert_allclose(first, _expected(_mlp(), X[part], Y[part])[1], rtol=0.02)
    assert wanted.skipped.sum() == 0
    assert coursekit.diagnose(monitors[1]).verdict == "healthy"
    _clean(model)


def test_second_fit_goes_on_and_does_not_trace_again():
    model = _mlp()
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], **FIT)
    traced = monitor._recorder.traced[1]["train_function"]
    model.fit(X, Y, callbacks=[monitor], **FIT)
    assert monitor._recorder.traced[1]["train_function"] is traced
    assert monitor.trace().steps.tolist() == list(range(1, 9))
    model.fit(X, Y, **FIT)
    assert monitor.trace().last_step == 8
    _clean(model)


def test_callback_list_used_twice():
    model = _mlp()
    monitor = GradientMonitor()
    both = keras.callbacks.CallbackList([monitor], add_history=True, model=model)
    for _ in range(2):
        model.fit(X, Y, callbacks=both, **FIT)
    assert monitor.trace().last_step == 8
    _clean(model)


def test_two_monitors_at_once():
    model = _mlp()
    monitors = [GradientMonitor(), GradientMonitor()]
    model.fit(X, Y, callbacks=monitors, **FIT)
    first, second = (monitor.trace() for monitor in monitors)
    np.testing.assert_array_equal(first.gradient, second.gradient)
    _clean(model)


def test_a_fit_that_was_cut_off_leaves_nothing_to_the_next():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyboardInterrupt

    model = _mlp()
    old, new = GradientMonitor(), GradientMonitor()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, callbacks=[old, Interrupt()], **FIT)
    model.fit(X, Y, callbacks=[new], **FIT)
    assert new.trace().last_step == 4
    _clean(model)
    model.fit(X, Y, **FIT)
    assert (old.trace().last_step, new.trace().last_step) == (2, 4)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, callbacks=[old, Interrupt()], **FIT)
    old.close()
    _clean(model)


def test_evaluate_and_predict_take_nothing_and_leave_nothing():
    """Keras calls `set_model` for these, too."""
    model, monitor = _mlp(), GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], **FIT)
    model.evaluate(X, Y, verbose=0, callbacks=[monitor])
    model.predict(X, verbose=0, callbacks=[monitor])
    _clean(model)
    model.fit(X, Y, **FIT)
    trace = monitor.trace()
    assert trace.last_step == 4 and [step for step, _ in trace.probes] == [0, 4]


def test_no_step_is_lost_where_many_are_one_execution():
    model, monitor = _mlp(steps_per_execution=64), GradientMonitor()
    data = tf.data.Dataset.from_tensors((X, Y)).repeat(64 * 20)
    model.fit(data, callbacks=[monitor], verbose=0)
    assert monitor.trace().steps.tolist() == list(range(1, 64 * 20 + 1))


def test_a_loss_scale_around_accumulated_gradients():
    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    model = _mlp(optimizer=keras.optimizers.LossScaleOptimizer(inner, 1.0))
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], epochs=2, **FIT)
    assert (monitor.trace().update > 0).all()


def test_the_start_is_that_of_a_run_that_goes_on(tmp_path):
    """`BackupAndRestore` puts weights back after the callbacks have their model."""
    model, goal = _mlp(), _mlp()
    goal.fit(X, Y, epochs=5, **FIT)
    back = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: model.set_weights(goal.get_weights())
    )
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor, back], **FIT)
    expected = goal.evaluate(X, Y, verbose=0)
    assert monitor.trace().checks[0].loss == pytest.approx(expected, rel=1e-5)


def test_the_end_is_probed_although_a_callback_puts_other_weights_back():
    model, monitor = _mlp(), GradientMonitor()
    back = keras.callbacks.EarlyStopping("loss", -1e9, 1, restore_best_weights=True)
    fit = {**FIT, "epochs": 4}
    model.fit(X, Y, callbacks=[monitor, back], **fit)
    weights, trace = model.get_weights(), monitor.trace()
    assert [step for step, _ in trace.probes] == [0, 8] and trace.notes == []
    assert all(map(np.array_equal, model.get_weights(), weights))
    model.set_weights([np.zeros_like(w) for w in weights])
    assert trace.checks[1].loss < trace.checks[0].loss


# --- models ---------------------------------------------------------------


def _functional(inputs, outputs, loss="mse", rate=0.01, **compiled):
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(rate), loss, **compiled)
    return model


def _two_in_two_out():
    a, b = keras.Input((6,)), keras.Input((6,))
    h = layers.Concatenate()([layers.Dense(4)(a), layers.Dense(4)(b)])
    model = _functional(
        [a, b],
        [layers.Dense(1, name="p")(h), layers.Dense(1, name="q")(h)],
        ["mse", "mse"],
        rate=1e-5,
        loss_weights=[1e3, 1e-3],
    )
    return model, [X, X], [Y, Y]


def _nested_and_shared():
    block = keras.Sequential([keras.Input((6,)), layers.Dense(6, "tanh", name="in")])
    x = keras.Input((6,))
    return _functional(x, layers.Dense(1, name="out")(block(block(x)))), X, Y


def _frozen():
    x = keras.Input((6,))
    still = layers.Dense(6, "tanh", trainable=False, name="still")
    return _functional(x, layers.Dense(1, name="out")(still(x))), X, Y


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = layers.Dense(5, "relu"), layers.Dense(1)

    def call(self, x):
        return self.out(self.hidden(x))


class OwnStep(Subclassed):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class LossApart(Subclassed):
    def train_step(self, data):
        @tf.function
        def loss_of(x, y):
            return self.compute_loss(x=x, y=y, y_pred=self(x, training=True))

        with tf.GradientTape() as tape:
            loss = loss_of(*data)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def _subclassed(kind=Subclassed):
    model = kind()
    model.compile("sgd", "mse")
    return model, X, Y


def _convolution():
    x = keras.Input((8, 8, 1))
    h = layers.Conv2D(3, 3, activation="relu")(x)
    h = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(h))
    images = RNG.normal(size=(64, 8, 8, 1)).astype("float32")
    return _functional(x, layers.Dense(1)(h)), images, Y


def _tokens(body):
    x = keras.Input((5,), dtype="int32")
    h = layers.Embedding(11, 4)(x)
    if body == "attention":
        h = layers.LayerNormalization()(layers.MultiHeadAttention(2, 2)(h, h))
        h = layers.GlobalAveragePooling1D()(h)
    else:
        h = layers.GRU(4)(h)
    return _functional(x, layers.Dense(1)(h)), RNG.integers(0, 11, (64, 5)), Y


MODELS = {
    "several inputs and outputs": (_two_in_two_out, 4),
    "nested and shared": (_nested_and_shared, 2),
    "frozen": (_frozen, 2),
    "subclassed": (_subclassed, 2),
    "own train_step": (lambda: _subclassed(OwnStep), 2),
    "a loss in a graph of its own": (lambda: _subclassed(LossApart), 2),
    "convolution and norm": (_convolution, 2),
    "embedding and recurrent": (lambda: _tokens("gru"), 3),
    "embedding and attention": (lambda: _tokens("attention"), 6),
}


@pytest.mark.parametrize("kind", MODELS)
def test_models(kind, tmp_path):
    build, columns = MODELS[kind]
    keras.utils.set_random_seed(0)
    model, x, y = build()
    monitor = GradientMonitor()
    model.fit(x, y, callbacks=[monitor], epochs=2, **FIT)
    trace = monitor.trace()
    assert len(trace.layers) == columns
    assert trace.last_step == 8
    assert np.isfinite(trace.loss).all()
    trained = np.ones(columns, bool)
    if kind == "frozen":
        trained = np.array([name != "still" for name in trace.layers])
    assert (trace.gradient[:, trained] > 0).all()
    assert np.isnan(trace.gradient[:, ~trained]).all()
    assert trace.notes == []
    assert set(trace.probes[0][1].layers) <= set(trace.layers)
    found = coursekit.diagnose(monitor)
    # eight steps are few
    assert found.verdict == "healthy" or found.sentence == "early"
    _clean(model)


def test_large_embeddings_are_not_made_dense(monkeypatch):
    monkeypatch.setattr(_recorder, "DENSE_ENTRIES", 10)
    model, x, y = _tokens("gru")
    monitor = GradientMonitor()
    model.fit(x, y, callbacks=[monitor], **FIT)
    assert (monitor.trace().gradient > 0).all()


def test_saved_model_loads_without_coursekit(tmp_path):
    model = _mlp(optimizer="adam")
    path = tmp_path / "model.keras"
    during = tmp_path / "during.keras"
    saving = keras.callbacks.ModelCheckpoint(during)
    model.fit(X, Y, callbacks=[GradientMonitor(), saving], **FIT)
    model.save(path)
    code = (
        "import sys, keras; sys.modules['coursekit'] = None\n"
        "for path in sys.argv[1:]:\n"
        "    model = keras.models.load_model(path)\n"
        "    print(len(model.optimizer.variables))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(path), str(during)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out.split() == [str(len(model.optimizer.variables))] * 2


# --- memory, export, errors -----------------------------------------------


def test_log_is_bounded_and_keeps_the_beginning():
    log = Log(float, kept=64)
    for start in range(0, 10_000, 10):
        log.extend(np.arange(start, start + 10.0))
    rows = log.rows
    assert len(rows) <= 64
    assert rows[:32].tolist() == list(range(32))
    assert rows[-1] > 9_000
    assert (np.diff(rows) > 0).all()


def test_long_loops_keep_the_first_and_the_last_steps(monkeypatch):
    monkeypatch.setattr(_recorder, "ROWS", 8)
    model = _mlp()
    monitor = GradientMonitor()
    with monitor.watch(model):
        for _ in range(30):
            model.train_on_batch(X[:16], Y[:16])
    assert monitor.trace().steps.tolist() == [*range(1, 9), *range(23, 31)]


def test_stop_on():
    model = _mlp(optimizer=keras.optimizers.SGD(1e4))
    monitor = GradientMonitor(stop_on="exploding")
    history = model.fit(X, Y, epochs=100, callbacks=[monitor], **FIT)
    assert len(history.epoch) < 20
    found = coursekit.diagnose(monitor)
    assert found.verdict == "exploding"
    assert f"after step {found.trace.last_step}: Exploding" in monitor.stopped
    assert f"first seen at layer {found.layer}" in monitor.stopped
    model = _mlp()
    monitor = GradientMonitor()
    # a fit goes on while a callback runs, unless that may stop it
    assert monitor.async_safe
    monitor.stop_on = {"exploding", "no_gradient"}
    assert not monitor.async_safe
    assert len(model.fit(X, Y, epochs=3, callbacks=[monitor], **FIT).epoch) == 3
    assert monitor.stopped is None


def test_a_stopped_fit_says_why_unless_it_is_quiet(capsys):
    for verbose in (2, 0):
        model = _mlp(optimizer=keras.optimizers.SGD(1e9))
        monitor = GradientMonitor(stop_on="exploding")
        options = FIT | {"verbose": verbose, "epochs": 9}
        model.fit(X, Y, callbacks=[monitor], **options)
        said = f"GradientMonitor has ended the training {monitor.stopped}."
        assert (said in capsys.readouterr().out) == bool(verbose)


# --- Keras's logs ---------------------------------------------------------


@pytest.mark.parametrize("logs", [True, "layers"])
def test_keras_s_logs_hold_the_mean_norms_of_an_epoch(logs, tmp_path):
    model, path = _mlp(), tmp_path / "log.csv"
    monitor, file = GradientMonitor(logs=logs), keras.callbacks.CSVLogger(path)
    options = FIT | {"epochs": 3, "validation_data": (X, Y)}
    history = model.fit(X, Y, callbacks=[monitor, file], **options).history
    trace = monitor.trace()
    expected = {"gradient_norm": trace.total_gradient}
    if logs == "layers":
        columns = zip(trace.layers, trace.gradient.T, strict=True)
        expected |= {f"gradient_norm/{name}": norms for name, norms in columns}
    assert set(history) == {"loss", "val_loss", *expected}
    rows = list(csv.DictReader(path.open()))
    for name, norms in expected.items():
        means = norms.reshape(3, 4).mean(axis=1)
        np.testing.assert_allclose(history[name], means)
        np.testing.assert_allclose([float(row[name]) for row in rows], means)


def test_keras_s_logs_say_that_no_step_was_taken_and_leave_skipped_ones_out():
    model = _mlp()
    idle = GradientMonitor(logs="layers")
    other = keras.optimizers.SGD()

    def train_step(data):
        other.apply(
            [tf.zeros(v.shape) for v in model.trainable_variables],
            model.trainable_variables,
        )
        return {"loss": 0.0}

    model.train_step = train_step
    history = model.fit(X, Y, callbacks=[idle], epochs=2, **FIT).history
    assert np.isnan(history["gradient_norm"]).all()
    still = keras.optimizers.SGD(0.0)
    scaled = keras.optimizers.LossScaleOptimizer(still, initial_scale=2.0**127)
    model, monitor = _mlp(optimizer=scaled), GradientMonitor(logs=True)
    history = model.fit(X, 100 * Y, callbacks=[monitor], epochs=5, **FIT).history
    skipped = monitor.trace().skipped
    assert skipped[:4].all() and not skipped[-4:].any()
    assert np.isnan(history["gradient_norm"][0])
    assert np.isfinite(history["gradient_norm"][-1])


@pytest.fixture(scope="module")
def recorded():
    model = _mlp()
    monitor = GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], epochs=2, **FIT)
    return monitor


def test_json(recorded, tmp_path):
    recorded.to_json(tmp_path / "run.json")
    content = json.loads((tmp_path / "run.json").read_text())
    trace = recorded.trace()
    assert content["layers"] == trace.layers
    np.testing.assert_array_equal(content["gradient"], trace.gradient)
    assert [p["step"] for p in content["probes"]] == [0, 8]
    assert content["probes"][0]["saturated_fraction"][-1] is None
    assert content["report"]["verdict"] == coursekit.diagnose(recorded).verdict


def test_csv(recorded, tmp_path):
    recorded.to_csv(tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="") as file:
        header, *rows = csv.reader(file)
    trace = recorded.trace()
    assert header == ["step", "loss", "total_gradient", *trace.layers]
    assert [float(v) for v in rows[-1][3:]] == trace.gradient[-1].tolist()
    assert len(rows) == 8


def test_tensorboard(recorded, tmp_path):
    recorded.to_tensorboard(tmp_path)
    found = {}
    (path,) = tmp_path.glob("events*")
    for record in tf.compat.v1.train.summary_iterator(str(path)):
        for value in record.summary.value:
            found.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    trace = recorded.trace()
    np.testing.assert_allclose(found["loss"], trace.loss, rtol=1e-6)
    name = trace.layers[0]
    assert len(found[f"gradient/{name}"]) == 8
    assert len(found[f"update_ratio/{name}"]) == len(trace.update_steps)


def test_bad_use():
    model = _mlp()
    monitor = GradientMonitor()
    with pytest.raises(ValueError, match="no training step: pass it to"):
        coursekit.diagnose(monitor)
    with pytest.raises(ValueError, match="nothing is watched"):
        monitor.record_loss(1.0)
    model.fit(X, Y, callbacks=[monitor], **FIT)
    other = _mlp()
    with pytest.raises(ValueError, match="recorded model .*make a new Grad"):
        other.fit(X, Y, callbacks=[monitor], **FIT)
    with pytest.raises(ValueError, match="logs='all': give False, True or"):
        GradientMonitor(logs="all")
    with pytest.raises(ValueError, match="stop_on='NaN': give one or more of vani"):
        GradientMonitor(stop_on="NaN")
    bare = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="no optimizer: compile it, or pass optimizer"):
        with GradientMonitor().watch(bare):
            pass
    with pytest.raises(TypeError, match="model is a int: give a keras.Model"):
        with GradientMonitor().watch(3, optimizer=keras.optimizers.SGD()):
            pass


def test_a_probe_that_fails_is_noted_and_ends_nothing():
    model = _mlp()
    monitor = GradientMonitor(batch=(X[:3], Y[:2]))
    model.fit(X, Y, callbacks=[monitor], **FIT)
    report = coursekit.diagnose(monitor)
    assert report.verdict == "not_measured"
    failures = [str(f) for f in report.findings if "the probe failed" in str(f)]
    # once, though both ends were to be probed, and with what to do
    assert len(failures) == 1
    assert "x and y hold" in failures[0] and "pass batch=(x, y)" in failures[0]


def test_a_probe_s_failure_is_one_plain_line():
    """Keras colours its messages for terminals, and says much."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    monitor = GradientMonitor(batch=(X[:4, :3], Y[:4]))
    model.fit(X, Y, callbacks=[monitor], **FIT)
    (note,) = monitor.trace().notes
    assert "\x1b" not in note and "\n" not in note and len(note) < 300


def test_a_stateful_model_is_probed_with_its_own_batch():
    model = keras.Sequential(
        [keras.Input(batch_shape=(48, 5, 2)), layers.LSTM(4, stateful=True)]
    )
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    x = RNG.normal(size=(96, 5, 2)).astype("float32")
    monitor = GradientMonitor()
    model.fit(x, x[:, -1, :1], callbacks=[monitor], **FIT | {"batch_size": 48})
    trace = monitor.trace()
    assert trace.notes == [] and len(trace.probes) == 2
    assert len(monitor._recorder.batch()[0]) == 48


def test_a_model_that_cannot_be_probed_may_still_be_known_to_learn():
    """Embeddings alone: no layer with a kernel."""
    keras.utils.set_random_seed(0)
    pair = keras.Input((2,), dtype="int32")
    a, b = (layers.Embedding(9, 4)(pair[:, n]) for n in (0, 1))
    model = keras.Model(pair, keras.ops.sum(a * b, axis=1, keepdims=True))
    model.compile(keras.optimizers.Adam(0.05), "mse")
    x = RNG.integers(0, 9, (256, 2))
    y = (x[:, :1] % 2 * 2.0 - 1) * (x[:, 1:] % 2 * 2.0 - 1)
    monitor = GradientMonitor()
    model.fit(x, y, epochs=15, verbose=0, callbacks=[monitor])
    found = coursekit.diagnose(monitor)
    assert found.trace.loss[-5:].mean() < 0.5 * y.var()
    assert found.trace.constant_loss == pytest.approx(y.var(), rel=1e-2)
    assert found.verdict == "healthy"


@pytest.mark.parametrize("way", ["plain", "compiled by XLA"])
def test_samples_of_several_small_batches_are_kept(way, monkeypatch):
    monkeypatch.setattr(_batch, "COMPARED", 32)
    model = _mlp(**WAYS[way])
    monitor = GradientMonitor()
    options = FIT | {"batch_size": 12}
    model.fit(X[:60], Y[:60], callbacks=[monitor], **options)
    x, y, _ = monitor._recorder.batch()
    np.testing.assert_array_equal(x, X[:32])
    np.testing.assert_array_equal(y, Y[:32])
    # and the targets of all, for the baseline
    np.testing.assert_array_equal(monitor._recorder.targets, Y[:60])
    assert monitor._recorder.batch_size == 12
    assert monitor.trace().constant_loss == pytest.approx(Y[:60].var(), rel=1e-5)


@pytest.mark.parametrize(
    "width, kept", [(1, 512), (511, 512), (1023, 256), (2**13, 32), (2**18, 32)]
)
def test_more_samples_are_kept_while_they_are_few_numbers(width, kept):
    for alone in (True, False):
        batch = tf.zeros([64, width]), tf.zeros([64, 1]), None
        room = _batch.room_for(batch, None, alone, not alone)
        for _ in range(9):
            room.take(batch, alone)
            room.keep()
        assert [len(part) for part in room.numpy()[:2]] == [kept, kept]


@pytest.mark.parametrize(
    "size, width, kept", [(3, 1, 96), (3, 2**10, 64), (100, 1, 3200), (5, 2**17, 1)]
)
def test_both_ways_keep_the_same_targets(size, width, kept):
    """Of 32 batches, and 65,536 numbers, at most; 40 batches come."""
    found = []
    for alone in (True, False):
        x, y = tf.zeros([size, 2], tf.float16), tf.zeros([size, width], tf.uint8)
        room = _batch.room_for((x, y, None), 32, alone, not alone)
        for n in range(40):
            room.take((x + n, y + n, None), alone)
            room.keep()
        x, y, weights = room.numpy()
        assert (x.dtype, y.dtype, weights) == ("float16", "uint8", None)
        assert x[:, 0].tolist() == np.repeat(range(40), size)[:32].tolist()
        found.append((room.targets, room.size_of_one))
    for targets, first in found:
        assert (len(targets), first) == (kept, size)
        assert targets[:, 0].tolist() == np.repeat(range(40), size)[:kept].tolist()


def test_samples_of_changing_sizes_are_those_of_one_batch():
    x, y = tf.ones([3, 4]), tf.ones([3], tf.int64)
    changing = tf.TensorSpec([None, None]), tf.TensorSpec([None], tf.int64)
    room = _batch.FirstBatch((*changing, None), 2)
    room.take((x, y, None), False)
    room.take((2 * x[:, :3], 2 * y, None), False)
    assert [a.tolist() for a in room.numpy()[:2]] == [[[1.0] * 4] * 2, [1, 1]]
    assert room.targets.tolist() == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("alone", [True, False])
def test_batches_with_other_parts_or_shapes_are_left_out(alone):
    """As those of a second training may be: they must not end it."""
    x, y, weights = tf.ones([2, 3]), tf.ones([2, 1]), tf.ones([2])
    later = [(x, None, None), (x, y, None), ([x, x], y, weights)]
    later += [] if alone else [(tf.ones([2, 4]), y, weights), (x, y[:, 0], weights)]
    room = _batch.room_for((x, y, weights), 8, alone, False)
    for batch in ((x, y, weights), *later):
        room.take(batch, alone)
        room.keep()
        room.release()
    assert [len(part) for part in room.numpy()] == [2, 2, 2]


def test_room_that_was_not_written_is_no_batch_of_zeros():
    """A probe of zeros finds no gradient in a healthy model."""
    batch = tf.ones([4, 3]), tf.ones([4, 2], tf.int32), None
    room = _batch.FirstBatch(batch, 8)
    room.take(batch, False)
    assert room.numpy()[1].tolist() == [[1, 1]] * 4
    for part in (room._kept, room._targets):
        part._size.assign(6)
    assert room.numpy() is None
    assert room.targets is None


def test_samples_that_were_lost_on_the_device_are_no_batch():
    """Whatever reads a device's memory as zeros, or its axes in another order."""
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 3)).astype("float32")
    x[0], x[1, 0, 0] = 0, (np.nan, np.inf, -1e38)
    batch = tf.constant(x), tf.constant(np.eye(3, 10), tf.uint8), None
    room = _batch.FirstBatch(batch, 4)
    tf.function(lambda: room.take(batch, False), jit_compile=True)()
    np.testing.assert_array_equal(room.numpy()[0], x)
    for slot in room._kept._slots:
        rows = slot.numpy().copy()
        turned, one_lost = rows.copy(), rows.copy()
        # the same numbers, along other axes
        turned[2] = turned[2].ravel()[::-1].reshape(turned[2].shape)
        one_lost[2] = 0
        for other in (np.zeros_like(rows), one_lost, turned):
            slot.assign(other)
            assert room.numpy() is None
        slot.assign(rows)
        assert room.numpy() is not None


def test_a_copy_is_told_from_the_monitor_that_trained():
    monitor = GradientMonitor(stop_on="exploding")
    twin = copy.deepcopy(monitor)
    _mlp().fit(X, Y, callbacks=[twin], **FIT)
    assert twin.trace().last_step == 4 and twin.stop_on == {"exploding"}
    with pytest.raises(ValueError, match="a copy of it was made"):
        monitor.trace()
    with pytest.raises(ValueError, match="cannot be copied"):
        copy.deepcopy(twin)


def _units_or_numbers(remedies):
    assert remedies[0].code == "keras.layers.Dense(4, activation='softmax')"
    assert remedies[1].code.startswith("y = np.unique(y")


@pytest.mark.parametrize("eager", [False, True])
def test_labels_that_stop_the_first_step_are_named_and_mended(eager):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])
    loss = "sparse_categorical_crossentropy"
    model.compile("sgd", loss, run_eagerly=eager, jit_compile=False)
    monitor = GradientMonitor()
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        model.fit(X, np.arange(64) % 3 + 1, callbacks=[monitor], **FIT)
    found = coursekit.diagnose(monitor)
    assert found.verdict == "not_measured"
    assert "the first step did not end" in str(found)
    assert "the labels go from 1 to 3, outside of the classes 0 to 2" in str(found)
    _units_or_numbers(found.remedies)
    with pytest.raises(UnhealthyError, match="Not measured.*Try first: Give the"):
        found.check()


def test_labels_of_which_xla_makes_nan_are_named():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    monitor = GradientMonitor()
    # the samples of the probe have no bad one
    labels = np.arange(64) % 3 + (np.arange(64) > 40)
    model.fit(X, labels, callbacks=[monitor], **FIT)
    found = coursekit.diagnose(monitor)
    assert (found.verdict, found.sentence) == ("exploding", "sudden")
    assert "the labels go from 0 to 3, outside of the classes 0 to 2" in str(found)
    _units_or_numbers(found.remedies)


def _with_bad(part):
    """Return data of four batches: in the third, one number of a part is bad."""
    data = {"inputs": X.copy(), "targets": Y.copy(), "weights": np.ones(64, "float32")}
    data[part].flat[-17 * (data[part].size // 64)] = (
        np.inf if part == "inputs" else np.nan
    )
    return data.values()


def _no_compute_loss(self, data):
    x, y, _ = data
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((y - self(x, training=True)) ** 2)
    weights = self.trainable_weights
    self.optimizer.apply(tape.gradient(loss, weights), weights)
    return {"loss": loss}


BAD_WAYS = {
    "plain": {},
    "compiled by XLA": {"jit_compile": True},
    "several steps an execution": {"steps_per_execution": 2},
    "eagerly": {"run_eagerly": True},
    "a loss scale": {
        "optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), 1.0)
    },
}


@pytest.mark.parametrize("part", ["inputs", "targets", "weights"])
@pytest.mark.parametrize("way", ["plain", "compiled by XLA"])
def test_what_is_not_finite_is_named_with_its_step(way, part):
    _bad_batch_is_named(_mlp(**BAD_WAYS[way]), part)


@pytest.mark.parametrize("way", list(BAD_WAYS)[2:])
def test_targets_that_are_not_finite_are_named_however_fit_runs(way):
    _bad_batch_is_named(_mlp(**BAD_WAYS[way]), "targets")


@pytest.mark.parametrize("xla", [False, True])
def test_a_bad_batch_of_a_train_step_without_compute_loss_is_named(xla):
    model = _mlp(jit_compile=xla)
    model.train_step = _no_compute_loss.__get__(model)
    _bad_batch_is_named(model, "inputs")


def _bad_batch_is_named(model, part):
    monitor, (x, y, weights) = GradientMonitor(), _with_bad(part)
    model.fit(x, y, sample_weight=weights, callbacks=[monitor], **FIT)
    found = coursekit.diagnose(monitor)
    assert found.verdict == "exploding" and found.trace.first_bad_step == 3
    assert f"the {part} of step 3 hold numbers that are not finite" in str(found)
    assert any(f.kind == "bad_data" for f in found.findings)


def test_data_are_not_blamed_for_what_the_model_makes_of_them():
    """A layer may read NaN as missing; a step may explode beside finite data."""
    keras.utils.set_random_seed(0)
    fill = layers.Lambda(lambda x: tf.where(tf.math.is_nan(x), 0.0, x))
    model = keras.Sequential([keras.Input((6,)), fill, layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=True)
    monitor, (x, y, _) = GradientMonitor(), _with_bad("weights")
    x[3] = np.nan
    model.fit(x, y, callbacks=[monitor], **FIT)
    assert monitor.trace().first_bad_step is None
    found = coursekit.diagnose(monitor)
    assert found.findings == found.remedies == ()
    model, monitor = _mlp(optimizer=keras.optimizers.SGD(1e30)), GradientMonitor()
    model.fit(X, Y, callbacks=[monitor], **FIT)
    assert monitor.trace().first_bad_step and monitor.trace().notes == []


def _masked(y, z):
    """A loss that leaves NaN out."""
    known = tf.math.is_finite(y)
    return tf.reduce_mean(tf.where(known, tf.where(known, y, 0.0) - z, 0.0) ** 2)


def test_targets_that_a_loss_leaves_out_are_no_bad_data():
    """Neither in a good training, nor in one that explodes for another reason."""
    y = np.where(np.arange(64)[:, None] % 3, Y, np.nan)
    for rate, verdict in ((0.01, "not_measured"), (1e30, "exploding")):
        model = _mlp(loss=_masked, optimizer=keras.optimizers.SGD(rate))
        monitor = GradientMonitor()
        model.fit(X, y, callbacks=[monitor], **FIT)
        found = coursekit.diagnose(monitor)
        assert found.verdict == verdict
        assert "bad_data" not in {f.kind for f in found.findings}
        assert not any("isfinite" in remedy.code for remedy in found.remedies)


class Alone(keras.Model):
    """A train step that gets inputs alone, as that of an autoencoder."""

    def train_step(self, data):
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((x - self(x, training=True)) ** 2)
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def test_a_bad_batch_of_inputs_alone_is_named():
    keras.utils.set_random_seed(0)
    i = keras.Input((6,))
    model, monitor = Alone(i, layers.Dense(6)(i)), GradientMonitor()
    model.compile("sgd")
    model.fit(list(_with_bad("inputs"))[0], callbacks=[monitor], **FIT)
    assert "the inputs of step 3 hold" in str(coursekit.diagnose(monitor))


def test_inputs_that_a_loop_does_not_show_are_not_taken_for_finite():
    model, monitor = _mlp(), GradientMonitor()
    with monitor.watch(model, batch=(X, Y)):
        for x in (X, np.nan * X):
            with tf.GradientTape() as tape:
                loss = model.compute_loss(y=Y, y_pred=model(x, training=True))
            weights = model.trainable_weights
            model.optimizer.apply(tape.gradient(loss, weights), weights)
    found = coursekit.diagnose(monitor)
    assert "the batch of step 2 was not seen, or not all of it" in str(found)
    assert not {f.kind for f in found.findings} & {"bad_data", "function"}


def test_what_stands_in_the_step_is_not_translated_by_autograph(monkeypatch):
    """It warns where it cannot."""
    seen = []

    def in_step(self, step):
        names = [frame.filename for frame in inspect.stack()[:2]]
        seen.append(any("autograph_generated" in name for name in names))

    monkeypatch.setattr(_updates.InsideTheStep, "in_step", in_step)
    model, monitor = _mlp(), GradientMonitor(batch=(X, Y))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        weights = model.trainable_weights
        model.optimizer.apply(tape.gradient(loss, weights), weights)

    with monitor.watch(model):
        step(tf.constant(X), tf.constant(Y))
    assert seen and not any(seen)


def test_of_a_loop_of_one_s_own_the_batches_are_not_known():
    model, monitor = _mlp(), GradientMonitor()
    with monitor.watch(model, loss="mse", batch=(X, Y)):
        for y in (Y, np.nan * Y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((y - model(X)) ** 2)
            weights = model.trainable_weights
            gradients = tape.gradient(monitor.record_loss(loss), weights)
            model.optimizer.apply(gradients, weights)
    found = coursekit.diagnose(monitor)
    assert "the batch of step 2 was not seen" in str(found)
    assert not any(f.kind == "bad_data" for f in found.findings)


@pytest.mark.parametrize("weights", [None, 2.0, [1.0] * 4, [math.nan, 1.0, 1.0, 1.0]])
def test_weights_may_be_plain_numbers(weights):
    model, monitor = _mlp(), GradientMonitor()
    with monitor.watch(model):
        for _ in range(2):
            with tf.GradientTape() as tape:
                outputs = model(X[:4], training=True)
                loss = model.compute_loss(X[:4], Y[:4], outputs, weights)
            wanted = model.trainable_weights
            model.optimizer.apply(tape.gradient(loss, wanted), wanted)
    bad = 1 if np.isnan(weights or 0.0).any() else None
    assert monitor.trace().first_bad_step == bad
    said = "the weights of step 1 hold" in str(coursekit.diagnose(monitor))
    assert said == (bad == 1)


def test_a_loss_told_after_its_step_is_no_explosion():
    model, monitor = _mlp(), GradientMonitor()
    loss = keras.losses.MeanSquaredError()
    with monitor.watch(model, loss="mse", batch=(X, Y)):
        for _ in range(12):
            with tf.GradientTape() as tape:
                value = loss(Y, model(X, training=True))
            weights = model.trainable_variables
            model.optimizer.apply(tape.gradient(value, weights), weights)
            monitor.record_loss(value)
    trace = monitor.trace()
    assert np.isnan(trace.loss[0]) and np.isfinite(trace.loss[1:]).all()
    assert trace.first_bad_step is None
    assert any("before optimizer.apply" in note for note in trace.notes)


def test_what_it_is_can_be_read():
    monitor = GradientMonitor()
    assert "no training" in repr(monitor)
    _mlp().fit(X, Y, callbacks=[monitor], **FIT)
    assert "4 steps" in repr(monitor)


# --- XLA and GPUs -----------------------------------------------------------------


def _classifier(body, shape):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(shape), *body, layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=True)
    return model, RNG.normal(size=(64, *shape)).astype("float32")


def _tokens_under_xla():
    model, _, _ = _tokens("attention")
    model.compile("sgd", "mse", jit_compile=True)
    return model, RNG.integers(0, 11, (64, 5)).astype("int32")


UNDER_XLA = {
    "MLP": lambda: _classifier([layers.Dense(5, "relu")], (6,)),
    "CNN": lambda: _classifier(
        [layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Flatten()], (8, 8, 1)
    ),
    "LSTM": lambda: _classifier([layers.LSTM(4)], (5, 2)),
    "integer inputs": _tokens_under_xla,
}


def _variables(thing, seen):
    """Return the variables that an object of the monitor's package holds."""
    if id(thing) in seen:
        return []
    seen[id(thing)] = thing
    if isinstance(thing, tf.Variable):
        return [thing]
    if isinstance(thing, list | tuple | dict):
        parts = thing.values() if isinstance(thing, dict) else thing
        return [v for part in parts for v in _variables(part, seen)]
    if type(thing).__module__.startswith("coursekit.clinic.monitor"):
        parts = vars(thing).items()
        return [v for name, p in parts if name != "start" for v in _variables(p, seen)]
    return []


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("kind", UNDER_XLA)
def test_xla_may_write_every_variable(kind, steps):
    """On a GPU TensorFlow holds int32 variables in the host's memory."""
    model, x = UNDER_XLA[kind]()
    y = RNG.integers(0, 3, 64).astype("int32")
    model.steps_per_execution = steps
    monitor = GradientMonitor()
    model.fit(x, y, callbacks=[monitor], epochs=2, **FIT)
    trace = monitor.trace()
    assert trace.last_step == 8 and (trace.gradient > 0).all()
    assert [step for step, _ in trace.probes] == [0, 8] and trace.notes == []
    found = _variables(monitor._recorder, {})
    assert len(found) >= 7
    for variable in found:
        assert variable.dtype.is_floating or variable.dtype in (tf.int64, tf.bool)
    kept, labels, _ = monitor._recorder.batch()
    # two epochs, or what there is room for
    rows = np.tile(np.arange(64), 2)[: len(kept)]
    assert len(kept) > 32
    np.testing.assert_array_equal(kept, x[rows])
    np.testing.assert_array_equal(labels, y[rows])
    assert (kept.dtype, labels.dtype) == (x.dtype, y.dtype)


def test_a_train_step_that_is_a_tf_function_runs_on_without_the_monitor():
    class Own(keras.Sequential):
        @tf.function
        def train_step(self, data):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(data[0], training=True) - data[1]) ** 2)
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    model = Own([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd")
    x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
    model.fit(x, y, verbose=0, callbacks=[GradientMonitor()])
    model.fit(x, y, verbose=0)
    assert int(model.optimizer.iterations) == 2
