"""Each threshold decides where it says: traces just below and just above it."""

from dataclasses import replace

import numpy as np
import pytest

import traces
from coursekit.clinic._facts import Facts
from coursekit.clinic.diagnosis import rules
from coursekit.clinic.diagnosis.report import answer
from coursekit.clinic.diagnosis.rules import stops
from coursekit.clinic.trace import Check, Trace
from coursekit.probing import ProbeReport
from traces import EVEN, LOSS, falling, growing, probed, trained

TABLE = {row.name: row for row in traces.table()}


@pytest.mark.parametrize("name", TABLE)
def test_the_answer_is_that_of_the_table(name):
    row = TABLE[name]
    found = answer(row.trace)
    assert (found.verdict, found.layer, found.step) == (
        row.verdict,
        row.layer,
        row.step,
    )
    earned = row.verdict != "healthy" or rules.learns(row.trace)
    assert bool(found.evidence) == earned


def test_the_table_is_what_its_helper_writes():
    assert traces.TABLE.read_text(encoding="utf-8") == traces.text()


def test_the_table_has_both_sides_of_every_threshold():
    names = {
        n
        for n in vars(rules)
        if n.isupper() and isinstance(getattr(rules, n), float | int)
    }
    for name in names - {"ORDINARY"} - FINDINGS.keys():
        sides = [
            row.verdict for n, row in TABLE.items() if n.split()[0].strip(",") == name
        ]
        assert len(set(sides)) > 1, name


def updates(ratio):
    return trained(probed([1, 1, 1]), update=np.full((2, 3), ratio))


def swaying(share):
    checks = [Check(0, LOSS, LOSS, np.nan), Check(200, 0.9 * LOSS, LOSS, 1, sway=share)]
    return trained(probed([1, 1, 1]), checks=checks)


def sized(size):
    return trained(probed([1, 1, 1]), facts=Facts(x_size=size, y_size=1.0))


def jumping(times):
    """Return a trace whose gradient grew ``times`` before it was not finite."""
    gradient = np.ones((30, 3))
    gradient[-2] *= times
    gradient[-1] = np.nan
    loss = [LOSS] * 29 + [np.nan]
    return trained(probed(EVEN), loss=loss, gradient=gradient, first_bad_step=30)


@pytest.mark.parametrize("held, told", [(np.nan, [0.9]), (10.0, [0.9, 10.0])])
def test_healthy_says_what_it_rests_on(held, told):
    """How much was learned, and whether validation data were asked."""
    learned = answer(trained(probed([1, 1, 1]), skill=0.9, held=held))
    assert [e.value for e in learned.evidence] == pytest.approx(told)
    little = answer(trained(probed([1, 1, 1]), skill=0.1, held=held))
    assert (little.verdict, little.evidence) == ("healthy", ())
    assert "hardly learned" in str(little)
    assert ("by heart" in str(little)) == (len(told) == 1)


@pytest.mark.parametrize("times, sentence", [(29, "sudden"), (31, "")])
def test_what_grew_before_it_was_not_finite_is_told_from_what_did_not(times, sentence):
    found = answer(jumping(times))
    assert (found.verdict, found.sentence) == ("exploding", sentence)
    assert ("isfinite" in found.remedies[0].code) == (sentence == "sudden")
    assert "slow" not in {f.kind for f in found.findings}


def lagging(times):
    end = Check(200, 1.0, LOSS, times)
    checks = [Check(0, LOSS, LOSS, np.nan), end]
    return trained(probed([1, 1, 1]), checks=checks)


def coming_to_rest(share):
    """Return a trace with a ``share`` of the loss's fall in its second half."""
    levels = np.repeat([1.1, 1 + 0.1 * share, 1.0], [80, 40, 80])
    return trained(probed(np.ones(5)), loss=levels * LOSS, skill=0.0)


FINDINGS = {
    "MANY_DEAD": (
        trained(probed([1, 1, 1], dead={1: 0.45})),
        trained(probed([1, 1, 1], dead={1: 0.55})),
        "dead_units",
    ),
    "MANY_SATURATED": (
        trained(probed([1, 1, 1], saturated={1: 0.45})),
        trained(probed([1, 1, 1], saturated={1: 0.55})),
        "saturated",
    ),
    "FAST": (updates(0.09), updates(0.11), "fast"),
    "MOVED": (updates(0.011 / 200), updates(0.009 / 200), "slow"),
    "SWAY": (swaying(1.1e-3), swaying(0.9e-3), "constant_outputs"),
    "LARGE": (sized(9), sized(11), "scale"),
    "STEADY": (coming_to_rest(0.24), coming_to_rest(0.26), "slow"),
    "INFERENCE": (lagging(1.9), lagging(2.1), "inference"),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_is_no_verdict(name):
    below, above, kind = FINDINGS[name]
    assert kind not in {f.kind for f in answer(below).findings}
    found = answer(above)
    assert kind in {f.kind for f in found.findings}
    # a pace is looked at where nothing was learned
    verdict = "not_learning" if name == "STEADY" else "healthy"
    assert found.verdict == answer(below).verdict == verdict


def test_inference_twice_as_bad_and_without_skill():
    """Both: a loss that is small either way is nobody's trouble."""
    checks = [Check(0, LOSS, LOSS, np.nan), Check(200, 0.1, LOSS, 1.5)]
    trace = trained(probed([1, 1, 1]), checks=checks)
    assert "inference" not in {f.kind for f in answer(trace).findings}
    trace.checks[1] = Check(200, 0.1, LOSS, 1.7)
    assert "inference" in {f.kind for f in answer(trace).findings}


def test_an_explosion_that_was_there_before_training_is_cured_there():
    gradient = np.ones((3, 9)) * [[1], [10], [100]]
    options = {"loss": [2.0, 3.0, np.nan], "gradient": gradient, "first_bad_step": 3}
    late = answer(trained(probed(np.ones(9)), **options))
    early = answer(trained(growing(40), **options))
    assert late.remedies[0].chapter == "exploding"
    assert early.remedies[0].chapter == "initializers"


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
def test_no_verdict_hangs_on_the_scale_of_the_loss(scale):
    for row in traces.table():
        trace, before = row.trace, answer(row.trace)
        probes = [
            (
                step,
                ProbeReport(
                    p.layers,
                    p.activation_ms,
                    scale * p.delta_norm,
                    scale * p.kernel_gradient_norm,
                    p.dead_fraction,
                    p.saturated_fraction,
                    p.zero_gradients,
                    {k: scale * v for k, v in p.time_norm.items()},
                    scale * p.loss,
                ),
            )
            for step, p in trace.probes
        ]
        checks = [
            replace(
                c,
                loss=scale * c.loss,
                constant_loss=scale * c.constant_loss,
                inference_loss=scale * c.inference_loss,
                output_gradient=scale * c.output_gradient,
                input_gradient=scale * c.input_gradient,
                gain_error=scale * c.gain_error,
            )
            for c in trace.checks
        ]
        fields = vars(trace) | {
            "loss": scale * trace.loss,
            "gradient": scale * trace.gradient,
            "total_gradient": scale * trace.total_gradient,
            "constant_loss": scale * trace.constant_loss,
            "probes": probes,
            "checks": checks,
        }
        after = answer(Trace(**fields))
        found = (after.verdict, after.layer, after.step)
        assert found == (before.verdict, before.layer, before.step), row.name


# --- ending a training -------------------------------------------------------


@pytest.mark.parametrize("steps", [49, 50])
def test_what_rests_on_lack_of_progress_waits(steps):
    trace = trained(falling(1e-6), steps=steps)
    assert answer(trace).verdict == "vanishing"
    assert stops(trace, {"vanishing"}) == (steps == 50)
    assert not stops(trace, {"exploding"})


def test_a_training_that_goes_on_and_learns_is_not_ended():
    """It has been probed at its start alone; the recorded loss tells."""
    for end, stopped in ((LOSS, True), (0.5 * LOSS, False)):
        loss = np.linspace(LOSS, end, 200)
        trace = trained(falling(1e-6), loss=loss)
        del trace.probes[1:], trace.checks[1:]
        assert stops(trace, {"vanishing"}) == stopped


def test_a_finished_explosion_does_not_wait():
    trace = trained(
        probed([1, 1, 1]),
        loss=[2.0, np.inf],
        gradient=np.array([[1.0] * 3, [np.inf] * 3]),
        first_bad_step=2,
    )
    assert stops(trace, {"exploding"})


# --- data, labels or a function ----------------------------------------------


def ended(**more):
    """Return a trace of ordinary steps, the last of which is not finite."""
    return Trace(**vars(jumping(1)) | more)


def test_data_are_blamed_where_a_bad_batch_was_seen_or_none_was():
    bad = answer(ended(bad_parts={30: ["inputs", "targets"]}))
    assert [f.kind for f in bad.findings] == ["bad_data"]
    assert "the inputs and targets of step 30 hold" in str(bad)
    assert len(bad.remedies) == 1 and "isfinite" in bad.remedies[0].code
    unseen = answer(ended())
    assert not unseen.findings and "isfinite" in unseen.remedies[0].code


def test_a_finite_batch_points_at_a_function():
    """Also where the probed samples are not finite, and the model reads them."""
    for parts in ({30: []}, {0: ["targets"], 30: []}):
        found = answer(ended(bad_parts=parts, facts=Facts(finite=not parts.get(0))))
        assert [f.kind for f in found.findings] == ["function"]
        assert "epsilon" in found.remedies[0].code
        assert not any("isfinite" in r.code for r in found.remedies)
    # what had grown overflows, whatever the loss is
    for times, kinds in ((29, ["function"]), (31, [])):
        known = {"bad_parts": {30: []}, "loss": np.full(30, LOSS)}
        trace = Trace(**vars(jumping(times)) | known)
        assert [f.kind for f in answer(trace).findings] == kinds


@pytest.mark.parametrize(
    "probe, times, steps, kinds",
    [
        (probed(EVEN), 29, 3, ["function"]),
        (probed(EVEN), 31, 3, []),
        (probed(EVEN), 1, 1, ["function"]),
        (growing(17), 1, 2, ["function"]),
        (growing(19), 1, 2, []),
    ],
)
def test_what_grew_in_the_first_steps_is_no_fault_of_a_function(
    probe, times, steps, kinds
):
    """Units that a step killed give a finite loss, and a gradient of 0 times inf."""
    gradient = np.ones((steps, len(probe.layers)))
    gradient[-2:] *= times
    gradient[-1] = np.nan
    loss = np.full(steps, LOSS)
    found = answer(trained(probe, loss=loss, gradient=gradient, first_bad_step=steps))
    assert [f.kind for f in found.findings if f.kind == "function"] == kinds
    assert ("epsilon" in found.remedies[0].code) == bool(kinds)


@pytest.mark.parametrize("size, kinds", [(9, ["function"]), (11, ["scale"])])
def test_ordinary_inputs_that_become_nan_before_training(size, kinds):
    """The first layer gets NaN of finite inputs: of a logarithm, or of an overflow."""
    probe = probed(np.full(3, np.nan), loss=np.nan)
    probe.activation_ms[:] = np.nan
    check = Check(0, np.nan, np.nan, np.nan)
    facts = Facts(x_size=float(size), y_size=1.0)
    found = answer(Trace.untrained(probe, check, ["c"], facts))
    assert (found.verdict, [f.kind for f in found.findings]) == ("exploding", kinds)
    assert (found.sentence == "sudden") == (kinds == ["function"])


def test_labels_that_are_no_classes_are_named_before_a_function():
    facts = Facts(loss="sparse", units=3, low=1.0, high=3.0)
    found = answer(ended(bad_parts={30: []}, facts=facts))
    assert [f.kind for f in found.findings] == ["labels"]
    assert (found.sentence, found.remedies[0].code[:14]) == ("sudden", "y = np.unique(")


def test_too_few_steps_are_no_health():
    found = answer(trained(probed(EVEN), steps=8))
    assert found.summary.startswith("Too early to tell") and "8 steps" in found.summary
    assert answer(Trace.empty(["a"], [])).sentence == ""


def test_evidence_of_another_layer_than_the_verdicts_says_why():
    """A verdict names the first layer from the loss down, evidence the extreme."""
    fallen = probed([1e-9, 1e-12, 1e-5, 0.5, 1.0])
    rising = growing(100)
    for probe, where, name in (
        (fallen, "c", "delta of b, the smallest from c down, over the output's"),
        (falling(1e-5), "a", "delta of a over the output's"),
        (rising, "c", "delta of a, the lowest from c down, over the output's"),
    ):
        found = rules.judge(trained(probe))
        assert (found.layer, found.evidence[0].name) == (where, name)
