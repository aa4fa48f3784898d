"""One architecture, many sets of weights: the gradient of each, at once."""

import keras
import numpy as np
import tensorflow as tf

from coursekit import _taps
from coursekit._norms import member_norm

# Members a call, at most: enough to share the cost of a call, few enough for the
# memory of a laptop (at 50 layers of 100 units and 256 samples some 0.5 GB).
CHUNK = 13


def delta_sweep(model, weights, x, y, loss):
    """Return the size of delta for many sets of weights of one model.

    Building a model and tracing its backward pass take longer than running it. So
    the function is traced once, and mapped over the weights. Each member gets what
    :func:`coursekit.probe` finds for it as ``delta_norm``.

    Parameters
    ----------
    model : keras.Model
        Built, with at least one kernel. It is not changed.
    weights : list of arrays of shape (members, ...)
        In the order of ``model.get_weights()``.
    x, y : arrays
        One batch, the same for all members.
    loss : str, callable or keras.losses.Loss
        A mean over the batch.

    Returns
    -------
    numpy.ndarray of shape (members, rows)
        Root mean square over the batch of ``||dL/dz||``, a column for each layer
        that holds a kernel, from the input to the output.

    Raises
    ------
    TypeError
        If ``model`` is not a Keras model.
    ValueError
        If the weights do not fit the model, or it has none.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model is a {type(model).__name__}: give a keras.Model")
    if not model.built or not _taps.kernels(model):
        raise ValueError(f"model {model.name!r} has no kernel yet: build it first")
    weights = _checked(model, weights)
    member = _member(model, x, y, keras.losses.get(loss))

    def block(*values):
        deltas = tf.vectorized_map(member, list(values))
        return tf.stack([member_norm(parts) for parts in deltas], axis=1)

    members = len(weights[0])
    calls = -(-members // CHUNK)
    chunk = -(-members // calls)
    # shapes that are known make the tracing twice as fast
    known = [tf.TensorSpec([chunk, *w.shape[1:]], w.dtype) for w in weights]
    run = tf.function(block, input_signature=known, autograph=False)
    # the last block is filled up with members of the first
    numbers = np.arange(calls * chunk) % members
    found = [
        run(*[w[part] for w in weights]).numpy() for part in numbers.reshape(-1, chunk)
    ]
    return float(np.sqrt(len(x))) * np.concatenate(found)[:members]


def _member(model, x, y, loss):
    """Return the function of one member's weights that gives its deltas."""
    order = {id(v): n for n, v in enumerate(model.weights)}
    trained = [order[id(v)] for v in model.trainable_variables]
    # seeds of dropout are variables, but no weights
    fixed = [order.get(id(v), v) for v in model.non_trainable_variables]
    x, y = tf.constant(np.asarray(x)), tf.constant(np.asarray(y))

    def member(values):
        trainable = [values[n] for n in trained]
        other = [values[n] if isinstance(n, int) else n.value for n in fixed]
        with _taps.tapped(model) as rows, tf.GradientTape() as tape:
            tape.watch(trainable)
            outputs, _ = model.stateless_call(trainable, other, x, training=True)
            value = tf.reduce_mean(loss(y, outputs))
        return tape.gradient(
            value, [row.pre_activations for row in rows], unconnected_gradients="zero"
        )

    return member


def _checked(model, weights):
    shapes = [tuple(w.shape) for w in model.weights]
    arrays = [
        np.asarray(w, v.dtype) for w, v in zip(weights, model.weights, strict=False)
    ]
    given = [a.shape[1:] for a in arrays]
    members = {len(a) for a in arrays if a.ndim}
    if len(weights) != len(shapes) or given != shapes or len(members) != 1:
        raise ValueError(
            f"weights: give {len(shapes)} arrays as model.get_weights() does, each "
            "with one leading axis for the members"
        )
    if members == {0}:
        raise ValueError("weights hold no member: give one or more")
    return arrays
