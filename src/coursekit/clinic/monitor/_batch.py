"""Samples of the training's own, kept for the probe and more: two ways of keeping them.

Both have the same methods: ``take`` stands in the training step, ``keep`` is called
after one, ``release`` at the end of a training.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from coursekit.clinic.monitor._device import variable

#: So many samples are probed, of as many batches as it takes.
SAMPLES = 32
#: So many are kept while they are not many numbers in all: what was learned shows on
#: few of them by luck alone.
COMPARED, COMPARED_NUMBERS = 512, 2**18
#: Of validation data more numbers are kept: two hundred images of 112 by 112 by 3.
HELD_NUMBERS = 2**23
#: Targets are kept of so many batches, and so many numbers in all: they tell what a
#: constant output reaches where few samples would not.
TARGET_BATCHES, TARGET_NUMBERS = 32, 2**16


def room_for(batch, samples, alone, fixed_shapes, numbers=COMPARED_NUMBERS):
    """Return a way to keep samples of such batches, or None if there is none.

    Parameters
    ----------
    batch : tuple (x, y, sample_weight)
        As the step has it; None for a part that is missing.
    samples : int or None
        How many to keep, where a model prescribes it.
    alone : bool
        Whether the step runs in one process, on the CPU and without XLA.
    fixed_shapes : bool
        Whether all but the first axis must be known: for XLA.
    numbers : int
        How many to keep at most, where that leaves a few samples.
    """
    parts = _leaves(batch)
    if not parts or not all(map(_is_numeric_batch, parts)):
        return None
    if fixed_shapes and any(map(_changes, parts)):
        return None
    if samples is None:
        samples = max(SAMPLES, min(COMPARED, _rows_of(parts, numbers)))
    return LatestBatch(batch, samples) if alone else FirstBatch(batch, samples)


class FirstBatch:
    """Room on the device for the first samples, and for the targets of more.

    XLA knows sizes when it compiles, so there is room for all of them, and a number
    says how many are there. Samples of a changing size are kept of one batch alone.
    """

    def __init__(self, batch, samples):
        self._structure = batch
        parts, targets = _leaves(batch), _leaves(batch[1])
        self._types = [tf.as_dtype(part.dtype).as_numpy_dtype for part in parts]
        self._one = [_any_size(p) for p in parts] if any(map(_changes, parts)) else []
        self._kept = _Room([] if self._one else parts, samples)
        changing = any(map(_changes, targets))
        self._targets = _Room([] if changing else targets, target_rows(targets))
        self._batches, self._size_of_one = variable(_zero()), variable(_zero())
        self.wanted = variable(tf.constant(True))

    def take(self, batch, alone):
        """Keep samples and targets of this batch while there is room."""
        known = self._structure
        if _missing(batch) != _missing(known) or not _fit(batch, known):
            return
        parts, targets = (
            [tf.convert_to_tensor(leaf) for leaf in _leaves(tree)]
            for tree in (batch, batch[1])
        )

        def assign():
            size = tf.shape(parts[0], out_type=tf.int64)[0]
            count = self._batches.assign_add(1)
            if self._one:
                tf.cond(count == 1, lambda: self._keep_one(parts), lambda: 0)
            more = self._targets.take(targets, size) & (count < TARGET_BATCHES)
            # what has no more room lets the rest go
            self.wanted.assign(self._kept.take(parts, size) | more)
            self._size_of_one.assign(tf.where(count == 1, size, self._size_of_one))
            return 0

        tf.cond(self.wanted, assign, lambda: 0)

    def restart(self):
        """Forget what was kept."""
        for count in (self._batches, self._size_of_one):
            count.assign(0)
        for room in (self._kept, self._targets):
            room.restart()

    def _keep_one(self, parts):
        for slot, part in zip(self._one, parts, strict=True):
            slot.assign(part[: self._kept.rows])
        return 0

    def keep(self):
        """Do nothing: what ``take`` took stays, and these are few samples."""

    release = keep

    @property
    def size_of_one(self):
        """Samples of the first batch; None before it."""
        return int(self._size_of_one.numpy()) or None

    @property
    def targets(self):
        """Those of the first batches, while they are not many numbers; or None."""
        return self.size_of_one and _packed(self._structure[1], self._targets.numpy())

    def numpy(self):
        """Return (x, y, sample_weight) as arrays, or None before any batch."""
        arrays = [slot.numpy() for slot in self._one] or self._kept.numpy()
        if self.size_of_one is None or not arrays:
            return None
        pairs = zip(arrays, self._types, strict=True)
        return _packed(self._structure, [array.astype(kind) for array, kind in pairs])


class _Room:
    """Room on the device for the first so many rows of arrays.

    One row more takes what there is no room for. Integers are kept in 64 bits (see
    ``_device``), and what is smaller than float32 in 32. Rows are flat, whatever the
    samples are, and a mark beside each tells what was lost on the way: a probe of zeros
    finds no gradient in a healthy model. On a GPU two models of images in colour were
    judged like that, and none of flat samples.
    """

    def __init__(self, arrays, rows):
        self.rows, self._size = rows, variable(_zero())
        self._shapes = [tuple(array.shape[1:]) for array in arrays]
        self._slots = [
            variable(tf.zeros([rows + 1, math.prod(shape)], _wide(array.dtype)))
            for shape, array in zip(self._shapes, arrays, strict=True)
        ]
        self._marks = [variable(tf.zeros([rows + 1], tf.float64)) for _ in arrays]

    def restart(self):
        """Have room for all rows again."""
        self._size.assign(0)

    def take(self, arrays, size):
        """Write rows while there is room; return whether there is more of it."""
        if not self._slots:
            return tf.constant(False)
        number = tf.minimum(size, self.rows)
        few = tf.range(number)
        places = tf.minimum(self._size + few, self.rows)[:, None]
        for slot, marks, array in zip(self._slots, self._marks, arrays, strict=True):
            rows = tf.cast(array[: self.rows], slot.dtype)
            rows = tf.reshape(rows, [number, slot.shape[1]])
            slot.scatter_nd_update(places, rows)
            marks.scatter_nd_update(places, _marks(rows))
        return self._size.assign(tf.minimum(self._size + size, self.rows)) < self.rows

    def numpy(self):
        """Return the rows that are there; nothing if one is not what was written."""
        size = int(self._size.numpy())
        arrays = [slot.numpy()[:size] for slot in self._slots]
        with tf.device("CPU"):
            found = [_marks(tf.constant(array)).numpy() for array in arrays]
        pairs = zip(found, self._marks, strict=True)
        kept = all(
            np.allclose(now, then.numpy()[:size], rtol=1e-9, equal_nan=True)
            for now, then in pairs
        )
        if not kept:
            return []
        pairs = zip(arrays, self._shapes, strict=True)
        return [array.reshape(size, *shape) for array, shape in pairs]


class LatestBatch:
    """The latest batch on the device; the first samples are kept here.

    A variable that takes a tensor shares its memory: this costs nothing in a step,
    where a condition, "the first time only", costs a thirtieth of a short one.

    Attributes
    ----------
    size_of_one : int or None
        Samples of the first batch.
    """

    def __init__(self, batch, samples):
        self._structure, self._samples = batch, samples
        self.slots = [_any_size(leaf) for leaf in _leaves(batch)]
        self._kept, self._full = [], False
        self._targets, self._wanted, self.size_of_one = [], TARGET_NUMBERS, None

    def take(self, batch, alone):
        """Share the memory of this batch; under XLA that cannot be done."""
        if not alone or _missing(batch) != _missing(self._structure):
            return
        for slot, leaf in zip(self.slots, _leaves(batch), strict=True):
            slot.assign(tf.cast(leaf, slot.dtype))

    def keep(self):
        """Keep of the batch that is there what is wanted; call it after a step."""
        more = len(self._targets) < TARGET_BATCHES and self._wanted > 0
        if self._full and not more:
            return
        now = [slot.numpy() for slot in self.slots]
        if not any(map(len, now)):
            return
        if not self._full:
            self._extend(now)
        if more:
            targets = _leaves(_packed(self._structure, now)[1])
            self._wanted -= sum(target.size for target in targets)
            self._targets.append(targets)

    def _extend(self, now):
        if self.size_of_one is None:
            self.size_of_one = max(map(len, now))
        now = [array[: self._samples] for array in now]
        pairs = list(zip(self._kept[0] if self._kept else now, now, strict=True))
        if all(a.shape[1:] == b.shape[1:] for a, b in pairs):
            self._kept.append(now)
        else:
            self._full = True
        self._full |= sum(max(map(len, part)) for part in self._kept) >= self._samples

    def release(self):
        """Let the device's batch go."""
        for slot in self.slots:
            slot.assign(tf.zeros([0], slot.dtype))

    @property
    def targets(self):
        """Those of the first batches, while they are not many numbers; or None."""
        columns = list(zip(*self._targets, strict=True))
        if any(len({part.shape[1:] for part in column}) > 1 for column in columns):
            return None
        rows = target_rows([column[0] for column in columns])
        arrays = [np.concatenate(column)[:rows] for column in columns]
        return _packed(self._structure[1], arrays)

    def numpy(self):
        """Return (x, y, sample_weight) as arrays, or None before any batch."""
        columns = zip(*self._kept, strict=True)
        arrays = [np.concatenate(column)[: self._samples] for column in columns]
        return _packed(self._structure, arrays) if arrays else None


def target_rows(leaves):
    """Return of how many samples targets are kept."""
    return max(1, _rows_of(leaves, TARGET_NUMBERS))


def _rows_of(leaves, numbers):
    """Return how many samples have so many numbers."""
    one = sum(math.prod(leaf.shape[1:]) for leaf in leaves if not _changes(leaf))
    return numbers // max(1, one)


def _leaves(tree):
    """Return the arrays of a batch, or of a part of it, without what is missing."""
    return [leaf for leaf in keras.tree.flatten(tree) if leaf is not None]


def _packed(structure, arrays):
    """Return what :func:`_leaves` was given, with other arrays; or None."""
    found = iter(arrays)
    flat = keras.tree.flatten(structure)
    flat = [leaf if leaf is None else next(found, None) for leaf in flat]
    known = [leaf for leaf in flat if leaf is not None]
    return keras.tree.pack_sequence_as(structure, flat) if known else None


def _missing(batch):
    """Tell of each part whether it is missing: a second training may have others."""
    return [leaf is None for leaf in keras.tree.flatten(batch)]


def _fit(batch, known):
    """Tell whether samples have the shapes of those that there is room for."""
    pairs = zip(_leaves(batch), _leaves(known), strict=True)
    shapes = ([tf.TensorShape(leaf.shape[1:]) for leaf in pair] for pair in pairs)
    return all(own.is_subtype_of(room) for own, room in shapes)


def _marks(rows):
    """Return a number, 1 or more, for each row: of its entries and their order."""
    order = tf.range(1, rows.shape[1] + 1, dtype=tf.float64)
    return 1 + tf.reduce_sum(tf.abs(tf.cast(rows, tf.float64)) * order, 1)


def _changes(leaf):
    """Tell whether other axes than that of the samples may change their size."""
    return None in tuple(leaf.shape[1:])


def _wide(dtype):
    dtype = tf.as_dtype(dtype)
    if dtype.is_integer or dtype.is_bool:
        return tf.int64
    return dtype if dtype.size > 4 else tf.float32


def _zero():
    return tf.zeros([], tf.int64)


def _any_size(leaf):
    empty = tf.zeros([0] * len(leaf.shape), leaf.dtype)
    return variable(empty, shape=tf.TensorShape(None))


def _is_numeric_batch(leaf):
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return False
    dtype = tf.as_dtype(dtype)
    numeric = dtype.is_floating or dtype.is_integer or dtype.is_bool
    return numeric and len(leaf.shape) >= 1
