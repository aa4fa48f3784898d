"""What a monitor records and a diagnosis reads, as plain arrays."""

import math
from dataclasses import dataclass, field

import numpy as np


def reached(norms):
    """Return the entries from the first to the last that is not 0.

    Of ``||dL/dh_t||``: steps that every sample masks get nothing.
    """
    found = np.flatnonzero(norms)
    return norms[found[0] : found[-1] + 1] if len(found) else norms[:0]


@dataclass(frozen=True)
class Check:
    """Losses of the samples that were kept: they tell whether the inputs are used.

    The gradients are those of the samples that the probe takes, the first of them.

    Attributes
    ----------
    step : int
        Training steps taken before.
    loss : float
        As in training.
    constant_loss : float
        Of the best constant output, computed from the targets: what a model
        reaches that knows their distribution and not the inputs.
    inference_loss : float
        With ``training=False``.
    output_gradient : float
        Root mean square over the batch of ``||dL/dy||``, y being the outputs.
    sway : float
        By what share the best constant's loss would change, to first order, if its
        outputs differed from sample to sample as the model's do: 0 if all outputs are
        the same.
    input_gradient : float
        Root mean square over the batch of ``||dL/dx||``, x being an input, or what an
        embedding makes of it; the smallest of several. NaN if there is none.
    padding_alone : bool
        Of the steps of a sequence only padding, token 0 or steps of zeros, gets a
        gradient.
    skill_error : float
        Standard error of the skill, by the jackknife (Quenouille 1956) over groups of
        the samples. NaN if it was not measured.
    gain_error : float
        The same of ``constant_loss - loss``.
    mixes_samples : bool
        With ``training=False`` the outputs of a sample depend on the others.
    same_inputs : bool
        All inputs are the same for every sample.
    unpaired : bool
        Targets and outputs have other shapes, and the loss stays the same when the
        targets are given to other samples.
    """

    step: int
    loss: float
    constant_loss: float
    inference_loss: float
    output_gradient: float = math.nan
    sway: float = math.nan
    input_gradient: float = math.nan
    padding_alone: bool = False
    skill_error: float = math.nan
    gain_error: float = math.nan
    mixes_samples: bool = False
    unpaired: bool = False
    same_inputs: bool = False

    @property
    def skill(self):
        """Share of the constant loss that the inputs take away; 0 or less: none.

        NaN if a loss is not finite, or below zero: such a loss has no natural unit.
        """
        if not math.isfinite(self.loss) or self.loss < 0 or not self.constant_loss > 0:
            return math.nan
        return 1 - self.loss / self.constant_loss


@dataclass(frozen=True, repr=False)
class Trace:
    """A training run, a row for each recorded step.

    Attributes
    ----------
    layers : list of str
        The columns: every layer with a kernel or an embedding.
    steps : numpy.ndarray of int, shape (rows,)
        Numbers of the training steps, from 1.
    loss : numpy.ndarray of shape (rows,)
        The loss of the step's batch; NaN where the training did not tell it.
    skipped : numpy.ndarray of bool, shape (rows,)
        Steps that a mixed-precision optimizer left out.
    total_gradient : numpy.ndarray of shape (rows,)
        Norm of the gradient of all trainable weights, biases included.
    gradient : numpy.ndarray of shape (rows, layers)
        Norm of the gradient of each layer's kernels, before clipping; NaN for
        layers that are not trained.
    update_steps : numpy.ndarray of int, shape (updates,)
        The steps at which the weights' real change was measured.
    update, weight : numpy.ndarray of shape (updates, layers)
        Norm of the change, and of the kernels after it.
    probes : list of (int, ProbeReport)
        Steps taken before the probe, and what it found; 0 is initialization.
    checks : list of Check
        Of the same steps.
    heads : list of str
        The layers that make the model's outputs.
    first_bad_step : int or None
        The first step whose loss or gradient was not finite.
    bad_parts : dict of int to list of str
        Which parts of a batch hold numbers that are not finite, "inputs", "targets" or
        "weights": of that of the first bad step, and under 0 of the probe's. A batch
        that was not seen is missing.
    learning_rate : float
    notes : list of str
        What could not be measured, and why.
    constant_loss : float
        Of the best constant output, over the targets of the first batches; NaN if it
        is not known.
    held : float
        How many of ten parts of the validation data lose more when each sample gets
        another one's target: 10 if all tell targets apart, about 5 by chance. NaN if it
        is not known.
    seen : float
        The same of samples of the training, asked only where ``skill`` is NaN.
    facts : Facts or None
        What a remedy must know of the model, its loss and its data.
    """

    layers: list
    steps: np.ndarray
    loss: np.ndarray
    skipped: np.ndarray
    total_gradient: np.ndarray
    gradient: np.ndarray
    update_steps: np.ndarray
    update: np.ndarray
    weight: np.ndarray
    probes: list = field(default_factory=list)
    checks: list = field(default_factory=list)
    heads: list = field(default_factory=list)
    first_bad_step: int | None = None
    learning_rate: float = math.nan
    notes: list = field(default_factory=list)
    constant_loss: float = math.nan
    held: float = math.nan
    seen: float = math.nan
    facts: object = None
    bad_parts: dict = field(default_factory=dict)

    def __repr__(self):
        """Return what was recorded, in a line."""
        losses = self.loss[np.isfinite(self.loss)]
        ends = f", loss {losses[0]:.3g} to {losses[-1]:.3g}" if len(losses) else ""
        probed = ", ".join(str(step) for step, _ in self.probes) or "none"
        return (
            f"Trace of {self.last_step} steps and {len(self.layers)} layers{ends}; "
            f"probed after steps: {probed}"
        )

    @property
    def update_ratio(self):
        """Change of the kernels over the kernels, shape (updates, layers)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.update / self.weight

    @classmethod
    def untrained(cls, probed, check, heads, facts=None, bad_parts=()):
        """Return the trace of a model that was probed and not trained."""
        found = {"probes": [(0, probed)], "checks": [check], "heads": heads}
        found["bad_parts"] = {0: list(bad_parts)}
        return cls.empty(list(probed.layers), [], facts=facts, **found)

    @classmethod
    def empty(cls, layers, notes, **fields):
        """Return the trace of no step."""
        none, empty = np.empty(0), np.empty((0, len(layers)))
        return cls(
            layers=layers,
            steps=none.astype(int),
            loss=none,
            skipped=none.astype(bool),
            total_gradient=none,
            gradient=empty,
            update_steps=none.astype(int),
            update=empty,
            weight=empty,
            notes=notes,
            **fields,
        )

    @property
    def last_step(self):
        """Number of the last step; 0 before the first."""
        return int(self.steps[-1]) if len(self.steps) else 0


def trace_of(source):
    """Return the Trace that a thing is or has, as a monitor and a report; or None."""
    # an array has a trace, too: that of a matrix
    if not isinstance(source, np.ndarray):
        found = getattr(source, "trace", source)
        bound = callable(found) and not isinstance(source, type) and found is not source
        source = found() if bound else found
    return source if isinstance(source, Trace) else None
