"""What a monitor records and a diagnosis reads, as plain arrays."""

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Check:
    """Does the model use its inputs? Losses of the probe's batch.

    Attributes
    ----------
    step : int
        Training steps taken before.
    loss : float
        As in training.
    constant_loss : float
        With the mean output of the batch in the place of every output: what a
        model reaches that knows the labels' distribution and not the inputs.
    inference_loss : float
        With ``training=False``.
    output_gradient : float
        Root mean square over the batch of ``||dL/dy||``, y being the outputs.
    """

    step: int
    loss: float
    constant_loss: float
    inference_loss: float
    output_gradient: float = math.nan

    @property
    def skill(self):
        """Share of the constant loss that the inputs take away; 0 or less: none."""
        if not math.isfinite(self.loss) or not self.constant_loss > 0:
            return math.nan
        return 1 - self.loss / self.constant_loss


@dataclass(frozen=True)
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
    learning_rate : float
    notes : list of str
        What could not be measured, and why.
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

    @property
    def update_ratio(self):
        """Change of the kernels over the kernels, shape (updates, layers)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.update / self.weight

    @classmethod
    def untrained(cls, report, check, heads):
        """Return the trace of a model that was probed and not trained."""
        layers = len(report.layers)
        none, empty = np.empty(0), np.empty((0, layers))
        return cls(
            layers=list(report.layers),
            steps=none.astype(int),
            loss=none,
            skipped=none.astype(bool),
            total_gradient=none,
            gradient=empty,
            update_steps=none.astype(int),
            update=empty,
            weight=empty,
            probes=[(0, report)],
            checks=[check],
            heads=heads,
        )

    @property
    def last_step(self):
        """Number of the last step; 0 before the first."""
        return int(self.steps[-1]) if len(self.steps) else 0
