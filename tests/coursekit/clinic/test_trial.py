"""Remedies tried on copies: what helps is found, and the model is left alone."""

import random
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import coursekit
from coursekit.clinic import _copies
from coursekit.clinic import trial as trial_module
from coursekit.clinic._copies import LATE, share_learned
from coursekit.clinic.trial import BETTER, PLANNED, Attempt, Trial

layers = keras.layers
RNG = np.random.default_rng(3)
X = RNG.normal(size=(192, 6)).astype("float32")
K = (X[:, 0] + X[:, 1] > 0).astype("int64")
DATASET = tf.data.Dataset.from_tensor_slices((X, K)).batch(8)
QUICK = {"steps": 60, "seconds": 300, "verbose": False}


def net(*hidden, head=None, loss="mse", rate=0.05, optimizer=None):
    model = keras.Sequential([keras.Input((6,)), *hidden, head or layers.Dense(1)])
    model.compile(optimizer or keras.optimizers.SGD(rate), loss)
    return model


def dense(**options):
    return layers.Dense(16, **{"activation": "relu"} | options)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(2)


@pytest.fixture(scope="module")
def softmax_of_one():
    """Return a model, what it was before, and its trial."""
    keras.utils.set_random_seed(2)
    model = net(dense(), dense(), head=layers.Dense(1, "softmax"), rate=0.5)
    before = state(model)
    return model, before, coursekit.try_remedies(model, X, K[:, None], **QUICK)


def state(model):
    """Return all that a trial must leave as it was."""
    optimizer = model.optimizer
    return (
        [np.array(v) for v in model.variables],
        [np.array(v) for v in optimizer.variables],
        (id(optimizer), model.loss, id(model.train_function)),
        [vars(layer).keys() for layer in model.layers],
        [layer.get_config() for layer in model.layers],
        (random.getstate(), np.random.get_state()[1].tolist()),
    )


def test_the_cure_is_found_and_its_lines_are_printed(softmax_of_one):
    _, _, trial = softmax_of_one
    assert trial.best.code == "keras.layers.Dense(1, activation='sigmoid')"
    control, *others = trial.attempts
    assert control.remedy is None and control.verdict == "control"
    cured = next(a for a in others if a.remedy is trial.best)
    assert cured.verdict == "trains" and len(cured.shares) == 2
    assert min(cured.shares) > max(control.shares) + BETTER
    assert all(a.verdict == "no better" for a in others if a is not cured)
    text, panel = str(trial), trial._repr_html_()
    for word in ("nothing (the control)", trial.best.code, "trains", "share learned"):
        assert word in text
    assert panel.count("<tr>") == len(trial.attempts) + 1 and "activation=" in panel


def test_the_model_and_the_random_state_are_left_alone(softmax_of_one):
    model, before, _ = softmax_of_one
    keras.utils.set_random_seed(2)
    net(dense(), dense(), head=layers.Dense(1, "softmax"), rate=0.5)
    after = state(model)
    keras.tree.map_structure(np.testing.assert_array_equal, before[:2], after[:2])
    assert [list(k) for k in before[3]] == [list(k) for k in after[3]]
    assert before[2] == after[2] and before[4] == after[4]


def test_tensorflow_draws_what_it_would_have_drawn():
    def draws(trial):
        keras.utils.set_random_seed(7)
        model = net(dense(), layers.Dropout(0.5))
        if trial:
            coursekit.try_remedies(model, X, X[:, :1], steps=10, seconds=0)
        state = random.random(), np.random.rand()
        return *state, tf.random.uniform(()).numpy(), float(keras.random.uniform(()))

    assert draws(False) == draws(True)


def test_targets_in_millions(capsys):
    y = 1e6 + 1e5 * X[:, 0]
    trial = coursekit.try_remedies(net(dense()), X, y, **QUICK)
    assert trial.best.code == "y = (y - y.mean(axis=0)) / (y.std(axis=0) + 1e-7)"
    assert trial.attempts[0].verdict == "control"
    assert capsys.readouterr().out == ""


def test_labels_that_the_loss_refuses():
    model = net(
        dense(),
        head=layers.Dense(2, "softmax"),
        loss="sparse_categorical_crossentropy",
        rate=0.5,
    )
    trial = coursekit.try_remedies(model, X, K + 1, **QUICK)
    # renumbered labels do as well: the one nearest to the cause counts
    assert trial.best.code == "keras.layers.Dense(3, activation='softmax')"
    cured = [a.remedy.code for a in trial.attempts if a.verdict == "trains"]
    assert any(code.startswith("y = np.unique(y") for code in cured)


@pytest.mark.parametrize("samples", [_copies.ENOUGH - 1, _copies.ENOUGH, 840])
def test_noise_is_no_cure(samples):
    """From so many samples on a quarter is held back; two hundred tell by heart."""
    few = samples < _copies.ENOUGH
    x = RNG.normal(size=(samples, 20)).astype("float32")
    labels = RNG.integers(0, 2, samples)
    model = keras.Sequential(
        [keras.Input((20,)), *(layers.Dense(64, "relu") for _ in range(2))]
    )
    model.add(layers.Dense(1, "sigmoid"))
    model.compile("adam", "binary_crossentropy")
    settings = {"steps": 150, "seeds": 1, "seconds": 300, "verbose": False}
    trial = coursekit.try_remedies(model, x, labels, **settings)
    verdicts = {a.verdict for a in trial.attempts}
    assert (verdicts & {"trains", "better"} == set()) == (not few)
    assert ("by heart" in verdicts) == (samples == 840)
    told = f"{samples // 4} samples that no copy was trained on"
    assert (told in str(trial)) == (not few)
    assert ("too few to hold some back" in str(trial)) == bool(few)


def test_a_healthy_model_needs_nothing():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model = net(
        dense(kernel_initializer="he_normal"), loss=loss, optimizer="adam", rate=0
    )
    model.optimizer.learning_rate = 0.05
    trial = coursekit.try_remedies(model, X, K, **QUICK)
    assert trial.best is None and "Nothing beats the control" in str(trial)
    assert min(trial.attempts[0].shares) > 0.8


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.two = dense(kernel_initializer="zeros"), layers.Dense(1)

    def call(self, x):
        return self.two(self.one(x))


def own():
    model = Own()
    model.compile(keras.optimizers.SGD(0.05), "mse")
    model(X[:1])
    return model


def test_a_subclassed_model_without_a_builder_says_what_was_not_tried():
    model = own()
    before = model.get_weights()
    trial = coursekit.try_remedies(model, X, X[:, 0], **QUICK)
    assert trial.best is None
    assert any("give a function that builds it" in why for _, why in trial.skipped)
    assert "Not tried: Draw the kernels" in str(trial)
    keras.tree.map_structure(np.testing.assert_array_equal, before, model.get_weights())


def test_functions_of_ones_own_are_copied():
    halved = layers.Lambda(lambda h: h / 2)
    model = net(dense(activation=lambda h: h * 3), halved, dense())
    copy = _copies._clone(model, {}, keep=True)
    np.testing.assert_allclose(copy(X), model(X), rtol=1e-6)


def test_layers_that_are_changed_are_made_anew_in_their_place():
    parts = [layers.Dense(4), layers.ReLU(), layers.Dropout(0.9), dense()]
    parts[3].trainable = False
    head = layers.Reshape((16, 1)), layers.SimpleRNN(3), layers.Dense(1)
    model = net(*parts, *head[:2], head=head[2])
    changes = ({"activation": "tanh"}, {"rate": 0.2}, {"trainable": True})
    changes = dict(zip([p.name for p in parts[1:]], changes, strict=True))
    changes[head[1].name] = {"kind": "LSTM"}
    copy = _copies._clone(model, changes, keep=True)
    _, _, active, dropped, thawed, _, cells, _ = copy.layers
    assert active.activation is keras.activations.tanh and dropped.rate == 0.2
    assert thawed.trainable and isinstance(cells, layers.LSTM)
    np.testing.assert_array_equal(thawed.kernel, parts[3].kernel)


def test_a_function_that_builds_it_opens_its_layers():
    trial = coursekit.try_remedies(own, X, X[:, 0], **QUICK)
    cured = [a for a in trial.attempts if a.verdict == "trains"]
    assert any("kernel_initializer" in a.remedy.code for a in cured)


def test_a_trained_model_is_drawn_anew():
    model = net(dense(), rate=1e9)
    model.fit(X, X[:, :1], verbose=0)
    assert not np.isfinite(model.get_weights()[0]).all()
    trial = coursekit.try_remedies(model, X, X[:, :1], steps=20, seconds=0)
    assert "drawn anew" in " ".join(trial.notes)
    lowered = coursekit.try_remedies(model, X, X[:, :1], **QUICK)
    assert not np.isfinite(lowered.attempts[0].shares).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_an_optimizer_around_or_below_keras_s(policy):
    class Mine(keras.optimizers.SGD):
        pass

    keras.config.set_dtype_policy(policy)
    try:
        model = net(dense(), optimizer=Mine(0.05))
        trial = coursekit.try_remedies(model, X, X[:, :1], **QUICK)
    finally:
        keras.config.set_dtype_policy("float32")
    assert trial.attempts[0].shares[0] > 0.5
    assert not any("Error" in why for _, why in trial.skipped)


def test_what_was_adapted_or_frozen_stays():
    """Also where the other weights are drawn anew."""
    x = X * [1, 50, 1, 1, 1, 1] + [0, 300, 0, 0, 0, 0]
    scaled = layers.Normalization()
    scaled.adapt(x)
    frozen = layers.Dense(2, use_bias=False, trainable=False)
    model = net(scaled, frozen, dense())
    kernel = np.zeros((6, 2))
    kernel[0, 0] = kernel[1, 1] = 1.0
    frozen.set_weights([kernel])
    for _ in range(2):
        trial = coursekit.try_remedies(model, x, X[:, :1], **QUICK)
        assert trial.attempts[0].shares[0] > 0.8
        model.fit(x, X[:, :1], verbose=0)


def test_words_and_places_are_rebuilt():
    """A table has no weights; a softmax over places takes a mask, others do not."""
    words = RNG.choice([10, 20, 30, 40], size=(64, 3))
    table = layers.IntegerLookup()
    table.adapt(words)
    inside = table, layers.Embedding(8, 4), layers.Dense(1)
    places = [layers.Softmax(axis=1), layers.Reshape((3,))]
    given = keras.Input((3,), dtype="int64")
    model = keras.Sequential([given, *inside, *places])
    model.compile(keras.optimizers.Adam(0.05), "categorical_crossentropy")
    y = np.eye(3)[np.argmax(words, axis=1)]
    trial = coursekit.try_remedies(model, words, y, **QUICK)
    assert len(trial.attempts) > 2 and trial.attempts[0].shares[0] > 0.3
    assert not any("Error" in why for _, why in trial.skipped)
    assert "softmax of one unit" not in str(coursekit.diagnose(model, words, y))


def test_a_feature_that_is_never_a_number_does_not_cost_the_samples():
    x = X.copy()
    x[:, 3] = np.nan
    trial = coursekit.try_remedies(net(dense()), x, X[:, :1], **QUICK)
    assert trial.best.code.startswith("x = np.where(np.isfinite(x), x, 0)")


def test_without_time_the_rest_is_not_tried():
    trial = coursekit.try_remedies(net(dense()), X, X[:, :1], steps=10, seconds=0.0)
    assert len(trial.attempts) == 1 and trial.best is None
    assert "The 0 s were over after 10 of 10 steps" in trial.ended
    assert {why for _, why in trial.skipped} <= {LATE, PLANNED}


def test_a_trial_keeps_to_its_time(monkeypatch):
    """A clock of its own: each look at it, between chunks of steps, is a second."""
    looks = iter(range(10_000))
    clock = SimpleNamespace(monotonic=lambda: float(next(looks)))
    for module in (_copies, trial_module):
        monkeypatch.setattr(module, "time", clock)
    settings = {"steps": 30, "seconds": 24.0, "verbose": False}
    trial = coursekit.try_remedies(net(dense()), X, X[:, :1], **settings)
    chunks = sum(a.steps * len(a.shares) for a in trial.attempts) / _copies.CHUNK
    assert 1 < len(trial.attempts) and chunks < 24
    assert {why for _, why in trial.skipped} <= {LATE, PLANNED}
    # beyond the time each remedy that is left costs a look
    assert next(looks) < 24 + 2 * len(trial.skipped) + 10


@pytest.mark.parametrize(
    "cost, beside, number, steps",
    [(0.001, 0, 9, 200), (0.1, 0, 4, 50), (0.001, 2, 9, 200), (0.01, 3, 5, 90)],
)
def test_few_remedies_are_tried_for_long_where_all_would_be_too_short(
    monkeypatch, cost, beside, number, steps
):
    """Five seconds to compile, a cost for each step, and what is measured beside."""
    now, cures = [0.0], [coursekit.clinic.Remedy("t", str(n), "lab") for n in range(9)]

    def run(remedy, seed, steps):
        now[0] += cost * steps + beside + (steps == _copies.CHUNK) * 5
        return _copies.Run(0.0, steps, seconds=cost * steps)

    model = net(dense())
    copies = SimpleNamespace(run=run, model=model, x=X, y=X, until=45.0, norm=1.0)
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(trial_module, "time", clock)
    monkeypatch.setattr(trial_module, "advice", lambda *_: tuple(cures))
    assert trial_module._plan(copies, 200) == (tuple(cures), number, steps)
    copies.notes = []
    trial = trial_module._tried(copies, cures, 60, 1, False, number)
    assert len(trial.attempts) == number + 1 and len(trial.skipped) == 9 - number


def test_only_those_that_lead_are_tried_with_other_seeds():
    cures = [coursekit.clinic.Remedy(str(n), str(n), "lab") for n in range(9)]

    def run(remedy, seed, steps):
        return _copies.Run(0.0 if remedy is None else 0.5, steps)

    copies = SimpleNamespace(run=run, notes=[])
    trial = trial_module._tried(copies, cures, 60, 2, False)
    assert sum(len(a.shares) == 2 for a in trial.attempts[1:]) == 5


def test_the_best_is_nearest_to_the_cause_among_those_alike():
    from coursekit.clinic.trial import _best

    near, far, once = (
        Attempt(coursekit.clinic.Remedy(t, t, "lab"), shares, 60, "trains")
        for t, shares in [("a", (0.8, 0.8)), ("b", (0.84, 0.83)), ("c", (0.99,))]
    )
    assert _best((near, far, once)) is near.remedy
    behind = Attempt(near.remedy, (0.7, 0.7), 60, "trains")
    assert _best((behind, far)) is far.remedy
    assert _best(()) is None
    assert "Best: a." in str(Trial((near, far), near.remedy))


def test_worse_than_a_constant_is_no_cure():
    from coursekit.clinic._copies import Run
    from coursekit.clinic.trial import _attempt

    cure = coursekit.clinic.Remedy("a", "a", "lab")
    runs, control = [Run(-0.4, 60)], [Run(-1.0, 60)]
    assert _attempt(cure, runs, control).verdict == "no better"
    assert _attempt(cure, [Run(0.15, 60)], control).verdict == "better"
    assert _attempt(cure, [Run(0.5, 60)], [Run(0.45, 60)]).verdict == "no better"
    assert _attempt(cure, [Run(0.5, 60)], [Run(np.nan, 60)]).verdict == "trains"


@pytest.mark.parametrize(
    "seen, held, by_heart", [(0.19, 0, 0), (0.21, 7, 1), (0.21, 8, 0)]
)
def test_by_heart_is_known_of_what_was_seen_and_not_of_what_was_held_back(
    seen, held, by_heart
):
    from coursekit.clinic._copies import Run
    from coursekit.clinic.trial import _attempt

    cure = coursekit.clinic.Remedy("a", "a", "lab")
    runs = [Run(-9.0, 60, seen=seen, apart=held)] * 2
    control = _attempt(None, runs, runs)
    assert control.verdict == ("control, by heart" if by_heart else "control")
    found = _attempt(cure, runs, runs)
    assert found.verdict == ("by heart" if by_heart else "no better")
    assert ("samples by heart" in str(Trial((control, found), None))) == bool(by_heart)
    # sure of what is wrong, and right more often than by chance: not by heart
    sure = Run(-0.5, 60, seen=0.9, apart=10.0)
    assert _attempt(cure, [sure], runs).verdict == "no better"
    # of few samples none is held back
    assert _attempt(None, [Run(0.9, 60)], runs).verdict == "control"


def test_what_was_mended_may_need_another_rate():
    """Seven points, a dead output, and a rate too small for what then lives."""
    x = np.arange(-1.0, 6.0, dtype="float32")[:, None]
    draw = keras.initializers.Constant(-0.5)
    model = keras.Sequential(
        [keras.Input((1,)), layers.Dense(1, "relu", kernel_initializer=draw)]
    )
    model.compile(keras.optimizers.SGD(1e-5), "mse")
    trial = coursekit.try_remedies(model, x, 2 * x - 1, **QUICK)
    assert trial.best.code.startswith("keras.layers.Dense(1)\nmodel.optimizer")
    assert ", and raise the learning rate to" in str(trial)


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy", "hinge", "cosine"])
def test_constants_learn_nothing(loss):
    loss = keras.losses.get("cosine_similarity" if loss == "cosine" else loss)
    y = K[:, None].astype("float32")

    def value(y, outputs):
        return tf.reduce_mean(loss(y, outputs))

    for constant in (0.0, 0.3, 0.6, 1.0, float(y.mean())):
        outputs = tf.fill(y.shape, constant)
        assert share_learned(value, outputs, y) < 1e-4
    if loss.__name__ != "cosine_similarity":
        assert share_learned(value, tf.constant(y * 0.98 + 0.01), y) > 0.1


def test_equal_outputs_learn_nothing_although_the_loss_is_zero():
    """Of one class the loss takes the probability for 1, but for rounding."""
    model = net(head=layers.Dense(1, "softmax"), loss="categorical_crossentropy")
    trial = coursekit.try_remedies(model, X, K[:, None] * 1.0, **QUICK)
    assert max(trial.attempts[0].shares) <= 0
    assert "binary_crossentropy" in trial.best.code and "sigmoid" in trial.best.code


def test_share_of_integer_labels_of_logits_and_of_negative_losses():
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rare = (np.arange(100) < 10).astype("float32")
    guess = tf.constant(np.log([[0.9, 0.1]] * 100), "float32")
    assert abs(share_learned(sparse, guess, rare)) < 1e-5
    right = tf.one_hot(rare.astype(int), 2) * 20
    assert share_learned(sparse, right, rare[:, None]) > 0.99

    # all are class 0 for the loss: the constant's loss is 0 but for rounding
    sure = tf.one_hot(np.zeros(100, int), 2) * RNG.uniform(9, 20, (100, 1))
    assert share_learned(sparse, tf.cast(sure, "float32"), rare / 255) <= 0

    def negative(y, outputs):
        return tf.reduce_mean((outputs - y) ** 2) - 10

    y = X[:, :1]
    assert 0 < share_learned(negative, tf.constant(y), y) < 1
    assert share_learned(negative, tf.constant(5 * y), y) < 0
    assert np.isnan(share_learned(negative, tf.constant(y * np.nan), y))


@pytest.mark.parametrize(
    "model, x, y, error, words",
    [
        (lambda: net(), {"a": X}, X, ValueError, "x is a dict"),
        (lambda: net(), X, [X, X], ValueError, "y is a list"),
        (lambda: net(), X, X[:5], ValueError, "as many samples"),
        (lambda: "net", X, X, TypeError, "keras.Model"),
        (lambda: net(), X, None, ValueError, "give both inputs and targets"),
        (lambda: net(), DATASET, None, ValueError, "x is a _Batch.*zip.*batches"),
        (lambda: net(), (a for a in X), None, ValueError, "x is a generator: give arr"),
        (lambda: net(), X, DATASET, ValueError, "y is a _Batch.*give arrays"),
        (lambda: net(), X, np.array(["a"] * 192), ValueError, "y holds <U1: give num"),
        (lambda: keras.Sequential([layers.Dense(1)]), X, X, ValueError, "compile"),
    ],
)
def test_bad_use(model, x, y, error, words):
    with pytest.raises(error, match=words):
        coursekit.try_remedies(model(), x, y)


def test_more_bad_use():
    with pytest.raises(TypeError, match="function that returns"):
        coursekit.try_remedies(lambda: 3, X, X)
    i = keras.Input((6,))
    two = keras.Model(i, [layers.Dense(1)(i), layers.Dense(1)(i)])
    two.compile("sgd", "mse")
    with pytest.raises(ValueError, match="several outputs"):
        coursekit.try_remedies(two, X, X[:, :1])
    with pytest.raises(ValueError, match=r"\(192, 5\): the model takes \(None, 6\)"):
        coursekit.try_remedies(net(), X[:, :5], X[:, :1])


def test_a_model_without_weights_is_called_on_x():
    unbuilt = Own()
    unbuilt.compile("sgd", "mse")
    settings = {"steps": 10, "seconds": 0, "verbose": False}
    for model in (unbuilt, lambda: unbuilt):
        trial = coursekit.try_remedies(model, X, X[:, :1], **settings)
        assert np.isfinite(trial.attempts[0].shares).all() and unbuilt.built


def attempt(name, *shares, verdict="no better"):
    remedy = name and coursekit.clinic.Remedy(name, name, "lab")
    return Attempt(remedy, shares, 20, verdict)


def test_shares_can_be_read():
    assert attempt("a", -1e18).learned == "below -10"
    assert attempt("a", -1e18, -30.0).learned == "below -10"
    assert attempt("a", -1e18, 0.3).learned == "below -10 (below -10 to 0.30)"
    assert attempt("a", -0.001).learned == "0.00"
    assert attempt("a", 0.25, -0.5).learned == "-0.12 (-0.50 to 0.25)"
    assert attempt("a", np.nan, 0.3).learned == "not finite"
    assert attempt("a", np.nan, verdict="fails: why").learned == "-"


def test_what_leads_without_being_sure_is_named():
    control, hint = attempt(None, 0.0, 0.01, verdict="control"), (0.02, 0.31)
    trial = Trial((control, attempt("b", 0.1), attempt("a", *hint)), None)
    sure = "Best, but not sure: a, share 0.17 (0.02 to 0.31)."
    assert f"Nothing beats the control. {sure}" in str(trial)
    # after a few steps a smaller lead is one
    few = (control, attempt("a", 0.08), attempt("b", np.nan))
    assert "not sure" not in str(Trial(few, None))
    text = str(Trial(few, None, ended="The time is over."))
    assert "over.\nNothing beats the control so far. Best, but not sure: a, " in text
    assert "No remedy was tried." in str(Trial((control,), None))


def test_a_trial_says_that_its_time_was_over(monkeypatch):
    cures = [coursekit.clinic.Remedy("a", "a", "lab")]

    def planned(steps):
        monkeypatch.setattr(trial_module, "_plan", lambda *_: (cures, 1, steps))
        settings = {"steps": 105, "seconds": 300, "seeds": 1, "verbose": False}
        return coursekit.try_remedies(net(dense()), X, X[:, :1], **settings)

    assert "The 300 s were planned for 20 of 100 steps a copy" in str(planned(20))
    assert planned(100).ended == ""
