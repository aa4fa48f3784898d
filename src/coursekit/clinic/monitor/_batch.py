"""Samples of the training's own, kept for the probe: two ways of keeping them.

Both have the same methods: ``take`` stands in the training step, ``keep`` is called
after one, ``release`` at the end of a training.
"""

import keras
import numpy as np
import tensorflow as tf

from coursekit.clinic.monitor._device import variable

#: So many samples are kept, of as many batches as it takes.
SAMPLES = 32
#: Targets are kept of so many batches, and so many numbers in all: they tell what a
#: constant output reaches where few samples would not.
TARGET_BATCHES, TARGET_NUMBERS = 32, 2**16


def room_for(batch, samples, alone, fixed_shapes):
    """Return a way to keep samples of such batches, or None if there is none.

    Parameters
    ----------
    batch : tuple (x, y, sample_weight)
        As the step has it; None for a part that is missing.
    samples : int
        How many to keep.
    alone : bool
        Whether the step runs in one process, on the CPU and without XLA.
    fixed_shapes : bool
        Whether all but the first axis must be known: for XLA.
    """
    parts = [leaf for leaf in keras.tree.flatten(batch) if leaf is not None]
    if not parts or not all(map(_is_numeric_batch, parts)):
        return None
    if fixed_shapes and any(None in part.shape[1:] for part in parts):
        return None
    return LatestBatch(batch, samples) if alone else FirstBatch(batch, samples)


class FirstBatch:
    """Room on the device for the first samples.

    XLA knows sizes when it compiles, so there is room for all samples, and a number
    says how many are there. Integers are kept in 64 bits: TensorFlow holds variables
    of int32 in the memory of the host, where a step that XLA compiled for a GPU
    cannot write. Samples of a changing size are kept of one batch alone.
    """

    targets, size_of_one = (), None

    def __init__(self, batch, samples):
        leaves = keras.tree.flatten(batch)
        self._structure, self._samples = batch, samples
        self._types = [None if x is None else tf.as_dtype(x.dtype) for x in leaves]
        self.slots = [None if x is None else _slot(x, samples) for x in leaves]
        self.size = variable(tf.zeros([], tf.int64))
        self.wanted = variable(tf.constant(True))

    def take(self, batch, alone):
        """Keep samples of this batch while there is room."""
        leaves = keras.tree.flatten(batch)

        def assign():
            pairs = zip(self.slots, leaves, strict=True)
            parts = [(s, tf.convert_to_tensor(x)) for s, x in pairs if s is not None]
            more = tf.minimum(
                tf.shape(parts[0][1], out_type=tf.int64)[0], self._samples
            )
            fixed = all(slot.shape.rank is not None for slot, _ in parts)
            for slot, leaf in parts:
                kept = self._after(slot, leaf, more) if fixed else leaf[: self._samples]
                slot.assign(tf.cast(kept, slot.dtype))
            size = self.size + more if fixed else more
            self.size.assign(tf.minimum(size, self._samples))
            self.wanted.assign(fixed & (size < self._samples))
            return 0

        tf.cond(self.wanted, assign, lambda: 0)

    def _after(self, slot, leaf, more):
        """Return what a slot holds after samples that come behind those it has."""
        place = tf.range(self._samples, dtype=tf.int64) - self.size
        new = tf.gather(leaf, tf.clip_by_value(place, 0, more - 1))
        taken = (place >= 0) & (place < more)
        taken = tf.reshape(taken, [-1, *[1] * (leaf.shape.rank - 1)])
        kept = tf.where(taken, tf.cast(new, slot.dtype), slot.value())
        return tf.ensure_shape(kept, slot.shape)

    def keep(self):
        """Do nothing: what ``take`` took stays."""

    def release(self):
        """Do nothing: these are few samples."""

    def numpy(self):
        """Return (x, y, sample_weight) as arrays, or None before any batch."""
        size = int(self.size.numpy())
        if not size:
            return None
        arrays = [
            None if slot is None else slot.numpy()[:size].astype(kind.as_numpy_dtype)
            for slot, kind in zip(self.slots, self._types, strict=True)
        ]
        return keras.tree.pack_sequence_as(self._structure, arrays)


class LatestBatch:
    """The latest batch on the device; the first samples are kept here.

    A variable that takes a tensor shares its memory: this costs nothing in a step,
    where a condition, "the first time only", costs a thirtieth of a short one.

    Attributes
    ----------
    targets : list
        Those of the first batches, while they are not many numbers.
    size_of_one : int or None
        Samples of the first batch.
    """

    def __init__(self, batch, samples):
        self._structure, self._samples = batch, samples
        self.slots = [_any_size(leaf) for leaf in keras.tree.flatten(batch)]
        self._kept, self._full = None, False
        self.targets, self._numbers, self.size_of_one = [], 0, None

    def take(self, batch, alone):
        """Point to this batch; XLA could not."""
        if not alone:
            return
        for slot, leaf in zip(self.slots, keras.tree.flatten(batch), strict=True):
            if slot is not None:
                slot.assign(tf.cast(leaf, slot.dtype))

    def keep(self):
        """Keep of the batch that is there what is wanted; call it after a step."""
        more = len(self.targets) < TARGET_BATCHES and self._numbers < TARGET_NUMBERS
        if self._full and not more:
            return
        now = [None if slot is None else slot.numpy() for slot in self.slots]
        if not any(a is not None and len(a) for a in now):
            return
        if not self._full:
            self._extend(now)
        if more:
            targets = keras.tree.pack_sequence_as(self._structure, now)[1]
            self._numbers += sum(np.size(t) for t in keras.tree.flatten(targets))
            self.targets.append(targets)

    def _extend(self, now):
        before = self._kept or [None if a is None else a[:0] for a in now]
        if self.size_of_one is None:
            self.size_of_one = max(len(a) for a in now if a is not None)
        pairs = [(a, b) for a, b in zip(before, now, strict=True) if b is not None]
        alike = all(a.shape[1:] == b.shape[1:] for a, b in pairs)
        if alike:
            self._kept = [
                None if b is None else np.concatenate([a, b])[: self._samples]
                for a, b in zip(before, now, strict=True)
            ]
        size = max(len(a) for a in self._kept if a is not None)
        self._full = not alike or size >= self._samples

    def release(self):
        """Let the device's batch go."""
        for slot in self.slots:
            if slot is not None:
                slot.assign(tf.zeros([0], slot.dtype))

    def numpy(self):
        """Return (x, y, sample_weight) as arrays, or None before any batch."""
        if self._kept is None:
            return None
        return keras.tree.pack_sequence_as(self._structure, self._kept)


def _any_size(leaf):
    if leaf is None:
        return None
    empty = tf.zeros([0] * len(leaf.shape), leaf.dtype)
    return variable(empty, shape=tf.TensorShape(None))


def _slot(leaf, samples):
    dtype = tf.as_dtype(leaf.dtype)
    dtype = tf.int64 if dtype.is_integer else dtype
    rest = list(leaf.shape[1:])
    if None in rest:
        empty = tf.zeros([0, *[n or 0 for n in rest]], dtype)
        return variable(empty, shape=tf.TensorShape(None))
    return variable(tf.zeros([samples, *rest], dtype))


def _is_numeric_batch(leaf):
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return False
    dtype = tf.as_dtype(dtype)
    numeric = dtype.is_floating or dtype.is_integer or dtype.is_bool
    return numeric and len(leaf.shape) >= 1
