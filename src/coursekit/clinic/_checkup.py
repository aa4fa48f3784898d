"""Ask a model whether its outputs depend on its inputs, and where they come from."""

import math
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from coursekit import _taps
from coursekit._norms import stable_norm
from coursekit.clinic._baseline import best_constant
from coursekit.clinic._facts import output_activation
from coursekit.clinic.trace import Check
from coursekit.probing import loss_value, probe_with_outputs, unchanged

# What a model or a loss raises that cannot take what it is given.
UNFIT = TypeError, ValueError, tf.errors.InvalidArgumentError
#: The error of what was learned is taken from so many groups of samples.
GROUPS = 10
#: Samples from which on it is asked whether targets are told apart, and parts of ten
#: whose loss must change: of a rare class few do.
HELD_SAMPLES, ENOUGH_PARTS = 200, 8
#: Targets are those of so many others, in turn: one alone is often alike by luck.
SHIFTS = 5
#: An output that changes by more of its size was not alone. Margin: rounding 1e-6.
SAME = 1e-3
#: A loss that changes by less of its size does not. Margin: rounding 1e-7.
ROUNDING = 3e-6


def checkup(model, x, y, loss=None, sample_weight=None, step=0, few=None):
    """Probe a model, and compare its loss with that of the best constant output.

    Parameters
    ----------
    model, x, y, loss, sample_weight
        As :func:`coursekit.probe` takes them.
    step : int
        Training steps taken before.
    few : int, optional
        Probe so many samples, the first. Losses are compared on all.

    Returns
    -------
    ProbeReport, Check
    """
    whole = x, y, sample_weight
    size = len(keras.tree.flatten(x)[0])
    part = whole if few is None else _rows(whole, slice(few))
    probed, outputs = probe_with_outputs(model, *part[:2], loss, part[2])
    told = probed.loss

    def value(outputs, rows=slice(None)):
        x, y, sample_weight = _rows(whole, rows)
        return loss_value(model, x, y, outputs, loss, sample_weight)

    with unchanged(model):
        try:
            of_few = partial(value, rows=slice(few))
            arriving = _output_gradient(of_few, outputs)
            below, padding = _input_gradient(model, of_few, part[0])
            if few is not None and few < size:
                outputs = model(x, training=True)
                told = float(value(outputs))
            active = output_activation(model, probed.layers)
            baseline = best_constant(value, outputs, y, active)
            answers = _answers(model, x)
            # before training the moving averages say nothing
            inference = float(value(answers)) if step else math.nan
            more = _errors(value, outputs, baseline, size) if step else {}
            more["sway"] = _sway(value, outputs, baseline)
            more["input_gradient"], more["padding_alone"] = below, padding
            more["mixes_samples"] = _mixes_samples(model, x, answers)
            more["unpaired"] = _is_unpaired(model, whole, outputs, loss)
            more["same_inputs"] = size > 1 and all(map(_same, keras.tree.flatten(x)))
        except UNFIT:
            if few is not None and few < size:
                # a model may know no other size of a batch
                return checkup(model, *part[:2], loss, part[2], step)
            # a loss that takes something else than outputs
            return probed, Check(step, probed.loss, math.nan, math.nan)
    return probed, Check(step, told, baseline.loss, inference, arriving, **more)


def told_apart(model, batch, loss=None):
    """Return how many of ten parts of a batch lose more with the targets of others.

    As :func:`parts_told_apart` does. Of samples that were trained on it also finds what
    was learned by heart.
    """
    x, *targets = batch

    def lost_by(rows):
        inputs = _rows(x, rows)
        outputs = model(inputs, training=False)

        def lost(others):
            y, weight = _rows(tuple(targets), others)
            return float(loss_value(model, inputs, y, outputs, loss, weight))

        return lost

    with unchanged(model):
        return parts_told_apart(lost_by, len(keras.tree.flatten(x)[0]))


def parts_told_apart(lost_by, size):
    """Return how many of ten parts of ``size`` samples lose more with others' targets.

    A test by permutation (Fisher 1935), whatever the scale of the loss is; an outlier
    counts as one part.

    Parameters
    ----------
    lost_by : function of rows
        Returns their loss as a function of the rows whose targets they get.
    size : int

    Returns
    -------
    float
        NaN if there are too few samples, or parts whose loss does not change at all.
    """
    if size < HELD_SAMPLES:
        return math.nan
    order = np.random.default_rng(0).permutation(size)
    gains = [_gain(lost_by(rows), rows) for rows in np.array_split(order, GROUPS)]
    known = [gain for gain in gains if gain and math.isfinite(gain)]
    few = len(known) < ENOUGH_PARTS
    return math.nan if few else float(GROUPS * np.mean(np.array(known) > 0))


def _gain(lost, rows):
    """Return how much more rows lose with others' targets; 0 if it is rounding."""
    own = lost(rows)
    shifts = np.arange(1, SHIFTS + 1) * len(rows) // (SHIFTS + 1)
    gain = np.mean([lost(np.roll(rows, shift)) for shift in shifts]) - own
    return gain if abs(gain) > ROUNDING * abs(own) else 0.0


def _rows(tree, rows):
    """Return some samples of all arrays; None stays None."""
    return keras.tree.map_structure(lambda a: a if a is None else a[rows], tree)


def _errors(value, outputs, baseline, size):
    """Return the standard errors of what a loss takes off the constant's, by name.

    Of the difference, and of its share. By the jackknife over groups of samples: any
    loss that is a mean over them will do.
    """
    if baseline.outputs is None or size < 2:
        return {}
    groups = np.array_split(np.arange(size), min(GROUPS, size))
    groups = [slice(rows[0], rows[-1] + 1) for rows in groups]
    try:
        sums = [
            [
                (rows.stop - rows.start) * float(value(_rows(of, rows), rows))
                for of in (outputs, baseline.outputs)
            ]
            for rows in groups
        ]
    except UNFIT:
        # so may a loss
        return {}
    own, constant = (np.sum(sums, axis=0) - sums).T
    sizes = np.array([size - (rows.stop - rows.start) for rows in groups])
    with np.errstate(all="ignore"):
        found = {"gain_error": (constant - own) / sizes}
        found["skill_error"] = 1 - own / constant
    return {k: float(v.std() * math.sqrt(len(v) - 1)) for k, v in found.items()}


def _answers(model, x):
    """Return the model's outputs, from the state that it is in and stays in."""
    with unchanged(model):
        return model(x, training=False)


def _mixes_samples(model, x, answers):
    """Tell whether the first sample gets another answer among copies of itself.

    And the same answer whenever it is asked with the same samples: chance, such as
    TensorFlow's own, does not.
    """
    alone = keras.tree.map_structure(lambda a: np.repeat(a[:1], len(a), axis=0), x)
    other = _differ(answers, _answers(model, alone))
    return other and not _differ(answers, _answers(model, x))


def _differ(answers, others):
    """Tell whether the first sample's outputs differ by more than rounding."""
    pairs = zip(*map(keras.tree.flatten, (answers, others)), strict=True)
    firsts = [[np.asarray(o[0], "float64") for o in pair] for pair in pairs]
    return any(np.abs(a - b).max() > SAME * np.abs(a).max() for a, b in firsts)


def _same(array):
    """Tell whether an array is the same for all samples; NaN never is."""
    return bool((np.asarray(array) == array[:1]).all())


def _is_unpaired(model, batch, outputs, loss):
    """Tell whether a loss stays what it is when targets go to other samples.

    Such a loss compares each output with all targets. That comes of shapes, (n, 1)
    and (n,), which are stretched to (n, n). It is asked with outputs that are the
    targets themselves: of those that are far from their targets, many a loss is the
    same whoever's they are.
    """
    x, y, sample_weight = batch
    shapes = [tuple(np.shape(tree)) for tree in (y, outputs) if hasattr(tree, "shape")]
    if sample_weight is not None or len(set(map(math.prod, shapes))) != 1:
        return False
    moved = np.roll(y, len(y) // 2, axis=0) if len(set(shapes)) == 2 else y
    if np.array_equal(y, moved):
        return False
    right = tf.reshape(tf.cast(y, outputs.dtype), shapes[1])
    now, then = (float(loss_value(model, x, t, right, loss, None)) for t in (y, moved))
    return abs(now - then) <= ROUNDING * max(abs(now), abs(then))


def constant_loss(model, x, targets, loss=None, called=()):
    """Return the loss of the best constant output over more targets than a batch has.

    Parameters
    ----------
    model : keras.Model
    x : arrays
        Some inputs: they tell the shape of the outputs.
    targets : array, or tree of arrays
        Those of several batches.
    loss : optional
        As :func:`coursekit.probe` takes it.
    called : list of str
        The rows of a probe.
    """
    try:
        size = len(keras.tree.flatten(targets)[0])
        with unchanged(model):
            outputs = keras.tree.map_structure(
                lambda o: np.broadcast_to(np.asarray(o)[:1], (size, *o.shape[1:])),
                model(x, training=False),
            )

            def value(outputs):
                return loss_value(model, None, targets, outputs, loss, None)

            active = output_activation(model, called)
            return best_constant(value, outputs, targets, active).loss
    except UNFIT:
        # a loss that takes something else
        return math.nan


def _output_gradient(value, outputs):
    """Return the root mean square over the batch of ``||dL/dy||`` per sample."""
    flat = [tf.convert_to_tensor(o) for o in keras.tree.flatten(outputs)]
    with tf.GradientTape() as tape:
        tape.watch(flat)
        loss = value(keras.tree.pack_sequence_as(outputs, flat))
    parts = [g for g in tape.gradient(loss, flat) if g is not None]
    # the loss is a mean over the samples
    return float(np.sqrt(len(flat[0])) * stable_norm(parts)) if parts else math.nan


def _input_gradient(model, value, x):
    """Return the root mean square over the batch of the smallest ``||dL/dx||``.

    And whether all of it lies in padding: token 0, or steps that are 0 throughout.
    """
    inputs = [tf.convert_to_tensor(part) for part in keras.tree.flatten(x)]
    tables = [
        weight.value
        for layer in _taps.leaves(model)
        if isinstance(layer, keras.layers.Embedding)
        for weight in layer.weights
    ]
    lowest = [*(i for i in inputs if i.dtype.is_floating), *tables]
    with tf.GradientTape() as tape:
        tape.watch(lowest)
        loss = value(model(keras.tree.pack_sequence_as(x, inputs), training=True))
    found = tape.gradient(loss, lowest)
    parts = [g.values if isinstance(g, tf.IndexedSlices) else g for g in found]
    sizes = [stable_norm([g]) for g in parts if g is not None]
    size = math.sqrt(len(inputs[0])) * min(sizes) if sizes else math.nan
    pairs = zip(lowest, found, strict=True)
    return size, any(_in_padding(inputs, *pair) for pair in pairs)


def _in_padding(inputs, source, gradient):
    """Tell whether padding gets a gradient, and of all other steps none does.

    Padding is a step of zeros, or token 0 where an embedding was asked for an input.
    """
    if isinstance(gradient, tf.IndexedSlices):
        steps, rows = np.asarray(gradient.indices), gradient.values
        if not any(np.array_equal(np.ravel(i), steps) for i in inputs):
            return False
    elif gradient is not None and len(source.shape) == 3:
        steps, rows = np.asarray(source).any(axis=-1).ravel(), gradient
    else:
        return False
    gets, padding = np.reshape(rows, (len(steps), -1)).any(axis=1), steps == 0
    return bool(gets[padding].any() and not gets[~padding].any() and not padding.all())


def _sway(value, outputs, baseline):
    """Return the share of the constant's loss that differences of outputs can move."""
    flat = [np.asarray(o, "float64") for o in keras.tree.flatten(outputs)]
    with np.errstate(all="ignore"):
        spread = math.sqrt(sum(o.var(axis=0).sum() for o in flat))
    if spread == 0:
        return 0.0
    if baseline.outputs is None:
        return math.nan
    move = spread * _output_gradient(value, baseline.outputs)
    loss = abs(baseline.loss)
    # 0 says that the outputs are the same, not that the loss is flat there
    return move / loss if move and 0 < loss < math.inf else math.nan


def bad_parts(x, y, sample_weight=None):
    """Return which parts of a batch hold NaN or infinity: their names."""
    parts = {"inputs": x, "targets": y, "weights": sample_weight}
    return [name for name, part in parts.items() if _not_finite(part)]


def _not_finite(arrays):
    flat = [np.asarray(a) for a in keras.tree.flatten(arrays) if a is not None]
    floats = [a for a in flat if np.issubdtype(a.dtype, np.floating)]
    return any(not np.isfinite(a).all() for a in floats)
