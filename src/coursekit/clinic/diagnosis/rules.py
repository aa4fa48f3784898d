"""What the measurements of a trace mean: one rule a fault.

Every rule compares quantities of the same kind, so that no threshold moves with
the scale of the loss, the units of the targets, the width or the batch. Rules
about depth look at delta (per-sample ``||dL/dz||``) near initialization, where
theory speaks, and are dropped when the model turns out to learn from its
inputs. The margins were measured on the models of public studies of training
faults, on those of the tests of a diagnosis and on the course's own.

Healthy is said last: of a model whose gradients were measured and that learns. What
was not measured is a verdict of its own, and so is a training that was too short to
tell. Of a model that was not trained, healthy speaks of its initialization.
"""

import math
from dataclasses import dataclass

import numpy as np

from coursekit.clinic.trace import reached

VERDICTS = (
    "healthy",
    "vanishing",
    "exploding",
    "dead_units",
    "no_gradient",
    "not_learning",
    "not_measured",
)
#: Those for which a training can be ended.
STOPPING = tuple(v for v in VERDICTS if v not in ("healthy", "not_measured"))

SENTENCES = {
    "healthy": "Healthy: no gradient problem was found",
    "vanishing": "Vanishing: the error signal shrinks to almost nothing",
    "exploding": "Exploding: numbers grow without bound",
    "dead_units": "Dead units: every unit of a layer is 0 for every sample",
    "no_gradient": "No gradient: zero, or nothing but rounding, arrives",
    "not_learning": "Not learning: the gradients are healthy, and nothing was learned",
    "not_measured": "Not measured: too little was recorded for a verdict",
    # explosions of their own kind: one that nothing announced, one below 0
    "sudden": "Not finite: from one step to the next, and nothing had grown before",
    "bottomless": "Without a bound: the loss has no least value, and falls for ever",
    # no fault was found, and no time to learn
    "early": "Too early to tell: whether the model learns does not show",
    # something was learned, or luck
    "unsure": "Not certain: what was learned is within the scatter of the samples",
    "drifting": "Not certain: the first samples are lost, and the last lose little",
    # nothing that could be learned, from or of
    "alike": "All alike: the inputs that were looked at are the same for every sample",
    "empty": "Not measured: a constant output explains all targets that were looked at",
    # what validation data told
    "by_heart": "Learned by heart: on validation data the targets of others do as well",
}

#: delta of a hidden layer over that of the output. A layer below this learns a
#: thousand times slower than the output under SGD. Margin: vanishing models have
#: 1.3e-5 and less, healthy ones .025 and more (300 draws of each family).
VANISHED = 1e-3
#: The same where it shrinks by a trend (see TREND) and nothing was learned. Margin,
#: ReLU, 64 units: Glorot over 10 layers .07 and less, over 22 layers .0014 and less (12
#: draws); He over 10 or 20 layers .4 and more (40 draws).
SHRUNK = 0.1
#: Growth of delta from the output to the input.
#: Margin: tanh at gain 2 over 30 layers has 60 to 80; of healthy tanh nets of five
#: units 99 % stay below 20.
GROWN = 18.0
#: That growth must be a trend, not the scatter of narrow layers. It is the mean of
#: the steps of log delta over its standard error. Margin: 15 against 4.
TREND = 4.5
#: The same for a fall to SHRUNK, of which only a model speaks that learned nothing.
#: Margin, 200 draws each: ReLU at Glorot over 8 to 15 layers, 16 to 128 units, has 3.7
#: and more in 95 %; He, Glorot tanh and LeCun ELU of 4 to 12 layers, 16 and 64 units,
#: pass both in 1 % or less.
FALLEN = 3.0
#: Share of the constant output's loss that a model must take away to count as
#: learning. Margin: vanishing models have 1e-3 and less after 200 steps, tanh at
#: gain 2 over 30 layers .13 and less, healthy ones .27 and more.
SKILL = 0.2
#: Below this share nothing was learned.
#: Margin: ReLU at Glorot over 10 layers has .017 after 228 steps; a series of which 8 %
#: can be predicted .07.
LEARNED = 0.03
#: Above it, what was learned must be so many standard errors, or it may be luck.
#: Margin: of 90 trainings with nothing to learn, on samples seen twice at most, none is
#: called healthy. Noise that is seen more often is learned by heart.
SURE = 2.0
#: Of ten parts of the validation data, so many lose more with the targets of others if
#: something holds there. Margin, 200 samples, 24 seeds: of noise that was learned by
#: heart 8 do and more with one; of two classes of which .62 are told, with all.
HELD = 8.0
#: All ten of them do where what was learned holds for validation data, although the
#: first samples of the training are lost.
PARTS = 10.0
#: So many at most do if nothing was learned, where a loss has no share.
#: Margin: by chance nine do and more once in a hundred times.
BY_CHANCE = 8.0
#: Batches whose targets tell what a constant reaches, at most.
TOLD = 32
#: Before so many steps a lack of skill does not speak against a model whose
#: evidence is growth, or lies in time: such models often learn. A model without skill
#: is not called healthy before, either.
PATIENCE = 50
#: Loss over the larger of the first loss and the constant output's. More is worse
#: than knowing nothing. Margin: diverging runs pass 1e3, healthy ones stay below 2.
DIVERGED = 10.0
#: So many steps in a row that a loss scale skips. It starts at 2**15, so that 15
#: skipped steps are its warm-up.
SKIPPED = 20
#: A gradient of exactly zero must last for so many recorded steps.
LASTING = 5
#: A loss that ends below this share of its start falls.
HALVED = 0.5
#: So does one that falls by more than this many standard errors.
SCATTER = 3.0
#: Share of units of a layer that are zero for every sample. It is all of them.
DEAD = 1.0
#: delta of the output layer over the gradient that arrives at the outputs, and the
#: share of the loss that moving the outputs could change: below float32's rounding
#: both are noise. Margin: softmax over one unit has 1e-7, healthy heads 1e-2.
BLIND = 1e-6
#: Factor of ||dL/dh_t|| over all time steps. At default initialization an LSTM
#: keeps 7e-6 over 60 steps and trains; a tanh SimpleRNN keeps 3e-7.
FORGOTTEN = 1e-6
#: The same, growing.
#: Margin: a recurrent kernel of radius 1.5 over 50 steps has 1e8.
AMPLIFIED = 1e3

#: What of the constant's loss the differences between the outputs can change. Below
#: this all outputs are as good as the same. Margin: a saturated head has 1e-5, a
#: model at its first step .05 and more.
SWAY = 1e-3
#: A norm over the median of those before. A jump from below this was not announced.
ORDINARY = 30.0
#: The best constant's loss over the first. Below, the targets are constant but for
#: rounding, and nothing can be compared.
EMPTY = 1e-6

# Findings: they never make a verdict.
#: Share of a layer's units that are zero for every sample.
MANY_DEAD = 0.5
#: Share of a layer's activations at the ends of their range.
MANY_SATURATED = 0.5
#: Median change of a kernel in a step, over its norm. More is too large a step.
FAST = 0.1
#: All steps together, in a model that has learned nothing. Adam moves by its rate
#: whatever the gradient is: 200 steps of 1e-6 make 2e-3, of 1e-3 more than 1.
MOVED = 0.01
#: Share of the loss's fall that lies in the second half of a training, if its steps are
#: too small. Margin: shuffled labels, whose loss comes to rest at a constant's, have
#: .17 and less (3 seeds); a steady fall has .5.
STEADY = 0.25
#: Inputs or targets of this size are not scaled, and kernels are drawn for size 1.
#: Margin: images in [0, 1] have .5, standardized features 1; pixels up to 255 have 130,
#: ages, years and prices 40 and more.
LARGE = 10.0
#: Loss with ``training=False`` over that in training.
INFERENCE = 2.0


@dataclass(frozen=True)
class Evidence:
    """A measurement, and the threshold that it is compared with.

    Attributes
    ----------
    name : str
    value, threshold : float
    error : float
        Standard error of the value; NaN if it has none.
    """

    name: str
    value: float
    threshold: float
    error: float = math.nan

    @property
    def margin(self):
        """How far beyond the threshold: the larger over the smaller, 1 or more.

        Infinite if one of them is 0 or infinite, NaN if both are or if they are no
        sizes.
        """
        small, large = sorted(map(abs, (self.value, self.threshold)))
        if not self.value * self.threshold >= 0:
            return math.nan
        if small == large:
            return 1.0
        return large / small if small else math.inf

    def __str__(self):
        """Return the measurement in a line."""
        times = f", {self.margin:.2g} times" if 1 < self.margin < 1e4 else ""
        times = ", more than 10,000 times" if 1e4 <= self.margin < math.inf else times
        about = "" if math.isnan(self.error) else f", give or take {self.error:.1g}"
        value = f"{self.value:.2g}{about}"
        return f"{self.name}: {value} (threshold {self.threshold:.2g}{times})"


@dataclass(frozen=True)
class Judgement:
    """A verdict, where and when its evidence first holds.

    ``sentence`` is the key of its sentence, by default the verdict's.
    """

    verdict: str
    layer: str | None = None
    step: int | None = None
    evidence: tuple = ()
    sentence: str = ""


def judge(trace):
    """Return the judgement of the first rule that holds, or a healthy one."""
    rules = (
        unseen,
        # what falls below any number ends as NaN
        bottomless,
        not_finite,
        alike,
        skipped_for_long,
        diverged,
        blind,
        silent,
        dead_layer,
        # what vanishes on its way up leaves outputs that are the same
        vanishing,
        same_outputs,
        disconnected,
        growing,
        through_time,
        empty,
        not_measured,
        not_learning,
        unsure,
        by_heart,
        early,
    )
    for rule in rules:
        found = rule(trace)
        if found is not None:
            return found
    return Judgement("healthy", evidence=_earned(trace))


def _earned(trace):
    """Return what healthy rests on: how much was learned, and where it holds."""
    if not learns(trace):
        return ()
    return *_lack_of_skill(trace), *_held(trace)


def _held(trace, limit=HELD):
    """Return what validation data tell, as evidence, if there were any."""
    found = Evidence(_apart("validation data"), trace.held, limit)
    return () if math.isnan(trace.held) else (found,)


def stops(trace, verdicts):
    """Tell whether a training can be ended for one of ``verdicts``.

    What rests on a lack of progress is not certain before PATIENCE steps.
    """
    found = judge(trace)
    waits = found.verdict in ("vanishing", "dead_units", "not_learning") or any(
        e.threshold in (GROWN, SKILL, LEARNED) for e in found.evidence
    )
    early = waits and trace.last_step < PATIENCE
    return found.verdict in verdicts and not early


# --- measurements -----------------------------------------------------------


def profile(trace, probed):
    """Return (names, delta over the head's), from the input to the output.

    With several heads the smallest counts, so that a head of large weight makes
    no other layer look vanished; heads that get nothing are left out.
    """
    heads, hidden = _heads_and_hidden(trace, probed)
    delta = probed.delta_norm
    reference = min((delta[n] for n in heads if delta[n] > 0), default=math.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return [probed.layers[n] for n in hidden], delta[hidden] / reference


def _heads_and_hidden(trace, probed):
    """Return the rows of a probe that make the outputs, and the others."""
    rows = range(len(probed.layers))
    heads = [n for n in rows if probed.layers[n] in trace.heads] or [rows[-1]]
    return heads, [n for n in rows if n not in heads]


def skill(trace):
    """Return what share of a constant output's loss is gone; NaN if not known."""
    return _skill_and_error(trace)[0]


def _skill_and_error(trace):
    """Return the skill, and its standard error; NaN for what is not known.

    That of the last check, on the samples that were kept. Where it tells nothing (few
    samples may hold none of a rare class), that of the recorded losses against the
    targets of many batches: other samples, so that it must be larger than their
    scatter.
    """
    later = [c for c in trace.checks if c.step > 0]
    constants = [trace.constant_loss]
    if later:
        last, start = later[-1], trace.checks[0].loss
        compares = _compares(last.constant_loss, start) or not math.isfinite(start)
        if compares and math.isfinite(last.skill):
            return last.skill, last.skill_error
    elif trace.checks:
        # a training that goes on has been probed at its start alone
        constants.append(trace.checks[0].constant_loss)
    return _told_by_losses(trace, constants, SURE if later else 0), math.nan


def _told_by_losses(trace, constants, errors=0):
    """Return the skill that the last recorded losses tell, or NaN.

    They are taken for so many standard errors larger than they are.
    """
    loss, told = trace.loss[np.isfinite(trace.loss)], []
    if len(loss) >= 2 * LASTING and (loss >= 0).all():
        late = loss[-max(LASTING, min(PATIENCE, len(loss) // 4)) :]
        start = loss[:LASTING].max()
        least = late.mean() + errors * _scatter(late)
        told = [1 - least / c for c in constants if _compares(c, start)]
    return float(max(told, default=math.nan))


def _scatter(late):
    """Return the standard error of a mean loss less that of TOLD other batches.

    Of the differences of neighbours (von Neumann 1941): a trend is no scatter.
    """
    each = np.diff(late).std() / math.sqrt(2)
    return float(each * math.sqrt(1 / len(late) + 1 / TOLD))


def varied(trace):
    """Tell whether a constant output leaves a loss that the inputs could explain."""
    start = trace.checks[0].loss if trace.checks else math.nan
    last = trace.checks[-1].constant_loss if trace.checks else math.nan
    return any(_compares(c, start) for c in (trace.constant_loss, last))


def _compares(constant, start):
    """Tell whether a constant's loss is more than rounding beside that of the start."""
    return start != 0 and constant > EMPTY * abs(start)


def learns(trace):
    """Tell whether the model is known to use its inputs."""
    return skill(trace) >= SKILL


def learned_nothing(trace):
    """Tell whether the model is known to use its inputs for nothing."""
    late = trace.last_step >= PATIENCE
    return late and skill(trace) < LEARNED and not drifts(trace)


def drifts(trace):
    """Tell whether the first samples are lost, and the last batches lose little.

    Data that change on their way are learned as they are at the end. Or only their
    scale falls, and nothing is learned: validation data tell.
    """
    late = _told_by_losses(trace, [trace.constant_loss])
    return skill(trace) < -SKILL and late >= SKILL


def died(trace):
    """Return the step at which a training was over that had begun well, or None."""
    found = judge(trace)
    over = found.verdict in ("exploding", "dead_units", "no_gradient")
    return found.step if over and found.step else None


def pace(trace):
    """Return the median change of the kernels over the kernels in a step, or NaN.

    What is dead moves no more, and says nothing of the steps that have killed it.
    """
    alive = trace.update_steps <= (died(trace) or math.inf)
    ratio = trace.update_ratio[alive]
    # the first step of an adaptive optimizer is larger than the others
    ratio = ratio[1:] if len(ratio) > 1 else ratio
    moved = ratio[np.isfinite(ratio) & (ratio > 0)]
    return float(np.median(moved)) if len(moved) else math.nan


def fifths(trace):
    """Return the first, the middle and the last fifth of the recorded losses."""
    loss = trace.loss[np.isfinite(trace.loss)]
    few = max(LASTING, len(loss) // 5)
    half = max(0, len(loss) // 2 - few // 2)
    return loss[:few], loss[half:][:few], loss[-few:]


def falls(trace):
    """Tell whether the recorded loss fell by half, or by more than it scatters."""
    early, _, late = fifths(trace)
    if np.isfinite(trace.loss).sum() < 2 * LASTING:
        return False
    scatter = np.hypot(early.std(), late.std()) / math.sqrt(len(late))
    half = late.mean() < HALVED * early[:LASTING].mean() and late.min() >= 0
    return bool(half or early.mean() - late.mean() > SCATTER * scatter)


def still_falls(trace):
    """Tell whether the loss falls, and not in the first half of the training alone."""
    if not falls(trace):
        return False
    first, half, last = (part.mean() for part in fifths(trace))
    return bool(half - last >= STEADY * (first - last))


def unpaired(trace):
    """Tell whether the loss compares no output with its own target."""
    return bool(trace.checks) and trace.checks[-1].unpaired and not learns(trace)


def mixed(trace):
    """Tell whether the outputs of a sample depend on the others of its batch."""
    return bool(trace.checks) and trace.checks[-1].mixes_samples


def padding_alone(trace):
    """Tell whether of all steps of a sequence only padding reaches the loss."""
    # later a layer may be dead for all that is no padding
    return bool(trace.checks) and trace.checks[0].padding_alone


def _column(trace, name):
    n = trace.layers.index(name) if name in trace.layers else None
    return None if n is None else trace.gradient[:, n]


def _taken(trace):
    return ~trace.skipped & np.isfinite(trace.total_gradient)


def _silent_since(trace):
    """Return since which step all gradients are 0, and whether some were not before."""
    taken = _taken(trace)
    steps = trace.steps[taken]
    since = _zero_since(trace.total_gradient[taken], steps)
    return since, since is not None and since > steps[0]


def _zero_since(values, steps, lasting=LASTING):
    """Return the step since which all values are 0, if they are for long."""
    if len(values) < lasting or values[-lasting:].any():
        return None
    others = np.flatnonzero(values)
    return int(steps[others[-1] + 1 if len(others) else 0])


# --- explosions -------------------------------------------------------------


def not_finite(trace):
    """Find NaN or infinity in a loss, a gradient, or a probed activation."""
    broken = [(step, probed) for step, probed in trace.probes if not _finite(probed)]
    step = trace.first_bad_step
    if broken and broken[0][0] == 0:
        step, layer = 0, _first_broken(broken[0][1])
    elif step is not None or broken:
        step = broken[0][0] if step is None else step
        layer = _fastest(trace, step)
    else:
        return None
    sudden = _sudden(trace, step)
    evidence = (Evidence("numbers that are not finite, from then on", math.inf, 0.0),)
    sentence = "" if sudden is None else "sudden"
    return Judgement("exploding", layer, step, (*evidence, *(sudden or ())), sentence)


def _sudden(trace, step):
    """Return evidence that nothing had grown before ``step``, or None."""
    explained = bad_data(trace) is not None or undefined(trace)
    if step == 0:
        probed = trace.probes[0][1]
        if not _finite_loss(probed):
            return () if explained or _ordinary(trace, probed) else None
        name = "largest activation (root mean square) on the way to a finite loss"
        size = math.sqrt(probed.activation_ms.max())
        return (Evidence(name, size, math.inf),)
    jump = _jump(trace, step)
    if math.isnan(jump):
        return () if explained else None
    if jump > ORDINARY:
        return None
    return (Evidence("last norms of the gradient over those before", jump, ORDINARY),)


def _jump(trace, step):
    """Return the last norms before ``step`` over all before; NaN: too few."""
    before = trace.total_gradient[(trace.steps < step) & _taken(trace)]
    before = before[before > 0]
    if len(before) < LASTING:
        return math.nan
    return float(before[-LASTING:].max() / np.median(before))


def _grew_early(trace, step):
    """Tell whether delta or the gradient grew before ``step``, one of the first."""
    norms = trace.total_gradient[(trace.steps < step) & _taken(trace)]
    rose = len(norms) > 0 and norms.max() > ORDINARY * norms[0]
    return rose or growth_at_start(trace) is not None


def bad_data(trace):
    """Return the step whose batch made numbers not finite, and its parts; or None.

    Step 0 is the probe of the start. A batch that did no harm is none of them: a model
    may read NaN as missing, and a loss may leave it out.
    """
    at_start = [probed for step, probed in trace.probes[:1] if step == 0]
    broken = [0 for probed in at_start if not _finite(probed)]
    for step in (trace.first_bad_step, *broken):
        if trace.bad_parts.get(step):
            return step, trace.bad_parts[step]
    return None


def undefined(trace):
    """Tell whether the loss need not be a number: of labels that are no classes.

    XLA, and a GPU, make NaN of them without a word. Or of the logarithm of outputs
    below 0, or of outputs that are dropped.
    """
    return trace.facts is not None and trace.facts.undefined


def _ordinary(trace, probed):
    """Tell whether a finite batch becomes NaN or infinite, and nothing is large."""
    sizes = [*np.sqrt(probed.activation_ms[np.isfinite(probed.activation_ms)])]
    if not np.isfinite(probed.activation_ms[0]):
        sizes = [math.nan if trace.facts is None else trace.facts.x_size]
    return trace.bad_parts.get(0) == [] and max(sizes) <= LARGE


def _first_broken(probed):
    """Return the first layer that overflows, upwards or else coming back."""
    forward = np.flatnonzero(~np.isfinite(probed.activation_ms))
    if len(forward):
        return probed.layers[int(forward[0])]
    backward = np.flatnonzero(~np.isfinite(probed.delta_norm))
    return probed.layers[int(backward[-1]) if len(backward) else -1]


def _finite(probed):
    back = np.isfinite((probed.delta_norm, probed.kernel_gradient_norm)).all()
    return bool(back) and _finite_loss(probed)


def _finite_loss(probed):
    """Tell whether all numbers on the way to the loss are finite."""
    return np.isfinite(probed.activation_ms).all() and math.isfinite(probed.loss)


def without_derivative(trace):
    """Return where finite numbers of ordinary size make some that are not, or None.

    The step, whether the loss was finite there and its gradient was not, and the layer
    below the function if a probe saw that before training.
    """
    if bad_data(trace) or undefined(trace):
        return None
    if trace.probes and trace.probes[0][0] == 0 and not _finite(trace.probes[0][1]):
        probed = trace.probes[0][1]
        if _finite_loss(probed):
            return 0, True, _first_broken(probed)
        return (0, False, None) if _ordinary(trace, probed) else None
    step = trace.first_bad_step
    bad = np.flatnonzero(trace.steps == step)
    if not len(bad):
        return None
    jump = _jump(trace, step)
    if _grew_early(trace, step) if math.isnan(jump) else jump > ORDINARY:
        return None
    if np.isfinite(trace.loss[bad[0]]):
        return step, True, None
    # the batch is known to be finite
    known = trace.bad_parts.get(step) == [] and not math.isnan(jump)
    return (step, False, None) if known else None


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
    first = _zero_since(~trace.skipped, trace.steps, SKIPPED)
    if first is None:
        return None
    row = int((trace.steps >= first).sum())
    evidence = Evidence("steps in a row skipped by the loss scale", row, SKIPPED)
    return Judgement("exploding", _fastest(trace, first), first, (evidence,))


def bottomless(trace):
    """Find a loss that falls far below 0, though no constant output has the least.

    A likelihood falls below 0, too, and stays near: the best constant has a finite one.
    A cross-entropy of targets outside of 0 and 1 has no least value either.
    """
    known, facts = np.isfinite(trace.loss), trace.facts
    loss = trace.loss[known]
    unbound = any(c.constant_loss == -math.inf for c in trace.checks)
    if facts is not None and facts.loss in ("binary", "categorical"):
        unbound |= facts.low < 0 or facts.high > 1
    if not unbound or not len(loss):
        return None
    reference = np.abs(loss[:LASTING]).max()
    below = loss < -DIVERGED * reference
    if len(loss) < LASTING or not below[-LASTING:].all():
        return None
    name = "size of the loss, below 0, over that at the start"
    evidence = Evidence(name, float(-loss[-1] / reference), DIVERGED)
    step = int(trace.steps[known][np.argmax(below)])
    return Judgement("exploding", _head(trace), step, (evidence,), "bottomless")


def diverged(trace):
    """Find a loss far above a constant output's, to the end or to the death."""
    loss, steps = trace.loss, trace.steps
    if not len(loss) or not np.isfinite(loss).all() or (loss < 0).any():
        return None
    at_start = [c for c in trace.checks if c.step == 0]
    constant = at_start[0].constant_loss if at_start else 0.0
    # the first batch may hold targets that a constant explains
    reference = np.nanmax([loss[0], constant, trace.constant_loss])
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
    dead = dead_layer(trace)
    lasting = _silent_since(trace)[0] is not None
    return lasting or (dead is not None and dead.step >= step)


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
    trend = _trend(ratio)
    if not trend >= TREND or ratio[0] < GROWN:
        return None
    layer = names[int(np.flatnonzero(ratio >= GROWN)[-1])]
    evidence = (
        Evidence(_delta_of(names[0], "the lowest", layer), ratio[0], GROWN),
        Evidence("mean growth a layer over its standard error", trend, TREND),
    )
    return layer, evidence


def _delta_of(name, extreme, layer):
    """Name delta of the extreme layer, and why it is not that of the verdict."""
    why = "" if name == layer else f", {extreme} from {layer} down,"
    return f"delta of {name}{why} over the output's"


def _trend(ratio):
    """Return the mean growth of log delta a layer going down, in standard errors.

    NaN for fewer than four layers, zeros, and what is not finite.
    """
    ratio = np.append(ratio, 1.0)
    if len(ratio) < 4 or not (ratio > 0).all() or not np.isfinite(ratio).all():
        return math.nan
    growth = -np.diff(np.log10(ratio))
    scatter = max(growth.std(ddof=1), 1e-12)
    return float(growth.mean() * math.sqrt(len(growth)) / scatter)


# --- zeros ------------------------------------------------------------------


def silent(trace):
    """Find a gradient that is exactly zero for all weights, to the end."""
    since, later = _silent_since(trace)
    if since is None or _dead_rows(trace) or (later and learns(trace)):
        return None
    evidence = Evidence("norm of the gradient of all weights, to the end", 0.0, 0.0)
    return Judgement("no_gradient", _head(trace), since, (evidence,))


def blind(trace):
    """Find an output that passes nothing, or rounding noise, to its layer."""
    pairs = zip(trace.probes, trace.checks, strict=True)
    found = [_passes_nothing(trace, probed, check) for (_, probed), check in pairs]
    if not found or not found[-1]:
        return None
    since, later = _silent_since(trace)
    if not found[0] and (since is None or (later and learns(trace))):
        return None
    name = "delta of the output layer over the gradient of the outputs"
    delta, _ = _delta_of_heads(trace, trace.probes[-1][1])
    arriving = trace.checks[-1].output_gradient
    evidence = Evidence(name, delta / arriving if delta else 0.0, BLIND)
    step = 0 if found[0] else since
    return Judgement("no_gradient", _head(trace), step, (evidence,))


def same_outputs(trace):
    """Find outputs that are exactly the same for every sample, to the end.

    A kernel that starts at zero has them, too, until its first update.
    """
    if trace.last_step < LASTING or not trace.checks or trace.checks[-1].sway != 0:
        return None
    # a cross-entropy may see behind a softmax over one unit, and train on that
    if trace.checks[0].sway != 0 or len(trace.checks) < 2 or _others_tell(trace):
        return None
    evidence = Evidence("spread of the outputs over the samples", 0.0, 0.0)
    return Judgement("no_gradient", _head(trace), 0, (evidence,))


def _delta_of_heads(trace, probed):
    """Return the largest delta, and the size of the activation, of the heads."""
    heads, _ = _heads_and_hidden(trace, probed)
    size = math.sqrt(probed.activation_ms[heads].max())
    return float(probed.delta_norm[heads].max()), size


def _passes_nothing(trace, probed, check):
    """Tell whether the outputs pass nothing, or rounding noise, to their layers.

    The gradient of a cross-entropy with respect to a saturated output is huge, so
    that the first condition would not be enough.
    """
    delta, size = _delta_of_heads(trace, probed)
    noise = delta <= BLIND * check.output_gradient
    return delta == 0 or bool(noise and delta * size <= BLIND * probed.loss)


def _head(trace):
    return trace.heads[0] if trace.heads else trace.layers[-1]


def _dead_rows(trace):
    if not trace.probes:
        return []
    probed = trace.probes[-1][1]
    _, hidden = _heads_and_hidden(trace, probed)
    return [probed.layers[n] for n in hidden if probed.dead_fraction[n] >= DEAD]


def dead_layer(trace):
    """Find a hidden layer whose every unit is zero for every sample."""
    if learns(trace):
        return None
    for name in _dead_rows(trace):
        step, probed = trace.probes[0]
        at_start = step == 0 and probed.dead_fraction[probed.layers.index(name)] >= DEAD
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
    for _, probed in (trace.probes[0], trace.probes[-1]):
        names, ratio = profile(trace, probed)
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
    ends = [profile(trace, probed) for _, probed in (trace.probes[0], trace.probes[-1])]
    limit, more = VANISHED, ()
    if not all((ratio <= VANISHED).any() for _, ratio in ends):
        trend = -_trend(ends[0][1])
        if not learned_nothing(trace) or not trend >= FALLEN:
            return None
        limit = SHRUNK
        more = (Evidence("mean fall a layer over its standard error", trend, FALLEN),)
    names, ratio = ends[0]
    # exact zeros alone mean that nothing arrives, not that it shrinks
    found = all((r <= limit).any() for _, r in ends)
    if not found or not (ratio[ratio <= limit] > 0).any():
        return None
    if _reaches_the_input(trace):
        return None
    layer = names[int(np.flatnonzero(ratio <= limit)[-1])]
    name = _delta_of(names[int(np.argmin(ratio))], "the smallest", layer)
    evidence = (Evidence(name, ratio.min(), limit), *more, *_lack_of_skill(trace))
    return Judgement("vanishing", layer, trace.probes[0][0], evidence)


def _reaches_the_input(trace):
    """Tell whether the signal arrives at the bottom: a low layer is beside its way.

    A branch beside a skip connection may get little, and starves nobody.
    """
    ratios = []
    for (_, probed), check in zip(trace.probes, trace.checks, strict=True):
        delta, _ = _delta_of_heads(trace, probed)
        ratios.append(check.input_gradient / delta if delta else math.nan)
    return bool(min(ratios[0], ratios[-1]) > SHRUNK)


def _vanishing_kernels(trace):
    """Stand in when there was no batch: kernel gradients, first to last layer."""
    taken = _taken(trace)
    gradient = trace.gradient[taken][:, ~np.isnan(trace.gradient).all(axis=0)]
    if len(gradient) < LASTING or gradient.shape[1] < 3 or falls(trace):
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
    """Find an extreme factor over all time steps, in a model that does not learn.

    Every gated layer forgets over a hundred steps, and most tasks do not mind: only
    a model that has learned nothing speaks for one that does.
    """
    if not trace.probes or learns(trace):
        return None
    if 0 < trace.last_step < PATIENCE:
        return None
    patient = trace.last_step == 0 or not skill(trace) >= LEARNED
    for verdict, limit, crosses in (
        ("exploding", AMPLIFIED, lambda f: f >= AMPLIFIED),
        ("vanishing", FORGOTTEN, lambda f: f <= FORGOTTEN and patient),
    ):
        ends = [_time_factors(p) for _, p in (trace.probes[0], trace.probes[-1])]
        for name, factor in ends[0].items():
            if crosses(factor) and crosses(ends[1].get(name, factor)):
                text = f"||dL/dh|| of {name}, first time step over last"
                evidence = (Evidence(text, factor, limit), *_lack_of_skill(trace))
                return Judgement(verdict, name, trace.probes[0][0], evidence)
    return None


def _time_factors(probed):
    lived = {name: reached(norms) for name, norms in probed.time_norm.items()}
    return {n: float(v[0] / v[-1]) for n, v in lived.items() if len(v) > 1}


def _lack_of_skill(trace, limit=SKILL):
    value, error = _skill_and_error(trace)
    name = "share of a constant output's loss that the inputs take away"
    name += ", on samples of the training"
    return () if math.isnan(value) else (Evidence(name, value, limit, error),)


# --- nothing learned, nothing measured --------------------------------------


def alike(trace):
    """Find inputs that are the same for every sample that was looked at."""
    if not trace.checks or not trace.checks[-1].same_inputs or _others_tell(trace):
        return None
    evidence = Evidence("spread of the inputs over the samples", 0.0, 0.0)
    step = trace.last_step or None
    return Judgement("not_learning", None, step, (evidence,), "alike")


def _others_tell(trace):
    """Tell whether later batches, or validation data, show that inputs are used."""
    return learns(trace) or trace.held >= HELD


def unseen(trace):
    """Find a training of which no step was recorded."""
    if trace.last_step or trace.probes:
        return None
    evidence = Evidence("recorded training steps", 0.0, 1.0)
    return Judgement("not_measured", evidence=(evidence,))


def not_measured(trace):
    """Find that gradients or progress could not be measured."""
    if not trace.probes:
        # a model that learns needs no other evidence
        missing = Evidence("probes", 0.0, 1.0)
        return None if learns(trace) else Judgement("not_measured", evidence=(missing,))
    if trace.last_step < PATIENCE or not math.isnan(skill(trace)):
        return None
    if trace.seen <= BY_CHANCE:
        evidence = Evidence(_apart("samples"), trace.seen, BY_CHANCE)
        return Judgement("not_measured", evidence=(evidence,), sentence="unsure")
    first, last = trace.checks[0].loss, trace.checks[-1]
    constant = last.constant_loss
    gain, name = constant - last.loss, "loss of the best constant output less the loss"
    # a bias that is fitted makes a loss fall, too, as far as a constant's
    there = min(constant, last.loss) < 0 and -gain < SKILL * abs(first - constant)
    if there and gain < SURE * last.gain_error:
        evidence = Evidence(name, gain, SURE * last.gain_error, last.gain_error)
        return Judgement("not_measured", evidence=(evidence,), sentence="unsure")
    if falls(trace):
        return None
    # below 0 a loss has no natural unit, and may be below a constant's all the same
    if constant - last.loss > LEARNED * abs(first - constant) and last.loss < 0:
        return None
    name = "loss of the best constant output, to compare with"
    return Judgement("not_measured", evidence=(Evidence(name, constant, 0.0),))


def empty(trace):
    """Find targets that a constant output explains, but for rounding."""
    if trace.last_step < PATIENCE or not trace.checks or _others_tell(trace):
        return None
    start = abs(trace.checks[0].loss)
    told = [trace.checks[-1].constant_loss, trace.constant_loss]
    told = [abs(constant) for constant in told if not math.isnan(constant)]
    if not told or not max(told) <= EMPTY * start:
        return None
    name = "loss of the best constant output over the first"
    share = max(told) / start if start else 0.0
    evidence = Evidence(name, share, EMPTY)
    return Judgement("not_measured", evidence=(evidence,), sentence="empty")


def not_learning(trace):
    """Find that the inputs take away next to nothing of a constant output's loss."""
    # little that holds on validation data is not nothing
    holds = trace.held > BY_CHANCE and skill(trace) > 0
    if not learned_nothing(trace) or holds:
        return None
    evidence = _lack_of_skill(trace, LEARNED)
    return Judgement("not_learning", step=trace.last_step, evidence=evidence)


def unsure(trace):
    """Find that what was learned is little, and may be luck; or is lost again."""
    value, error = _skill_and_error(trace)
    if trace.last_step < PATIENCE or learns(trace):
        return None
    if drifts(trace):
        evidence = (*_lack_of_skill(trace), *_held(trace, PARTS))
        lost = Judgement("not_measured", evidence=evidence, sentence="drifting")
        return None if trace.held >= PARTS else lost
    if not value < SURE * error:
        return None
    evidence = _lack_of_skill(trace, SURE * error)
    return Judgement("not_measured", evidence=evidence, sentence="unsure")


def by_heart(trace):
    """Find that what was learned does not hold on the validation data of ``fit``.

    There it is asked whether a sample's own target is closer than another's, and not
    how large the loss is: that hangs on how sure a model is, on weights, and on how
    often each class comes.
    """
    # below 0 there is no share; then the samples that were trained on are asked, too
    learned = learns(trace) or (math.isnan(skill(trace)) and trace.seen > HELD)
    if not (trace.last_step >= PATIENCE and learned and trace.held < HELD):
        return None
    evidence = (*_lack_of_skill(trace), *_held(trace))
    step = trace.last_step
    return Judgement("not_learning", None, step, evidence, "by_heart")


def _apart(what):
    return f"tenths of the {what} that lose more with the targets of others"


def early(trace):
    """Find that there were too few steps to tell whether the model learns."""
    if not 0 < trace.last_step < PATIENCE or learns(trace):
        return None
    evidence = Evidence("training steps", float(trace.last_step), float(PATIENCE))
    return Judgement("not_measured", evidence=(evidence,), sentence="early")
