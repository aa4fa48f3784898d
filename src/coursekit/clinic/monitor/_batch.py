"""One batch of the training's own, kept for the probe: two ways of keeping it.

Both have the same methods: ``take`` stands in the training step, ``keep`` is called
after one, ``release`` at the end of a training.
"""

import tensorflow as tf

from coursekit.clinic.monitor._device import variable

#: So many samples of a batch are kept.
SAMPLES = 32


def room_for(leaves, alone, fixed_shapes):
    """Return a way to keep a batch of such parts, or None if there is none.

    Parameters
    ----------
    leaves : list of tensors
        Parts of a batch; None for one that is missing.
    alone : bool
        Whether the step runs in one process, on the CPU and without XLA.
    fixed_shapes : bool
        Whether all but the first axis must be known: for XLA.
    """
    parts = [leaf for leaf in leaves if leaf is not None]
    if not all(map(_is_numeric_batch, parts)):
        return None
    if fixed_shapes and any(None in part.shape[1:] for part in parts):
        return None
    return LatestBatch(leaves) if alone else FirstBatch(leaves)


class FirstBatch:
    """Room on the device for the first samples of the first batch.

    XLA knows sizes when it compiles, so there is room for all samples, and a number
    says how many are there. Integers are kept in 64 bits: TensorFlow holds variables
    of int32 in the memory of the host, where a step that XLA compiled for a GPU
    cannot write.
    """

    def __init__(self, leaves):
        self._types = [None if x is None else tf.as_dtype(x.dtype) for x in leaves]
        self.slots = [None if leaf is None else _slot(leaf) for leaf in leaves]
        self.size = variable(tf.zeros([], tf.int64))
        self.wanted = variable(tf.constant(True))

    def take(self, leaves, alone):
        """Keep this batch if none is kept yet."""

        def assign():
            for slot, leaf in zip(self.slots, leaves, strict=True):
                if slot is not None:
                    self._assign(slot, tf.convert_to_tensor(leaf))
            self.wanted.assign(False)
            return 0

        tf.cond(self.wanted, assign, lambda: 0)

    def _assign(self, slot, leaf):
        kept = leaf[:SAMPLES]
        size = tf.minimum(tf.shape(leaf, out_type=tf.int64)[0], SAMPLES)
        if slot.shape.rank is not None:
            rest = [[0, 0]] * (leaf.shape.rank - 1)
            kept = tf.pad(kept, [[0, SAMPLES - size], *rest])
            kept = tf.ensure_shape(kept, slot.shape)
        slot.assign(tf.cast(kept, slot.dtype))
        self.size.assign(size)

    def keep(self):
        """Do nothing: what ``take`` took stays."""

    def release(self):
        """Do nothing: these are few samples."""

    def numpy(self):
        """Return the parts as arrays, or None before any batch."""
        size = int(self.size.numpy())
        if not size:
            return None
        return [
            None if slot is None else slot.numpy()[:size].astype(kind.as_numpy_dtype)
            for slot, kind in zip(self.slots, self._types, strict=True)
        ]


class LatestBatch:
    """The latest batch on the device; the first samples of the first are kept here.

    A variable that takes a tensor shares its memory: this costs nothing in a step,
    where a condition, "the first time only", costs a thirtieth of a short one.
    """

    def __init__(self, leaves):
        self._kept = None
        self.slots = [_any_size(leaf) for leaf in leaves]

    def take(self, leaves, alone):
        """Point to this batch; XLA could not."""
        if not alone:
            return
        for slot, leaf in zip(self.slots, leaves, strict=True):
            if slot is not None:
                slot.assign(tf.cast(leaf, slot.dtype))

    def keep(self):
        """Keep the first samples of the batch that is there, if none are kept."""
        if self._kept is None:
            kept = [None if s is None else s.numpy()[:SAMPLES] for s in self.slots]
            if any(a is not None and len(a) for a in kept):
                self._kept = kept

    def release(self):
        """Let the device's batch go."""
        for slot in self.slots:
            if slot is not None:
                slot.assign(tf.zeros([0], slot.dtype))

    def numpy(self):
        """Return the parts as arrays, or None before any batch."""
        return self._kept


def _any_size(leaf):
    if leaf is None:
        return None
    empty = tf.zeros([0] * len(leaf.shape), leaf.dtype)
    return variable(empty, shape=tf.TensorShape(None))


def _slot(leaf):
    dtype = tf.as_dtype(leaf.dtype)
    dtype = tf.int64 if dtype.is_integer else dtype
    rest = list(leaf.shape[1:])
    if None in rest:
        empty = tf.zeros([0, *[n or 0 for n in rest]], dtype)
        return variable(empty, shape=tf.TensorShape(None))
    return variable(tf.zeros([SAMPLES, *rest], dtype))


def _is_numeric_batch(leaf):
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return False
    dtype = tf.as_dtype(dtype)
    numeric = dtype.is_floating or dtype.is_integer or dtype.is_bool
    return numeric and len(leaf.shape) >= 1
