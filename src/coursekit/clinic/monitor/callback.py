"""A Keras callback that records the gradients of every training step."""

import copy
from contextlib import contextmanager

import keras
import numpy as np

from coursekit.clinic._heads import heads
from coursekit.clinic.diagnosis.report import answer
from coursekit.clinic.diagnosis.rules import STOPPING, stops
from coursekit.clinic.monitor import _export, _hooks, _rows
from coursekit.clinic.monitor._ends import Ends
from coursekit.clinic.monitor._log import Record
from coursekit.clinic.monitor._recorder import Recorder
from coursekit.clinic.trace import Trace

# fit reads the device once in so many batches.
READ_EVERY = 100
# It also does after these: what is not finite, or too small for float32, comes early.
READ_EARLY = (1, 30)


class GradientMonitor(keras.callbacks.Callback):
    """Record every step of a model's training, cheaply, and leave no trace.

    The norms are computed inside the training step from the gradients that it
    has anyway, before clipping. The first samples are kept, and so are the weights
    that training started from: when a diagnosis asks for it, the model is probed
    (see :func:`coursekit.probe`) with 32 of them at initialization and at the end, and
    its loss on all of them is compared with that of the best constant output.
    How far a step moved the weights is measured once in 50 updates, and
    once in 200 after its first 200.

    Of a ``fit`` with validation data samples of these are kept, too: what was learned
    by heart does not hold there.

    Of each batch it is noted which part holds numbers that are not finite: inputs,
    targets or weights. Of a loop or a ``train_step`` of one's own a batch may not be
    seen, and the report says so.

    ``fit`` takes the monitor as a callback. ``train_on_batch`` and custom loops
    go into ``with monitor.watch(model): ...``.

    Memory: two copies of the weights at most (those of the start, until the
    first diagnosis, and those of a measured step or of the end; one more while it is
    diagnosed), 512 samples or as
    many as have 262,144 numbers, whichever is less, but 32 at least, of the validation
    data 512 or as many as have 8,388,608 numbers, targets of 32 batches or 65,536
    numbers of them, whichever is less, the latest batch while ``fit`` runs, 1,024 rows
    of 7 + layers float64s on the device and at most 4,096 in the log: all of the first
    2,048 steps, of the later ones every second, fourth, eighth ... The log of updates
    has as many rows at most.

    Parameters
    ----------
    stop_on : str or collection of str, optional
        Verdicts that end ``fit`` as soon as they are certain, for instance
        "exploding". ``stopped`` says then which, at which step.
    batch : tuple (x, y) or (x, y, sample_weight), optional
        Probe with this batch instead of one of the training's own. One that is not
        trained on tells whether what was learned holds for others.
    loss : str, callable or keras.losses.Loss, optional
        Probe with this loss, if the model is compiled without one.
    logs : {False, True, "layers"}
        Whether to put ``gradient_norm``, the mean over the steps of an epoch, into
        the logs of ``fit``, and with "layers" ``gradient_norm/<layer>`` of each
        layer's kernels. Keras's History and what stands behind the monitor in the
        list of callbacks get it: CSVLogger, TensorBoard, EarlyStopping and others.

    Attributes
    ----------
    stopped : str or None
        Why ``stop_on`` has ended the last ``fit``, in a sentence.

    Raises
    ------
    ValueError
        If ``stop_on`` or ``logs`` is none of those named above.

    Examples
    --------
    >>> monitor = coursekit.GradientMonitor()
    >>> model.fit(x, y, callbacks=[monitor])
    >>> coursekit.diagnose(monitor)
    """

    def __init__(self, stop_on=None, batch=None, loss=None, logs=False):
        super().__init__()
        self.stop_on, self.stopped = stop_on, None
        if logs not in (False, True, "layers"):
            raise ValueError(f'logs={logs!r}: give False, True or "layers"')
        # steps of this epoch, for Keras's logs
        self._logs, self._epoch = logs, []
        self._batch, self._loss = batch, loss
        self._copies = 0
        self._watched = self._optimizer = None
        self._recorder = self._record = self._ends = None
        # batches of this fit that have begun, and those after which all is done
        self._begun = self._done = 0
        # does fit wait for on_train_batch_end?
        self._waits = False

    def __repr__(self):
        """Return which training it has recorded."""
        if self._recorder is None:
            return "GradientMonitor that has seen no training"
        steps = 0 if self._record is None else self._record.last_step
        return f"GradientMonitor of model {self._watched.name!r}, {steps} steps read"

    @property
    def stop_on(self):
        """Verdicts that end ``fit``: a set, empty by default."""
        return self._stop_on

    @stop_on.setter
    def stop_on(self, verdicts):
        wanted = {verdicts} if isinstance(verdicts, str) else set(verdicts or ())
        if wanted - set(STOPPING):
            raise ValueError(
                f"stop_on={verdicts!r}: give one or more of {', '.join(STOPPING)}"
            )
        self._stop_on = wanted

    # --- fit --------------------------------------------------------------

    def set_model(self, model=None):
        """Install the hooks; Keras calls this at the beginning of ``fit``."""
        # of the class itself Keras calls the function, with the model alone
        if not isinstance(self, GradientMonitor):
            raise TypeError(
                "GradientMonitor is a class: give an instance, "
                "callbacks=[GradientMonitor()]"
            )
        super().set_model(model)
        if getattr(model, "optimizer", None) is not None:
            self._install(model, model.optimizer)

    def on_train_begin(self, logs=None):
        """Install the hooks again if a CallbackList is used a second time."""
        self.stopped, self._epoch = None, []
        if not _hooks.listens(self.model, self._recorder):
            self._install(self.model, self.model.optimizer)
            self.model.make_train_function(force=True)
        self._ends.begin()
        self._recorder.forget_validation()
        self._recorder.running = True

    def on_epoch_begin(self, epoch, logs=None):
        """See what the other callbacks have made of the weights at the beginning."""
        self._recorder.see_start()

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
        self._begun += 1
        self._recorder.before_batch(self._done)

    def on_train_batch_end(self, batch, logs=None):
        """Read the device and stop if that is wanted."""
        if self._waits:
            self._after_batch()

    def _after_batch(self):
        """Do what is due after a batch, once."""
        if self._done == self._begun:
            return
        self._done = self._begun
        self._recorder.after_batch(self._done)
        early = self._done in READ_EARLY
        if self.stop_on or early or self._done % self._every == 0:
            if self.read() and not self._recorder.exact:
                self._change_to_float64()
        if self.stop_on and self._record is not None and len(self._record.steps):
            trace = self._trace()
            if self.stopped is None and stops(trace, self.stop_on):
                self.model.stop_training = True
                self.stopped = f"after step {trace.last_step}: {answer(trace).summary}"

    def _change_to_float64(self):
        """Trace the step anew, with norms in float64, where float32 is too small."""
        self._recorder.exact = True
        self.model.make_train_function(force=True)
        if len(self._record.waiting):
            self._ends.look_at_start()

    def on_test_begin(self, logs=None):
        """Keep samples of the validation data, the first time that they come."""
        if self._recorder is not None and self._recorder.running:
            self._recorder.begin_validation()

    def on_test_end(self, logs=None):
        """Keep no more of them; after an ``evaluate`` alone take the hooks off."""
        if self._recorder is not None:
            self._recorder.end_validation()
        self.on_predict_end()

    def on_predict_end(self, logs=None):
        """Take the hooks off: Keras calls ``set_model`` for this, too."""
        if self._recorder is not None and not self._recorder.running:
            _hooks.detach(self._watched, self._recorder)

    def on_epoch_end(self, epoch, logs=None):
        """Put the epoch's mean norms into Keras's logs, if that is wanted."""
        if self._logs and logs is not None:
            self._after_batch()
            self.read()
            logs.update(self._means())
            self._epoch = []

    def _means(self):
        """Return the epoch's mean norms, by name; NaN without a step."""
        columns, names = self._recorder.columns, ["gradient_norm"]
        if self._logs == "layers" and columns is not None:
            names += [f"gradient_norm/{name}" for name in columns.names]
        norms = [row for rows in self._epoch for row in _rows.all_norms(rows)]
        # a loss scale has left steps out whose norm is NaN
        norms = [row for row in norms if not (self._scaled and np.isnan(row[0]))]
        means = np.mean(norms, axis=0) if norms else np.full(len(names), np.nan)
        return dict(zip(names, means.tolist(), strict=False))

    def on_train_end(self, logs=None):
        """Read what is left, say why the training was ended, take the hooks off."""
        self.close()
        if self.stopped and self.params and self.params.get("verbose"):
            print(f"GradientMonitor has ended the training {self.stopped}.")

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
            For the probe, if the model is not compiled with one.
        batch : tuple (x, y) or (x, y, sample_weight), optional
            For the probe.

        Raises
        ------
        TypeError
            If ``model`` is no keras.Model.
        ValueError
            If there is no optimizer, or the monitor has recorded another model.
        """
        optimizer = optimizer or getattr(model, "optimizer", None)
        if isinstance(model, keras.Model) and optimizer is None:
            raise ValueError(
                "the model has no optimizer: compile it, or pass optimizer="
            )
        self._install(model, optimizer, inside=True)
        self._ends.batch = self._ends.batch if batch is None else batch
        self._ends.loss = self._ends.loss if loss is None else loss
        self._ends.begin()
        self._recorder.running = True
        try:
            yield self
        finally:
            self.close()

    def record_loss(self, loss):
        """Tell the loss of a custom loop's step, before ``apply``; return it.

        Inside a tf.function is fine.

        Raises
        ------
        ValueError
            If nothing was watched yet.
        """
        if self._recorder is None:
            raise ValueError("nothing is watched: call it inside monitor.watch(model)")
        self._recorder.tell(loss)
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
            if self._record is not None:
                self._ends.ended(self._record.last_step)
        finally:
            _hooks.detach(self._watched, self._recorder)

    def _install(self, model, optimizer, inside=False):
        if not isinstance(model, keras.Model):
            raise TypeError(f"model is a {type(model).__name__}: give a keras.Model")
        if self._watched is None:
            self._watched, self._recorder = model, Recorder(model)
            self._ends = Ends(model, self._recorder)
            self._ends.batch, self._ends.loss = self._batch, self._loss
        elif self._watched is not model:
            raise ValueError(
                f"this monitor has recorded model {self._watched.name!r}: make a "
                f"new GradientMonitor() for model {model.name!r}"
            )
        self._optimizer = optimizer
        self._begun = self._done = 0
        # Keras has asked by now
        self._waits = not self.async_safe
        at_once = int(getattr(model, "steps_per_execution", 1) or 1)
        self._every, inside = max(1, READ_EVERY // at_once), inside or at_once > 1
        waiting = self._record is not None and bool(len(self._record.waiting))
        # where the step cannot be traced anew, it is exact from the start
        self._recorder.exact |= inside or waiting
        self._recorder.begin(optimizer, inside)
        _hooks.attach(model, optimizer, self._recorder)

    # --- reading ----------------------------------------------------------

    def read(self):
        """Fetch what the device has recorded since the last reading.

        Returns whether a norm came near the ends of float32's range.

        ``fit`` does it by itself. A custom loop of more than 1,024 steps calls
        it every 512 steps, or loses some in between.
        """
        found = None if self._recorder is None else self._recorder.read()
        if found is None:
            return False
        steps, updates = found
        if self._logs:
            self._epoch.append(steps)
        names = self._recorder.columns.names
        if self._record is None:
            self._record = Record(len(names), self._scaled)
        self._record.extend(steps, updates, self._ends.norms_at_start(names))
        return _rows.wants_float64(steps)

    def trace(self):
        """Return what was recorded.

        Returns
        -------
        Trace

        Raises
        ------
        ValueError
            If nothing was ever watched. Of a training of which no step was seen, the
            trace has no steps, and its notes say what to do.
        """
        self.read()
        return self._trace(at_end=True)

    def _trace(self, at_end=False):
        if self._recorder is None:
            raise ValueError(self._why_unseen())
        if self._record is None or not self._record.last_step:
            self._recorder.keep_batch()
            return self._nothing()
        self._ends.look()
        names, record = self._recorder.columns.names, self._record
        if at_end and len(record.waiting):
            start = self._ends.norms_at_start(names)
            record.give_up_waiting(self._ends.last_norms(names), start)
        steps, updates = record.steps, record.updates
        bad_parts = {0: self._ends.bad_parts, record.bad_step: record.bad_parts}
        return Trace(
            layers=names,
            steps=steps["step"],
            loss=steps["loss"],
            skipped=np.isnan(steps["total"]) & self._scaled,
            total_gradient=steps["total"],
            gradient=steps["gradient"],
            update_steps=updates["step"],
            update=updates["update"],
            weight=updates["weight"],
            probes=list(self._ends.probes),
            checks=list(self._ends.checks),
            heads=heads(self._watched, self._ends.called or names),
            first_bad_step=record.bad_step,
            learning_rate=_learning_rate(self._optimizer),
            notes=[*self._ends.notes, *self._notes()],
            constant_loss=self._ends.constant_loss,
            held=self._ends.held,
            seen=self._ends.seen,
            facts=self._ends.facts(self._optimizer) if at_end else None,
            bad_parts={n: p for n, p in bad_parts.items() if p is not None},
        )

    def _why_unseen(self):
        if self._copies:
            return (
                "the monitor has seen no training step, but a copy of it was made: "
                "diagnose the copy that was trained with"
            )
        return (
            "the monitor has seen no training step: pass it to "
            "model.fit(..., callbacks=[monitor]), or train inside "
            "'with monitor.watch(model):'"
        )

    def _nothing(self):
        """Return the trace of a training of which no step was recorded."""
        if self._begun > self._done:
            note = (
                "the first step did not end: diagnose(model, x, y) with its batch "
                "names what stopped it"
            )
        else:
            note = (
                "no update of this model passed through the optimizer that was "
                "watched: if another one makes the steps, train inside "
                "monitor.watch(model, optimizer=...)"
            )
        columns = self._recorder.columns
        names = [] if columns is None else columns.names
        # labels may be what has stopped the first step
        known = self._recorder.batch() is not None
        facts = self._ends.facts(self._optimizer) if known else None
        return Trace.empty(names, [note], facts=facts)

    def _notes(self):
        """Yield what the rows say about how they were recorded."""
        told = self._record.steps["told"]
        if len(told) and told.any() and not told[0]:
            yield (
                "the loss of each step was told after its update: call "
                "monitor.record_loss(loss) before optimizer.apply"
            )
        step = self._record.bad_step
        if step and self._record.bad_parts is None:
            yield (
                f"the batch of step {step} was not seen, or not all of it: whether it "
                "holds NaN is not known; a loop or a train_step that calls "
                "model.compute_loss(x, y, outputs) shows it"
            )

    def __deepcopy__(self, memo):
        """Copy a monitor that has seen nothing; what it has seen cannot be."""
        if self._recorder is not None:
            raise ValueError("a monitor that has recorded a training cannot be copied")
        self._copies += 1
        twin = copy.copy(self)
        twin._copies = 0
        return twin

    @property
    def _scaled(self):
        return hasattr(self._optimizer, "inner_optimizer")

    # --- export -----------------------------------------------------------

    def to_json(self, path):
        """Write what was recorded and its verdict, as ``Report.save`` does."""
        answer(self.trace()).save(path)

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
