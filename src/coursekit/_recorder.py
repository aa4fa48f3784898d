"""Write the norms of every training step into TensorFlow variables.

This is the arithmetic inside the compiled step; ``_hooks`` brings it there. The
variables belong to the recorder alone: Keras neither tracks nor saves them.
"""

import keras
import numpy as np
import tensorflow as tf

from coursekit import _taps

# The device keeps the first and the last so many steps that were not yet read.
ROWS = 512
# Update-to-weight ratios are measured once in so many updates ...
UPDATE_EVERY = 25
# ... and the first and the last so many of them are kept until they are read.
UPDATE_ROWS = 64
# So many samples of a batch are kept for the probe.
SAMPLES = 32
# A float32 norm within these bounds is exact: its squares neither under- nor
# overflow. Outside them the norms are computed again in float64.
SAFE = (1e-12, 1e15)
# Larger sparse gradients (embeddings) are not made dense for their norm.
DENSE_ENTRIES = 2**20


class Columns:
    """The layers that are watched: name, kernels and embeddings of each."""

    def __init__(self, model):
        self.names, self.weights = [], []
        for layer in _taps._leaves(model):
            weights = _taps._own_kernels(layer)
            if isinstance(layer, keras.layers.Embedding):
                weights = list(layer.weights)
            if weights:
                self.names.append(_taps._row_name(model, layer))
                self.weights.append(weights)

    def index(self):
        """Return {id of a variable: column}."""
        return {id(w): n for n, group in enumerate(self.weights) for w in group}


class Recorder:
    """The variables on the device, and the arithmetic that fills them.

    Row: step, loss, loss scale, norm of all gradients, norm for each column.
    """

    HEAD = 4

    def __init__(self, model):
        self.model = model
        # a listener of a training that is going on, or of one that was cut off
        self.running = False
        # no recording while the probe runs
        self.paused = False
        # are updates measured inside the step? Only where Python does not see
        # every step: it costs more there
        self.inside = False
        # has the training told its loss?
        self.told = False
        # (what it depends on, the train function that was traced with the hooks)
        self.traced = None
        self.late = False
        self.columns = self.shadow = self.start = self.batch = None
        self.count = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.loss = tf.Variable(np.nan, dtype=tf.float64, trainable=False)
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.wanted = tf.Variable(True, trainable=False)
        # enough for two executions of the train function between two readings
        self.rows = max(ROWS, 2 * int(getattr(model, "steps_per_execution", 1) or 1))

    def prepare(self, again=False):
        """Make room for a model's layers, and copy the weights it starts from.

        Called while the first step is traced, or before: weights that a model
        makes at its first call are there by then.
        """
        if self.columns is not None and not again:
            return
        if not any(layer.weights for layer in _taps._leaves(self.model)):
            return
        with tf.init_scope():
            if self.columns is None:
                self.columns = Columns(self.model)
                width = len(self.columns.names)
                self.buffer = _buffer(2 * self.rows, self.HEAD + width)
                self.update_buffer = _buffer(2 * UPDATE_ROWS, 1 + 2 * width)
                weights = self.model.trainable_variables
                values = [(w, w.numpy().copy()) for w in weights]
                # weights made while a tf.function is traced have no values yet
                self.late = any(v.shape != tuple(w.shape) for w, v in values)
                self.start = None if self.late else values
            if self.inside and self.shadow is None:
                flat = [w for group in self.columns.weights for w in group]
                self.shadow = [tf.Variable(tf.zeros(w.shape)) for w in flat]
            if self.inside and not self.late:
                for shadow, weight in zip(self.shadow, self._floats(), strict=True):
                    shadow.assign(weight)

    def _floats(self):
        flat = [w for group in self.columns.weights for w in group]
        return [tf.cast(w.value, tf.float32) for w in flat]

    # --- in the compiled step ---------------------------------------------

    def on_loss(self, loss, x, y, sample_weight):
        """Keep the loss of this step, and a batch when one is wanted."""
        if self.paused:
            return
        self.prepare()
        self.told = True
        self.loss.assign(tf.cast(tf.reduce_mean(loss), tf.float64))
        leaves = keras.tree.flatten((x, y, sample_weight))
        if self.batch is None:
            with tf.init_scope():
                self.batch = _Batch((x, y, sample_weight), self.model.jit_compile)
        if self.batch.usable:

            def take():
                self.batch.assign(leaves)
                self.wanted.assign(False)
                return 0

            tf.cond(self.wanted, take, lambda: 0)

    def on_begin(self, scale):
        """Open the row of a step that a loss scale may skip."""
        self.prepare()
        step = self.count.assign_add(1)
        head = [tf.cast(step, tf.float64), self.loss, tf.cast(scale, tf.float64)]
        width = self.buffer.shape[1] - len(head)
        row = tf.concat(
            [tf.stack(head), tf.fill([width], tf.constant(np.nan, tf.float64))], 0
        )
        self._write(self.buffer, self.rows, step, row)

    def on_gradients(self, gradients, variables, scale=None, begin=True):
        """Write the norms of one step."""
        self.prepare()
        step = self.count.assign_add(1) if begin else self.count.read_value()
        groups, seen = self._groups(gradients, variables)
        squares = [_sum_of_squares(group) for group in groups]
        norms = tf.sqrt(2.0 * tf.stack(squares))
        safe = tf.reduce_all((norms > SAFE[0]) & (norms < SAFE[1]))
        norms = tf.cond(
            safe,
            lambda: tf.cast(norms, tf.float64),
            lambda: tf.stack([_exact_norm(group) for group in groups]),
        )
        if scale is not None and begin:
            norms = norms / tf.cast(scale, tf.float64)
        total = tf.norm(norms)
        nan = tf.constant(np.nan, tf.float64)
        # columns that are not trained take the NaN at the end
        places = [seen.get(n, len(groups)) for n in range(self._width)]
        columns = tf.gather(tf.concat([norms, [nan]], 0), places)
        scale = 1.0 if scale is None else scale
        head = [tf.cast(step, tf.float64), self.loss, tf.cast(scale, tf.float64), total]
        row = tf.concat([tf.stack(head), columns], 0)
        self._write(self.buffer, self.rows, step, row)

    def on_updated(self, optimizer):
        """Measure the weights' real change, once in UPDATE_EVERY updates."""
        if not self.inside:
            return
        window = int(optimizer.gradient_accumulation_steps or 1)
        done = tf.cast(optimizer.iterations.value, tf.int64)
        phase = done % (window * UPDATE_EVERY)
        # without values at the start, the first change cannot be measured
        known = done > window if self.late else True

        def keep():
            for shadow, weight in zip(self.shadow, self._floats(), strict=True):
                shadow.assign(weight)
            return 0

        def measure():
            number = self.updates.assign_add(1)
            row = [tf.cast(self.count.read_value(), tf.float64), *self._changes()]
            self._write(self.update_buffer, UPDATE_ROWS, number, tf.stack(row))
            return 0

        tf.cond(tf.equal(phase, window) & known, measure, lambda: 0)
        tf.cond(tf.equal(phase, 0), keep, lambda: 0)

    def _changes(self):
        pairs = iter(zip(self._floats(), self.shadow, strict=True))
        changes, sizes = [], []
        for group in self.columns.weights:
            now, before = zip(*[next(pairs) for _ in group], strict=True)
            moved = [w - v for w, v in zip(now, before, strict=True)]
            changes.append(_exact_norm(moved))
            sizes.append(_exact_norm(now))
        return changes + sizes

    @property
    def _width(self):
        return len(self.columns.names)

    def _groups(self, gradients, variables):
        """Return lists of gradients, a list a column, and {column: position}."""
        index, by_column, others = self.columns.index(), {}, []
        for gradient, variable in zip(gradients, variables, strict=True):
            # what the loss does not reach has a gradient of zero
            gradient = tf.zeros([1]) if gradient is None else gradient
            column = index.get(id(variable))
            (others if column is None else by_column.setdefault(column, [])).append(
                _dense(gradient)
            )
        groups = [*by_column.values(), *([others] if others else [])]
        return groups, {column: n for n, column in enumerate(by_column)}

    def _write(self, buffer, rows, number, row):
        """Write row ``number`` (from 1): the first ``rows`` stay, then a ring."""
        n = number - 1
        place = tf.where(n < rows, n, rows + (n - rows) % rows)
        buffer.scatter_nd_update([[place]], [row])

    # --- outside of it ----------------------------------------------------

    def weights(self):
        """Return copies of the watched weights, in the order of the columns.

        None if the model has none yet.
        """
        self.prepare()
        if self.columns is None:
            return None
        return [w.numpy().copy() for group in self.columns.weights for w in group]

    def read(self, since, updates_since):
        """Return the rows and update rows after the given numbers, and counts."""
        if self.columns is None:
            return None, None, 0, 0
        count, updates = int(self.count.numpy()), int(self.updates.numpy())
        rows = _unread(self.buffer, self.rows, since, count)
        more = _unread(self.update_buffer, UPDATE_ROWS, updates_since, updates)
        return rows, more, count, updates


class _Batch:
    """Room on the device for the first samples of one batch."""

    def __init__(self, structure, jit_compile):
        self.structure = structure
        leaves = keras.tree.flatten(structure)
        self.usable = True
        self.slots = []
        for leaf in leaves:
            if leaf is None:
                self.slots.append(None)
            elif not _is_numeric_batch(leaf) or (
                jit_compile and None in leaf.shape[1:]
            ):
                self.usable = False
                return
            else:
                self.slots.append(_slot(leaf))
        self.size = tf.Variable(0, dtype=tf.int32, trainable=False)

    def assign(self, leaves):
        for slot, leaf in zip(self.slots, leaves, strict=True):
            if slot is None:
                continue
            leaf = tf.convert_to_tensor(leaf)
            kept = leaf[:SAMPLES]
            size = tf.minimum(tf.shape(leaf)[0], SAMPLES)
            if slot.shape.rank is not None:
                rest = [[0, 0]] * (leaf.shape.rank - 1)
                kept = tf.pad(kept, [[0, SAMPLES - size], *rest])
                kept = tf.ensure_shape(kept, slot.shape)
            slot.assign(tf.cast(kept, slot.dtype))
            self.size.assign(size)

    def numpy(self):
        """Return (x, y, sample_weight) as arrays, or None before any batch."""
        size = int(self.size.numpy()) if self.usable else 0
        if not size:
            return None
        arrays = [None if slot is None else slot.numpy()[:size] for slot in self.slots]
        return keras.tree.pack_sequence_as(self.structure, arrays)


def _slot(leaf):
    leaf = tf.convert_to_tensor(leaf) if not hasattr(leaf, "shape") else leaf
    dtype = tf.as_dtype(leaf.dtype)
    rest = list(leaf.shape[1:])
    if None in rest:
        empty = tf.zeros([0, *[n or 0 for n in rest]], dtype)
        return tf.Variable(empty, shape=tf.TensorShape(None), trainable=False)
    return tf.Variable(tf.zeros([SAMPLES, *rest], dtype), trainable=False)


def _is_numeric_batch(leaf):
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return False
    dtype = tf.as_dtype(dtype)
    return (dtype.is_floating or dtype.is_integer or dtype.is_bool) and len(
        leaf.shape
    ) >= 1


def _buffer(rows, width):
    return tf.Variable(tf.fill([rows, width], np.float64(np.nan)), trainable=False)


def _unread(buffer, rows, since, count):
    if count <= since:
        return np.empty((0, buffer.shape[1]))
    numbers = np.arange(since, count)
    # what the ring has written over is lost
    numbers = numbers[(numbers < rows) | (numbers >= count - rows)]
    places = np.where(numbers < rows, numbers, rows + (numbers - rows) % rows)
    return buffer.numpy()[places]


def _dense(gradient):
    if isinstance(gradient, tf.IndexedSlices):
        entries = gradient.dense_shape
        size = tf.get_static_value(entries) if entries is not None else None
        if size is not None and np.prod(size) <= DENSE_ENTRIES:
            return tf.convert_to_tensor(gradient)
        return gradient.values
    return tf.convert_to_tensor(gradient)


def _sum_of_squares(group):
    """Return half the sum, as TensorFlow's fast kernel does."""
    parts = [tf.nn.l2_loss(tf.cast(g, tf.float32)) for g in group]
    return tf.add_n(parts) if len(parts) > 1 else parts[0]


def _exact_norm(group):
    squares = [tf.reduce_sum(tf.square(tf.cast(g, tf.float64))) for g in group]
    return tf.sqrt(tf.add_n(squares))
