"""What the measurements of a trace mean: one rule a fault.

Every rule compares quantities of the same kind, so that no threshold moves with
the scale of the loss, the units of the targets, the width or the batch. Rules
about depth look at delta (per-sample ``||dL/dz||``) near initialization, where
theory speaks, and are dropped when the model turns out to learn from its
inputs. The margins were measured on the models of public studies of training
faults, on those of ``tests/test_diagnosis.py`` and on the course's own.
"""

import math
from dataclasses import dataclass

import numpy as np

VERDICTS = ("healthy", "vanishing", "exploding", "dead_units", "no_gradient")

SENTENCES = {
    "healthy": "Healthy: no gradient problem was found",
    "vanishing": "Vanishing: the error signal shrinks to almost nothing",
    "exploding": "Exploding: numbers grow without bound",
    "dead_units": "Dead units: every unit of a layer is 0 for every sample",
    "no_gradient": "No gradient: zero, or nothing but rounding, arrives",
}

#: delta of a hidden layer over that of the output: a layer below this learns a
#: thousand times slower than the output under SGD. Margin: vanishing models have
#: 1.3e-5 and less, healthy ones .025 and more (300 draws of each family).
VANISHED = 1e-3
#: Growth of delta from the output to the input. Margin: tanh at gain 2 over 30
#: layers has 60 to 80; of healthy tanh nets of five units 99 % stay below 20.
GROWN = 18.0
#: That growth must be a trend, not the scatter of narrow layers: the mean of the
#: steps of log delta over its standard error. Margin: 15 against 4.
TREND = 4.5
#: Share of the constant output's loss that a model must take away to count as
#: learning. Margin: vanishing models have 1e-3 and less after 200 steps, tanh at
#: gain 2 over 30 layers .13 and less, healthy ones .27 and more.
SKILL = 0.2
#: Before so many steps a lack of skill does not speak against a model whose
#: evidence is growth, or lies in time: such models often learn.
PATIENCE = 50
#: Loss over the larger of the first loss and the constant output's: worse than
#: knowing nothing. Margin: diverging runs pass 1e3, healthy ones stay below 2.
DIVERGED = 10.0
#: So many steps in a row that a loss scale skips: it starts at 2**15, so 15
#: skipped steps are its warm-up.
SKIPPED = 20
#: A gradient of exactly zero must last for so many recorded steps.
LASTING = 5
#: Share of units of a layer that are zero for every sample: all of them.
DEAD = 1.0
#: delta of the output layer over the gradient that arrives at the outputs, and the
#: share of the loss that moving the outputs could change: below float32's rounding
#: both are noise. Margin: softmax over one unit has 1e-7, healthy heads 1e-2.
BLIND = 1e-6
#: Factor of ||dL/dh_t|| over all time steps. At default initialization an LSTM
#: keeps 7e-6 over 60 steps and trains; a tanh SimpleRNN keeps 3e-7.
FORGOTTEN = 1e-6
#: The same, growing. Margin: a recurrent kernel of radius 1.5 over 50 steps has 1e8.
AMPLIFIED = 1e3

# Findings: they never make a verdict.
MANY_DEAD = 0.5
MANY_SATURATED = 0.5
FAST, SLOW = 0.1, 1e-6
INFERENCE = 2.0


@dataclass(frozen=True)
class Evidence:
    """A measurement and the threshold that it crossed."""

    name: str
    value: float
    threshold: float

    def __str__(self):
        """Return the measurement in a line."""
        return f"{self.name}: {self.value:.2g} (threshold {self.threshold:.2g})"


@dataclass(frozen=True)
class Judgement:
    """A verdict, where and when its evidence first holds."""

    verdict: str
    layer: str | None = None
    step: int | None = None
    evidence: tuple = ()


def judge(trace):
    """Return the judgement of the first rule that holds, or a healthy one."""
    rules = (
        not_finite,
        skipped_for_long,
        diverged,
        no_gradient,
        dead_layer,
        vanishing,
        disconnected,
        growing,
        through_time,
    )
    for rule in rules:
        found = rule(trace)
        if found is not None:
            return found
    return Judgement("healthy")


def stops(trace, verdicts):
    """Tell whether a training can be ended for one of ``verdicts``.

    What rests on a lack of progress is not certain before PATIENCE steps.
    """
    found = judge(trace)
    waits = found.verdict in ("vanishing", "dead_units") or any(
        e.threshold in (GROWN, SKILL) for e in found.evidence
    )
    early = waits and trace.last_step < PATIENCE
    return found.verdict in verdicts and not early


# --- measurements -----------------------------------------------------------


def profile(trace, report):
    """Return (names, delta over the head's), from the input to the output.

    With several heads the smallest counts, so that a head of large weight makes
    no other layer look vanished; heads that get nothing are left out.
    """
    heads = [n for n, name in enumerate(report.layers) if name in trace.heads]
    heads = heads or [len(report.layers) - 1]
    delta = report.delta_norm
    reference = min((delta[n] for n in heads if delta[n] > 0), default=math.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = delta / reference
    hidden = [n for n in range(len(delta)) if n not in heads]
    return [report.layers[n] for n in hidden], ratio[hidden]


def skill(trace):
    """Return the last measured skill; NaN when it is not known.

    Without a batch the recorded loss stands in: its fall over the run.
    """
    later = [c.skill for c in trace.checks if c.step > 0]
    if later and math.isfinite(later[-1]):
        return later[-1]
    loss = trace.loss[np.isfinite(trace.loss)]
    if len(loss) < 2 * LASTING or (loss < 0).any() or not loss[:LASTING].max() > 0:
        return math.nan
    return 1 - np.median(loss[-LASTING:]) / np.median(loss[:LASTING])


def learns(trace):
    """Tell whether the model is known to use its inputs."""
    return skill(trace) >= SKILL


def _column(trace, name):
    n = trace.layers.index(name) if name in trace.layers else None
    return None if n is None else trace.gradient[:, n]


def _taken(trace):
    return ~trace.skipped & np.isfinite(trace.total_gradient)


def _zero_since(values, steps):
    """Return the step since which all values are 0, if they are for long."""
    if len(values) < LASTING or values[-LASTING:].any():
        return None
    others = np.flatnonzero(values)
    return int(steps[others[-1] + 1 if len(others) else 0])


# --- explosions -------------------------------------------------------------


def not_finite(trace):
    """Find NaN or infinity in a loss, a gradient, or a probed activation."""
    broken = [(step, report) for step, report in trace.probes if not _finite(report)]
    step = trace.first_bad_step
    if broken and broken[0][0] == 0:
        step, layer = 0, _first_broken(broken[0][1])
    elif step is not None or broken:
        step = broken[0][0] if step is None else step
        layer = _fastest(trace, step)
    else:
        return None
    evidence = Evidence("numbers that are not finite, from then on", math.inf, 0.0)
    return Judgement("exploding", layer, step, (evidence,))


def _first_broken(report):
    """Return the first layer that overflows, upwards or else coming back."""
    forward = np.flatnonzero(~np.isfinite(report.activation_ms))
    if len(forward):
        return report.layers[int(forward[0])]
    backward = np.flatnonzero(~np.isfinite(report.delta_norm))
    return report.layers[int(backward[-1]) if len(backward) else -1]


def _finite(report):
    numbers = (report.activation_ms, report.delta_norm, report.kernel_gradient_norm)
    return all(np.isfinite(n).all() for n in numbers) and math.isfinite(report.loss)


def _fastest(trace, step):
    """Return the layer whose gradient grew most until ``step``."""
    before = np.flatnonzero((trace.steps < step) & _taken(trace))
    if not len(before):
        return trace.layers[-1]
    first, last = trace.gradient[before[0]], trace.gradient[before[-1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.nan_to_num(last / first, nan=0.0, posinf=0.0)
    return trace.layers[int(np.argmax(growth))]


def skipped_for_long(trace):
    """Find a loss scale that gets no finite gradient however small it is."""
    if len(trace.skipped) < SKIPPED or not trace.skipped[-SKIPPED:].all():
        return None
    others = np.flatnonzero(~trace.skipped)
    first = int(trace.steps[others[-1] + 1 if len(others) else 0])
    row = len(trace.skipped) - (others[-1] + 1 if len(others) else 0)
    return Judgement(
        "exploding",
        _fastest(trace, first),
        first,
        (Evidence("steps in a row skipped by the loss scale", row, SKIPPED),),
    )


def diverged(trace):
    """Find a loss far above a constant output's, to the end or to the death."""
    loss, steps = trace.loss, trace.steps
    if not len(loss) or not np.isfinite(loss).all() or (loss < 0).any():
        return None
    at_start = [c for c in trace.checks if c.step == 0]
    constant = at_start[0].constant_loss if at_start else 0.0
    reference = np.nanmax([loss[0], constant])
    above = loss > DIVERGED * reference
    if not above.any():
        return None
    step = int(steps[np.argmax(above)])
    lasting = len(loss) >= LASTING and above[-LASTING:].mean() > 0.5
    if not (lasting or _killed_since(trace, step)):
        return None
    name = "loss over that of a constant output or the first"
    evidence = Evidence(name, float(loss.max() / reference), DIVERGED)
    return Judgement("exploding", _fastest(trace, step + 1), step, (evidence,))


def _killed_since(trace, step):
    """Tell whether, after ``step``, all gradients or the units of a layer are 0."""
    taken = _taken(trace)
    silent = _zero_since(trace.total_gradient[taken], trace.steps[taken])
    dead = dead_layer(trace)
    return silent is not None or (dead is not None and dead.step >= step)


def growing(trace):
    """Find growth of delta going down, in a model that does not learn."""
    trained = trace.last_step > 0
    if trained and (learns(trace) or trace.last_step < PATIENCE):
        return None
    found = growth_at_start(trace)
    if found is None:
        return None
    layer, evidence = found
    evidence = (*evidence, *_lack_of_skill(trace))
    return Judgement("exploding", layer, 0, evidence)


def growth_at_start(trace):
    """Return the layer and the evidence if delta grew before training, or None."""
    if not trace.probes or trace.probes[0][0] != 0:
        return None
    names, ratio = profile(trace, trace.probes[0][1])
    ratio = np.append(ratio, 1.0)
    if len(ratio) < 4 or not (ratio > 0).all() or not np.isfinite(ratio).all():
        return None
    growth = -np.diff(np.log10(ratio))
    trend = growth.mean() * math.sqrt(len(growth)) / max(growth.std(ddof=1), 1e-12)
    if ratio[0] < GROWN or trend < TREND:
        return None
    evidence = (
        Evidence(f"delta of {names[0]} over the output's", ratio[0], GROWN),
        Evidence("mean growth a layer over its standard error", trend, TREND),
    )
    return names[int(np.flatnonzero(ratio[:-1] >= GROWN)[-1])], evidence


# --- zeros ------------------------------------------------------------------


def no_gradient(trace):
    """Find a gradient of exactly zero at the output, and so everywhere."""
    taken = _taken(trace)
    total, steps = trace.total_gradient[taken], trace.steps[taken]
    since = _zero_since(total, steps)
    pairs = zip(trace.probes, trace.checks, strict=True)
    blind = [_blind(trace, report, check) for (_, report), check in pairs]
    if since is None and not (blind and blind[0] and blind[-1]):
        return None
    if blind and not blind[-1] and _dead_rows(trace):
        return None
    was_alive = since is not None and since > steps[0]
    if was_alive and learns(trace):
        return None
    step = 0 if blind and blind[0] else since
    if blind and blind[-1]:
        name = "delta of the output layer over the gradient of the outputs"
        delta, _ = _delta_of_heads(trace, trace.probes[-1][1])
        arriving = trace.checks[-1].output_gradient
        evidence = Evidence(name, delta / arriving if delta else 0.0, BLIND)
    else:
        evidence = Evidence("norm of the gradient of all weights, to the end", 0.0, 0.0)
    return Judgement("no_gradient", _head(trace), step, (evidence,))


def _delta_of_heads(trace, report):
    """Return the largest delta, and the size of the activation, of the heads."""
    heads = [n for n, name in enumerate(report.layers) if name in trace.heads] or [-1]
    size = math.sqrt(report.activation_ms[heads].max())
    return float(report.delta_norm[heads].max()), size


def _blind(trace, report, check):
    """Tell whether the outputs pass nothing, or rounding noise, to their layers.

    The gradient of a cross-entropy with respect to a saturated output is huge, so
    that the first condition would not be enough.
    """
    delta, size = _delta_of_heads(trace, report)
    noise = delta <= BLIND * check.output_gradient
    return delta == 0 or bool(noise and delta * size <= BLIND * report.loss)


def _head(trace):
    return trace.heads[0] if trace.heads else trace.layers[-1]


def _dead_rows(trace):
    if not trace.probes:
        return []
    report = trace.probes[-1][1]
    return [
        name
        for name, fraction in zip(report.layers, report.dead_fraction, strict=True)
        if fraction >= DEAD and name not in trace.heads
    ]


def dead_layer(trace):
    """Find a hidden layer whose every unit is zero for every sample."""
    if learns(trace):
        return None
    for name in _dead_rows(trace):
        step, report = trace.probes[0]
        at_start = step == 0 and report.dead_fraction[report.layers.index(name)] >= DEAD
        column = _column(trace, name)
        since = 0
        if trace.last_step > 0 and column is not None and not np.isnan(column).all():
            taken = _taken(trace)
            since = _zero_since(column[taken], trace.steps[taken])
            if since is None:
                continue
        since = 0 if at_start else since
        evidence = Evidence(f"share of dead units in {name}", 1.0, DEAD)
        return Judgement("dead_units", name, since, (evidence,))
    return None


def disconnected(trace):
    """Find layers that get exactly zero though the output does not."""
    if not trace.probes or learns(trace) or _dead_rows(trace):
        return None
    zero = None
    for _, report in (trace.probes[0], trace.probes[-1]):
        names, ratio = profile(trace, report)
        now = {name for name, r in zip(names, ratio, strict=True) if r == 0}
        zero = now if zero is None else zero & now
    if not zero:
        return None
    layer = [name for name in names if name in zero][-1]
    evidence = (Evidence(f"delta of {layer}", 0.0, 0.0), *_lack_of_skill(trace))
    return Judgement("no_gradient", layer, trace.probes[0][0], evidence)


# --- vanishing --------------------------------------------------------------


def vanishing(trace):
    """Find a delta that shrinks going down, at the start and still at the end."""
    if learns(trace):
        return None
    if not trace.probes:
        return _vanishing_kernels(trace)
    crossed = []
    for step, report in (trace.probes[0], trace.probes[-1]):
        names, ratio = profile(trace, report)
        # exact zeros alone mean that nothing arrives, not that it shrinks
        below = np.flatnonzero(ratio <= VANISHED)
        alive = np.flatnonzero((ratio <= VANISHED) & (ratio > 0))
        if step == trace.probes[0][0] and not len(alive):
            return None
        if not len(below):
            return None
        crossed.append((names[int(below[-1])], names[int(np.argmin(ratio))], ratio))
    layer, lowest, ratio = crossed[0]
    name = f"delta of {lowest} over the output's"
    evidence = (Evidence(name, ratio.min(), VANISHED), *_lack_of_skill(trace))
    return Judgement("vanishing", layer, trace.probes[0][0], evidence)


def _vanishing_kernels(trace):
    """Stand in when there was no batch: kernel gradients, first to last layer."""
    taken = _taken(trace)
    gradient = trace.gradient[taken][:, ~np.isnan(trace.gradient).all(axis=0)]
    if len(gradient) < LASTING or gradient.shape[1] < 3:
        return None
    early = np.median(gradient[: 2 * LASTING], axis=0)
    late = np.median(gradient[-2 * LASTING :], axis=0)
    ratios = [e[0] / e[-1] if e[-1] > 0 else math.nan for e in (early, late)]
    if not all(r <= VANISHED for r in ratios):
        return None
    name = "kernel gradient of the first layer over the last's"
    evidence = Evidence(name, ratios[0], VANISHED)
    return Judgement("vanishing", trace.layers[0], int(trace.steps[0]), (evidence,))


def through_time(trace):
    """Find an extreme factor over all time steps, in a model that does not learn."""
    if not trace.probes or learns(trace):
        return None
    if 0 < trace.last_step < PATIENCE:
        return None
    for verdict, crosses in (
        ("exploding", lambda f: f >= AMPLIFIED),
        ("vanishing", lambda f: f <= FORGOTTEN),
    ):
        ends = [_time_factors(r) for _, r in (trace.probes[0], trace.probes[-1])]
        for name, factor in ends[0].items():
            if crosses(factor) and crosses(ends[1].get(name, factor)):
                limit = FORGOTTEN if verdict == "vanishing" else AMPLIFIED
                text = f"||dL/dh|| of {name}, first time step over last"
                evidence = (Evidence(text, factor, limit), *_lack_of_skill(trace))
                return Judgement(verdict, name, trace.probes[0][0], evidence)
    return None


def _time_factors(report):
    return {
        name: float(norms[0] / norms[-1])
        for name, norms in report.time_norm.items()
        if len(norms) > 1 and norms[-1] > 0
    }


def _lack_of_skill(trace):
    value = skill(trace)
    if math.isnan(value):
        return ()
    name = "share of a constant output's loss that the inputs take away"
    return (Evidence(name, value, SKILL),)
