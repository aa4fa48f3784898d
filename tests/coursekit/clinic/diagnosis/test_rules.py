"""Each threshold decides where it says: traces just below and just above it."""

import numpy as np
import pytest

from coursekit.clinic.diagnosis.report import report
from coursekit.clinic.diagnosis.rules import stops
from coursekit.clinic.trace import Check, Trace
from coursekit.probing import ProbeReport

LOSS = 2.0


def probed(delta, dead=(), saturated=(), time=None, loss=LOSS):
    """Return a report of layers named a, b, c ...; dead: {number: share}."""
    size = len(delta)
    fractions = np.zeros(size)
    fractions[list(dict(dead))] = list(dict(dead).values())
    ends = np.full(size, np.nan)
    ends[list(dict(saturated))] = list(dict(saturated).values())
    delta = np.array(delta, dtype="float64")
    return ProbeReport(
        layers=list("abcdefghijklmnop"[:size]),
        activation_ms=np.ones(size),
        delta_norm=delta,
        kernel_gradient_norm=np.where(delta > 0, 1.0, 0.0),
        dead_fraction=fractions,
        saturated_fraction=ends,
        zero_gradients=np.zeros(size, dtype=int),
        time_norm={"a": np.array(time)} if time else {},
        loss=loss,
    )


def trained(probe, steps=200, skill=0.0, loss=None, gradient=None, **more):
    """Return the trace of a training whose probes are alike at both ends."""
    layers = probe.layers
    steps = steps if gradient is None else len(gradient)
    loss = np.full(steps, LOSS) if loss is None else np.asarray(loss, "float64")
    rows = len(loss)
    if gradient is None:
        gradient = np.ones((rows, len(layers)))
    end = LOSS * (1 - skill)
    fields = {
        "layers": layers,
        "steps": np.arange(1, rows + 1),
        "loss": loss,
        "skipped": np.zeros(rows, bool),
        "total_gradient": np.linalg.norm(gradient, axis=1),
        "gradient": gradient,
        "update_steps": np.array([1, 51]),
        "update": np.full((2, len(layers)), 1e-3),
        "weight": np.ones((2, len(layers))),
        "probes": [(0, probe), (rows, probe)],
        "checks": [Check(0, LOSS, LOSS, np.nan), Check(rows, end, LOSS, end)],
        "heads": layers[-1:],
    }
    return Trace(**fields | more)


def falling(ratio):
    return probed([ratio, 0.1, 1.0])


def growing(total, layers=9):
    return probed(np.geomspace(total, 1, layers))


def scattered(trend):
    """Growth by 30 over 8 steps whose mean is ``trend`` standard errors."""
    mean, wave = np.log10(30) / 8, np.tile([1, -1], 4)
    steps = mean + wave / wave.std(ddof=1) * mean * np.sqrt(8) / trend
    return probed(10.0 ** np.append(np.cumsum(steps[::-1])[::-1], 0))


def zeros_at_the_end(count, **more):
    gradient = np.ones((60, 3))
    gradient[60 - count :] = 0
    return trained(probed([1, 1, 1]), gradient=gradient, **more)


def dead(share):
    gradient = np.ones((60, 3))
    gradient[:, 0] = 0
    return trained(probed([0, 1, 1], dead={1: share}), gradient=gradient * [0, 0, 1])


def diverging(times):
    return trained(probed([1, 1, 1]), loss=[LOSS] * 40 + [times * LOSS] * 40)


def skipping(count):
    trace = trained(probed([1, 1, 1]), steps=50)
    trace.skipped[50 - count :] = True
    trace.total_gradient[50 - count :] = np.nan
    return trace


def blind(share):
    """A head that passes ``share`` of the gradient of its outputs."""
    checks = [Check(0, LOSS, LOSS, np.nan, 1.0), Check(200, LOSS, LOSS, LOSS, 1.0)]
    return trained(probed([share, share, share]), checks=checks)


def over_time(factor):
    return trained(probed([1, 1, 1], time=[factor, 1.0]))


# threshold, trace on the healthy side, on the other, verdict, layer, step
VERDICTS = {
    "VANISHED": (trained(falling(2e-3)), trained(falling(5e-4)), "vanishing", "a", 0),
    "SKILL": (
        trained(falling(5e-4), skill=0.22),
        trained(falling(5e-4), skill=0.18),
        "vanishing",
        "a",
        0,
    ),
    "GROWN": (trained(growing(16)), trained(growing(20)), "exploding", "a", 0),
    "TREND": (trained(scattered(4)), trained(scattered(5)), "exploding", "a", 0),
    "PATIENCE": (
        trained(growing(40), steps=49),
        trained(growing(40), steps=50),
        "exploding",
        "b",
        0,
    ),
    "DIVERGED": (diverging(9), diverging(11), "exploding", "a", 41),
    "SKIPPED": (skipping(19), skipping(20), "exploding", "a", 31),
    "LASTING": (zeros_at_the_end(4), zeros_at_the_end(5), "no_gradient", "c", 56),
    "BLIND": (blind(3e-6), blind(5e-7), "no_gradient", "c", 0),
    "DEAD": (dead(0.99), dead(1.0), "dead_units", "b", 0),
    "FORGOTTEN": (over_time(2e-6), over_time(5e-7), "vanishing", "a", 0),
    "AMPLIFIED": (over_time(900), over_time(1100), "exploding", "a", 0),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_threshold_decides(name):
    below, above, verdict, layer, step = VERDICTS[name]
    if name == "DEAD":
        # a layer that gets nothing through units that are nearly all dead
        assert report(below).verdict == "no_gradient"
    else:
        assert report(below).verdict == "healthy"
    found = report(above)
    assert (found.verdict, found.layer, found.step) == (verdict, layer, step)
    assert found.evidence and found.remedies


def updates(ratio):
    return trained(probed([1, 1, 1]), update=np.full((2, 3), ratio))


def lagging(times):
    end = Check(200, 1.0, LOSS, times)
    checks = [Check(0, LOSS, LOSS, np.nan), end]
    return trained(probed([1, 1, 1]), checks=checks)


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
    "SLOW": (updates(1.1e-6), updates(0.9e-6), "slow"),
    "INFERENCE": (lagging(1.9), lagging(2.1), "inference"),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_finding_is_no_verdict(name):
    below, above, kind = FINDINGS[name]
    assert kind not in {f.kind for f in report(below).findings}
    found = report(above)
    assert kind in {f.kind for f in found.findings}
    assert found.verdict == "healthy"
    assert found.remedies == ()


def test_inference_twice_as_bad_and_without_skill():
    """Both: a loss that is small either way is nobody's trouble."""
    checks = [Check(0, LOSS, LOSS, np.nan), Check(200, 0.1, LOSS, 1.5)]
    trace = trained(probed([1, 1, 1]), checks=checks)
    assert "inference" not in {f.kind for f in report(trace).findings}
    trace.checks[1] = Check(200, 0.1, LOSS, 1.7)
    assert "inference" in {f.kind for f in report(trace).findings}


def test_an_explosion_that_was_there_before_training_is_cured_there():
    gradient = np.ones((3, 9)) * [[1], [10], [100]]
    options = {"loss": [2.0, 3.0, np.nan], "gradient": gradient, "first_bad_step": 3}
    late = report(trained(probed(np.ones(9)), **options))
    early = report(trained(growing(40), **options))
    assert late.remedies[0].chapter == "exploding"
    assert early.remedies[0].chapter == "initializers"


def test_a_saturated_output_that_is_wrong_is_not_blind():
    """Its cross-entropy has a huge gradient, and delta is 1 all the same."""
    checks = [Check(0, 16.0, 16.0, np.nan, 1e7), Check(200, 16.0, 16.0, 16.0, 1e7)]
    trace = trained(probed([1.0, 1.0, 1.0], loss=16.0), checks=checks)
    assert report(trace).verdict == "healthy"


# --- the first event is named ------------------------------------------------


def test_an_explosion_that_kills_all_units_is_an_explosion():
    gradient = np.ones((60, 3))
    gradient[20:] = 0
    loss = np.r_[np.full(19, LOSS), 1e4, np.full(40, LOSS)]
    dead_end = probed([0, 0, 0], dead={0: 1.0, 1: 1.0})
    trace = trained(
        probed([1, 1, 1]),
        loss=loss,
        gradient=gradient,
        probes=[(0, probed([1, 1, 1])), (60, dead_end)],
    )
    found = report(trace)
    assert (found.verdict, found.step) == ("exploding", 20)


@pytest.mark.parametrize("spike, verdict", [(20, "exploding"), (50, "dead_units")])
def test_a_spike_that_kills_a_layer_came_first(spike, verdict):
    """The head's bias still gets a gradient; a spike after the death is another."""
    gradient = np.ones((60, 3))
    gradient[30:, :2] = 0
    loss = np.full(60, LOSS)
    loss[spike - 1] = 1e4
    dead_end = probed([0, 0, 1], dead={0: 1.0, 1: 1.0})
    start = probed([1, 1, 1])
    probes = [(0, start), (60, dead_end)]
    found = report(trained(start, loss=loss, gradient=gradient, probes=probes))
    assert found.verdict == verdict


def test_not_finite_names_the_step_and_the_layer_that_grew_most():
    gradient = np.ones((3, 3)) * [[1], [10], [100]]
    gradient[1:, 1] *= 50
    trace = trained(
        probed([1, 1, 1]),
        loss=[2.0, 3.0, np.nan],
        gradient=gradient,
        first_bad_step=3,
    )
    found = report(trace)
    assert (found.verdict, found.layer, found.step) == ("exploding", "b", 3)


def test_vanishing_names_the_highest_layer_below_the_threshold():
    delta = [1e-9, 1e-7, 1e-5, 1e-3 * 0.9, 1e-2, 1.0]
    assert report(trained(probed(delta))).layer == "d"


def test_one_head_of_large_weight_makes_no_other_layer_vanish():
    trace = trained(probed([1e-2, 1.0, 1e4]), heads=["b", "c"])
    assert report(trace).verdict == "healthy"


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
@pytest.mark.parametrize("name", [n for n in VERDICTS if n != "SKIPPED"])
def test_no_verdict_hangs_on_the_scale_of_the_loss(name, scale):
    for trace in VERDICTS[name][:2]:
        before = report(trace)
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
            Check(
                c.step,
                scale * c.loss,
                scale * c.constant_loss,
                scale * c.inference_loss,
                scale * c.output_gradient,
            )
            for c in trace.checks
        ]
        fields = vars(trace) | {
            "loss": scale * trace.loss,
            "gradient": scale * trace.gradient,
            "total_gradient": scale * trace.total_gradient,
            "probes": probes,
            "checks": checks,
        }
        after = report(Trace(**fields))
        assert (after.verdict, after.layer, after.step) == (
            before.verdict,
            before.layer,
            before.step,
        )


# --- without a batch ---------------------------------------------------------


def test_without_a_probe_kernel_gradients_stand_in():
    for ratio, verdict in ((5e-4, "vanishing"), (2e-3, "healthy")):
        gradient = np.ones((60, 3)) * [ratio, 0.1, 1.0]
        trace = trained(probed([1, 1, 1]), gradient=gradient, probes=[], checks=[])
        fields = vars(trace) | {"loss": np.full(60, LOSS)}
        assert report(Trace(**fields)).verdict == verdict


def test_without_a_probe_a_falling_loss_is_progress():
    gradient = np.ones((60, 3)) * [1e-5, 0.1, 1.0]
    loss = np.linspace(LOSS, 0.1, 60)
    trace = trained(probed([1, 1, 1]), gradient=gradient, probes=[], checks=[])
    assert report(Trace(**vars(trace) | {"loss": loss})).verdict == "healthy"


# --- ending a training -------------------------------------------------------


@pytest.mark.parametrize("steps", [49, 50])
def test_what_rests_on_lack_of_progress_waits(steps):
    trace = trained(falling(1e-6), steps=steps)
    assert report(trace).verdict == "vanishing"
    assert stops(trace, {"vanishing"}) == (steps == 50)
    assert not stops(trace, {"exploding"})


def test_a_finished_explosion_does_not_wait():
    trace = trained(
        probed([1, 1, 1]),
        loss=[2.0, np.inf],
        gradient=np.array([[1.0] * 3, [np.inf] * 3]),
        first_bad_step=2,
    )
    assert stops(trace, {"exploding"})
