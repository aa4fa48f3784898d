"""Euclidean norms of gradients, which neither overflow nor vanish."""

import numpy as np


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


def member_norm(parts):
    """Return a Euclidean norm a member, without under- or overflow."""
    import tensorflow as tf

    flat = [tf.reshape(tf.cast(p, "float64"), [p.shape[0], -1]) for p in parts]
    flat = tf.concat(flat, 1) if len(flat) > 1 else flat[0]
    largest = tf.reduce_max(tf.abs(flat), axis=1, keepdims=True)
    unit = tf.where(largest > 0, largest, tf.ones_like(largest))
    return largest[:, 0] * tf.norm(flat / unit, axis=1)
