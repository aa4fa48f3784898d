"""A Keras callback that records the gradients of every training step."""

import warnings
from contextlib import contextmanager

import keras
import numpy as np

from coursekit.clinic._checkup import checkup, heads, not_finite
from coursekit.clinic.diagnosis.rules import VERDICTS, stops
from coursekit.clinic.monitor import _export, _hooks, _rows
from coursekit.clinic.monitor._log import Log
from coursekit.clinic.monitor._recorder import Recorder, values
from coursekit.clinic.trace import Trace

# fit reads the device once in so many batches.
READ_EVERY = 100
# The weights' change is measured once in so many batches of a fit, while much happens,
UPDATE_EVERY = 50
# and from this batch on once in so many: it takes a third of a short step.
UPDATE_SELDOM_FROM, UPDATE_SELDOM = 200, 200


class GradientMonitor(keras.callbacks.Callback):
    """Record every step of a model's training, cheaply, and leave no trace.

    The norms are computed inside the training step from the gradients that it
    has anyway, before clipping. One batch of at most 32 samples is kept, and so
    are the weights that training started from: when a diagnosis asks for it, the
    model is probed (see :func:`coursekit.probe`) at initialization and at the end.
    How far a step moved the weights is measured once in 50 batches of a ``fit``, and
    once in 200 after its first 200; inside ``watch``, and with
    ``steps_per_execution``, once in 25 updates.

    ``fit`` takes the monitor as a callback. ``train_on_batch`` and custom loops
    go into ``with monitor.watch(model): ...``.

    Memory: two copies of the weights at most (those of the start, until the
    first diagnosis, and those of a measured step or of the end), 32 samples of
    the first batch, the latest batch while ``fit`` runs, 1,024 rows of 5 + layers
    float64s on the device and at most 4,096 in the log: all of the first 2,048
    steps, of the later ones every second, fourth, eighth ... The log of updates
    has as many rows at most.

    Parameters
    ----------
    stop_on : str or collection of str, optional
        Verdicts that end ``fit`` as soon as they are certain, for instance
        "exploding".
    batch : tuple (x, y) or (x, y, sample_weight), optional
        Probe with this batch instead of one of the training's own.

    Examples
    --------
    >>> monitor = coursekit.GradientMonitor()
    >>> model.fit(x, y, callbacks=[monitor])
    >>> coursekit.diagnose(monitor)
    """

    def __init__(self, stop_on=None, batch=None):
        super().__init__()
        self.stop_on = stop_on
        self._batch, self._loss = batch, None
        self._watched = self._optimizer = self._recorder = None
        self._batches = self._seen = self._updates_seen = 0
        self._log = self._update_log = None
        self._probes, self._checks, self._notes = [], [], []
        self._before = self._end = None
        self._pending = ()
        # does fit wait for on_train_batch_end?
        self._waits = False
        self._started = self._next_update = self._kept_at = 0
        self._bad_step = None

    @property
    def stop_on(self):
        """Verdicts that end ``fit``: a set, empty by default."""
        return self._stop_on

    @stop_on.setter
    def stop_on(self, verdicts):
        wanted = {verdicts} if isinstance(verdicts, str) else set(verdicts or ())
        faults = VERDICTS[1:]
        if wanted - set(faults):
            raise ValueError(
                f"stop_on={verdicts!r}: give one or more of {', '.join(faults)}"
            )
        self._stop_on = wanted

    # --- fit --------------------------------------------------------------

    def set_model(self, model):
        """Install the hooks; Keras calls this at the beginning of ``fit``."""
        super().set_model(model)
        if getattr(model, "optimizer", None) is not None:
            self._install(model, model.optimizer)

    def on_train_begin(self, logs=None):
        """Install the hooks again if a CallbackList is used a second time."""
        if not _hooks.listens(self.model, self._recorder):
            self._install(self.model, self.model.optimizer)
            self.model.make_train_function(force=True)
        self._recorder.running = True

    @property
    def async_safe(self):
        """Whether ``fit`` may go on while ``on_train_batch_end`` runs; Keras asks.

        It may unless that can end the training: waiting costs a twentieth of a
        short step. What is left to do after a batch is done before the next.
        """
        own = type(self).on_train_batch_end is GradientMonitor.on_train_batch_end
        return own and not self.stop_on

    def on_train_batch_begin(self, batch, logs=None):
        """Read the device now and then; keep weights whose change is measured."""
        if not self._waits:
            self._after_batch()
        self._started += 1
        if self._recorder.inside or self._before is not None:
            return
        if self._batches >= self._next_update:
            # None while a model has no weights: its first step makes them
            self._before = self._recorder.weights()
            self._kept_at = self._batches

    def on_train_batch_end(self, batch, logs=None):
        """Read the device and stop if that is wanted."""
        if self._waits:
            self._after_batch()

    def _after_batch(self):
        """Do what is due after a batch, once."""
        if self._batches == self._started:
            return
        self._batches = self._started
        if self._batches == 1:
            self._recorder.keep_batch()
        window = int(self._optimizer.gradient_accumulation_steps or 1)
        if self._before is not None and self._batches == self._kept_at + window:
            seldom = self._kept_at >= UPDATE_SELDOM_FROM
            gap = UPDATE_SELDOM if seldom else UPDATE_EVERY
            self._next_update = self._kept_at + gap
            self._measure_update()
        if self.stop_on or self._batches == 1 or self._batches % READ_EVERY == 0:
            if self.read() and not self._recorder.exact:
                self._change_to_float64()
        if self.stop_on and self._log is not None and len(self._log.rows):
            self.model.stop_training |= stops(self._trace(), self.stop_on)

    def _change_to_float64(self):
        """Trace the step anew, with norms in float64, where float32 is too small."""
        self._recorder.exact = True
        self.model.make_train_function(force=True)
        if len(self._pending):
            self._look_at_start()

    def _norms_at_start(self):
        if not self._probes or self._probes[0][0]:
            return None
        return _rows.norms_of(self._probes[0][1], self._recorder.columns.names)

    def _settle_by_probe(self):
        """Take for rows that float32 lost what the probe at the end found."""
        rows, self._pending = self._pending, self._pending[:0]
        if self._probes:
            names = self._recorder.columns.names
            norms = _rows.norms_of(self._probes[-1][1], names)
            rows = _rows.fill(rows, norms, self._norms_at_start())
        self._append(rows)

    def on_train_end(self, logs=None):
        """Read what is left, probe, and take the hooks off."""
        self.close()

    # --- custom loops -----------------------------------------------------

    @contextmanager
    def watch(self, model, optimizer=None, loss=None, batch=None):
        """Record what happens to ``model`` inside the ``with`` block.

        For ``train_on_batch`` nothing else is needed. A custom loop is seen
        when its optimizer's ``apply`` or ``apply_gradients`` is called. What
        that does not tell is the loss, which ``monitor.record_loss(loss)``
        adds, and a batch, which ``batch=`` does. A tf.function that was traced
        before the block does not have the hooks.

        Parameters
        ----------
        model : keras.Model
        optimizer : keras.optimizers.Optimizer, optional
            By default the one the model is compiled with.
        loss : str, callable or keras.losses.Loss, optional
            For the probe, if the model is not compiled.
        batch : tuple (x, y) or (x, y, sample_weight), optional
            For the probe.
        """
        optimizer = optimizer or getattr(model, "optimizer", None)
        if isinstance(model, keras.Model) and optimizer is None:
            raise ValueError(
                "the model has no optimizer: compile it, or pass optimizer="
            )
        self._batch = self._batch if batch is None else batch
        self._loss = self._loss if loss is None else loss
        self._install(model, optimizer, inside=True)
        self._recorder.running = True
        try:
            yield self
        finally:
            self.close()

    def record_loss(self, loss):
        """Tell the loss of a custom loop's step, before ``apply``; return it.

        Inside a tf.function is fine.
        """
        if self._recorder is None:
            raise ValueError("nothing is watched: call it inside monitor.watch(model)")
        self._recorder.told = True
        self._recorder.loss.assign(keras.ops.cast(keras.ops.mean(loss), "float64"))
        return loss

    def close(self):
        """Read what is left, probe, and take the hooks off.

        Only a training that was interrupted needs this call.
        """
        if self._watched is None or not _hooks.listens(self._watched, self._recorder):
            return
        try:
            self._after_batch()
            self.read()
            self._recorder.release()
            self._end = (self._seen, values(self._watched.trainable_variables))
        finally:
            _hooks.detach(self._watched, self._recorder)

    # --- reading ----------------------------------------------------------

    def read(self):
        """Fetch what the device has recorded since the last reading.

        Returns whether a norm came near the ends of float32's range.

        ``fit`` does it by itself. A custom loop of more than 1,024 steps calls
        it now and then, or loses the steps between its first and last 512.
        """
        if self._recorder is None:
            return False
        rows, updates, self._seen, self._updates_seen = self._recorder.read(
            self._seen, self._updates_seen
        )
        if rows is None or not self._seen:
            return False
        self._make_logs()
        self._update_log.extend(updates)
        near = _rows.wants_float64(rows)
        # rows that float32 lost wait for an exact one
        rows = np.concatenate([self._pending, rows])
        rows, self._pending = _rows.settle(rows, self._norms_at_start())
        self._append(rows)
        return near

    def _append(self, rows):
        self._find_bad(rows)
        self._log.extend(rows)

    def _make_logs(self):
        if self._log is None:
            width = len(self._recorder.columns.names)
            self._log = Log(Recorder.HEAD + width)
            self._update_log = Log(1 + 2 * width)
            self._pending = np.empty((0, Recorder.HEAD + width))

    def _measure_update(self):
        """Append how far the weights moved in the last step."""
        before, self._before = self._before, None
        self._make_logs()
        self._update_log.extend(np.array([self._recorder.changes(before)]))

    def _look_at_start(self):
        if self._recorder.start is not None:
            with self._initial_weights():
                self._probe(0)

    def _weights_are(self, then):
        """Tell whether the trainable weights are still what they were."""
        now = values(self._watched.trainable_variables)
        return len(now) == len(then) and all(
            np.array_equal(a.numpy(), b.numpy(), equal_nan=True)
            for a, b in zip(now, then, strict=True)
        )

    def _look(self):
        """Probe what was not probed yet: the start, and the end of training."""
        self._look_at_start()
        step, then = self._end or (0, None)
        if step:
            self._end = None
            if self._weights_are(then):
                kept = 1 if self._probes and self._probes[0][0] == 0 else 0
                del self._probes[kept:], self._checks[kept:]
                self._probe(step)
            else:
                self._notes.append(
                    "the weights were changed after the training: only its start "
                    "was probed"
                )

    def trace(self):
        """Return what was recorded.

        Returns
        -------
        Trace

        Raises
        ------
        ValueError
            If no training step was seen.
        """
        self.read()
        return self._trace(at_end=True)

    def _trace(self, at_end=False):
        if self._log is None:
            raise ValueError(
                "the monitor has seen no training step: pass it to "
                "model.fit(..., callbacks=[monitor]), or train inside "
                "'with monitor.watch(model):'"
            )
        self._look()
        if at_end and len(self._pending):
            self._settle_by_probe()
        head, rows, updates = Recorder.HEAD, self._log.rows, self._update_log.rows
        names = self._recorder.columns.names
        return Trace(
            layers=names,
            steps=rows[:, 0].astype(int),
            loss=rows[:, 1],
            skipped=np.isnan(rows[:, head - 1]) & self._scaled,
            total_gradient=rows[:, head - 1],
            gradient=rows[:, head:],
            update_steps=updates[:, 0].astype(int),
            update=updates[:, 1 : 1 + len(names)],
            weight=updates[:, 1 + len(names) :],
            probes=list(self._probes),
            checks=list(self._checks),
            heads=heads(self._watched, names),
            first_bad_step=self._bad_step,
            learning_rate=_learning_rate(self._optimizer),
            notes=list(self._notes),
        )

    @property
    def _scaled(self):
        return hasattr(self._optimizer, "inner_optimizer")

    def _find_bad(self, rows):
        """Note the first step whose loss or gradient is not finite."""
        if self._bad_step is not None or not len(rows):
            return
        loss, total = rows[:, 1], rows[:, Recorder.HEAD - 1]
        # a step that the loss scale skipped has a row of NaNs by design
        bad = np.isposinf(total) if self._scaled else ~np.isfinite(total)
        if self._recorder.told:
            bad |= ~np.isfinite(loss)
        if bad.any():
            self._bad_step = int(rows[np.argmax(bad), 0])

    @contextmanager
    def _initial_weights(self):
        """Put the weights that training started from back for a moment."""
        start, self._recorder.start = self._recorder.start, None
        now = [(weight, weight.numpy()) for weight, _ in start]
        for weight, value in start:
            weight.assign(value)
        try:
            yield
        finally:
            for weight, value in now:
                weight.assign(value)

    def _probe(self, step):
        """Probe the model; a probe that fails is noted and ends nothing."""
        batch = self._batch
        if batch is None and self._recorder.batch is not None:
            batch = self._recorder.batch.numpy()
        if batch is None:
            self._notes.append(
                "no batch could be kept for the probe: pass batch=(x, y)"
            )
            return
        if not step and not_finite(batch):
            self._notes.append("the batch itself holds numbers that are not finite")
        self._recorder.paused = True
        try:
            with warnings.catch_warnings():
                # a diverged model overflows, and that is what is measured
                warnings.simplefilter("ignore")
                x, y, *weight = batch
                weight = weight[0] if weight else None
                loss = None if self._watched.compiled else self._loss
                found, check = checkup(self._watched, x, y, loss, weight, step)
            self._probes.append((step, found))
            self._checks.append(check)
        except Exception as error:  # training goes on without the probe
            self._notes.append(f"the probe failed: {error}")
        finally:
            self._recorder.paused = False

    def _install(self, model, optimizer, inside=False):
        if not isinstance(model, keras.Model):
            raise TypeError(f"model is a {type(model).__name__}: give a keras.Model")
        if self._watched is None:
            self._watched, self._recorder = model, Recorder(model)
        elif self._watched is not model:
            raise ValueError(
                f"this monitor has recorded model {self._watched.name!r}: make a "
                f"new GradientMonitor() for model {model.name!r}"
            )
        self._optimizer, self._batches = optimizer, 0
        self._before = self._end = None
        self._started = self._next_update = self._kept_at = 0
        # Keras has asked by now
        self._waits = not self.async_safe
        executions = int(getattr(model, "steps_per_execution", 1) or 1)
        self._recorder.inside = inside or executions > 1
        # where the step cannot be traced anew, it is exact from the start
        self._recorder.exact |= self._recorder.inside or bool(len(self._pending))
        _hooks.attach(model, optimizer, self._recorder)

    # --- export -----------------------------------------------------------

    def to_json(self, path):
        """Write what was recorded as one JSON object; NaN becomes null."""
        _export.to_json(self.trace(), path)

    def to_csv(self, path):
        """Write a line a step: loss and the gradient norm of each layer."""
        _export.to_csv(self.trace(), path)

    def to_tensorboard(self, folder):
        """Write scalars that TensorBoard shows: gradients, update ratios."""
        _export.to_tensorboard(self.trace(), folder)


def _learning_rate(optimizer):
    try:
        return float(optimizer.learning_rate)
    except (TypeError, ValueError, AttributeError):
        return float("nan")
