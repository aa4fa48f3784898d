"""The lab's network in Chromium against TensorFlow, and its parts against Python."""

import base64
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import browser
import traces
from coursekit import _taps, data, theory
from coursekit.clinic.diagnosis import rules
from lab import bundle, wasm

REFERENCE = Path(__file__).with_name("reference.json")
CASES = json.loads(REFERENCE.read_text(encoding="utf-8"))
STEP_0, STEP_0_BATCHNORM, LOSS = 1e-5, 5e-5, 1e-4
EXPORTS = (
    "{Session, Arena, batch, uniform, normal, drawKernel, deltaLine, gaussianMean, "
    "plainGemm, diagnose, ACTIVATIONS, saturated}"
)
# What a browser may know: the modules are tried one after the other.
FUSED, SIMD = wasm.encoded()
ACTIVATIONS = sorted({case["config"]["activation"] for case in CASES})
WAYS = {"fused": [FUSED], "simd": [SIMD], "plain": []}


def name_of(case):
    return " ".join(str(v) for v in case["config"].values())


@pytest.fixture(scope="module")
def lab():
    """Evaluate an expression about `lab`, the modules of the worker."""
    source = bundle.joined(bundle.WORKER, bundle.constants(), f"return {EXPORTS};")
    with browser.chromium() as chromium:
        page = chromium.new_page()
        page.evaluate(f"globalThis.lab = {source}")
        yield page.evaluate


def train(lab, config, steps=0, modules=(FUSED, SIMD)):
    return lab(
        """([config, steps, modules]) => {
            const session = new lab.Session(config, new lab.Arena(modules));
            const { rows, report } = session.state();
            for (let n = 0; n < steps; n++) session.advance();
            return { rows, report, losses: session.losses, after: session.state() };
        }""",
        [config, steps, modules],
    )


@pytest.mark.parametrize("modules", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_gradients_are_those_of_tensorflow(lab, case, modules):
    found = train(lab, case["config"], modules=modules)
    bound = STEP_0_BATCHNORM if case["config"]["batchnorm"] else STEP_0
    for quantity in ("delta", "kernel", "activation"):
        values = [row[quantity] for row in found["rows"]]
        np.testing.assert_allclose(values, case[quantity], rtol=bound)
    assert found["report"]["verdict"] == case["verdict"]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_losses_are_those_of_tensorflow(lab, case):
    config, expected = case["config"], case["losses"]
    losses = train(lab, config, steps=len(expected) - 1)["losses"]
    # with BatchNorm rounding grows with the steps: only the start is compared
    steps = 1 if config["batchnorm"] else len(expected)
    np.testing.assert_allclose(losses[:steps], expected[:steps], rtol=LOSS)


def test_the_cases_cover_what_can_be_chosen():
    settings = (bundle.FOLDER / "view/settings.js").read_text(encoding="utf-8")
    activations = (bundle.FOLDER / "worker/activations.js").read_text(encoding="utf-8")
    known = {
        "activation": set(re.findall(r"^  (\w+): {", activations, re.M)),
        "initializer": set(re.findall(r'"(\w+_(?:uniform|normal))"', settings)),
        "clip": {"none", "value", "norm", "global"},
        "batchnorm": {True, False},
        "skip": {True, False},
    }
    for key, values in known.items():
        assert {case["config"][key] for case in CASES} == values
    field = r'label: "Activation",\s+choices: plain\((.*?)\)'
    choices = re.search(field, settings, re.DOTALL)[1]
    assert set(re.findall(r'"(\w+)"', choices)) == known["activation"]


@pytest.mark.parametrize(
    "name",
    "glorot_uniform glorot_normal he_uniform he_normal lecun_uniform lecun_normal "
    "random_normal truncated_normal".split(),
)
def test_draws_have_the_variance_of_theory(lab, name):
    import keras

    fan_in, fan_out, stddev = 400, 200, 0.3
    # as one text: the driver takes a second for as many numbers
    text = lab(
        """([name, fanIn, fanOut, stddev]) => {
            const kernel = new Float32Array(fanIn * fanOut);
            lab.drawKernel(kernel, name, fanIn, fanOut, stddev, lab.uniform(5));
            return JSON.stringify([...kernel]);
        }""",
        [name, fan_in, fan_out, stddev],
    )
    kernel = json.loads(text)
    initializer = name
    if name in ("random_normal", "truncated_normal"):
        class_name = "".join(part.capitalize() for part in name.split("_"))
        initializer = getattr(keras.initializers, class_name)(stddev=stddev)
    promised = theory.initializer_variance(initializer, fan_in, fan_out)
    # the standard error of a variance is at most sqrt(2 / 80000) of it: 4 of them
    np.testing.assert_allclose(np.var(kernel), promised, rtol=0.02)
    assert abs(np.mean(kernel)) < 4 * np.sqrt(promised / len(kernel))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_saturates_is_what_saturates_in_a_probe(lab, activation):
    z = [n / 100 + 0.005 for n in range(-800, 800)]
    found = lab(
        """([name, z]) => {
            const values = z.map(lab.ACTIVATIONS[name].value);
            return values.map((h) => [h, lab.saturated(name, h)]);
        }""",
        [activation, z],
    )
    bounded = _taps.BOUNDS.get(activation)
    row = _taps.Row(activation, [])
    for h, ends in found:
        row.bounded = [(np.array([h]), bounded)] if bounded else []
        assert ends == (_taps.saturated_fraction(row) == 1), h


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("stddev", [0.05, 0.3, 2.0])
def test_the_line_is_that_of_theory(lab, activation, stddev):
    config = {
        **CASES[0]["config"],
        "depth": 10,
        "width": 64,
        "activation": activation,
        "initializer": "random_normal",
        "stddev": stddev,
    }
    line, square = lab(
        """(config) => {
            const batch = lab.batch(config.data);
            return [lab.deltaLine(config, batch), batch.meanSquare];
        }""",
        config,
    )
    expected = theory.delta_profile(activation, 8 * stddev, 10, stddev**2 * square)
    np.testing.assert_allclose(line, np.log10(expected), atol=2e-3)


def test_the_line_with_batchnorm_and_without_a_theory(lab):
    config = {**CASES[0]["config"], "activation": "relu", "batchnorm": True}
    call = "(config) => lab.deltaLine(config, lab.batch(config.data))"
    line = lab(call, config)
    growth = np.log10(theory.batchnorm_growth("relu"))
    np.testing.assert_allclose(-np.diff(line), growth, rtol=1e-3)
    assert lab(call, {**config, "skip": True}) is None


def test_the_digits_are_those_of_coursekit(lab):
    batch = lab("() => { const b = lab.batch('digits'); return [[...b.x], [...b.y]]; }")
    (x, y), _ = data.digits()
    np.testing.assert_array_equal(np.float32(batch[0]).reshape(64, 64), x[:64])
    np.testing.assert_array_equal(batch[1], y[:64])


@pytest.mark.parametrize("name", ["circles", "moons", "spirals"])
def test_points_are_balanced_and_can_be_learned(lab, name):
    config = {**CASES[0]["config"], "data": name, "depth": 3, "width": 64}
    config |= {"activation": "relu", "initializer": "he_normal"}
    found = train(lab, config, steps=600)
    assert found["after"]["guess"] == pytest.approx(np.log(2))
    assert found["losses"][-1] < 0.5 * np.log(2)
    assert found["after"]["report"]["verdict"] == "healthy"


@pytest.mark.parametrize("module", [FUSED, SIMD], ids=["fused", "simd"])
def test_the_product_of_webassembly_is_the_plain_one(lab, module):
    worst = lab(
        """(module) => {
            const arena = new lab.Arena([module]);
            if (!arena.memory) return NaN;
            const draw = lab.uniform(1);
            const [m, k, n] = [12, 7, 24];
            const sizes = [m * k, k * n, m * n, m * n, n];
            const [A, B, C, D, bias] = sizes.map((size) => arena.array(size));
            for (const array of [A, B, bias])
                array.forEach((_, i) => (array[i] = draw()));
            arena.gemm(C, A, B, bias, m, k, n);
            lab.plainGemm(D, A, B, bias, m, k, n);
            return Math.max(...C.map((c, i) => Math.abs(c - D[i])));
        }""",
        module,
    )
    assert worst < 1e-5


def test_a_browser_without_the_fast_modules_takes_the_next_way(lab):
    has = "(modules) => Boolean(new lab.Arena(modules).memory)"
    unknown = base64.b64encode(b"\0asm\1\0\0\0\xff").decode()
    assert lab(has, [unknown, SIMD]) is True
    assert lab(has, [unknown]) is False


def test_the_fast_tanh_is_tanh(lab):
    z = np.concatenate([-np.geomspace(1e-30, 1e3, 500), np.geomspace(1e-30, 1e3, 500)])
    found = lab("(z) => z.map(lab.ACTIVATIONS.tanh.value)", z.tolist())
    np.testing.assert_allclose(found, np.tanh(z), rtol=1e-8)


def test_the_modules_are_small_and_encoded():
    for encoded, fused in zip(wasm.encoded(), (True, False), strict=True):
        assert len(wasm.module(fused)) < 900
        assert base64.b64decode(encoded) == wasm.module(fused)


def test_true_zeros_are_counted(lab):
    config = {**CASES[0]["config"], "depth": 50, "activation": "sigmoid"}
    config |= {"initializer": "random_normal", "stddev": 0.003}
    rows = train(lab, config)["rows"]
    assert rows[0]["zero"] and rows[0]["kernel"] == 0
    assert not rows[-1]["zero"]


# --- the rules ---------------------------------------------------------------


TABLE = {row.name: row for row in traces.table()}
HELD = [name for name, row in TABLE.items() if not row.lab.startswith("row:")]


def test_thresholds_are_those_of_python(lab):
    constants = bundle.constants()
    for name, value in constants["RULES"].items():
        assert value == getattr(rules, name)
    assert set(rules.VERDICTS) <= set(constants["SENTENCES"])


@pytest.mark.parametrize("name", HELD)
def test_the_answer_is_that_of_python(lab, name):
    row = TABLE[name]
    found = lab("(trace) => lab.diagnose(trace)", traces.for_lab(row.trace))
    layer = None if found["layer"] is None else row.trace.layers[found["layer"]]
    assert (found["verdict"], found["step"]) == (row.verdict, row.step)
    assert layer == (None if row.lab.startswith("layer:") else row.layer)
    sentence = rules.judge(row.trace).sentence if row.verdict == "not_measured" else ""
    text = rules.SENTENCES[sentence or row.verdict]
    assert text in found["text"] or row.verdict == "healthy"


def test_the_lab_holds_most_of_the_table():
    assert len(HELD) > 25
    for row in TABLE.values():
        assert re.fullmatch(r"|(row|layer): the lab.+", row.lab)


def test_a_constant_s_loss_is_that_of_python(lab):
    """Of the lab's own digits, whatever the outputs are."""
    from coursekit.clinic._baseline import best_constant

    (_, y), _ = data.digits()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    outputs = 100 * np.random.default_rng(0).normal(size=(64, 10)).astype("float32")
    found = best_constant(lambda outputs: loss(y[:64], outputs), outputs, y[:64])
    guess = lab("() => lab.batch('digits').guess")
    assert found.loss == pytest.approx(guess, rel=1e-5)


@pytest.mark.parametrize(
    ("profile", "steps", "share", "words"),
    [
        # it explodes at the start; the loss after a step is three times guessing
        (np.geomspace(1e4, 1, 8), 1, 3.0, "Too early to tell"),
        (np.ones(8), rules.PATIENCE - 1, 1.0, "Too early to tell"),
        (np.ones(8), rules.PATIENCE, 0.9, "has hardly learned"),
        (np.geomspace(1e-9, 1, 8), rules.PATIENCE, 0.6, "not in all layers"),
        (np.ones(8), rules.PATIENCE, 0.6, "The loss is 60 %"),
    ],
)
def test_no_finding_is_not_always_health(lab, profile, steps, share, words):
    trace = traces.trained(traces.probed(profile), steps=steps, skill=1 - share)
    found = lab("(trace) => lab.diagnose(trace)", traces.for_lab(trace))
    early = steps < rules.PATIENCE
    assert found["verdict"] == ("not_measured" if early else "healthy")
    healthy = rules.SENTENCES["healthy"] in found["text"]
    assert words in found["text"] and healthy == (not early and "all" not in words)


def test_a_session_dates_its_dead_units(lab):
    """The gradient of a step that was not taken yet is not counted."""
    found = lab(
        """(config) => {
            const session = new lab.Session(config);
            const steps = (n) => { for (let i = 0; i < n; i++) session.advance(); };
            steps(10);
            session.network.layers[1].b.fill(-1e3);
            steps(20);
            return session.state().report;
        }""",
        {**CASES[0]["config"], "activation": "relu", "rate": 1e-3},
    )
    assert (found["verdict"], found["layer"]) == ("dead_units", 1)
    # the gradient of step 11 was computed before
    assert found["step"] == 12


# --- the presets say what is so ----------------------------------------------


@pytest.fixture(scope="module")
def experiment(lab):
    """Run a preset, with changes; return rows at the start, losses, verdicts."""
    settings = (bundle.FOLDER / "view/settings.js").read_text(encoding="utf-8")
    text = re.search(r"DEFAULTS = (\{.*?\});", settings, re.DOTALL)[1]
    defaults = lab(f"({text})")
    presets = bundle.presets()

    def run(name, steps=0, **changes):
        config = {**defaults, **presets[name].get("values", {}), **changes}
        found = train(lab, config, steps)
        delta = [row["delta"] for row in found["rows"][:-1]]
        verdicts = found["report"]["verdict"], found["after"]["report"]["verdict"]
        return delta[0] / delta[-1], found["losses"], verdicts

    return run


def test_every_preset_that_claims_something_has_a_test():
    claims = {name for name, one in bundle.presets().items() if "because" in one}
    assert claims <= {name.removeprefix("test_preset_") for name in globals()}


def test_preset_vanishing(experiment):
    assert experiment("vanishing")[0] < 1e-5
    assert 0.1 < experiment("vanishing", stddev=0.125)[0] < 0.5
    assert 0.5 < experiment("vanishing", stddev=0.16)[0] < 2
    assert experiment("vanishing", stddev=0.5)[0] > 1000
    assert experiment("vanishing")[2][0] == "vanishing"


def test_preset_exploding(experiment):
    growth, _, verdicts = experiment("exploding")
    assert growth > 1000 and verdicts[0] == "exploding"
    assert growth ** (1 / 19) == pytest.approx(1.7, abs=0.05)
    assert np.sqrt(2 / 64) == pytest.approx(0.18, abs=0.005)


def test_preset_initializers(experiment):
    shrunk = experiment("initializers")[0]
    assert shrunk ** (2 / 19) == pytest.approx(0.5, abs=0.05)
    assert 0.2 < experiment("initializers", initializer="he_uniform")[0] < 5


def test_preset_batchnorm(experiment):
    growth = experiment("batchnorm")[0]
    assert growth ** (1 / 19) == pytest.approx(1.2, abs=0.03)
    assert experiment("batchnorm", stddev=0.5)[0] == pytest.approx(growth, rel=0.2)
    assert experiment("batchnorm", batchnorm=False)[0] < 1e-9


def test_preset_clipping(experiment):
    losses = experiment("clipping", steps=5)[1]
    assert losses[1] > 1000 * losses[0]
    for clip in ("value", "norm", "global"):
        clipped = experiment("clipping", steps=300, clip=clip)[1]
        assert clipped[-1] < 0.1


def test_preset_conclusions(experiment):
    assert experiment("conclusions")[0] < 1e-10
    assert experiment("conclusions", rate=5)[0] < 1e-10
    assert experiment("conclusions", clip="norm")[0] < 1e-10
    assert 0.1 < experiment("conclusions", skip=True)[0] < 10
    assert experiment("conclusions", steps=300, skip=True)[2][1] == "healthy"
