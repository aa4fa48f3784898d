"""Remedies that fit their cause and their model, and lines that run."""

import re
from itertools import product
from pathlib import Path

import keras
import numpy as np
import pytest

import coursekit
from coursekit.clinic._facts import facts_of
from coursekit.clinic.diagnosis import remedies, rules
from coursekit.clinic.diagnosis.remedies import EVERY, Signs, advice
from coursekit.clinic.diagnosis.report import answer
from coursekit.clinic.diagnosis.rules import Judgement
from coursekit.clinic.trace import Check, Trace
from traces import EVEN, LOSS, probed, trained

layers = keras.layers
RNG = np.random.default_rng(4)
X = RNG.normal(size=(60, 8)).astype("float32")
K = np.arange(60) % 3
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
PIXELS = RNG.uniform(0, 255, (60, 8, 8, 3)).astype("float32")
WIDE = keras.initializers.RandomNormal(0, 5)
SERIES = RNG.normal(size=(60, 30, 2)).astype("float32")


def net(*hidden, head, loss="mse", shape=(8,), optimizer="sgd"):
    model = keras.Sequential([keras.Input(shape), *hidden, head])
    model.compile(optimizer, loss)
    return model


def dense(activation="relu", **options):
    return layers.Dense(6, activation, **options)


def conv(**options):
    return layers.Conv2D(4, 3, activation="relu", padding="same", **options)


def one_hot(k=K):
    return np.eye(3, dtype="float32")[k]


def decayed():
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    return keras.optimizers.Adam(rate, clipnorm=1e-9)


def bad_rows(rank):
    x = (X if rank == 2 else PIXELS / 255).copy()
    x[7] = np.nan
    return x


# A fault, and (model, x, y): what a catalogue of remedies must be able to mend.
CASES = {
    "softmax of one": lambda: (
        net(dense(), head=layers.Dense(1, "softmax"), loss="mse"),
        X, (K[:, None] > 0) * 1.0),
    "softmax of one, cce": lambda: (
        net(dense(), head=layers.Dense(1, "softmax"), loss="categorical_crossentropy"),
        X, (K[:, None] > 0) * 1.0),
    "sigmoid of one for three": lambda: (
        net(dense(), head=layers.Dense(1, "sigmoid"),
            loss="sparse_categorical_crossentropy"), X, K),
    "logits": lambda: (net(dense(), head=layers.Dense(3),
                           loss="sparse_categorical_crossentropy"), X, K),
    "sigmoid of three": lambda: (
        net(dense(), head=layers.Dense(3, "sigmoid"),
            loss=keras.losses.CategoricalCrossentropy()), X, one_hot()),
    "softmax and logits": lambda: (net(dense(), head=layers.Dense(3, "softmax"),
                                       loss=LOGITS), X, K),
    "binary logits": lambda: (net(dense(), head=layers.Dense(1),
                                  loss="binary_crossentropy"), X, K[:, None] > 0),
    "bounded": lambda: (net(dense(), head=layers.Dense(1, "sigmoid"), loss="mse"),
                        X, X[:, :1] * 50),
    "relu output": lambda: (net(dense(), head=layers.Dense(1, "relu"), loss="mae"),
                            X, X[:, :1]),
    "labels from 1": lambda: (
        net(dense(), head=layers.Dense(3, "softmax"),
            loss="sparse_categorical_crossentropy"), X, K + 1),
    "fractions of labels": lambda: (
        net(dense(), head=layers.Dense(3, "softmax"),
            loss="sparse_categorical_crossentropy"), X, (K / 255)[:, None]),
    "counts": lambda: (net(dense(), head=layers.Dense(1, "tanh"), loss="poisson"),
                       X, K[:, None]),
    "masks": lambda: (net(dense(), head=layers.Dense(3), loss="dice"), X, one_hot()),
    "millions": lambda: (net(dense(), head=layers.Dense(1), loss="mse"),
                         X, 1e6 + 1e5 * X[:, 0]),
    "pixels": lambda: (
        net(conv(), layers.Flatten(), dense(kernel_regularizer="l1"),
            head=layers.Dense(3, "softmax"), loss="categorical_crossentropy",
            shape=(8, 8, 3), optimizer=keras.optimizers.SGD(0.1, 0.9, nesterov=True)),
        PIXELS, one_hot()),
    "NaN in rows": lambda: (net(dense(), head=layers.Dense(1), loss="mse"),
                            bad_rows(2), X[:, 0]),
    "NaN in images": lambda: (
        net(conv(), layers.Flatten(), head=layers.Dense(1), loss="mse",
            shape=(8, 8, 3)), bad_rows(4), X[:, :1]),
    "schedule and clip": lambda: (
        net(dense("tanh"), dense("sigmoid", kernel_initializer="zeros"),
            head=layers.Dense(1), loss="mse", optimizer=decayed()), X, X[:, :1]),
    "lstm": lambda: (
        net(layers.LSTM(4, return_sequences=True), layers.LSTM(4),
            head=layers.Dense(1), loss="mse", shape=(30, 2), optimizer="adam"),
        SERIES, SERIES[:, 0, :1]),
    "gru and rnn": lambda: (
        net(layers.GRU(4, return_sequences=True, reset_after=False), layers.GRU(4),
            layers.RepeatVector(30), layers.SimpleRNN(4), head=layers.Dense(1),
            loss="mse", shape=(30, 2)), SERIES, SERIES[:, 0, :1]),
    "tight": lambda: (
        net(dense(), head=layers.Dense(1),
            optimizer=keras.optimizers.SGD(0.1, clipnorm=0.05)), X, X[:, :1]),
    "frozen and dropped": lambda: (
        net(dense("tanh", kernel_initializer=WIDE, trainable=False),
            layers.AlphaDropout(0.95, seed=3), dense(trainable=False),
            layers.Dropout(0.7), head=layers.Dense(1, kernel_initializer="zeros")),
        X, X[:, :1]),
    "apart": lambda: (
        net(layers.Dense(6), layers.BatchNormalization(), layers.ReLU(),
            layers.Dense(6, kernel_initializer=WIDE), layers.Activation("tanh"),
            layers.Dense(3), head=layers.Softmax(), loss=LOGITS), X, K),
    "flat": lambda: (net(dense(), dense(), head=layers.Dense(1)), X, X[:, :1]),
    "squares of classes": lambda: (
        net(dense(), head=layers.Dense(3, "softmax")), X, one_hot()),
    "outputs dropped": lambda: (
        net(dense(), layers.Dropout(0.2), layers.Dense(3), layers.Softmax(),
            head=layers.GaussianDropout(0.5), loss="kl_divergence"), X, one_hot()),
}  # fmt: skip


def every_remedy(facts):
    """Return what the catalogue can print for these facts, whatever the signs."""
    places, norms, ratios = ("", " at start", " in time"), (1e-3, 1e3), (1e-9, 1.0)
    found = {}
    for verdict, place, norm, ratio in product(rules.VERDICTS, places, norms, ratios):
        for sudden in (False, True):
            signs = Signs(
                sudden, sudden, sudden, place=place, ratio=ratio, moved=ratio, norm=norm
            )
            for remedy in advice(facts, signs, verdict, EVERY):
                found[remedy.code] = remedy
    return list(found.values())


def run(remedy, model, x, y):
    """Run the lines; return what they know in the end, and the layers they made."""
    known = {"keras": keras, "np": np, "coursekit": coursekit, "model": model}
    known |= {"x": x, "y": y}
    exec(remedy.code, known)
    lines = [s for s in remedy.code.split("\n") if s.startswith("keras.layers.")]
    return known, [eval(line, known) for line in lines]


@pytest.mark.parametrize("name", CASES)
def test_every_line_runs(name):
    model, x, y = CASES[name]()
    facts = facts_of(model, x, y)
    found = every_remedy(facts)
    # where the output is 1 whatever is changed below, nothing else is offered
    assert len(found) > (1 if facts.one_softmax else 8)
    for remedy in found:
        known, made = run(remedy, model, x, y)
        assert known["model"] is model and len(known["x"]) == len(known["y"])
        for changed in remedy.layers:
            config = remedy.layers[changed] | {"normalize": None}
            # what was made, or changed in its place
            now = model.get_layer(changed)
            kinds = type(now), getattr(layers, config.pop("kind", "Activation"))
            fits = [layer for layer in (*made, now) if type(layer) in kinds]
            assert any(holds(layer.get_config(), config) for layer in fits), remedy


def holds(config, change):
    """Whether a layer's config has the values; an initializer has a class there."""
    for key, value in change.items():
        if key.endswith("initializer"):
            value = keras.initializers.serialize(keras.initializers.get(value))
            if value["class_name"] != config.get(key, value)["class_name"]:
                return False
        elif key != "normalize" and config.get(key, "none") != value:
            return False
    return True


@pytest.mark.parametrize("name", list(CASES)[:12])
def test_the_first_remedy_of_a_wrong_output_fits_loss_and_labels(name):
    """The model is built with its lines, and its loss moves with its outputs."""
    model, x, y = CASES[name]()
    first = advice(facts_of(model, x, y), Signs(), "healthy")[0]
    known, made = run(first, model, x, y)
    if first.layers:
        assert list(first.layers) == [model.layers[-1].name]
        outputs = made[0](model.layers[-1].input)
        loss = model.loss
        model = keras.Model(model.inputs, outputs)
        model.compile("sgd", loss)
    losses = set()
    for _ in range(2):
        kernel = model.layers[-1].kernel
        kernel.assign(RNG.normal(size=kernel.shape))
        losses.add(model.evaluate(known["x"], known["y"], verbose=0))
    assert len(losses) == 2 and np.isfinite(list(losses)).all()


def test_every_verdict_that_ends_a_training_has_causes_of_its_own():
    facts = facts_of(*CASES["flat"]())
    always = advice(facts, Signs(), "healthy")
    for verdict in rules.STOPPING:
        assert len(advice(facts, Signs(), verdict)) > len(always), verdict


def first_of(name, verdict="not_learning", **signs):
    return advice(facts_of(*CASES[name]()), Signs(**signs), verdict)[0]


@pytest.mark.parametrize(
    "name, code",
    [
        ("softmax of one", "keras.layers.Dense(1, activation='sigmoid')"),
        ("sigmoid of one for three", "keras.layers.Dense(3, activation='softmax')"),
        ("softmax and logits", "keras.layers.Dense(3)"),
        ("bounded", "keras.layers.Dense(1)"),
        ("relu output", "keras.layers.Dense(1)"),
        ("counts", "keras.layers.Dense(1, activation='softplus')"),
        ("masks", "keras.layers.Dense(3, activation='sigmoid')"),
        ("outputs dropped", "keras.layers.GaussianDropout(0.0)"),
    ],
)
def test_an_output_gets_what_loss_and_targets_want(name, code):
    assert first_of(name).code == code


OPERATIONS = {
    "none": (lambda z: z, "linear"),
    "of a shape": (lambda z: keras.ops.squeeze(z, -1), "linear"),
    "an activation": (lambda z: keras.ops.reshape(keras.ops.sigmoid(z), (-1,)),
                      "sigmoid"),
    "of a long name": (keras.ops.hard_sigmoid, "hard_sigmoid"),
    "no activation": (lambda z: 3 * z, None),
    "two": (lambda z: 1 - keras.ops.sigmoid(z), None),
    "of two inputs": (lambda z: z + z, None),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_an_operation_makes_of_the_outputs_is_known_or_told_apart(name):
    """A model whose outputs an operation makes had no facts, and no report."""
    ends, output = OPERATIONS[name]
    i = keras.Input((8,))
    model = keras.Model(i, ends(layers.Dense(1)(dense("tanh")(i))))
    facts = facts_of(model, X, K > 0, "binary_crossentropy")
    assert facts.output == output
    # only a layer can be made anew
    assert (facts.head is not None) == (name in ("none", "of a shape"))
    logits = output == "linear"
    report = coursekit.diagnose(model, X, K > 0, loss="binary_crossentropy")
    assert any("logits" in remedy.text for remedy in report.remedies) == logits


@pytest.mark.parametrize("end", [None, keras.ops.sigmoid, keras.ops.exp])
def test_what_a_subclassed_model_makes_of_its_last_layer_is_not_known(end):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = dense("tanh"), layers.Dense(1)

        def call(self, x):
            z = self.two(self.one(x))
            return z if end is None else end(z)

    for loss in ("binary_crossentropy", "poisson", "mse"):
        report = coursekit.diagnose(Own(), X, (K > 0)[:, None], loss=loss)
        misfit = end is None and loss != "mse"
        assert (
            any(
                "Tell the loss" in r.text or "softplus" in r.text
                for r in report.remedies
            )
            == misfit
        )
        assert ("head" in {f.kind for f in report.findings}) == misfit


@pytest.mark.parametrize(
    "activation, loss, mended",
    [
        ("sigmoid", "categorical_crossentropy", "healthy"),
        ("softplus", "categorical_crossentropy", "healthy"),
        ("sigmoid", "sparse_categorical_crossentropy", "healthy"),
        ("tanh", "categorical_crossentropy", ""),
        ("sigmoid", "kl_divergence", ""),
        ("sigmoid", LOGITS, ""),
    ],
)
def test_what_the_loss_makes_probabilities_of_is_not_the_cause(
    activation, loss, mended
):
    """Its remedy stands behind the first one for what was measured."""
    y = K if "Sparse" in type(loss).__name__ or "sparse" in str(loss) else one_hot()
    model = net(dense(), head=layers.Dense(3, activation), loss=loss)
    facts, falls = facts_of(model, X, y), Signs(falling=True)
    (output,) = remedies._output(facts, falls)
    assert ("in training" in output.text) == bool(mended)
    for verdict, place in (
        *(("weak", 1), ("not_learning", 1), ("exploding", 1)),
        *(("healthy", 0), ("no_gradient", 0)),
    ):
        found = advice(facts, falls, verdict)
        assert found.index(output) == (place if mended else 0), verdict
    assert "Raise" in advice(facts, falls, "weak")[0 if mended else 1].text
    assert advice(facts_of(model), Signs(), "healthy") == (), "targets are not known"


@pytest.mark.parametrize("loss", ["categorical", "sparse_categorical"])
def test_a_sigmoid_trains_as_a_softmax_does(loss):
    weights = []
    for activation in ("sigmoid", "softmax"):
        keras.utils.set_random_seed(2)
        head = layers.Dense(3, activation)
        model = net(dense(), head=head, loss=f"{loss}_crossentropy")
        model.fit(X, one_hot() if loss == "categorical" else K, epochs=5, verbose=0)
        weights.append(head.kernel.numpy())
    assert np.allclose(*weights, atol=1e-6)


def test_logits_come_before_a_softmax():
    found = advice(facts_of(*CASES["logits"]()), Signs(), "not_learning")
    assert "from_logits=True" in found[0].code
    assert found[1].code == "keras.layers.Dense(3, activation='softmax')"


def test_what_is_large_is_scaled_and_nothing_else():
    assert first_of("millions").code.startswith("y = (y - y.mean(axis=0))")
    pixels = advice(facts_of(*CASES["pixels"]()), Signs(), "exploding")
    scaled = [r.code for r in pixels if "std" in r.code and "kernel" not in r.code]
    assert scaled == [
        "x = (x - x.mean(axis=(0, 1, 2))) / (x.std(axis=(0, 1, 2)) + 1e-7)"
    ]
    tokens = net(
        layers.Embedding(500, 4), layers.Flatten(), head=dense(None), loss="mse"
    )
    assert np.isnan(facts_of(tokens, RNG.integers(0, 500, (60, 8)), X).x_size)


@pytest.mark.parametrize("name", ["NaN in rows", "NaN in images"])
def test_cleaning_keeps_inputs_and_targets_together(name):
    model, x, y = CASES[name]()
    known, _ = run(first_of(name), model, x, y)
    good = [n for n in range(60) if n != 7]
    assert np.array_equal(known["x"], x[good]) and np.array_equal(known["y"], y[good])


def test_labels_are_numbered_in_their_order():
    for name in ("labels from 1", "fractions of labels"):
        model, x, y = CASES[name]()
        found = advice(facts_of(model, x, y), Signs(), "not_learning")
        renumbered = next(r for r in found if "unique" in r.code)
        known, _ = run(renumbered, model, x, y)
        assert np.array_equal(known["y"].ravel(), K) and known["y"].shape == y.shape


@pytest.mark.parametrize(
    "labels, units", [(K, 2), (K + 1, 3), (K - 1, 3), (9 * K, 3), (K, 3)]
)
def test_labels_beyond_the_units_get_units_unless_they_are_far_beyond(labels, units):
    """New numbers are of no use where there are more classes than units."""
    loss = "sparse_categorical_crossentropy"
    model = net(dense(), head=layers.Dense(units, "softmax"), loss=loss)
    found = list(remedies._labels(facts_of(model, X, labels), Signs()))
    near = bool(labels.min() >= 0 and units <= labels.max() < 2 * units)
    wrong = bool(labels.min() < 0 or labels.max() >= units)
    assert ["unique" in r.code for r in found] == [False][:near] + [True][:wrong]
    if near:
        wanted = f"keras.layers.Dense({labels.max() + 1}, activation='softmax')"
        assert found[0].code == wanted


def test_frozen_layers_train_and_are_drawn_anew_where_they_are_saturated():
    model, x, y = CASES["frozen and dropped"]()
    heavy, drawn, thawed = advice(facts_of(model, x, y), Signs(), "not_learning")[:3]
    assert heavy.code == "keras.layers.AlphaDropout(0.2, seed=3)"
    wide, narrow = model.layers[0].name, model.layers[2].name
    assert drawn.layers[wide]["trainable"] and "let all of them train" in drawn.text
    assert "glorot" in drawn.code.split("\n")[0] and "trainable" not in drawn.code
    assert list(thawed.layers) == [wide, narrow]
    known, _ = run(thawed, model, x, y)
    assert all(layer.trainable for layer in known["model"].layers)
    model.fit(x, y, verbose=0)
    # what is changed for another reason stays frozen
    model = CASES["frozen and dropped"]()[0]
    (alive,) = remedies._alive(facts_of(model, x, y), Signs())
    assert "trainable=False" in alive.code


@pytest.mark.parametrize("name", ["frozen and dropped", "outputs dropped", "logits"])
def test_a_saved_trace_gives_the_same_advice(name, tmp_path):
    trace = trace_of(name)
    before = answer(trace)
    before.save(tmp_path / "run.json")
    after = coursekit.diagnose(coursekit.clinic.load_trace(tmp_path / "run.json"))
    assert after.remedies == before.remedies and after.findings == before.findings
    assert ("Dropout" in before.remedies[0].code) == ("drop" in name)
    assert after.trace.facts.behind == trace.facts.behind


def test_an_activation_in_a_layer_of_its_own_is_changed_there():
    model, x, y = CASES["apart"]()
    facts = facts_of(model, x, y)
    first, second = (model.layers[n].name for n in (0, 3))
    relu, tanh, softmax = (model.layers[n].name for n in (2, 4, 6))
    (output,) = remedies._output(facts, Signs())
    assert output.layers == {softmax: {"activation": "linear"}}
    assert output.code == "keras.layers.Activation('linear')"
    (drawn,) = remedies._initialize(facts, Signs())
    assert "activation" not in drawn.code and list(drawn.layers) == [first, second]
    (swapped,) = remedies._activate(facts, Signs())
    assert swapped.layers[tanh] == {"activation": "relu"} and relu not in swapped.layers


def test_softmax_between_layers_is_replaced():
    model = net(dense("softmax"), dense("softmax"), head=layers.Dense(3, "softmax"))
    (swapped,) = remedies._activate(facts_of(model, X, one_hot()), Signs())
    assert list(swapped.layers) == [layer.name for layer in model.layers[:2]]


def test_a_model_that_is_one_linear_map_is_bent():
    for between, said in (
        ([], True),
        ([layers.Dropout(0.1), layers.BatchNormalization()], True),
        ([layers.PReLU()], False),
        ([layers.ReLU()], False),
        ([layers.Lambda(lambda h: h**2)], False),
    ):
        model = net(layers.Dense(6), *between, head=layers.Dense(1, "sigmoid"))
        facts = facts_of(model, X, X[:, :1])
        found = advice(facts, Signs(), "not_learning")
        assert any("are one" in r.text for r in found) == facts.linear == said
    facts = facts_of(net(head=layers.Dense(1)), X, X[:, :1])
    assert not facts.linear, "a regression of one layer is meant to be linear"


@pytest.mark.parametrize(
    "activation, low, high, ends",
    [
        ("softsign", -4, 4, "from -1 to 1"),
        ("relu6", 1, 9, "from 0 to 6"),
        ("elu", -4, 4, "from -1 to inf"),
        ("log_sigmoid", -4, 4, "from -inf to 0"),
        ("elu", -0.5, 9, ""),
        ("softsign", -0.9, 0.9, ""),
    ],
)
def test_targets_out_of_an_activations_reach_are_seen(activation, low, high, ends):
    model = net(head=layers.Dense(1, activation))
    misfit = facts_of(model, X, np.linspace(low, high, len(X))[:, None]).misfit
    assert misfit.endswith(ends) and bool(misfit) == bool(ends)


@pytest.mark.parametrize("activation, said", [("sigmoid", 1), ("relu", 1), ("tanh", 0)])
def test_a_margin_takes_outputs_on_both_sides(activation, said):
    model = net(dense(), head=layers.Dense(1, activation), loss="hinge")
    found = list(remedies._output(facts_of(model, X, np.sign(X[:, :1])), Signs()))
    assert [r.code for r in found] == ["keras.layers.Dense(1)"] * said


def test_classes_get_a_cross_entropy():
    for activation, y, loss in (
        ("softmax", one_hot(), "categorical"),
        ("sigmoid", K[:, None] > 0, "binary"),
        ("sigmoid", X[:, :1], ""),
        ("softmax", 0.9 * one_hot(), ""),
        (None, one_hot(), ""),
    ):
        for kind in ("mse", "mae", "categorical_crossentropy"):
            model = net(dense(), head=layers.Dense(y.shape[1], activation), loss=kind)
            found = list(remedies._crossentropy(facts_of(model, X, y), Signs()))
            said = bool(loss) and not kind.startswith("categorical")
            assert [f"'{loss}_crossentropy'" in r.code for r in found] == [True] * said


@pytest.mark.parametrize("drop", ["Dropout", "SpatialDropout1D", None])
def test_what_drops_outputs_is_found_behind_an_activation(drop):
    i = keras.Input((30, 2))
    hidden = layers.Dropout(0.5)(layers.Dense(4)(i))
    output = layers.Activation("sigmoid")(layers.Dense(1)(hidden))
    last = getattr(layers, drop)(0.5) if drop else layers.Reshape((30, 1))
    model = keras.Model(i, last(output))
    model.compile("sgd", "mse")
    facts = facts_of(model, SERIES, SERIES[..., :1])
    assert facts.behind == ((last.name,) if drop else ())
    found = answer(Trace(**vars(trained(probed(EVEN))) | {"facts": facts}))
    assert any(
        f.kind == "head" and last.name in f.text for f in found.findings
    ) == bool(drop)


@pytest.mark.parametrize("name", ["counts", "outputs dropped", "labels from 1"])
def test_a_loss_that_need_not_be_a_number_is_mended_before_functions_and_data(name):
    bad = {"first_bad_step": 200, "bad_parts": {200: []}, "loss": np.ones(200)}
    bad["loss"][-1] = np.nan
    found = answer(trace_of(name, **bad))
    assert found.sentence == "sudden"
    assert not any("isfinite" in r.code or "epsilon" in r.code for r in found.remedies)
    assert "keras.layers." in found.remedies[0].code


@pytest.mark.parametrize(
    "kind, optimizer, said", [("LSTM", "sgd", True), ("GRU", "adam", False)]
)
def test_what_stands_at_the_beginning_is_read_last(kind, optimizer, said):
    first, last = (getattr(layers, kind)(4, return_sequences=n == 0) for n in (0, 1))
    model = net(first, last, head=layers.Dense(1), shape=(30, 2), optimizer=optimizer)
    facts = facts_of(model, SERIES, SERIES[:, 0, :1])
    found = advice(facts, Signs(place=" in time"), "vanishing")[0]
    assert found.layers == {last.name: {"go_backwards": True}}
    assert ("Adam" in found.code) == said
    turned = getattr(layers, kind)(4, go_backwards=True)
    model = net(turned, head=layers.Dense(1), shape=(30, 2))
    assert not list(remedies._backwards(facts_of(model, SERIES, X[:, :1]), Signs()))


def test_an_inverted_mask_is_turned():
    for rank, line in ((2, "mask = x != 0"), (3, "mask = np.any(x != 0, axis=-1)")):
        trace = trace_of("flat")
        checks = [Check(n, LOSS, LOSS, LOSS, padding_alone=n == 0) for n in (0, 200)]
        facts = facts_of(CASES["flat"]()[0], X if rank == 2 else SERIES, X[:, :1])
        found = answer(Trace(**vars(trace) | {"checks": checks, "facts": facts}))
        assert found.remedies[0].code == line
        assert "mask" in {f.kind for f in found.findings}


def test_a_loss_that_pairs_no_output_with_its_target_comes_first():
    trace = trace_of("flat")
    checks = [Check(n, LOSS, LOSS, LOSS, unpaired=True) for n in (0, 200)]
    found = answer(Trace(**vars(trace) | {"checks": checks}))
    assert found.remedies[0].code == "y = y.reshape(len(y), *model.output_shape[1:])"
    assert "unpaired" in {f.kind for f in found.findings}
    # a model that learns has targets of its own
    checks[1] = Check(200, 0.1, LOSS, 0.1, unpaired=True)
    assert "unpaired" not in str(answer(Trace(**vars(trace) | {"checks": checks})))


def test_only_a_strong_penalty_is_taken_away():
    for penalty, said in (("l2", True), (keras.regularizers.L1L2(1e-4, 1e-3), False)):
        for key in ("kernel_regularizer", "activity_regularizer"):
            model = net(dense(**{key: penalty}), head=layers.Dense(1))
            found = list(remedies._penalty(facts_of(model, X, X[:, :1]), Signs()))
            assert bool(found) == said and all(f"{key}=None" in r.code for r in found)


def test_a_recurrence_is_drawn_anew_only_where_that_changes_it():
    for draw, drawn in (("orthogonal", 0), ("ones", 1)):
        rnn = layers.SimpleRNN(4, recurrent_initializer=draw)
        model = net(rnn, head=layers.Dense(1), shape=(30, 2))
        facts = facts_of(model, SERIES, SERIES[:, 0, :1])
        found = advice(facts, Signs(place=" in time"), "vanishing")
        assert ["orthogonal" in r.code for r in found[:1]] == [bool(drawn)]
        assert found[drawn].layers == {rnn.name: {"go_backwards": True}}
        assert found[drawn + 1].layers == {rnn.name: {"kind": "LSTM"}}


def test_a_rate_that_kills_in_one_step_is_lowered_first():
    model = net(dense(), head=layers.Dense(1), optimizer=keras.optimizers.SGD(10.0))
    dead = trained(probed(EVEN), skill=0.0, update=np.array([[2.0] * 3, [0.0] * 3]))
    trace = Trace(**vars(dead) | {"facts": facts_of(model, X, X[:, :1])})
    first = remedies.remedies(Judgement("no_gradient", "a", 1), trace)[0]
    assert "learning_rate" in first.code and "Lower" in first.text


def test_a_bounded_output_and_targets_far_beyond_are_mended_together():
    bounded = layers.Dense(1, "tanh")
    model = net(dense(), head=bounded)
    both, one, *_ = advice(facts_of(model, X, 1e6 * X[:, :1]), Signs(), "not_learning")
    assert one.code == "keras.layers.Dense(1)" and both.layers == one.layers
    known, _ = run(both, model, X, 1e6 * X[:, :1])
    assert abs(known["y"].std() - 1) < 1e-3 and "and bring the targets to" in both.text


def test_targets_beyond_what_the_steps_can_reach_are_scaled_with_the_output():
    """Adam's steps know no size of gradients; those of SGD grow with the targets."""
    for kind, rate, steps, size, said in (
        *(("adam", 1e-3, 200, 30, True), ("adam", 1e-2, 200, 30, False)),
        *(("adam", 1e-3, 200, 5, False), ("adam", 1e-3, 0, 30, False)),
        *(("sgd", 1e-3, 200, 30, False), ("adam", 1.0, 200, 300, True)),
    ):
        model = net(dense(), head=layers.Dense(1, "tanh"), optimizer=kind)
        model.optimizer.learning_rate = rate
        y = size * (X[:, :1] - X[:, :1].mean()) / X[:, :1].std()
        facts = facts_of(model, X, y)
        first = advice(facts, Signs(steps=steps), "not_learning")[0]
        assert ("y.std" in first.code) == said, (kind, rate, steps, size)
        assert "keras.layers.Dense(1)" in first.code


def test_a_relu_output_of_a_loss_that_nobody_knows_gets_the_range_of_its_targets():
    for y, given in ((K[:, None] > 0, "sigmoid"), (X[:, :1], "no activation")):
        model = net(dense(), head=layers.Dense(1, "relu"), loss=lambda t, p: t - p)
        found = list(remedies._relu_output(facts_of(model, X, y), Signs()))
        assert given in found[0].text


def test_an_initializer_fits_its_activation_and_the_activation_stays():
    hidden = [dense("tanh", kernel_initializer="zeros", name="a")]
    hidden += [
        dense("relu", name="b"),
        dense("selu", bias_initializer="ones", name="c"),
    ]
    hidden += [dense("elu", kernel_initializer="he_normal", name="d"), dense(name="e")]
    model = net(*hidden, head=layers.Dense(1), loss="mse")
    (found,) = remedies._initialize(facts_of(model, X, X[:, :1]), Signs())
    drawn = {
        name: (c["activation"], c["kernel_initializer"])
        for name, c in found.layers.items()
    }
    assert drawn == {
        "a": ("tanh", "glorot_uniform"),
        "b": ("relu", "he_normal"),
        "c": ("selu", "lecun_normal"),
        "e": ("relu", "he_normal"),
    }
    assert found.layers["c"]["bias_initializer"] == "zeros"
    assert found.code.count("\n") == 2, "b and e have the same line"


def test_the_activation_may_stand_in_a_layer_of_its_own():
    model = net(layers.Dense(6), layers.ReLU(), head=layers.Dense(3), loss=LOGITS)
    facts = facts_of(model, X, K)
    assert facts.hidden[0].activation == "relu" and facts.output == "linear"
    model = net(layers.Dense(3), head=layers.Softmax(), loss=LOGITS)
    assert facts_of(model, X, K).output == "softmax"


def test_a_gate_stays_open_for_the_sequence():
    model, x, y = CASES["lstm"]()
    signs = Signs(place=" in time")
    remedy = advice(facts_of(model, x, y), signs, "vanishing")[1]
    run(remedy, model, x, y)
    for layer in model.layers[:2]:
        forget = 1 / (1 + np.exp(-layer.cell.bias.numpy()[4:8]))
        # what is left of the state after 30 steps: a third, not 1e-4
        assert (0.2 < forget**30).all()
    assert "unit_forget_bias" not in remedy.code


def test_a_rate_that_is_far_out_and_a_tight_clip():
    def codes(kind, rate, **settings):
        optimizer = getattr(keras.optimizers, kind)(rate, **settings)
        model = net(dense(), head=layers.Dense(1), loss="mse", optimizer=optimizer)
        facts = facts_of(model, X, X[:, :1])
        return [r.code for r in remedies._pace(facts, Signs(norm=2.0))]

    assert codes("Adam", 1.0) == ["model.optimizer.learning_rate = 0.001"]
    assert codes("RMSprop", 1e-6) == ["model.optimizer.learning_rate = 0.001"]
    assert (
        codes("SGD", 1.0) == codes("Adam", 1e-3) == codes("SGD", 0.1, clipnorm=1) == []
    )
    assert len(codes("SGD", 0.1, clipnorm=0.05)) == 1
    assert not list(remedies._raise(facts_of(*CASES["tight"]()), Signs(norm=2.0)))
    assert codes("SGD", 0.01, clipvalue=1e-6, momentum=0.9) == [
        "model.compile(keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, "
        "global_clipnorm=2.0), model.loss)"
    ]


def test_a_rate_of_zero_gets_the_usual_one():
    model = net(dense(), head=layers.Dense(1), optimizer=keras.optimizers.Adam(0.0))
    facts = facts_of(model, X, X[:, :1])
    (raised,) = remedies._pace(facts, Signs(moved=0.0))
    assert raised.code == "model.optimizer.learning_rate = 0.001"
    (clipped,) = remedies._clip(facts, Signs(norm=2.0))
    assert "learning_rate=0.001" in clipped.code


def test_a_schedule_is_replaced():
    (lowered,) = remedies._lower(facts_of(*CASES["schedule and clip"]()), Signs())
    assert "keras.optimizers.Adam(learning_rate=0.001" in lowered.code


def test_sudden_numbers_are_a_matter_of_the_data():
    facts = facts_of(net(dense(), head=layers.Dense(1)), X, X[:, :1])
    assert "isfinite" in advice(facts, Signs(sudden=True), "exploding")[0].code
    assert "isfinite" not in advice(facts, Signs(), "exploding")[0].code


def test_an_output_without_probabilities_comes_before_rows_that_nobody_has_seen():
    """The logarithm of what is 0 or less is not finite, whatever the data are."""
    first, *rest = advice(facts_of(*CASES["logits"]()), Signs(sudden=True), "exploding")
    assert "from_logits=True" in first.code
    assert any("isfinite" in remedy.code for remedy in rest)


def test_a_rate_goes_one_way():
    for kind, rate, signs, wanted in (
        ("Adam", 1.0, Signs(), [1e-3]),
        ("Adam", 1e-6, Signs(), [1e-3]),
        ("SGD", 0.1, Signs(moved=5e-3), [1.0]),
        ("SGD", 1e-7, Signs(moved=2e-5), [1e-4]),
        ("SGD", 1e-7, Signs(moved=1e-9), [1e-4]),
        ("SGD", 0.1, Signs(ratio=0.5), [0.01]),
        ("SGD", 0.1, Signs(ratio=5.0), [1e-3]),
        ("SGD", 0.1, Signs(ratio=1e9), [1e-4]),
        ("SGD", 0.1, Signs(), [1.0, 0.01]),
    ):
        optimizer = getattr(keras.optimizers, kind)(rate)
        model = net(dense(), head=layers.Dense(1), optimizer=optimizer)
        found = advice(facts_of(model, X, X[:, :1]), signs, "not_learning")
        codes = [r.code for r in found if "learning_rate" in r.code]
        assert codes == [f"model.optimizer.learning_rate = {w!r}" for w in wanted]


def test_what_hardly_moves_is_offered_adam_first_where_steps_shrink():
    """SGD may have a rate that is too small."""
    for kind, place in (("SGD", 1), ("Adagrad", 0), ("Ftrl", 0), ("Adam", None)):
        model = net(dense(), head=layers.Dense(1), optimizer=kind)
        facts = facts_of(model, X, X[:, :1])
        found = advice(facts, Signs(ratio=1e-5, moved=2e-3), "not_learning")
        adam = [n for n, remedy in enumerate(found) if "Adam()" in remedy.code]
        assert adam == ([] if place is None else [place]), kind
        assert "Raise" in found[place == 0].text


def test_few_layers_at_a_usual_scale_are_not_why_nothing_is_learned():
    made = {"optimizer": "adam"}
    for depth, first in ((4, "See whether each target"), (5, "Draw the kernels")):
        made["head"] = layers.Dense(1)
        model = net(*[dense() for _ in range(depth)], **made)
        facts = facts_of(model, X, X[:, :1])
        assert advice(facts, Signs(), "not_learning")[0].text.startswith(first)
    # kernels without a scale are, and biases that hold units off
    for odd in ({"kernel_initializer": "zeros"}, {"bias_initializer": "ones"}):
        made["head"] = layers.Dense(1)
        facts = facts_of(net(dense(**odd), **made), X, X[:, :1])
        found = advice(facts, Signs(), "not_learning")
        assert found[0].text.startswith("Draw the kernels")


def test_what_learns_slowly_behind_a_wrong_output_may_need_a_larger_rate():
    for name, falling, said in (
        ("bounded", True, True),
        ("bounded", False, False),
        ("schedule and clip", True, False),
    ):
        found = advice(facts_of(*CASES[name]()), Signs(falling=falling), "weak")
        assert any("Raise" in remedy.text for remedy in found) == said


def test_steps_that_are_too_small_are_raised_before_what_was_not_measured():
    for name in ("flat", "squares of classes"):
        facts = facts_of(*CASES[name]())
        for falling in (True, False):
            found = advice(facts, Signs(falling=falling), "not_learning")
            assert ("Raise" in found[0].text) == falling


def test_adam_that_hardly_moves_is_mended_before_a_scale():
    """SGD moves by the gradient's size, which hangs on the scale."""
    for kind, moved, said in (
        *(("Adam", 2e-3, True), ("RMSprop", 2e-3, True)),
        *(("SGD", 2e-3, False), ("Adam", 0.2, False), ("Adam", np.nan, False)),
    ):
        model = net(dense(), head=layers.Dense(1), optimizer=kind)
        facts = facts_of(model, 50 * X, X[:, :1])
        first = advice(facts, Signs(moved=moved), "not_learning")[0]
        assert ("Raise" in first.text) == said, kind


def test_a_healthy_model_gets_no_advice_unless_its_fault_is_plain():
    assert advice(facts_of(*CASES["millions"]()), Signs(), "healthy") == ()
    assert first_of("softmax of one", "healthy").layers
    assert first_of("labels from 1", "healthy").layers


def test_without_facts_lines_stand_for_a_plain_model():
    flat = vars(trained(probed(EVEN), skill=0.0))
    unknown = Trace(**flat | {"facts": None, "probes": [], "checks": []})
    found = remedies.remedies(Judgement("vanishing", unknown.layers[0], 0), unknown)
    hidden = set(unknown.layers) - set(unknown.heads)
    assert found and all(set(r.layers) <= hidden for r in found)
    for remedy in found:
        model = net(dense(), dense(), head=layers.Dense(1), loss="mse")
        run(remedy, model, X, X[:, :1])


def trace_of(name, **more):
    """Return a flat training of a case's model, of which nothing was learned."""
    flat = trained(probed(EVEN), skill=0.0)
    return Trace(**vars(flat) | {"facts": facts_of(*CASES[name]())} | more)


def test_a_report_offers_five_at_most():
    trace = trace_of("pixels")
    verdict = Judgement("not_learning", step=200)
    assert len(advice(trace.facts, Signs(), "not_learning")) > 5
    assert len(remedies.remedies(verdict, trace)) == 5


def test_a_batch_of_one_that_is_normalized_gets_larger_batches():
    note = "the training has one sample a batch, and a BatchNormalization makes 0 of it"
    found = answer(trace_of("millions", notes=[note]))
    assert found.remedies[0].code == "model.fit(x, y, batch_size=32)"


def test_a_function_without_a_derivative_is_mended_and_no_data_are_removed():
    bad = {"first_bad_step": 200, "total_gradient": np.ones(200)}
    bad["total_gradient"][-1] = np.nan
    found = answer(trace_of("bounded", **bad))
    assert found.sentence == "sudden" and "epsilon" in found.remedies[0].code
    assert not any("isfinite" in remedy.code for remedy in found.remedies)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse"])
def test_a_loss_without_a_bound_gets_one(loss):
    model = net(dense(), head=layers.Dense(1, "sigmoid"), loss=loss)
    facts = facts_of(model, X, 2.0 * (K[:, None] > 0) - 1)
    first = advice(facts, Signs(bottomless=True), "exploding")
    codes = [remedy.code for remedy in first]
    if loss == "mse":
        assert "model.compile(model.optimizer, loss='mean_squared_error')" in codes[:2]
    else:
        known, _ = run(first[0], model, X, 2.0 * (K[:, None] > 0) - 1)
        assert set(known["y"].ravel()) == {0, 1}


@pytest.mark.parametrize(
    "activation, loss, y, word",
    [
        ("tanh", "binary_crossentropy", K[:, None] > 0, "probabilities"),
        ("sigmoid", "binary_crossentropy", K[:, None] > 0, ""),
        ("sigmoid", "mse", K[:, None], "targets go"),
        ("softmax", lambda t, p: p, K, ""),
        ("softmax", LOGITS, K, "logits"),
        (None, LOGITS, K, ""),
        (None, "categorical_crossentropy", one_hot(), "probabilities"),
    ],
)
def test_an_output_that_fits_no_loss_is_a_finding_though_the_model_learns(
    activation, loss, y, word
):
    units = y.shape[1] if y.ndim > 1 else 3
    model = net(dense(), head=layers.Dense(units, activation), loss=loss)
    learns = trained(probed(EVEN), skill=0.9)
    found = answer(Trace(**vars(learns) | {"facts": facts_of(model, X, y)}))
    texts = [f.text for f in found.findings if f.kind == "head"]
    assert found.verdict == "healthy" and bool(found.remedies) == bool(word)
    assert [word in text for text in texts] == [True] * bool(word)


def test_targets_that_are_all_the_same_are_a_finding():
    equal = {"facts": facts_of(net(dense(), head=layers.Dense(1)), X, 3 + 0 * X[:, :1])}
    for constant, said in ((1e-9, True), (LOSS, False)):
        checks = [Check(n, LOSS, constant, np.nan) for n in (0, 200)]
        trace = trained(probed(EVEN), checks=checks)
        kinds = {f.kind for f in answer(Trace(**vars(trace) | equal)).findings}
        assert ("labels" in kinds) == said


# What a remedy must speak of, and its chapter as well.
TREATED = {
    "batchnorm": "batchnormalization",
    "clinic": "logits|softmax|sigmoid|targets|shuffled",
    "clipping": "clip",
    "conclusions": "adam",
    "exploding": "learning rate|lstm|gate|orthogonal",
    "initializers": "leaky|layer by layer|he_normal|glorot",
    "vanishing": "penalty",
}


def test_remedies_name_chapters_that_treat_them():
    book = Path(__file__).parents[4] / "book"
    texts = set()
    for name in CASES:
        for remedy in every_remedy(facts_of(*CASES[name]())):
            if remedy.chapter:
                text = (book / f"{remedy.chapter}.md").read_text(encoding="utf-8")
                said = f"{remedy.text} {remedy.code}".lower()
                word = re.search(TREATED[remedy.chapter], said)
                assert word and word[0] in text.lower(), remedy
            assert ("(chapter" in str(remedy)) == bool(remedy.chapter)
            assert "\n" not in str(remedy)
            texts.add(re.sub(r"[\d.]+|'.*'", "", remedy.text))
    assert len(texts) > 20


def test_layers_that_no_line_can_make_are_left_alone():
    def own(x):
        return 2 * x

    inner = keras.Sequential([keras.Input((6,)), dense()])
    model = net(
        dense(own), inner, layers.Dense(6), layers.Activation(own), head=dense()
    )
    facts = facts_of(model, X, X[:, :6])
    assert facts.hidden == () and facts.head.activation == "relu"
    both = layers.Bidirectional(layers.LSTM(4))
    model = net(both, head=layers.Dense(1, own), loss="mse", shape=(30, 2))
    facts = facts_of(model, SERIES, SERIES[:, 0, :1])
    assert facts.hidden == () and facts.head is None and facts.sequence == 30
    assert not any(remedy.layers for remedy in every_remedy(facts))


def test_facts_of_strange_models():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = dense(name="a"), layers.Dense(1, name="b")

        def call(self, x):
            return self.b(self.a(x))

    model = Own()
    model(X)
    facts = facts_of(model, {"a": X}, [X, X])
    assert not facts.functional and len(facts.hidden) == 1 and facts.loss is None
    assert (facts.output, facts_of(model, called=["b", "a"]).output) == (
        "linear",
        "relu",
    )
    assert np.isnan(facts.x_size) and np.isnan(facts.low)


@pytest.mark.parametrize(
    "ratio, said",
    [(rules.MOVED / 200 * 0.9, ["Raise"]), (rules.MOVED / 200 * 1.1, [])],
)
def test_a_model_that_hardly_moved_gets_a_larger_rate_though_it_was_lucky(ratio, said):
    """What it has of skill it had before its first step."""
    trace = trace_of("flat", update=np.full((2, 3), ratio))
    lucky = trained(probed(EVEN), skill=0.1, update=trace.update, weight=trace.weight)
    found = answer(Trace(**vars(lucky) | {"facts": trace.facts}))
    assert found.verdict == "healthy"
    assert [remedy.text.split()[0] for remedy in found.remedies] == said


def test_a_signal_that_ends_is_looked_for_unless_a_kernel_is_zero():
    for kernel, first in (("glorot_uniform", "probe"), ("zeros", "he_normal")):
        model = net(dense(kernel_initializer=kernel), dense(), head=layers.Dense(1))
        found = advice(facts_of(model, X, X[:, :1]), Signs(), "no_gradient")
        assert first in found[0].code


def test_the_size_of_large_data_is_that_of_a_part():
    model, x, y = CASES["flat"]()
    x = np.concatenate([np.tile(x, (40, 1)), np.full((60, 8), 1e6, "float32")])
    assert facts_of(model, x, np.tile(y, (41, 1))).x_size < 3
