"""One batch through one model: what every layer sends up and gets back."""

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from coursekit import _taps
from coursekit._norms import stable_norm
from coursekit._progress import progress
from coursekit._tables import as_html, as_text, share

__all__ = ["ProbeReport", "probe", "slope"]

# So many entries are turned into float64 at a time: 8 MB.
BLOCK = 2**20


@dataclass(frozen=True)
class ProbeReport:
    """Measurements of one batch, a row for each layer that holds a kernel.

    Rows run from the input to the output. All arrays but ``time_norm`` have
    shape (rows,).

    Attributes
    ----------
    layers : list of str
        Names of the layers.
    activation_ms : numpy.ndarray
        Second moment of the activation, the mean of ``h**2`` over the batch and
        the units, after the normalization and activation that follow.
    delta_norm : numpy.ndarray
        Root mean square over the batch of ``||dL/dz||`` per sample; z is what the
        kernel's layer puts out before normalization and activation, L the
        loss of that sample. The positions of a convolution, the steps of a
        recurrence and the calls of a shared layer count as one long vector z.
    kernel_gradient_norm : numpy.ndarray
        ``||dL/dW||`` with L the loss that training minimizes (the mean over the
        batch, with penalties); all kernels of the layer as one long vector.
    dead_fraction : numpy.ndarray
        Share of units whose activation is 0 for every sample; NaN where an
        activation is not finite.
    saturated_fraction : numpy.ndarray
        Share of sigmoid-like or tanh-like activations within 2.5 % of the end
        of their range (``|tanh| > .95``); NaN where there is none, or one is not
        finite.
    zero_gradients : numpy.ndarray of int
        How many of the layer's kernels have a gradient whose every entry is 0.
    time_norm : dict of str to numpy.ndarray
        For recurrent layers, the root mean square over the batch of
        ``||dL/dh_t||``, shape (steps,), in the order of processing.
    loss : float
        The loss of the batch.
    """

    layers: list
    activation_ms: np.ndarray
    delta_norm: np.ndarray
    kernel_gradient_norm: np.ndarray
    dead_fraction: np.ndarray
    saturated_fraction: np.ndarray
    zero_gradients: np.ndarray
    time_norm: dict = field(default_factory=dict)
    loss: float = math.nan

    def _rows(self):
        yield "layer", "E[h^2]", "|delta|", "|dW|", "dead", "saturated", "zero"
        for n, name in enumerate(self.layers):
            zero, size = self.zero_gradients[n], self.kernel_gradient_norm[n]
            yield (
                name,
                f"{self.activation_ms[n]:.1e}",
                f"{self.delta_norm[n]:.1e}",
                f"{size:.1e}",
                share(self.dead_fraction[n]),
                share(self.saturated_fraction[n]),
                # no count of zeros among numbers that are none
                f"{zero}" if math.isfinite(size) else "-",
            )

    def __str__(self):
        """Return a line a layer."""
        return as_text(list(self._rows()))

    __repr__ = __str__

    def _repr_html_(self):
        """Return the same for a notebook that shows HTML."""
        return as_html(self._rows(), f"loss {self.loss:.4g}")


def slope(norms):
    """Return the mean slope of log10(norms) going down, per layer.

    Parameters
    ----------
    norms : array_like of shape (layers,)
        From the input to the output, at least two.

    Returns
    -------
    float
        ``log10(norms[0] / norms[-1]) / (layers - 1)``, in decades a layer:
        negative when the norm shrinks towards the input, -inf when the lowest
        is 0, NaN when both ends are 0.
    """
    norms = np.asarray(norms, dtype="float64")
    if norms.ndim != 1 or len(norms) < 2:
        raise ValueError(f"norms has shape {norms.shape}: give two layers or more")
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.log10(norms[[0, -1]])
        return float((ends[0] - ends[1]) / (len(norms) - 1))


def probe(
    model, x, y=None, loss=None, sample_weight=None, training=True, verbose="auto"
):
    """Measure activations and gradients of one batch, layer by layer.

    The model is left as it was: weights, moving averages, metrics and random
    state. It runs eagerly, in its own dtype policy, so a gradient that
    underflows in training underflows here.

    It needs about three times the memory of a training step of the same batch
    and the time of several: the pre-activations, what becomes of them and their
    gradients are all kept until the layers are summed up, one after the other.
    Give a smaller batch where that is too much; 32 samples do for most questions.

    Parameters
    ----------
    model : keras.Model
        With at least one layer that holds a kernel: dense, convolution,
        recurrent, attention; nested, shared and subclassed as you like.
    x, y : arrays, or lists or dicts of them
        One batch, as ``model.fit`` takes it, samples along the first axis. Or
        for x a ``tf.data.Dataset`` or ``keras.utils.PyDataset`` of batches,
        without y: its first batch is taken.
    loss : str, callable or keras.losses.Loss, optional
        Needed if the model is not compiled; by default the compiled loss.
    sample_weight : array, optional
        As ``model.fit`` takes it; with the compiled loss only.
    training : bool
        Run as in training (batch statistics, dropout) or as in inference.
    verbose : {"auto", True, False}
        A progress bar over the layers, on the way up and in the sums; by default
        for long probes that somebody watches.

    Returns
    -------
    ProbeReport

    Raises
    ------
    TypeError
        If ``model`` is not a Keras model.
    ValueError
        If the model has no kernel or no loss, or the batch does not fit it.
    """
    return probe_with_outputs(model, x, y, loss, sample_weight, training, verbose)[0]


def probe_with_outputs(
    model, x, y=None, loss=None, sample_weight=None, training=True, verbose=False
):
    """Return what :func:`probe` returns, and the outputs of the model."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}: give a keras.Model")
    x, y, sample_weight = one_batch(model, x, y, sample_weight)
    size = len(keras.tree.flatten(x)[0])
    if loss is None and not model.compiled:
        raise ValueError(
            "the model has no loss: compile it, or pass loss=, for instance "
            "loss='sparse_categorical_crossentropy'"
        )
    with _eagerly():
        if not model.built:
            call(model, keras.tree.map_structure(lambda a: a[:1], x), whole=x)
        count = sum(bool(_taps.own_kernels(layer)) for layer in _taps.leaves(model))
        if not count:
            raise ValueError(f"model {model.name!r} has no layer with a kernel")
        samples = 1 if _is_sum(loss if loss is not None else model.loss) else size
        with progress(2 * count, verbose) as bar:

            def value_of(outputs):
                _check_labels(model, y, outputs, loss)
                return loss_value(model, x, y, outputs, loss, sample_weight)

            found = _forward_and_back(model, x, value_of, training, bar)
            outputs, value, scale, rows, gradients = found
            # Summed over the batch, ||delta||**2 is samples**2 times that of the
            # mean loss's gradient; its mean over the batch divides by its size.
            per_sample = samples / math.sqrt(size) / scale
            report = _report(rows, gradients, per_sample, scale, value, bar)
    return report, outputs


@contextmanager
def _eagerly():
    """Run functions eagerly: inside a graph the taps would see symbols."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _forward_and_back(model, x, value_of, training, bar):
    """Return outputs, loss, loss scale, the rows and the gradients of each."""
    with unchanged(model), _taps.tapped(model, bar.update) as rows:
        with tf.GradientTape() as tape:
            tape.watch([kernel.value for kernel in _taps.kernels(model)])
            outputs = call(model, x, training)
            value = value_of(outputs)
            scaled, scale = _scaled_as_in_training(model, value)
        _order_heads(rows, outputs)
        gradients = _gradients(tape, scaled, rows)
    return outputs, float(value), scale, rows, gradients


def call(model, x, training=False, whole=None):
    """Return the outputs of a model; ``whole`` is what x was cut from, if it was.

    Raises
    ------
    ValueError
        If it does not take such inputs, with both shapes where the model knows its.
    """
    try:
        return model(x, training=training)
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        given = _shapes("x", x if whole is None else whole)
        wanted = [tuple(i.shape) for i in getattr(model, "inputs", None) or []]
        if wanted and not _fit(given, wanted):
            why = f"the model takes {_listed(wanted)}"
        else:
            # Keras puts the cause in bold, between where it was and what was given
            why = str(error).split("\x1b[1m")[-1].split("\x1b[0m")[0].strip()
            why = f"the model cannot be called on it ({why.splitlines()[0]})"
        raise ValueError(f"x has the shape {_listed(given)}: {why}") from error


def _fit(shapes, wanted):
    return len(shapes) == len(wanted) and all(
        len(shape) == len(want)
        and all(w in (None, s) for s, w in zip(shape, want, strict=True))
        for shape, want in zip(shapes, wanted, strict=True)
    )


def _listed(shapes):
    return " and ".join(map(str, shapes))


def _order_heads(rows, outputs):
    """Put the last rows, if they make the outputs, into the order of these.

    Keras calls heads in an order of its own. Where one lies lower than other layers,
    or feeds another, rows stay as called: from the input to the output.
    """
    heads = [
        row
        for output in keras.tree.flatten(outputs)
        for row in rows
        if any(run.activation is output and not run.closed for run in row.runs)
    ]
    last = rows[len(rows) - len(heads) :]
    if sorted(map(id, heads)) == sorted(map(id, last)):
        rows[len(rows) - len(heads) :] = heads


def one_batch(model, x, y, sample_weight=None):
    """Return x, y and sample weights of one batch, checked.

    Raises
    ------
    ValueError
        If they are no batch of arrays, with what to give instead.
    """
    if y is None:
        x, y, sample_weight = _first_batch(x, sample_weight)
    if x is None or y is None:
        raise ValueError("give both x and y: one batch, as model.fit takes it")
    if _is_dataset(y):
        raise ValueError(f"y is a {type(y).__name__}: give the dataset as x alone")
    shapes = {name: _shapes(name, part) for name, part in (("x", x), ("y", y))}
    _check_batch_axis(model, shapes["x"])
    flat = shapes["x"] + shapes["y"]
    if () in flat:
        raise ValueError(
            "x or y is a single number: one sample needs a batch axis, "
            "x[None] and y[None]"
        )
    sizes = [shape[0] for shape in flat]
    if len(set(sizes)) != 1 or sizes[0] == 0:
        raise ValueError(
            f"x and y hold {', '.join(map(str, sizes))} samples: "
            "give the same number, 1 or more"
        )
    return keras.tree.map_structure(_as_array, (x, y)) + (sample_weight,)


def _is_dataset(data):
    kinds = tf.data.Dataset, tf.data.Iterator, keras.utils.PyDataset, Iterator
    return isinstance(data, kinds)


def _first_batch(x, sample_weight):
    """Return the first batch of a dataset; of anything else y is missing."""
    if not _is_dataset(x):
        return x, None, sample_weight
    batch = x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x))
    return keras.utils.unpack_x_y_sample_weight(batch)


def _shapes(name, data):
    """Return the shape of every array."""
    if _is_dataset(data):
        raise ValueError(
            f"{name} is a {type(data).__name__}: give it as x alone, without y, or "
            "one batch of it, x, y = next(iter(dataset))"
        )
    flat = keras.tree.flatten(data)
    if isinstance(data, list | tuple) and not all(hasattr(a, "shape") for a in flat):
        raise ValueError(
            f"{name} is a {type(data).__name__} of numbers: give arrays, samples along "
            f"the first axis, such as np.asarray({name}); a list stands for several "
            "inputs or outputs"
        )
    return [tuple(np.shape(a)) for a in flat]


def _check_batch_axis(model, shapes):
    """Refuse one sample without a batch axis, where the model tells its inputs."""
    wanted = [tuple(i.shape) for i in getattr(model, "inputs", None) or []]
    for want, shape in zip(wanted, shapes, strict=False):
        # Keras adds a last axis of 1 to a batch of numbers
        if want[1:] != (1,) and _fit([shape], [want[1:]]):
            raise ValueError(
                f"x of shape {shape} is one sample without a batch axis: give "
                "x[None] and y[None]"
            )


def _as_array(data):
    return data if hasattr(data, "shape") else np.asarray(data)


def loss_value(model, x, y, outputs, loss, sample_weight):
    """Return the scalar that training would minimize."""
    try:
        if loss is None:
            # Keras takes a compute_loss of one's own with this argument and without
            known = getattr(model, "_compute_loss_has_training_arg", True)
            mode = {"training": True} if known else {}
            return model.compute_loss(
                x=x, y=y, y_pred=outputs, sample_weight=sample_weight, **mode
            )
        known = keras.losses.get(loss)
        if not isinstance(known, keras.losses.Loss):
            y = _of_the_rank(y, outputs)
        value = known(y, outputs)
        penalties = [tf.cast(penalty, value.dtype) for penalty in model.losses]
        return tf.add_n([tf.reduce_mean(value), *penalties])
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise _unfit(y, outputs, error) from error


def _of_the_rank(y, outputs):
    """Return y with, or without, a last axis of one: Keras does it for functions."""
    if hasattr(y, "shape") and hasattr(outputs, "shape"):
        more = len(outputs.shape) - len(y.shape)
        if more == 1 and outputs.shape[-1] == 1:
            return y[..., None]
        if more == -1 and y.shape[-1] == 1:
            return y[..., 0]
    return y


def _unfit(y, outputs, why):
    shapes = keras.tree.map_structure(lambda a: tuple(np.shape(a)), (y, outputs))
    return ValueError(
        f"the loss cannot be computed from y of shape {shapes[0]} and outputs "
        f"of shape {shapes[1]}: check the labels and the loss ({why})"
    )


def _check_labels(model, y, outputs, loss):
    """Refuse labels that are no classes: a GPU makes NaN of them without a word."""
    loss = getattr(model, "loss", None) if loss is None else loss
    names = getattr(model, "output_names", [])
    names = sorted(outputs) if isinstance(outputs, dict) else names
    parts = [_of_outputs(tree, names) for tree in (loss, y, outputs)]
    if len(parts[0]) == 1:
        parts[0] = parts[0] * len(parts[1])
    if len({len(part) for part in parts}) > 1:
        return
    for kind, labels, output in zip(*parts, strict=True):
        known = keras.losses.get(kind)
        labels = np.asarray(labels)
        if labels.dtype.kind not in "biuf" or not _takes_classes(known):
            continue
        labels, classes = labels[np.isfinite(labels)], output.shape[-1]
        # as TensorFlow casts them
        found = labels[labels != getattr(known, "ignore_class", None)].astype("int64")
        if found.size and not 0 <= found.min() <= found.max() < classes:
            why = f"the labels go from {found.min()} to {found.max()}, outside of the "
            raise _unfit(y, outputs, f"{why}classes 0 to {classes - 1}")


def _of_outputs(tree, names):
    """Return a tree's parts in the order of the model's outputs."""
    if isinstance(tree, dict):
        return [tree.get(name) for name in names]
    return keras.tree.flatten(tree)


def _takes_classes(loss):
    kind = keras.losses.SparseCategoricalCrossentropy
    return (
        isinstance(loss, kind) or loss is keras.losses.sparse_categorical_crossentropy
    )


def _is_sum(loss):
    """Tell whether a loss adds the samples up rather than averaging them."""
    kinds = {getattr(part, "reduction", "mean") for part in keras.tree.flatten(loss)}
    if "sum" in kinds and len(kinds) > 1 or kinds & {None, "none"}:
        raise ValueError(
            f"losses with the reductions {sorted(map(str, kinds))}: give one that is "
            "a mean over the batch, or a sum over it"
        )
    return kinds == {"sum"}


def _scaled_as_in_training(model, value):
    """Scale the loss as a mixed-precision optimizer does; return the scale."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return value, 1.0
    # before the first step the optimizer has no scale of its own yet
    scale = float(
        optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale
    )
    return value * scale, scale


@contextmanager
def unchanged(model):
    """Give back to a model all state that a forward pass may change."""
    trainable = {id(variable) for variable in model.trainable_variables}
    variables = [*model.variables, *model.metrics_variables]
    kept = [(v, v.numpy().copy()) for v in variables if id(v) not in trainable]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _gradients(tape, loss, rows):
    """Return for each row its gradients: (dL/dz, dL/dW, dL/dh_t)."""
    sources = [
        (row.pre_activations, [k.value for k in row.kernels], row.states)
        for row in rows
    ]
    found = tape.gradient(loss, sources, unconnected_gradients="zero")
    return tf.nest.map_structure(tf.convert_to_tensor, found)


def _report(rows, gradients, per_sample, scale, loss, bar):
    """Sum the rows up, and let go of the tensors of each that is done."""
    found, names, time_norm = defaultdict(list), [], {}
    for row in rows:
        dz, dw, dh = gradients.pop(0)
        names.append(row.name)
        found["activation_ms"].append(_mean_square(row.activations))
        found["delta_norm"].append(per_sample * _norm(dz))
        found["kernel_gradient_norm"].append(_norm(dw) / scale)
        found["dead_fraction"].append(_taps.dead_fraction(row, dz))
        found["saturated_fraction"].append(_taps.saturated_fraction(row))
        found["zero_gradients"].append(int(sum(not np.any(g) for g in dw)))
        if row.states:
            time_norm[row.name] = per_sample * np.array([_norm([g]) for g in dh])
        row.let_go()
        bar.update()
    arrays = {name: np.array(values) for name, values in found.items()}
    return ProbeReport(layers=names, time_norm=time_norm, loss=loss, **arrays)


def _blocks(tensors):
    """Yield all entries as float64, some megabytes at a time."""
    for tensor in tensors:
        flat = np.asarray(tensor).ravel()
        for start in range(0, flat.size, BLOCK):
            yield np.asarray(flat[start : start + BLOCK], "float64")


def _norm(tensors):
    """Return the Euclidean norm of all entries."""
    norms = [stable_norm([block]) for block in _blocks(tensors)]
    return stable_norm([norms])


def _mean_square(tensors):
    total = sum((block**2).sum() for block in _blocks(tensors))
    return total / sum(np.size(tensor) for tensor in tensors)
