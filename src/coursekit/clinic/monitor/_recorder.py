"""Write the norms of every training step into TensorFlow variables.

This is the arithmetic inside the compiled step; ``_hooks`` brings it there. The
variables belong to the recorder alone: Keras neither tracks nor saves them.
"""

import keras
import numpy as np
import tensorflow as tf

from coursekit import _taps
from coursekit._norms import exact_half_square, half_square
from coursekit.clinic.monitor import _batch, _rows
from coursekit.clinic.monitor._device import Ring, variable
from coursekit.clinic.monitor._updates import restarted

# The device keeps the first so many steps, and the last so many that were not yet read.
ROWS = 512
# Larger sparse gradients (embeddings) are not made dense for their norm.
DENSE_ENTRIES = 2**20
# What is told of the parts of a batch that was not seen.
_UNSEEN = [_rows.UNTOLD] * len(_rows.PARTS)
# In the place of a sum of squares: none of these weights is trained.
NOT_TRAINED = -1.0
# A tf.function of somebody's own has nothing to translate in what stands in its step.
_as_written = tf.autograph.experimental.do_not_convert


class Columns:
    """The layers that are watched: name, kernels and embeddings of each."""

    def __init__(self, model):
        self.names, self.weights = [], []
        working = _taps.leaves(model)
        for layer in working:
            weights = _taps.own_kernels(layer)
            if isinstance(layer, keras.layers.Embedding):
                weights = list(layer.weights)
            if weights:
                self.names.append(_taps.row_name(model, layer, working))
                self.weights.append(weights)

    @property
    def flat(self):
        """All weights, column by column."""
        return [weight for group in self.weights for weight in group]

    def index(self):
        """Return {id of a variable: column}."""
        return {id(w): n for n, group in enumerate(self.weights) for w in group}


class Recorder:
    """The variables on the device, and the arithmetic that fills them.

    The device keeps of each step what a row of ``_rows`` follows from, a few
    operations fewer in every step.

    Attributes
    ----------
    updates : Updates
        The way to measure how far a step moves the weights.
    running : bool
        Whether it listens to a training that goes on, or to one that was cut off.
    paused : bool
        Whether losses are those of a probe, and not recorded.
    exact : bool
        Whether the norms are computed in float64. It costs more: see ``_rows``.
    traced : tuple or None
        The key of the functions that were traced with the hooks, and these by name: a
        second ``fit`` takes them again.
    validates : bool
        Whether samples are wanted of what is evaluated.
    start : list of (variable, array) or None
        The weights that training started from.
    """

    def __init__(self, model):
        self.model = model
        self.running = self.paused = self.exact = self.validates = False
        self.columns = self.start = self.updates = self.traced = None
        self._batch = self._data = self._written = self._held = None
        self._asked = self._late = False
        # of the step that goes on: its loss, and whether each part is finite
        self._told = variable([_rows.UNTOLD, *_UNSEEN], dtype=tf.float64)

    def key(self):
        """Return what the operations in the step depend on."""
        return (id(self), self.updates.inside and id(self.updates), self.exact)

    def begin(self, optimizer, inside):
        """Make ready for a training; ``inside`` says where updates are measured."""
        self.updates = restarted(self.updates, optimizer, inside)
        self._told.assign([_rows.UNTOLD, *_UNSEEN])
        if all(layer.built for layer in self.model._flatten_layers()):
            self.prepare()

    def prepare(self):
        """Make room for a model's layers, and copy the weights it starts from.

        Called while the first step is traced, or before: weights that a model
        makes at its first call are there by then.
        """
        if not tf.executing_eagerly():
            # a graph that somebody else keeps writes to these variables after the
            # monitor has gone, and would keep none of them alive
            tf.compat.v1.get_default_graph().recorder = self
        if self.updates.columns is not None:
            return
        if not any(layer.weights for layer in _taps.leaves(self.model)):
            return
        with tf.init_scope():
            if self.columns is None:
                self.columns = Columns(self.model)
                # a half sum of squares for each column, and one for all others
                width = len(_rows.DEVICE_HEAD) + len(self.columns.names) + 1
                # enough for two executions of the train function between readings
                at_once = int(getattr(self.model, "steps_per_execution", 1) or 1)
                self.steps = Ring(max(ROWS, 2 * at_once), width)
                start = [(w, w.numpy()) for w in self.model.trainable_variables]
                # weights made while a tf.function is traced have no values yet
                self._late = any(v.shape != tuple(w.shape) for w, v in start)
                self.start = None if self._late else start
            self.updates.prepare(self.columns, self._late)

    # --- in the compiled step ---------------------------------------------

    @_as_written
    def tell(self, loss):
        """Keep the loss of the step that goes on."""
        self._tell(loss, _UNSEEN)

    def _tell(self, loss, finite):
        loss = tf.cast(tf.reduce_mean(loss), tf.float64)
        self._told.assign(tf.stack([loss, *finite]))

    @_as_written
    def on_loss(self, loss, x, y, sample_weight):
        """Keep the loss of this step, and samples when some are wanted."""
        if self.paused:
            return
        self.prepare()
        if x is None:
            # a train_step of one's own need not hand its inputs on
            x = (self._unpacked() or [None])[0]
        batch = tuple(map(_as_tensor, (x, y, sample_weight)))
        finite = [_is_finite(part) for part in batch]
        self._tell(loss, [_rows.UNTOLD if x is None else finite[0], *finite[1:]])
        if x is not None:
            self._take(batch)

    @_as_written
    def on_train_step(self, data):
        """Take note of the data of a ``train_step`` that begins."""
        self._data = data

    @_as_written
    def on_train_step_end(self):
        """Keep samples of a ``train_step`` that has called no ``compute_loss``."""
        batch, self._data = self._unpacked(), None
        if batch is not None and batch[1] is not None and not self.paused:
            self._take(batch)

    @_as_written
    def on_test_step(self, data):
        """Keep samples of the validation data while there is room.

        What is traced here also runs for an ``evaluate`` that is not the validation of
        ``fit``: whether samples are wanted stands in a variable.
        """
        if not (isinstance(data, tuple | list) and 1 < len(data) < 4):
            return
        batch = keras.utils.unpack_x_y_sample_weight(data)
        if self._held is None:
            fixed = bool(getattr(self.model, "jit_compile", False))
            with tf.init_scope():
                room = _batch.room_for(batch, None, False, fixed, _batch.HELD_NUMBERS)
            self._held = room
            self._want_held()
        if self._held is not None:
            self._held.take(batch, False)

    def _unpacked(self):
        """Return the batch of a ``train_step`` that has called no ``compute_loss``.

        None inside a tf.function of its own, which would hold on to tensors of the
        step that was traced first.
        """
        data = self._data
        known = data is not None and not (
            isinstance(data, tuple | list) and not 0 < len(data) < 4
        )
        known = known and all(map(_is_of_this_graph, tf.nest.flatten(data, True)))
        return keras.utils.unpack_x_y_sample_weight(data) if known else None

    def _take(self, batch):
        self._data, alone = None, self._alone
        if not self._asked:
            self._asked = True
            fixed = bool(getattr(self.model, "jit_compile", False))
            size = _batch_size(self.model)
            with tf.init_scope():
                self._batch = _batch.room_for(batch, size, alone, fixed)
        if self._batch is not None:
            self._batch.take(batch, alone)

    @_as_written
    def on_begin(self):
        """Open the row of a step that a loss scale may skip."""
        self.prepare()
        self._look_at_data()
        nan = self.steps.width - self._told.shape[0]
        nan = tf.constant([np.nan] * nan, tf.float64)
        self.steps.write(self.steps.open(), tf.concat([self._told, nan], 0))

    @_as_written
    def on_gradients(self, gradients, variables, divisor=None, begin=True):
        """Write the sums of squares of one step."""
        own = {id(weight) for weight in self.model.variables}
        if own and not own & {id(weight) for weight in variables}:
            # an optimizer that trains something else
            return
        self.prepare()
        if begin:
            self._look_at_data()
        # Each sum takes its gradient as soon as that is there, and lets it go:
        # gradients that are held until the last of them is there cost a tenth
        # of a step.
        half = exact_half_square if self.exact else half_square
        groups = self._groups(gradients, variables)
        sums = tf.stack([half(group) if group else NOT_TRAINED for group in groups])
        divisor = tf.cast(1.0 if divisor is None else divisor, tf.float64)
        exact = float(self.exact)

        def write(sums, divisor):
            step = self.steps.open() if begin else self.steps.count.read_value()
            row = [self._told, [exact, divisor], tf.cast(sums, tf.float64)]
            self.steps.write(step, tf.concat(row, 0))
            return step

        if self._alone:
            # kept, or it would be gone before the step runs
            self._written = _on_one_thread(write, sums, divisor)
        else:
            write(sums, divisor)

    def _look_at_data(self):
        """Tell of a batch that came past no ``compute_loss`` whether it is finite."""
        batch = self._unpacked()
        if batch is not None:
            self._tell(self._told[0], [_is_finite(part) for part in batch])

    @property
    def _alone(self):
        """Whether a part of the step may run on one thread, without XLA."""
        return not (
            self.updates.inside
            or tf.executing_eagerly()
            or getattr(self.model, "jit_compile", False)
            or tf.config.list_logical_devices("GPU")
        )

    @_as_written
    def on_updated(self):
        """Let the weights' real change be measured."""
        self.updates.in_step(self.steps.count)

    def _groups(self, gradients, variables):
        """Return a list of gradients for each column, and one of all others."""
        index = self.columns.index()
        groups = [[] for _ in range(len(self.columns.names) + 1)]
        for gradient, weight in zip(gradients, variables, strict=True):
            # what the loss does not reach has a gradient of zero
            gradient = tf.zeros([1]) if gradient is None else gradient
            groups[index.get(id(weight), -1)].append(_dense(gradient))
        return groups

    # --- outside of it ----------------------------------------------------

    def see_start(self):
        """Copy the weights anew before the first step of all.

        A callback may have put those of an earlier run back.
        """
        if self.start and not int(self.steps.count.numpy()):
            self.start = [(weight, weight.numpy()) for weight, _ in self.start]

    def before_batch(self, done):
        """Do what is due before the batch that comes after ``done`` batches."""
        if self.updates.columns is None:
            self.prepare()
        self.updates.before_batch(done)

    def after_batch(self, done):
        """Do what is due after so many batches."""
        self.keep_batch()
        if self.columns is not None:
            self.updates.after_batch(done, self.steps.count)

    def keep_batch(self):
        """Keep what is wanted of the batch that the last step had."""
        if self._batch is not None:
            self._batch.keep()

    def release(self):
        """Let go what the device holds of the data."""
        if self._batch is not None:
            self._batch.release()

    def batch(self):
        """Return the samples that were kept, (x, y, sample_weight), or None."""
        kept = None if self._batch is None else self._batch.numpy()
        if kept is None and isinstance(self._data, tuple | list):
            # a first step that ran eagerly and did not end
            data = keras.utils.unpack_x_y_sample_weight(self._data)
            if all(a is None or hasattr(a, "numpy") for a in keras.tree.flatten(data)):
                return keras.tree.map_structure(
                    lambda a: a if a is None else a.numpy()[: _batch.COMPARED], data
                )
        return kept

    def forget_validation(self):
        """Forget what was kept: another ``fit`` may have other validation data."""
        self.end_validation()
        if self._held is not None:
            self._held.restart()

    def begin_validation(self):
        """Keep samples of the validation data, the first time that they come."""
        self.validates = self._held is None or self._held.size_of_one is None
        self._want_held()

    def end_validation(self):
        """Keep no more of them: the next time the same ones come."""
        self.validates = False
        self._want_held()

    def _want_held(self):
        if self._held is not None:
            with tf.init_scope():
                self._held.wanted.assign(self.validates)

    def held(self):
        """Return samples of the validation data, as ``batch`` does, or None."""
        return None if self._held is None else self._held.numpy()

    @property
    def probed(self):
        """How many of the samples that were kept a probe takes."""
        return _batch_size(self.model) or _batch.SAMPLES

    @property
    def batch_size(self):
        """Samples of the first batch, None if it is not known."""
        return None if self._batch is None else self._batch.size_of_one

    @property
    def targets(self):
        """Those of the first batches, None if they were not kept."""
        return None if self._batch is None else self._batch.targets

    def read(self):
        """Return the steps and the updates since the last reading, or None."""
        if self.columns is None:
            return None
        return _rows.from_device(*self.steps.unread()), self.updates.unread()


def _is_of_this_graph(leaf):
    """Tell whether a tensor can be read here: eagerly, or in the graph being traced."""
    if tf.executing_eagerly() or not tf.is_tensor(leaf):
        return True
    graph = tf.compat.v1.get_default_graph()
    return not hasattr(leaf, "numpy") and leaf.graph is graph


def _as_tensor(part):
    """Turn plain numbers, which a loop of one's own may give, into a tensor."""
    leaves = tf.nest.flatten(part, True)
    plain = leaves and all(isinstance(leaf, int | float) for leaf in leaves)
    return tf.convert_to_tensor(part) if plain else part


def _is_finite(part):
    """Return 1 if all numbers of a part of a batch are finite, 0 if not."""
    leaves = [leaf for leaf in tf.nest.flatten(part, True) if leaf is not None]
    floats = [leaf for leaf in leaves if tf.as_dtype(leaf.dtype).is_floating]
    found = [tf.reduce_all(tf.math.is_finite(leaf)) for leaf in floats]
    if not found:
        return tf.constant(1.0, tf.float64)
    return tf.cast(found[0] if len(found) == 1 else tf.reduce_all(found), tf.float64)


def _batch_size(model):
    """Return the batch size that a model's inputs prescribe, or None."""
    sizes = {i.shape[0] for i in getattr(model, "inputs", None) or [] if len(i.shape)}
    return next((size for size in sizes if size is not None), None)


def _dense(gradient):
    if isinstance(gradient, tf.IndexedSlices):
        entries = gradient.dense_shape
        size = tf.get_static_value(entries) if entries is not None else None
        if size is not None and np.prod(size) <= DENSE_ENTRIES:
            return tf.convert_to_tensor(gradient)
        return gradient.values
    return tf.convert_to_tensor(gradient)


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
