"""Euclidean norms of gradients, which neither overflow nor vanish.

The squares of a gradient leave float32 long before its entries do. ``stable_norm``
and ``norm`` take arrays; the others take tensors and may stand in a compiled step.
"""

import numpy as np
import tensorflow as tf

#: A sum of squares of a million entries is right in float32 within these bounds ...
SAFE = (1e-15, 1e17)
#: ... and of no use outside of these.
LOST = (1e-18, 1e19)
# A tensor of more entries is not copied to be summed together with others.
SMALL = 4096


def stable_norm(arrays):
    """Return the Euclidean norm of all entries, immune to under- and overflow.

    The squares of entries below 1e-23 are 0 in float32, and so is a norm made
    of them. Entries are divided by the largest before they are squared.
    """
    flat = np.concatenate([np.asarray(a, dtype="float64").ravel() for a in arrays])
    largest = np.abs(flat).max(initial=0.0)
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    return float(largest * np.sqrt(np.sum((flat / largest) ** 2)))


def norm(arrays):
    """Return the norm of all entries, in float64 if float32 is too small for it.

    Several times as fast as :func:`stable_norm` where it is not.
    """
    found = float(np.linalg.norm([np.linalg.norm(a) for a in arrays]))
    if SAFE[0] < found < SAFE[1]:
        return found
    squares = [np.square(a, dtype="float64").sum() for a in arrays]
    return float(np.sqrt(sum(squares)))


def half_square(tensors):
    """Return half the sum of squares, as TensorFlow's fast float32 kernel does."""
    tensors = [tf.cast(t, tf.float32) for t in tensors]
    small = [t for t in tensors if (t.shape.num_elements() or np.inf) <= SMALL]
    parts = [t for t in tensors if (t.shape.num_elements() or np.inf) > SMALL]
    if small:
        flat = [tf.reshape(t, [-1]) for t in small]
        parts.append(tf.concat(flat, 0) if len(flat) > 1 else flat[0])
    sums = [tf.nn.l2_loss(t) for t in parts]
    return tf.add_n(sums) if len(sums) > 1 else sums[0]


def exact_half_square(tensors):
    """Return half the sum of squares, in float64."""
    squares = [tf.reduce_sum(tf.square(tf.cast(t, tf.float64))) for t in tensors]
    return tf.add_n(squares) / 2


def exact_norm(tensors):
    """Return the norm of all entries, in float64."""
    return tf.sqrt(2 * exact_half_square(tensors))


def member_norm(parts):
    """Return a Euclidean norm a member, without under- or overflow."""
    flat = [tf.reshape(tf.cast(p, "float64"), [p.shape[0], -1]) for p in parts]
    flat = tf.concat(flat, 1) if len(flat) > 1 else flat[0]
    largest = tf.reduce_max(tf.abs(flat), axis=1, keepdims=True)
    unit = tf.where(largest > 0, largest, tf.ones_like(largest))
    return largest[:, 0] * tf.norm(flat / unit, axis=1)
