"""The loss of the best constant output: what a model reaches that learned nothing.

A constant is tried for each way in which losses are commonly at their least: the
mean of the targets (squared error, and the class frequencies of a cross-entropy),
their median (absolute error), the logarithm or the logit of the mean (cross-entropies
of logits), zeros, and the mean of the model's own outputs. From the best of them the
loss is minimized numerically, for losses that have no closed form. Every constant's
loss bounds that of the best from above, so that trying one more never hurts.
"""

import math
from dataclasses import dataclass

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf

#: Steps of the numerical search, and the share of the gradient that may be left.
SEARCH, LEFT = 30, 0.1
TINY = 1e-7


@dataclass(frozen=True)
class Baseline:
    """The best constant output that was found.

    Attributes
    ----------
    loss : float
        NaN if no constant has a finite loss.
    output_gradient : float
        Root mean square over the batch of ``||dL/dy||`` at this output, L being the
        loss of a sample.
    outputs : tree of arrays
        The constant, once for each sample.
    """

    loss: float
    output_gradient: float
    outputs: object


def best_constant(value, outputs, targets):
    """Search the constant output of the least loss.

    Parameters
    ----------
    value : function of outputs
        Returns the scalar loss of the batch.
    outputs : tree of tensors
        Those of the model.
    targets : tree of arrays

    Returns
    -------
    Baseline
    """
    flat = [np.asarray(o, "float32") for o in keras.tree.flatten(outputs)]
    search = _Search(value, outputs, flat)
    choices = _choices(flat, [np.asarray(t) for t in keras.tree.flatten(targets)])
    best = [options[0] for options in choices]
    loss = search.loss(best)
    for n, options in enumerate(choices):
        for option in options[1:]:
            tried = [*best[:n], option, *best[n + 1 :]]
            found = search.loss(tried)
            if found < loss or math.isnan(loss):
                best, loss = tried, found
    if not math.isfinite(loss):
        return Baseline(math.nan, math.nan, None)
    best, loss, gradient = search.refine(best, loss)
    samples = len(flat[0])
    return Baseline(loss, math.sqrt(samples) * gradient, search.packed(best))


class _Search:
    """The loss of a batch as a function of one output for all samples."""

    def __init__(self, value, outputs, flat):
        self._value, self._outputs = value, outputs
        self._shapes = [o.shape for o in flat]

    def packed(self, constants):
        """Return the constants as outputs of the model."""
        parts = [
            tf.broadcast_to(tf.convert_to_tensor(c, tf.float32), shape)
            for c, shape in zip(constants, self._shapes, strict=True)
        ]
        return keras.tree.pack_sequence_as(self._outputs, parts)

    def loss(self, constants):
        """Return the loss of one output for all samples."""
        found = float(self._value(self.packed(constants)))
        return found if math.isfinite(found) else math.nan

    def _loss_and_gradient(self, point):
        parts = np.split(point.astype("float32"), self._cuts)
        parts = [
            tf.constant(p.reshape(1, *s[1:]))
            for p, s in zip(parts, self._shapes, strict=True)
        ]
        with tf.GradientTape() as tape:
            tape.watch(parts)
            loss = self._value(self.packed(parts))
        found = tape.gradient(loss, parts, unconnected_gradients="zero")
        gradient = np.concatenate([np.ravel(g) for g in found]).astype("float64")
        return float(loss), gradient

    @property
    def _cuts(self):
        return np.cumsum([math.prod(s[1:]) for s in self._shapes])[:-1]

    def refine(self, constants, loss):
        """Return (constants, loss, gradient per sample) of a minimum nearby.

        A loss that has no minimum keeps the constants that it came with.
        """
        start = np.concatenate([np.ravel(c) for c in constants]).astype("float64")
        size = abs(loss) or 1.0

        def scaled(point):
            value, gradient = self._loss_and_gradient(point)
            return value / size, gradient / size

        first = np.linalg.norm(scaled(start)[1])
        if math.isfinite(first) and first > 0:
            found = scipy.optimize.minimize(
                scaled, start, jac=True, method="L-BFGS-B", options={"maxiter": SEARCH}
            )
            better = math.isfinite(found.fun) and size * found.fun < loss
            if better and np.linalg.norm(found.jac) <= LEFT * first:
                start, loss = found.x, float(size * found.fun)
        parts = np.split(start, self._cuts)
        best = [p.reshape(1, *s[1:]) for p, s in zip(parts, self._shapes, strict=True)]
        return best, loss, self._per_sample(best)

    def _per_sample(self, constants):
        """Return the norm of the loss's gradient with respect to all outputs."""
        outputs = keras.tree.flatten(self.packed(constants))
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            loss = self._value(keras.tree.pack_sequence_as(self._outputs, outputs))
        found = tape.gradient(loss, outputs, unconnected_gradients="zero")
        return math.sqrt(sum(float(tf.reduce_sum(g * g)) for g in found))


def _choices(outputs, targets):
    """Return for each output a list of constants to try, shape (1, ...)."""
    pairs = targets if len(targets) == len(outputs) else [None] * len(outputs)
    return [_of_one(o, t) for o, t in zip(outputs, pairs, strict=True)]


def _of_one(output, target):
    with np.errstate(all="ignore"):
        mean = np.nan_to_num(output.mean(axis=0, keepdims=True))
        options = [mean, np.zeros_like(mean)]
        if target is None or target.dtype.kind not in "biuf":
            return options
        target = target.astype("float64")
        shape = mean.shape
        if target.ndim == output.ndim - 1 and output.shape[-1] == 1:
            target = target[..., None]
        if target.shape == output.shape:
            middle = target.mean(axis=0, keepdims=True)
            median = np.median(target, axis=0, keepdims=True)
            options += [middle, median, *_logits(middle)]
        elif _are_classes(output, target):
            classes = output.shape[-1]
            share = np.bincount(target.astype(int).ravel(), minlength=classes)
            share = np.broadcast_to(share / share.sum(), shape)
            options += [share, *_logits(share)]
        finite = [o for o in options if np.isfinite(o).all()]
    return [o.astype("float32") for o in finite]


def _logits(share):
    """Return the logarithm and the logit of shares; nothing of other numbers."""
    if share.min() < 0 or share.max() > 1:
        return []
    inside = np.clip(share, TINY, 1 - TINY)
    return [np.log(inside), np.log(inside / (1 - inside))]


def _are_classes(output, target):
    """Tell whether targets are numbers of the classes along the last axis."""
    if target.ndim == output.ndim:
        target = target[..., 0] if target.shape[-1] == 1 else target
    return bool(
        target.shape == output.shape[:-1]
        and (target == np.floor(target)).all()
        and target.min() >= 0
        and target.max() < output.shape[-1]
    )
