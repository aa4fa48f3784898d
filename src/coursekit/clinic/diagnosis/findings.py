"""Observations that do not make a verdict but are worth a sentence."""

import math
from dataclasses import dataclass

import numpy as np

from coursekit.clinic.diagnosis import rules
from coursekit.clinic.trace import reached


@dataclass(frozen=True)
class Finding:
    """A lesser observation.

    Attributes
    ----------
    kind : str
        "dead_units", "saturated", "fast", "slow", "still", "recurrent", "inference",
        "spike", "little", "constant_outputs", "head", "labels", "scale", "mask",
        "function", "bad_data", "mixed", "unpaired" or "unmeasured".
    text : str
    layer : str or None
    """

    kind: str
    text: str
    layer: str | None = None

    def __str__(self):
        """Return the sentence."""
        return self.text


def findings(trace):
    """Return all findings of a trace, those of the data first."""
    parts = (
        _unmeasured,
        _function,
        _labels,
        _scale,
        _mask,
        _samples,
        _progress,
        _outputs,
        _units,
        _pace,
        _still,
        _recurrent,
        _inference,
        _spike,
    )
    return tuple(found for part in parts for found in part(trace))


def _unmeasured(trace):
    found = rules.bad_data(trace)
    if found is not None:
        step, parts = found
        batch = f"step {step}" if step else "the probed batch"
        text = f"the {' and '.join(parts)} of {batch} hold numbers that are not finite"
        yield Finding("bad_data", text)
    for note in dict.fromkeys(trace.notes):
        yield Finding("unmeasured", note)


def _function(trace):
    """Find a function that is not finite, or has no derivative, where it is used."""
    found = rules.without_derivative(trace)
    if found is not None:
        step, finite_loss, layer = found
        where = f"above {layer}" if layer else f"at step {step}"
        what = "the loss is finite and its gradient is not: a function without a "
        what += "derivative there"
        if not finite_loss:
            what = "a finite batch became NaN or infinite, and nothing had grown: a "
            what += "function that ends at 0"
        text = f"{where} {what} may be the cause: sqrt, a norm, log or a division at 0"
        yield Finding("function", f"{text}; add a small constant inside", layer)


def _labels(trace):
    facts = trace.facts
    if facts is None:
        return
    if facts.wrong_targets:
        yield Finding("labels", facts.wrong_targets)
    elif facts.low == facts.high and not rules.varied(trace):
        text = f"all targets that were looked at are {facts.low:.3g}"
        yield Finding("labels", f"{text}: a constant output explains them")


def _scale(trace):
    if trace.facts is None or rules.learns(trace):
        return
    sizes = trace.facts.unscaled(rules.LARGE)
    if sizes:
        text = " and ".join(f"{name} of size {s:.0e}" for name, s in sizes.items())
        yield Finding("scale", f"{text}: kernels are drawn for size 1")


def _mask(trace):
    if rules.padding_alone(trace):
        text = (
            "of each sequence only the padding reaches the loss: the mask is inverted"
        )
        yield Finding("mask", text)


def _samples(trace):
    """Find samples that are not each for itself: in the model, or in the loss."""
    if rules.mixed(trace):
        text = "the outputs of a sample depend on the other samples of its batch: an "
        text += "operation goes along the axis of the samples, such as a softmax"
        yield Finding("mixed", f"{text} over axis 0")
    if rules.unpaired(trace):
        text = "the loss is the same when targets are given to other samples: outputs "
        text += "and targets have other shapes, and each is compared with all"
        yield Finding("unpaired", text)


def _progress(trace):
    value, steps = rules.skill(trace), trace.last_step
    if steps < rules.PATIENCE:
        return
    if rules.drifts(trace):
        text = "the first samples of the training are lost, and the last batches lose "
        text += "little: the data may change on their way; let fit shuffle them"
        yield Finding("little", text)
    least = 0 if trace.held > rules.BY_CHANCE else rules.LEARNED
    if least <= value < rules.SKILL:
        text = (
            f"after {steps} steps the inputs take away {value:.0%} of a constant "
            "output's loss: it has hardly learned"
        )
        if not trace.held >= rules.HELD:
            text += ", or knows these samples by heart; try others"
        yield Finding("little", text)
    elif math.isnan(value) and len(trace.checks) and rules.falls(trace):
        loss, constant = trace.checks[-1].loss, trace.checks[-1].constant_loss
        why = f"a constant output already reaches a loss of {constant:.1g}"
        if min(loss, constant) < 0:
            why = "the loss goes below 0, where it has no natural unit"
        text = f"how much was learned is not known, though the loss falls: {why}"
        yield Finding("little", text)


def _outputs(trace):
    """Find outputs that do not fit the loss, or do not depend on the inputs."""
    head = trace.heads[-1] if trace.heads else None
    if trace.facts is not None and trace.facts.misfit:
        yield Finding("head", f"the output of {head}: {trace.facts.misfit}", head)
    for name in trace.facts.behind if trace.facts else ():
        yield Finding("head", f"{name} drops outputs, and nothing comes behind", name)
    checks = [c for c in trace.checks if c.step]
    if not checks or (rules.learns(trace) and checks[-1].sway != 0):
        return
    if checks[-1].sway <= rules.SWAY:
        probed = trace.probes[-1][1]
        n = probed.layers.index(head) if head in probed.layers else -1
        share = probed.saturated_fraction[n]
        text = f"the outputs of {head} are the same for every sample"
        if checks[-1].sway:
            what = "nearly the same for every sample, beside what the targets ask for"
            text = f"the outputs of {head} are {what}"
        ends = (
            f", {share:.0%} of them saturated" if share >= rules.MANY_SATURATED else ""
        )
        yield Finding("constant_outputs", text + ends, head)


def _units(trace):
    if not trace.probes:
        return
    step, probed = trace.probes[-1]
    hidden = [name not in trace.heads for name in probed.layers]
    dead = probed.dead_fraction >= rules.MANY_DEAD
    yield from _shares(
        "dead_units", "units", "dead", step, probed.layers, probed.dead_fraction, dead
    )
    ends = (probed.saturated_fraction >= rules.MANY_SATURATED) & hidden
    shares = probed.saturated_fraction
    yield from _shares(
        "saturated", "activations", "saturated", step, probed.layers, shares, ends
    )


def _shares(kind, things, word, step, names, shares, chosen):
    """Yield one finding for all layers whose share is large."""
    names, shares = [n for n, c in zip(names, chosen, strict=True) if c], shares[chosen]
    if names:
        low, high = shares.min(), shares.max()
        share = (
            f"{low:.0%}"
            if f"{low:.0%}" == f"{high:.0%}"
            else f"{low:.0%} to {high:.0%}"
        )
        text = f"{share} of the {things} of {_range(names)} are {word} at step {step}"
        yield Finding(kind, text, names[0])


def _range(names):
    if len(names) < 3:
        return " and ".join(names)
    return f"{len(names)} layers, {names[0]} to {names[-1]},"


def _pace(trace):
    middle = rules.pace(trace)
    if math.isnan(middle):
        return
    if middle > rules.FAST:
        text = (
            f"a step changes the kernels by {middle:.0%} (median): the learning rate "
        )
        text += "is far too large"
        if rules.died(trace) is not None:
            # few were measured by then, and the gradient may be what is too large
            text = f"before that, a step changed the kernels by {middle:.0%}: the "
            text += "learning rate is far too large for such gradients"
        yield Finding("fast", text)
    # what is not finite stands still, and what has fallen by half was fast enough
    if rules.learns(trace) or trace.first_bad_step is not None:
        return
    early, _, late = (part.sum() for part in rules.fifths(trace))
    fall = 1 - late / early if early > 0 else math.nan
    little = middle * trace.last_step < rules.MOVED
    if little and trace.last_step >= rules.PATIENCE and not fall >= 0.5:
        text = f"a step changes the kernels by {middle:.0e} of their norm (median)"
        why = "the learning rate is far too small, or the gradients are"
        yield Finding("slow", f"{text}: {why}")
    elif rules.learned_nothing(trace) and rules.still_falls(trace):
        # Adam moves by its rate, whatever the gradient is; a loss that fell to a
        # constant's and stays there is not slow
        if 0 < fall < rules.SKILL:
            text = f"the loss still falls, by {fall:.1%} in {trace.last_step} steps"
            why = "the learning rate may be too small, or the steps too few"
            yield Finding("slow", f"{text}: {why}")


def _still(trace):
    if len(trace.update) < 2:
        return
    still = {}
    for n, name in enumerate(trace.layers):
        column = trace.gradient[:, n]
        trained = np.isfinite(column).any()
        if trained and not trace.update[:, n].any():
            zero = not np.nan_to_num(column).any()
            still.setdefault(zero, []).append(name)
    for zero, names in still.items():
        why = (
            "gradients are exactly zero"
            if zero
            else "updates are below the weights' last bit, or clipped to 0"
        )
        yield Finding("still", f"{_range(names)} never moved: {why}", names[0])


def _recurrent(trace):
    if not trace.probes:
        return
    step, probed = trace.probes[-1]
    for name, norms in probed.time_norm.items():
        norms = reached(norms)
        # NaN, and what overflows, tells no rate
        if len(norms) > 1 and np.isfinite(norms[[0, -1]]).all():
            factor = (norms[0] / norms[-1]) ** (1 / (len(norms) - 1))
            text = (
                f"{name}: ||dL/dh|| changes by {factor:.2f} a time step going back, "
                f"{norms[0] / norms[-1]:.0e} over {len(norms)} steps, at step {step}"
            )
            yield Finding("recurrent", text, name)


def _inference(trace):
    if not trace.checks:
        return
    last = trace.checks[-1]
    limit = rules.INFERENCE * last.loss
    if last.step and rules.learns(trace) and last.inference_loss > limit:
        # a small loss that is twice as large is still a model that works
        if last.inference_loss > (1 - rules.SKILL) * last.constant_loss:
            yield Finding(
                "inference",
                f"with training=False the loss is {last.inference_loss:.2g}, in "
                f"training {last.loss:.2g}: the moving averages of a normalization "
                "lag behind; lower its momentum or train longer",
            )


def _spike(trace):
    finite = np.isfinite(trace.loss)
    loss = trace.loss[finite]
    if not len(loss) or (loss < 0).any() or not trace.checks:
        return
    constants = trace.checks[0].constant_loss, trace.constant_loss
    reference = max(loss[0], *np.nan_to_num(constants))
    if reference > 0 and loss.max() > rules.DIVERGED * reference:
        if not math.isnan(rules.skill(trace)):
            step = int(trace.steps[finite][np.argmax(loss)])
            text = f"the loss rose to {loss.max():.2g} at step {step}"
            yield Finding("spike", text)
