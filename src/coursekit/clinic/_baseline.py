"""The loss of the best constant output: what a model reaches that learned nothing.

A constant is tried for each way in which losses are commonly at their least: the
mean of the targets (squared error, and the class frequencies of a cross-entropy),
their median (absolute error), the logarithm or the logit of the mean (cross-entropies
of logits), zeros, and the mean of the model's own outputs. From the best of them the
loss is minimized numerically, for losses that have no closed form. Every constant's
loss bounds that of the best from above, so that trying one more never hurts.

No constant is taken that the activation of the outputs cannot give, if it can give the
targets: many a loss of probabilities falls for ever outside of them.
"""

import math
from dataclasses import dataclass

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf

from coursekit.clinic._facts import RANGES

#: Steps of the numerical search.
SEARCH = 30
#: Where to look whether a loss has a least value, and how much lower it is at the
#: second place if it has none. Margin: a logarithm has 2, a root 32, a line 1000; a
#: fifth power is still within float32.
PLACES, FALLS = (1e3, 1e6), 30.0
#: Outputs are within the ends of their activation but for so much. Margin: rounding of
#: a softmax over a thousand classes 4e-7.
SLACK = 1e-4
#: Shares of classes are taken as they are from so many labels a class. From fewer
#: labels they would know which classes this batch happens to hold, and one more of
#: each class is counted (Laplace's rule of succession).
ENOUGH = 3


@dataclass(frozen=True)
class Baseline:
    """The best constant output that was found.

    Attributes
    ----------
    loss : float
        NaN if no constant has a finite loss, minus infinity if there is no least one.
    outputs : tree of arrays
        The constant, once for each sample.
    """

    loss: float
    outputs: object


def best_constant(value, outputs, targets, activation=None):
    """Search the constant output of the least loss.

    Parameters
    ----------
    value : function of outputs
        Returns the scalar loss of the batch.
    outputs : tree of tensors
        Those of the model.
    targets : tree of arrays
    activation : str, optional
        That of the outputs, if there is one array of them.

    Returns
    -------
    Baseline
    """
    flat = [np.asarray(o, "float32") for o in keras.tree.flatten(outputs)]
    targets = [np.asarray(t) for t in keras.tree.flatten(targets)]
    targets = targets if len(targets) == len(flat) else [None] * len(flat)
    choices = [_of_one(o, t) for o, t in zip(flat, targets, strict=True)]
    ends = RANGES.get(activation) if len(flat) == 1 else None
    if ends is None or not _can_give(ends, targets[0], flat[0]):
        found = _best(_Search(value, outputs, flat), choices, flat, targets)
        if ends is None or not found.loss < 0:
            return found
        # it need not have a least value where the outputs never are
    search = _Search(value, outputs, flat, ends, activation == "softmax")
    # the mean of the model's own outputs is one of its outputs
    choices = [[choices[0][0], *filter(search.allows, choices[0][1:])]]
    return _best(search, choices, flat, targets)


def _best(search, choices, flat, targets):
    """Return the best of the constants, and of what lies near it."""
    best = [options[0] for options in choices]
    loss = search.loss(best)
    for n, options in enumerate(choices):
        for option in options[1:]:
            tried = [*best[:n], option, *best[n + 1 :]]
            found = search.loss(tried)
            if found < loss or math.isnan(loss):
                best, loss = tried, found
    if not math.isfinite(loss):
        return Baseline(math.nan, None)
    counts = [_counts(o, t) for o, t in zip(flat, targets, strict=True)]
    counts = [count for count in counts if count is not None]
    # shares of classes are best for a cross-entropy, and not for every loss of them
    if not counts or search.sums_to_1 and not any(map(_few, counts)):
        best, loss = search.refine(best, loss)
    if not counts and search.bottomless(best):
        loss = -math.inf
    return Baseline(loss, search.packed(best))


class _Search:
    """The loss of a batch as a function of one output for all samples."""

    def __init__(
        self, value, outputs, flat, ends=(-math.inf, math.inf), sums_to_1=False
    ):
        self._value, self._outputs = value, outputs
        self._shapes = [o.shape for o in flat]
        (self.low, self.high), self.sums_to_1 = ends, sums_to_1

    def allows(self, constant):
        """Tell whether the outputs can be a constant, but for rounding."""
        inside = (
            self.low - SLACK <= constant.min() <= constant.max() <= self.high + SLACK
        )
        sums = constant.sum(axis=-1)
        return inside and (not self.sums_to_1 or abs(sums - 1).max() < SLACK)

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

    def _parts(self, point):
        """Return the constants of one array of numbers."""
        parts = zip(np.split(point, self._cuts), self._shapes, strict=True)
        return [tf.constant(p.reshape(1, *s[1:]), tf.float32) for p, s in parts]

    def _loss_and_gradient(self, point, through=tf.identity):
        parts = self._parts(point)
        with tf.GradientTape() as tape:
            tape.watch(parts)
            loss = self._value(self.packed([through(p) for p in parts]))
        found = tape.gradient(loss, parts, unconnected_gradients="zero")
        gradient = np.concatenate([np.ravel(g) for g in found]).astype("float64")
        return float(loss), gradient

    @property
    def _cuts(self):
        return np.cumsum([math.prod(s[1:]) for s in self._shapes])[:-1]

    def refine(self, constants, loss):
        """Return the constants and the loss of a minimum nearby, if there is one."""
        start = np.concatenate([np.ravel(c) for c in constants]).astype("float64")
        size, through, ends = abs(loss) or 1.0, tf.identity, (self.low, self.high)
        if self.sums_to_1:
            # any numbers are logarithms of outputs, but for a factor
            start = np.log(np.maximum(start, keras.config.epsilon()))
            through, ends = tf.nn.softmax, (-math.inf, math.inf)

        def scaled(point):
            value, gradient = self._loss_and_gradient(point, through)
            return value / size, gradient / size

        first = np.linalg.norm(scaled(start)[1])
        if math.isfinite(first) and first > 0:
            found = scipy.optimize.minimize(
                scaled,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=[ends] * len(start),
                options={"maxiter": SEARCH},
            )
            if math.isfinite(found.fun) and size * found.fun < loss:
                best = [through(p).numpy() for p in self._parts(found.x)]
                return best, float(size * found.fun)
        return constants, loss

    def bottomless(self, constants):
        """Tell whether the loss falls along its gradient as far as one goes.

        A logarithm falls to its double between the two places, a line to its
        thousandfold. Within ends it does not get there.
        """
        start = np.concatenate([np.ravel(c) for c in constants]).astype("float64")
        gradient = self._loss_and_gradient(start)[1]
        size = np.linalg.norm(gradient)
        if not (math.isfinite(size) and size > 0):
            return False
        away = gradient / size * max(1.0, np.linalg.norm(start))
        places = (np.clip(start - t * away, self.low, self.high) for t in PLACES)
        near, far = (self._loss_and_gradient(place)[0] for place in places)
        return bool(near < 0 and math.isfinite(far) and far < FALLS * near)


def _can_give(ends, target, output):
    """Tell whether the targets lie within the ends of the outputs."""
    if target is None or target.dtype.kind not in "biuf" or target.size != output.size:
        return False
    low, high = ends
    return low - SLACK <= target.min() <= target.max() <= high + SLACK


def _of_one(output, target):
    """Return the constants to try for one output, shape (1, ...)."""
    with np.errstate(all="ignore"):
        mean = np.nan_to_num(output.mean(axis=0, keepdims=True))
        options = [mean, np.zeros_like(mean)]
        counts = _counts(output, target)
        if counts is not None:
            counts = counts + _few(counts)
            share = np.broadcast_to(counts / counts.sum(), mean.shape)
            options += [share, *_logits(share)]
        elif target is not None and target.dtype.kind in "biuf":
            target = target.astype("float64")
            if target.ndim == output.ndim - 1 and output.shape[-1] == 1:
                target = target[..., None]
            if target.shape == output.shape:
                middle = target.mean(axis=0, keepdims=True)
                median = np.median(target, axis=0, keepdims=True)
                options += [middle, median, *_logits(middle)]
    return [o.astype("float32") for o in options if np.isfinite(o).all()]


def _few(counts):
    """Tell whether the labels are too few for shares of classes."""
    return counts.sum() < ENOUGH * len(counts)


def _logits(share):
    """Return the logarithm and the logit of shares; nothing of other numbers."""
    if share.min() < 0 or share.max() > 1:
        return []
    # as Keras clips probabilities
    edge = keras.config.epsilon()
    inside = np.clip(share, edge, 1 - edge)
    return [np.log(inside), np.log(inside / (1 - inside))]


def _counts(output, target):
    """Return how often each class along the last axis is the label, or None.

    Labels are numbers of classes, or have a 1 at the class and 0 elsewhere.
    """
    if target is None or target.dtype.kind not in "biuf" or output.ndim < 2:
        return None
    classes = output.shape[-1]
    if classes == 1:
        return None
    if target.shape == output.shape:
        whole = np.isin(target, (0, 1)).all() and (target.sum(axis=-1) == 1).all()
        return target.reshape(-1, classes).sum(axis=0).astype(float) if whole else None
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target[..., 0]
    if target.shape != output.shape[:-1] or not (target == np.floor(target)).all():
        return None
    if target.min() < 0 or target.max() >= classes:
        return None
    return np.bincount(target.astype(int).ravel(), minlength=classes).astype(float)
