"""Write the norms of every training step into TensorFlow variables.

This is the arithmetic inside the compiled step; ``_hooks`` brings it there. The
variables belong to the recorder alone: Keras neither tracks nor saves them.
"""

import keras
import numpy as np
import tensorflow as tf

from coursekit import _taps
from coursekit.clinic.monitor._rows import SAFE

# The device keeps the first and the last so many steps that were not yet read.
ROWS = 512
# Update-to-weight ratios are measured once in so many updates ...
UPDATE_EVERY = 25
# ... and the first and the last so many of them are kept until they are read.
UPDATE_ROWS = 64
# So many samples of a batch are kept for the probe.
SAMPLES = 32
# A weight of more entries is not copied to be summed together with others.
SMALL = 4096
# Larger sparse gradients (embeddings) are not made dense for their norm.
DENSE_ENTRIES = 2**20
# In the place of a sum of squares: none of these weights is trained.
NOT_TRAINED = -1.0


class Columns:
    """The layers that are watched: name, kernels and embeddings of each."""

    def __init__(self, model):
        self.names, self.weights = [], []
        for layer in _taps.leaves(model):
            weights = _taps.own_kernels(layer)
            if isinstance(layer, keras.layers.Embedding):
                weights = list(layer.weights)
            if weights:
                self.names.append(_taps.row_name(model, layer))
                self.weights.append(weights)

    def index(self):
        """Return {id of a variable: column}."""
        return {id(w): n for n, group in enumerate(self.weights) for w in group}


def values(variables):
    """Return the values of Keras variables as tensors, without copying."""
    return [_value(variable.value) for variable in variables]


def _value(variable):
    if isinstance(variable, tf.distribute.DistributedValues):
        return tf.convert_to_tensor(variable)
    # three times as fast as `read_value`, which copies
    return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)


class Recorder:
    """The variables on the device, and the arithmetic that fills them.

    Row: step, loss, loss scale, whether the norms are exact (see ``_rows``),
    norm of all gradients, norm for each column. The device keeps what these follow
    from, a few operations fewer in every step: ``_decoded`` makes rows of it.
    """

    HEAD = 5
    # on the device: loss, loss scale, whether exact, what the norms are divided by
    DEVICE_HEAD = 4

    def __init__(self, model):
        self.model = model
        # a listener of a training that is going on, or of one that was cut off
        self.running = False
        # no recording while the probe runs
        self.paused = False
        # are updates measured inside the step? Only where Python does not see
        # every step: it costs more there
        self.inside = False
        # are the norms computed in float64? It costs more: see _rows
        self.exact = False
        # has the training told its loss?
        self.told = False
        # (what it depends on, the train function that was traced with the hooks)
        self.traced = None
        self.late = False
        self.columns = self.shadow = self.start = self.batch = self._written = None
        self.count = _variable(tf.zeros([], tf.int64))
        self.loss = _variable(tf.constant(np.nan, tf.float64))
        self.updates = _variable(tf.zeros([], tf.int64))
        self.wanted = _variable(tf.constant(True))
        # enough for two executions of the train function between two readings
        self.rows = max(ROWS, 2 * int(getattr(model, "steps_per_execution", 1) or 1))

    def prepare(self, again=False):
        """Make room for a model's layers, and copy the weights it starts from.

        Called while the first step is traced, or before: weights that a model
        makes at its first call are there by then.
        """
        if self.columns is not None and not again:
            return
        if not any(layer.weights for layer in _taps.leaves(self.model)):
            return
        with tf.init_scope():
            if self.columns is None:
                self.columns = Columns(self.model)
                width = len(self.columns.names)
                # a half sum of squares for each column, and one for all others
                self.buffer = _buffer(2 * self.rows, self.DEVICE_HEAD + width + 1)
                self.update_buffer = _buffer(2 * UPDATE_ROWS, 1 + 2 * width)
                weights = self.model.trainable_variables
                start = [(w, w.numpy()) for w in weights]
                # weights made while a tf.function is traced have no values yet
                self.late = any(v.shape != tuple(w.shape) for w, v in start)
                self.start = None if self.late else start
            if self.inside and self.shadow is None:
                flat = [w for group in self.columns.weights for w in group]
                self.shadow = [_variable(tf.zeros(w.shape)) for w in flat]
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
            structure, alone = (x, y, sample_weight), self._alone
            with tf.init_scope():
                self.batch = (
                    _WholeBatch(structure)
                    if alone
                    else _Batch(structure, self.model.jit_compile)
                )
        if not self.batch.usable:
            return
        if self._alone and isinstance(self.batch, _WholeBatch):
            self.batch.assign(leaves)
        elif isinstance(self.batch, _Batch):

            def take():
                self.batch.assign(leaves)
                self.wanted.assign(False)
                return 0

            tf.cond(self.wanted, take, lambda: 0)

    def on_begin(self, scale):
        """Open the row of a step that a loss scale may skip."""
        self.prepare()
        step = self.count.assign_add(1)
        head = [self.loss, tf.cast(scale, tf.float64)]
        nan = tf.constant([np.nan] * (self.buffer.shape[1] - len(head)), tf.float64)
        self._write(self.buffer, self.rows, step, tf.concat([tf.stack(head), nan], 0))

    def on_gradients(self, gradients, variables, scale=None, begin=True):
        """Write the sums of squares of one step."""
        self.prepare()
        # Each sum takes its gradient as soon as that is there, and lets it go:
        # gradients that are held until the last of them is there cost a tenth
        # of a step.
        half = _exact_half_square if self.exact else _half_square
        groups = self._groups(gradients, variables)
        sums = tf.stack([half(group) if group else NOT_TRAINED for group in groups])
        scale = tf.cast(1.0 if scale is None else scale, tf.float64)
        exact = float(self.exact)

        def write(sums, scale):
            step = self.count.assign_add(1) if begin else self.count.read_value()
            head = tf.stack([self.loss, scale, exact, scale if begin else 1.0])
            row = tf.concat([head, tf.cast(sums, tf.float64)], 0)
            self._write(self.buffer, self.rows, step, row)
            return step

        if self._alone:
            # kept, or it would be gone before the step runs
            self._written = _on_one_thread(write, sums, scale)
        else:
            write(sums, scale)

    @property
    def _alone(self):
        """Whether a part of the step may run on one thread, without XLA."""
        return not (
            self.inside
            or tf.executing_eagerly()
            or getattr(self.model, "jit_compile", False)
            or tf.config.list_logical_devices("GPU")
        )

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

    def _groups(self, gradients, variables):
        """Return a list of gradients for each column, and one of all others."""
        index = self.columns.index()
        groups = [[] for _ in range(len(self.columns.names) + 1)]
        for gradient, variable in zip(gradients, variables, strict=True):
            # what the loss does not reach has a gradient of zero
            gradient = tf.zeros([1]) if gradient is None else gradient
            groups[index.get(id(variable), -1)].append(_dense(gradient))
        return groups

    def _write(self, buffer, rows, number, row):
        """Write row ``number`` (from 1): the first ``rows`` stay, then a ring."""
        n = number - 1
        place = tf.minimum(n, rows + n % rows)
        buffer.scatter_nd_update([[place]], [row])

    # --- outside of it ----------------------------------------------------

    def keep_batch(self):
        """Take the batch of the first step from the device; call it after a step."""
        if isinstance(self.batch, _WholeBatch):
            self.batch.keep()

    def release(self):
        """Let go what the device holds of the data."""
        if isinstance(self.batch, _WholeBatch):
            self.batch.release()

    def weights(self):
        """Return the watched weights as they are now, in the order of the columns.

        None if the model has none yet. Until an update writes over them, these
        tensors share the memory of the weights.
        """
        self.prepare()
        if self.columns is None:
            return None
        return values(w for group in self.columns.weights for w in group)

    def changes(self, before):
        """Return a row: step, norms of the change since ``before``, of the kernels."""
        pairs = iter(zip(self.weights(), before, strict=True))
        changes, sizes = [], []
        # weights that diverge overflow here, and the norms say so
        with np.errstate(all="ignore"):
            for group in self.columns.weights:
                both = [[_array(v) for v in next(pairs)] for _ in group]
                changes.append(_norm([now - then for now, then in both]))
                sizes.append(_norm([now for now, _ in both]))
        return [float(self.count.numpy()), *changes, *sizes]

    def read(self, since, updates_since):
        """Return the rows and update rows after the given numbers, and counts."""
        if self.columns is None:
            return None, None, 0, 0
        count, updates = int(self.count.numpy()), int(self.updates.numpy())
        rows = _unread(self.buffer, self.rows, since, count)
        _, more = _unread(self.update_buffer, UPDATE_ROWS, updates_since, updates)
        return self._decoded(rows), more, count, updates

    def _decoded(self, unread):
        """Return rows of what the device kept of them."""
        numbers, kept = unread
        loss, scale, exact, divisor = kept[:, : self.DEVICE_HEAD].T
        halves = kept[:, self.DEVICE_HEAD :]
        trained = ~(halves < 0)
        squares = 2 * np.where(trained, halves, 0)
        norms = np.where(trained, np.sqrt(squares), np.nan)[:, :-1]
        total = np.sqrt(squares.sum(axis=1))
        head = np.stack([numbers + 1.0, loss, scale, exact, total / divisor], axis=1)
        return np.concatenate([head, norms / divisor[:, None]], axis=1)


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
        self.size = _variable(tf.zeros([], tf.int32))

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


class _WholeBatch:
    """The latest batch on the device; the first samples of the first are kept here.

    A variable that takes a tensor shares its memory: this costs nothing in a step,
    where a condition, "the first time only", costs a thirtieth of a short one.
    """

    def __init__(self, structure):
        self.structure, self.kept = structure, None
        leaves = keras.tree.flatten(structure)
        self.usable = all(x is None or _is_numeric_batch(x) for x in leaves)
        self.slots = [_any_size(leaf) for leaf in leaves if self.usable]

    def assign(self, leaves):
        for slot, leaf in zip(self.slots, leaves, strict=True):
            if slot is not None:
                slot.assign(tf.cast(leaf, slot.dtype))

    def keep(self):
        """Keep the first samples of the batch that is there, if none are kept."""
        if self.usable and self.numpy() is None:
            self.kept = [None if s is None else s.numpy()[:SAMPLES] for s in self.slots]

    def release(self):
        """Let the device's batch go."""
        for slot in self.slots:
            if slot is not None:
                slot.assign(tf.zeros([0], slot.dtype))

    def numpy(self):
        """Return (x, y, sample_weight) as arrays, or None before any batch."""
        if self.kept is None or not any(len(a) for a in self.kept if a is not None):
            return None
        return keras.tree.pack_sequence_as(self.structure, self.kept)


def _any_size(leaf):
    if leaf is None:
        return None
    empty = tf.zeros([0] * len(leaf.shape), leaf.dtype)
    return _variable(empty, shape=tf.TensorShape(None))


def _slot(leaf):
    leaf = tf.convert_to_tensor(leaf) if not hasattr(leaf, "shape") else leaf
    dtype = tf.as_dtype(leaf.dtype)
    rest = list(leaf.shape[1:])
    if None in rest:
        empty = tf.zeros([0, *[n or 0 for n in rest]], dtype)
        return _variable(empty, shape=tf.TensorShape(None))
    return _variable(tf.zeros([SAMPLES, *rest], dtype))


def _is_numeric_batch(leaf):
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return False
    dtype = tf.as_dtype(dtype)
    return (dtype.is_floating or dtype.is_integer or dtype.is_bool) and len(
        leaf.shape
    ) >= 1


def _variable(value, **options):
    """Return a variable; a tf.function that makes one is not traced twice for it."""
    return tf.Variable(
        value, trainable=False, experimental_enable_variable_lifting=False, **options
    )


def _buffer(rows, width):
    return _variable(tf.fill([rows, width], np.float64(np.nan)))


def _unread(buffer, rows, since, count):
    """Return the numbers, from 0, of the rows after ``since``, and these rows."""
    numbers = np.arange(since, count)
    # what the ring has written over is lost
    numbers = numbers[(numbers < rows) | (numbers >= count - rows)]
    if not len(numbers):
        return numbers, np.empty((0, buffer.shape[1]))
    places = np.minimum(numbers, rows + numbers % rows)
    return numbers, buffer.numpy()[places]


def _dense(gradient):
    if isinstance(gradient, tf.IndexedSlices):
        entries = gradient.dense_shape
        size = tf.get_static_value(entries) if entries is not None else None
        if size is not None and np.prod(size) <= DENSE_ENTRIES:
            return tf.convert_to_tensor(gradient)
        return gradient.values
    return tf.convert_to_tensor(gradient)


def _half_square(group):
    """Return half the sum of squares, as TensorFlow's fast kernel does."""
    group = [tf.cast(g, tf.float32) for g in group]
    small = [g for g in group if (g.shape.num_elements() or np.inf) <= SMALL]
    parts = [g for g in group if (g.shape.num_elements() or np.inf) > SMALL]
    if small:
        flat = [tf.reshape(g, [-1]) for g in small]
        parts.append(tf.concat(flat, 0) if len(flat) > 1 else flat[0])
    sums = [tf.nn.l2_loss(g) for g in parts]
    return tf.add_n(sums) if len(sums) > 1 else sums[0]


def _array(tensor):
    """Return a tensor as an array that NumPy can compute with: no bfloat16."""
    return (tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor).numpy()


def _norm(arrays):
    """Return the norm of arrays, in float64 if float32 is too small for it."""
    norm = float(np.linalg.norm([np.linalg.norm(a) for a in arrays]))
    if SAFE[0] < norm < SAFE[1]:
        return norm
    squares = [np.square(a, dtype="float64").sum() for a in arrays]
    return float(np.sqrt(sum(squares)))


def _exact_half_square(group):
    squares = [tf.reduce_sum(tf.square(tf.cast(g, tf.float64))) for g in group]
    return tf.add_n(squares) / 2


def _exact_norm(group):
    return tf.sqrt(2 * _exact_half_square(group))


def _on_one_thread(function, *tensors):
    """Call a function of small tensors inside a step that is being traced.

    Its two dozen operations take a microsecond each on one thread. Spread over
    the threads of a step they took a twentieth of it.
    """
    specs = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
    concrete = tf.function(function).get_concrete_function(*specs)
    tf.raw_ops.StatefulPartitionedCall(
        args=[*tensors, *concrete.captured_inputs],
        Tout=[output.dtype for output in concrete.outputs],
        f=concrete,
        executor_type="SINGLE_THREADED_EXECUTOR",
    )
    return concrete
