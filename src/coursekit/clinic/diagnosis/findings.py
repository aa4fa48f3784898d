"""Observations that do not make a verdict but are worth a sentence."""

import math
from dataclasses import dataclass

import numpy as np

from coursekit.clinic.diagnosis import rules


@dataclass(frozen=True)
class Finding:
    """A lesser observation.

    Attributes
    ----------
    kind : str
        "dead_units", "saturated", "fast", "slow", "still", "recurrent",
        "inference", "spike", "bad_data" or "unmeasured".
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
    parts = (_unmeasured, _units, _pace, _still, _recurrent, _inference, _spike)
    return tuple(found for part in parts for found in part(trace))


def _unmeasured(trace):
    for note in trace.notes:
        kind = "bad_data" if "not finite" in note else "unmeasured"
        yield Finding(kind, note)


def _units(trace):
    if not trace.probes:
        return
    step, report = trace.probes[-1]
    for n, name in enumerate(report.layers):
        dead, saturated = report.dead_fraction[n], report.saturated_fraction[n]
        if dead >= rules.MANY_DEAD:
            text = f"{dead:.0%} of the units of {name} are dead at step {step}"
            yield Finding("dead_units", text, name)
        if saturated >= rules.MANY_SATURATED and name not in trace.heads:
            text = f"{saturated:.0%} of the activations of {name} are saturated"
            yield Finding("saturated", f"{text} at step {step}", name)


def _pace(trace):
    ratio = trace.update_ratio[1:] if len(trace.update) > 1 else trace.update_ratio
    finite = np.where(np.isfinite(ratio) & (ratio > 0), ratio, np.nan)
    if not len(finite) or np.isnan(finite).all():
        return
    middle = float(np.nanmedian(finite))
    if middle > rules.FAST:
        yield Finding(
            "fast",
            f"a step changes the kernels by {middle:.0%} (median): the learning "
            "rate is far too large",
        )
    if middle < rules.SLOW and not rules.learns(trace):
        yield Finding(
            "slow",
            f"a step changes the kernels by {middle:.0e} of their norm (median): "
            "the learning rate is far too small, or the gradients are",
        )


def _still(trace):
    if len(trace.update) < 2:
        return
    for n, name in enumerate(trace.layers):
        column = trace.gradient[:, n]
        trained = np.isfinite(column).any()
        if trained and not trace.update[:, n].any():
            why = (
                "its gradient is exactly zero"
                if not np.nan_to_num(column).any()
                else "its updates are below the weights' last bit, or clipped to 0"
            )
            yield Finding("still", f"{name} never moved: {why}", name)


def _recurrent(trace):
    if not trace.probes:
        return
    step, report = trace.probes[-1]
    for name, norms in report.time_norm.items():
        if len(norms) > 1 and norms[-1] > 0 and norms[0] > 0:
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
    loss = trace.loss[np.isfinite(trace.loss)]
    if not len(loss) or (loss < 0).any() or not trace.checks:
        return
    reference = max(loss[0], np.nan_to_num(trace.checks[0].constant_loss))
    if reference > 0 and loss.max() > rules.DIVERGED * reference:
        if not math.isnan(rules.skill(trace)):
            step = int(trace.steps[np.nanargmax(trace.loss)])
            text = f"the loss rose to {loss.max():.2g} at step {step}"
            yield Finding("spike", text)
