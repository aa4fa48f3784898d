"""One table of traces, with what the rules must answer: both sides of each threshold.

`tests/coursekit/clinic/diagnosis/test_rules.py` and `tests/lab/test_worker.py` run over
it. The rows are made here and kept as JSON; run this file after a change of them:

    .venv/bin/python tests/helpers/traces.py
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from coursekit.clinic.diagnosis import rules
from coursekit.clinic.trace import Check, Trace
from coursekit.probing import ProbeReport

TABLE = Path(__file__).parents[1] / "data" / "traces.json"
LOSS = 2.0
ARRAYS = "steps loss skipped total_gradient gradient update_steps update weight".split()


@dataclass(frozen=True)
class Row:
    """A trace and the right answer.

    `lab` is empty where the live lab must answer the same. "layer: why" says that it
    cannot tell the layer, "row: why" that it cannot hold such a trace.
    """

    name: str
    trace: Trace
    verdict: str
    layer: str | None = None
    step: int | None = None
    lab: str = ""


# --- parts of a trace -------------------------------------------------------------


def probed(delta, dead=(), saturated=(), time=None, loss=LOSS):
    """Return a probe of layers named a, b, c ...; dead: {number: share}."""
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


def trained(probe, steps=200, skill=0.1, loss=None, gradient=None, **more):
    """Return the trace of a training whose probes are alike at both ends.

    A skill of .1 is learning, and not so much that the rules about depth are dropped.
    """
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


EVEN = [1.0, 1.0, 1.0]


def falling(ratio):
    return probed([ratio, 0.1, 1.0])


def growing(total, layers=9):
    return probed(np.geomspace(total, 1, layers))


def scattered(trend, total=30):
    """Growth by ``total`` over 8 steps whose mean is ``trend`` standard errors."""
    mean, wave = np.log10(total) / 8, np.tile([1, -1], 4)
    steps = mean + wave / wave.std(ddof=1) * mean * np.sqrt(8) / trend
    return probed(10.0 ** np.append(np.cumsum(steps[::-1])[::-1], 0))


def zeros_at_the_end(count, **more):
    gradient = np.ones((60, 3))
    gradient[60 - count :] = 0
    return trained(probed(EVEN), gradient=gradient, **more)


def dead(share):
    gradient = np.ones((60, 3)) * [0, 0, 1]
    return trained(probed([0, 1, 1], dead={1: share}), gradient=gradient)


def diverging(times):
    return trained(probed(EVEN), loss=[LOSS] * 40 + [times * LOSS] * 40)


def skipping(count):
    trace = trained(probed(EVEN), steps=50)
    trace.skipped[50 - count :] = True
    trace.total_gradient[50 - count :] = np.nan
    return trace


def passing(share):
    """A head that passes ``share`` of the gradient of its outputs."""
    checks = [Check(0, LOSS, LOSS, np.nan, 1.0), Check(200, 1.8, LOSS, 1.8, 1.0)]
    return trained(probed([share, share, share]), checks=checks)


def over_time(factor, skill=0.1):
    return trained(probed(EVEN, time=[factor, 1.0]), skill=skill)


def compared_with(constant, loss=None):
    """A flat or given loss, and a constant output's that is small beside it."""
    checks = [Check(n, LOSS, constant, np.nan) for n in (0, 200)]
    return trained(probed(EVEN), loss=loss, checks=checks)


def ending_at(share):
    """A loss that ends at a mean ``share``, of zeros and few large values."""
    late = np.tile([0] * 7 + [8 * share], 5)
    return compared_with(np.nan, LOSS * np.append(np.ones(160), late))


def sinking(errors):
    """A loss that alternates, and falls by so many standard errors."""
    wave = np.tile([0.05, -0.05], 20)
    fall = errors * 0.05 * np.sqrt(2 / 40)
    levels = np.repeat([1, 1 - fall], [160, 40])
    return compared_with(np.nan, LOSS * (levels + np.tile(wave, 5)))


def learned(share, error):
    """A skill, and its standard error."""
    checks = [Check(0, LOSS, LOSS, np.nan)]
    checks.append(Check(200, (1 - share) * LOSS, LOSS, np.nan, skill_error=error))
    return trained(probed(EVEN), checks=checks)


def validated(own, held):
    """A share learned, and how many parts of the validation data tell targets apart."""
    checks = [Check(n, v, LOSS, v) for n, v in ((0, LOSS), (200, (1 - own) * LOSS))]
    return trained(probed(EVEN), checks=checks, held=held)


def drifting(own, held, late=0.5):
    """The same where the recorded losses end at so much of a constant's."""
    loss = LOSS * np.linspace(1.1, late, 200)
    loss[-50:] = late * LOSS
    more = {"loss": loss, "constant_loss": LOSS}
    return replace(validated(own, held), **more)


def waving(height):
    """Losses a tenth below those of other samples; those of the probe tell nothing."""
    wave = LOSS * (0.9 + height * np.tile([1, -1], 100))
    checks = [Check(n, LOSS, 0.0, np.nan) for n in (0, 200)]
    return trained(probed(EVEN), loss=wave, checks=checks, constant_loss=LOSS)


def below_zero(times, constant=-np.inf):
    """A loss that falls to ``times`` its size at the start, below 0."""
    loss = [LOSS] * 5 + [*np.linspace(LOSS, -times * LOSS, 50)] + [-times * LOSS] * 10
    ends = ((0, LOSS), (65, -times * LOSS))
    checks = [Check(n, v, constant, np.nan) for n, v in ends]
    return trained(probed(EVEN), loss=loss, checks=checks)


def flat_below_zero(beaten, error=np.nan):
    """A flat loss, below a constant's by a share of the way from the start."""
    checks = [Check(0, 0.0, -1.0, np.nan)]
    checks.append(Check(200, -1 - beaten, -1.0, np.nan, gain_error=error))
    return trained(probed(EVEN), loss=[-1.0] * 200, checks=checks)


def reaching(share):
    """A loss that falls a share of the way to a constant's, below 0."""
    trace = flat_below_zero(share - 1, 0.02)
    return Trace(**vars(trace) | {"loss": -np.linspace(0, share, 200)})


def same_outputs(probe, start=LOSS):
    checks = [Check(n, start, start or 1e-8, np.nan, sway=0.0) for n in (0, 200)]
    return trained(probe, loss=[start] * 200, checks=checks)


def beside(at_the_input):
    """A low layer, and what arrives below it."""
    ends = ((0, LOSS), (200, 0.9 * LOSS))
    checks = [Check(n, v, LOSS, np.nan, 1.0, 1.0, at_the_input) for n, v in ends]
    return trained(probed([1e-4, 0.5, 1.0]), checks=checks)


def killed(spike, killed_from, alike):
    """A loss that spikes, and layers that are dead from a step on."""
    gradient = np.ones((60, 3))
    gradient[killed_from - 1 :, : 3 if alike else 2] = 0
    loss = np.full(60, LOSS)
    loss[spike - 1] = 1e4
    end = probed([0, 0, 0 if alike else 1], dead={0: 1.0, 1: 1.0})
    probes = [(0, probed(EVEN)), (60, end)]
    return trained(probed(EVEN), loss=loss, gradient=gradient, probes=probes)


def broken():
    """NaN at step 3, after the gradient of layer b grew most."""
    gradient = np.ones((3, 3)) * [[1], [10], [100]]
    gradient[1:, 1] *= 50
    options = {"loss": [2.0, 3.0, np.nan], "gradient": gradient, "first_bad_step": 3}
    return trained(probed(EVEN), **options)


def without_a_probe(ratio, end=LOSS):
    gradient = np.ones((60, 3)) * [ratio, 0.1, 1.0]
    loss = np.linspace(LOSS, end, 60)
    return trained(probed(EVEN), gradient=gradient, loss=loss, probes=[], checks=[])


def unseen():
    none = np.empty(0)
    return Trace(
        layers=["a"],
        steps=none.astype(int),
        loss=none,
        skipped=none.astype(bool),
        total_gradient=none,
        gradient=np.empty((0, 1)),
        update_steps=none.astype(int),
        update=np.empty((0, 1)),
        weight=np.empty((0, 1)),
        heads=["a"],
    )


# --- the rows ---------------------------------------------------------------------

SCALES = "row: the lab has no loss scale"
RECURRENT = "row: the lab has no recurrent layer"
OUTPUTS = "row: the lab's loss passes all that arrives at its outputs"
HEADS = "row: the lab's networks have one output layer"
PROBES = "row: the lab always measures"
HISTORY = "layer: the lab keeps no gradient of each step"
SURE = "row: the lab measures all that it trains on"
HEART = "row: the lab has no validation data"
LOSSES = "row: the lab's loss is never below 0"
INPUTS = "row: the lab's branches all have the same scale"


def rows():
    """Yield both sides of every threshold, and orders of events."""
    yield from _depth()
    yield from _losses_and_zeros()
    yield from _events()


def _depth():
    yield Row("VANISHED -", trained(falling(2e-3)), "healthy")
    yield Row("VANISHED +", trained(falling(5e-4)), "vanishing", "a", 0)
    yield Row("SKILL -", trained(falling(5e-4), skill=0.22), "healthy")
    yield Row("SKILL +", trained(falling(5e-4), skill=0.18), "vanishing", "a", 0)
    low, lower = (probed(np.geomspace(r, 1, 9)) for r in (0.12, 0.08))
    yield Row("SHRUNK -", trained(low, skill=0), "not_learning", None, 200)
    yield Row("SHRUNK +", trained(lower, skill=0), "vanishing", "a", 0)
    yield Row("SHRUNK, and learning", trained(lower, skill=0.05), "healthy")
    up, down = (trained(scattered(t, 1 / 30), skill=0) for t in (2.5, 3.5))
    yield Row("FALLEN -", up, "not_learning", None, 200)
    yield Row("FALLEN +", down, "vanishing", "c", 0)
    yield Row("GROWN -", trained(growing(16)), "healthy")
    yield Row("GROWN +", trained(growing(20)), "exploding", "a", 0)
    yield Row("TREND -", trained(scattered(4)), "healthy")
    yield Row("TREND +", trained(scattered(5)), "exploding", "a", 0)


def _losses_and_zeros():
    even = probed(EVEN)
    yield Row("PATIENCE -", trained(growing(40), steps=49), "not_measured")
    yield Row("PATIENCE, and learning", trained(even, skill=0.3, steps=9), "healthy")
    yield Row("PATIENCE +", trained(growing(40), steps=50), "exploding", "b", 0)
    yield Row("LEARNED -", trained(even, skill=0.035), "healthy")
    yield Row("LEARNED +", trained(even, skill=0.025), "not_learning", None, 200)
    yield Row("SURE -", learned(0.1, 0.048), "healthy", lab=SURE)
    yield Row("SURE +", learned(0.1, 0.052), "not_measured", lab=SURE)
    yield Row("SURE, and learning", learned(0.21, 0.2), "healthy", lab=SURE)
    yield Row("TOLD -", waving(0.1), "healthy", lab=SURE)
    yield Row("TOLD +", waving(0.13), "not_learning", None, 200, SURE)
    heart = "not_learning", None, 200, HEART
    yield Row("HELD -", validated(0.3, 8.0), "healthy", lab=HEART)
    yield Row("HELD +", validated(0.3, 7.0), *heart)
    yield Row("SKILL, by heart -", validated(0.19, 0.0), "healthy", lab=HEART)
    yield Row("SKILL, by heart +", validated(0.21, 0.0), *heart)
    below = {"loss": np.linspace(LOSS, -LOSS, 200), "held": 0.0}
    for seen, *answer in ((8.0, "not_measured"), (9.0, *heart[:3])):
        trace = trained(probed(EVEN), skill=2.0, seen=seen, **below)
        yield Row(f"HELD, below 0, {seen:.0f}", trace, *answer, lab=HEART)
    nothing = "not_learning", None, 200, HEART
    yield Row("PARTS -", drifting(-0.3, 9.0), "not_measured", lab=HEART)
    yield Row("PARTS +", drifting(-0.3, 10.0), "healthy", lab=HEART)
    yield Row("SKILL, drifting", drifting(-0.19, 10.0), *nothing)
    yield Row("SKILL, diverging", drifting(-0.3, 10.0, 0.82), *nothing)
    yield Row("BY_CHANCE, little", validated(0.02, 8.0), *nothing)
    yield Row("BY_CHANCE, it holds", validated(0.02, 9.0), "healthy", lab=HEART)
    yield Row("BY_CHANCE, and nothing", validated(0.0, 9.0), *nothing)
    for held, *answer in ((7.0, *nothing), (8.0, "healthy", None, None, HEART)):
        same = [replace(c, same_inputs=True) for c in validated(0.1, held).checks]
        trace = replace(validated(0.1, held), checks=same)
        yield Row(f"HELD, inputs alike {held:.0f}", trace, *answer)
    for seen, verdict in ((8.0, "not_measured"), (9.0, "healthy")):
        trace = trained(probed(EVEN), skill=2.0, seen=seen, loss=below["loss"])
        yield Row(f"BY_CHANCE, {seen}", trace, verdict, lab=LOSSES)
    yield Row("LEARNED, early", trained(even, skill=0, steps=49), "not_measured")
    yield Row(
        "LEARNED, late", trained(even, skill=0, steps=50), "not_learning", None, 50
    )
    yield Row("DIVERGED -", diverging(9), "healthy")
    yield Row("DIVERGED +", diverging(11), "exploding", "a", 41, HISTORY)
    fields = vars(diverging(11)) | {"constant_loss": 1.2 * LOSS}
    yield Row(
        "DIVERGED, to what other targets ask", Trace(**fields), "healthy", lab=SURE
    )
    yield Row("SKIPPED -", skipping(19), "healthy", lab=SCALES)
    yield Row("SKIPPED +", skipping(20), "exploding", "a", 31, SCALES)
    yield Row("LASTING -", zeros_at_the_end(4), "healthy")
    yield Row("LASTING +", zeros_at_the_end(5), "no_gradient", "c", 56)
    # nothing to compare with: only a loss that falls speaks for the model
    yield Row("HALVED -", ending_at(0.52), "not_measured")
    yield Row("HALVED +", ending_at(0.48), "healthy")
    yield Row("SCATTER -", sinking(2.9), "not_measured")
    yield Row("SCATTER +", sinking(3.1), "healthy")
    yield Row("BLIND -", passing(3e-6), "healthy", lab=OUTPUTS)
    yield Row("BLIND +", passing(5e-7), "no_gradient", "c", 0, OUTPUTS)
    # a layer that gets nothing through units that are nearly all dead
    yield Row("DEAD -", dead(0.99), "no_gradient", "a", 0)
    yield Row("DEAD +", dead(1.0), "dead_units", "b", 0)
    forgets = over_time(2e-6, 0), over_time(5e-7, 0), over_time(5e-7, 0.05)
    yield Row("FORGOTTEN -", forgets[0], "not_learning", None, 200, RECURRENT)
    yield Row("FORGOTTEN +", forgets[1], "vanishing", "a", 0, RECURRENT)
    yield Row("FORGOTTEN, and learning", forgets[2], "healthy", lab=RECURRENT)
    yield Row("AMPLIFIED -", over_time(900), "healthy", lab=RECURRENT)
    yield Row("AMPLIFIED +", over_time(1100), "exploding", "a", 0, RECURRENT)
    empty = rules.EMPTY * LOSS
    yield Row("EMPTY -", compared_with(1.2 * empty), "not_learning", None, 200)
    yield Row("EMPTY +", compared_with(0.8 * empty), "not_measured")
    falls = np.linspace(LOSS, LOSS / 4, 200)
    others = replace(compared_with(0.8 * empty, falls), held=rules.HELD)
    yield Row("EMPTY, and others tell", others, "healthy", lab=HEART)
    yield Row("LEARNED, below 0 -", flat_below_zero(0.02), "not_measured", lab=LOSSES)
    yield Row("LEARNED, below 0 +", flat_below_zero(0.04), "healthy", lab=LOSSES)
    sure, not_sure = flat_below_zero(0.04, 0.019), flat_below_zero(0.04, 0.021)
    yield Row("SURE, below 0 -", sure, "healthy", lab=LOSSES)
    yield Row("SURE, below 0 +", not_sure, "not_measured", lab=LOSSES)
    yield Row("SKILL, below 0 -", reaching(0.79), "healthy", lab=LOSSES)
    yield Row("SKILL, below 0 +", reaching(0.81), "not_measured", lab=LOSSES)
    yield Row("DIVERGED, below 0 -", below_zero(9), "healthy", lab=LOSSES)
    yield Row("DIVERGED, below 0 +", below_zero(11), "exploding", "c", 51, LOSSES)
    late = below_zero(11)
    late.loss[-1] = np.nan
    fields = vars(late) | {"first_bad_step": 65}
    yield Row("a fall that ends as NaN", Trace(**fields), "exploding", "c", 51, LOSSES)
    bounded = below_zero(11, constant=-20.0)
    yield Row("a likelihood far below 0", bounded, "healthy", lab=LOSSES)
    yield Row("beside the way -", beside(0.2), "healthy", lab=INPUTS)
    yield Row("beside the way +", beside(0.05), "vanishing", "a", 0, INPUTS)


def _events():
    alike = killed(20, 21, True)
    yield Row("an explosion that kills all", alike, "exploding", "a", 20, HISTORY)
    before, after = killed(20, 31, False), killed(50, 31, False)
    yield Row("a spike, then death", before, "exploding", "a", 20, HISTORY)
    yield Row("death, then a spike", after, "dead_units", "a", 31)
    yield Row("not finite", broken(), "exploding", "b", 3, HISTORY)
    nothing = same_outputs(probed(EVEN), 0.0)
    yield Row("a loss that begins at 0", nothing, "no_gradient", "c", 0, OUTPUTS)
    small = same_outputs(probed(np.geomspace(1e-8, 1, 9)))
    yield Row("signals that vanish on both ways", small, "vanishing", "f", 0)
    wall = probed([1e-9, 1e-7, 1e-5, 1e-3 * 0.9, 1e-2, 1.0])
    yield Row("the highest layer below", trained(wall), "vanishing", "d", 0)
    two = trained(probed([1e-2, 1.0, 1e4]), heads=["b", "c"])
    yield Row("a head of large weight", two, "healthy", lab=HEADS)
    checks = [Check(n, 16.0, 16.0, np.nan, 1e7) for n in (0, 49)]
    wrong = trained(probed(EVEN, loss=16.0), checks=checks, steps=49)
    yield Row("a saturated, wrong output", wrong, "not_measured", lab=OUTPUTS)
    kernels = [without_a_probe(ratio) for ratio in (2e-3, 5e-4)]
    yield Row("kernels without a probe -", kernels[0], "not_measured", lab=PROBES)
    yield Row("kernels without a probe +", kernels[1], "vanishing", "a", 1, PROBES)
    moving = without_a_probe(1e-5, 0.1)
    yield Row("a falling loss without a probe", moving, "not_measured", lab=PROBES)
    fields = vars(without_a_probe(1.0, 0.1)) | {"constant_loss": LOSS}
    yield Row("learning without a probe", Trace(**fields), "healthy", lab=PROBES)
    yield Row("no step was seen", unseen(), "not_measured", lab=PROBES)


# --- as JSON ----------------------------------------------------------------------


def _runs(array):
    """Return [[count, row], ...]: long traces are mostly alike."""
    runs = []
    for row in np.asarray(array).tolist():
        if runs and repr(runs[-1][1]) == repr(row):
            runs[-1][0] += 1
        else:
            runs.append([1, row])
    return runs


def _lists(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {k: _lists(v) for k, v in value.items()}
    return value


def plain(row):
    """Return a row as JSON has it."""
    trace = {k: v for k, v in vars(row.trace).items() if k not in ARRAYS}
    trace |= {name: _runs(getattr(row.trace, name)) for name in ARRAYS}
    trace["probes"] = [[step, _lists(vars(p))] for step, p in row.trace.probes]
    trace["checks"] = [asdict(check) for check in row.trace.checks]
    return {k: v for k, v in vars(row).items() if k != "trace"} | {"trace": trace}


def _array(runs, like):
    rows = [row for count, row in runs for _ in range(count)]
    return np.array(rows, like.dtype).reshape(-1, *like.shape[1:])


def _probe(fields):
    arrays = {k: np.array(v) for k, v in fields.items() if isinstance(v, list)}
    time = {k: np.array(v) for k, v in fields["time_norm"].items()}
    return ProbeReport(
        **fields | arrays | {"layers": fields["layers"], "time_norm": time}
    )


def _row(content):
    fields = dict(content["trace"])
    width = len(fields["layers"])
    for name in ARRAYS:
        kind = {"steps": int, "update_steps": int, "skipped": bool}.get(name, float)
        wide = name in ("gradient", "update", "weight")
        like = np.empty((0, width) if wide else 0, kind)
        fields[name] = _array(fields[name], like)
    fields["probes"] = [(step, _probe(found)) for step, found in fields["probes"]]
    fields["checks"] = [Check(**check) for check in fields["checks"]]
    return Row(**content | {"trace": Trace(**fields)})


def text():
    """Return the table as JSON, a row a line."""
    lines = ",\n".join(json.dumps(plain(row)) for row in rows())
    return f"[\n{lines}\n]\n"


def table():
    """Return the rows, as they were written."""
    return [_row(content) for content in json.loads(TABLE.read_text(encoding="utf-8"))]


# --- for the lab ------------------------------------------------------------------


def for_lab(trace):
    """Return a trace as `worker/diagnose.js` takes it."""
    zeros = []
    for column in trace.gradient.T:
        alive = np.flatnonzero(column)
        zeros.append(len(column) - 1 - (alive[-1] if len(alive) else -1))
    return {
        "loss": trace.loss.tolist(),
        "zeros": [int(z) for z in zeros],
        "probes": [
            {"step": step, "rows": _lab_rows(found), "loss": found.loss}
            for step, found in trace.probes
        ],
        "checks": [
            {"step": c.step, "loss": c.loss, "constantLoss": c.constant_loss}
            for c in trace.checks
        ],
    }


def _lab_rows(found):
    columns = {
        "delta": found.delta_norm,
        "kernel": found.kernel_gradient_norm,
        "activation": np.sqrt(found.activation_ms),
        "dead": found.dead_fraction,
    }
    size = len(found.layers)
    return [{k: float(v[n]) for k, v in columns.items()} for n in range(size)]


if __name__ == "__main__":
    TABLE.write_text(text(), encoding="utf-8")
    print(f"{TABLE.name}: {len(table())} rows")
