"""How far a step moved the weights: measured now and then, in two ways.

Inside the compiled step where Python does not see every step, between two steps
otherwise, where it costs the step nothing. Both forms keep the same schedule.
"""

import numpy as np
import tensorflow as tf

from coursekit._norms import exact_norm, norm
from coursekit.clinic.monitor import _rows
from coursekit.clinic.monitor._device import Ring, values, variable

#: One update in so many is measured while much happens ...
UPDATE_EVERY = 50
#: ... and after so many, one in so many: it takes a third of a short step.
SELDOM_FROM, UPDATE_SELDOM = 200, 200
# So many may wait on the device to be read: see ``_device.Ring``.
UPDATE_ROWS = 64


def gap(done, window):
    """Return how many steps lie between two measured updates.

    Parameters
    ----------
    done : int
        Steps taken before.
    window : int
        Steps that make one update (gradient accumulation).
    """
    return window * (UPDATE_EVERY if done < window * SELDOM_FROM else UPDATE_SELDOM)


def restarted(updates, optimizer, inside):
    """Return the form for a training that begins: the one at hand, if it fits."""
    form = InsideTheStep if inside else BetweenSteps
    # a loss scale does not tell of it
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    window = int(optimizer.gradient_accumulation_steps or 1)
    if type(updates) is not form or updates.window != window:
        return form(window)
    updates.restart()
    return updates


class Updates:
    """What both forms share; a method that a form has no use for does nothing.

    Attributes
    ----------
    columns : Columns or None
        The watched layers, None while the model has none.
    inside : bool
        Whether it adds operations to the step.
    """

    inside = False

    def __init__(self, window):
        self.window, self.columns = window, None

    def prepare(self, columns, late):
        """Take the watched layers; ``late`` if their weights have no values yet."""
        self.columns = columns

    def restart(self):
        """Count from the first step of a training."""

    def in_step(self, step):
        """Measure in the step that is being traced, after its update.

        ``step`` is the variable that counts the recorded steps.
        """

    def before_batch(self, done):
        """Keep the weights if the next step's change is wanted."""

    def after_batch(self, done, step):
        """Measure the change if the weights of before were kept."""

    def unread(self):
        """Return the rows that are there since the last call."""


class BetweenSteps(Updates):
    """Compare the weights before and after a step, outside of it."""

    def __init__(self, window):
        super().__init__(window)
        self._rows = []
        self.restart()

    def restart(self):
        self._before, self._kept_at, self._next = None, 0, 0

    def before_batch(self, done):
        # a model has no columns while its first step has not made its weights
        if self.columns and self._before is None and done >= self._next:
            # until an update writes over them, these share the weights' memory
            self._before = values(self.columns.flat)
            self._kept_at = done

    def after_batch(self, done, step):
        if self._before is None or done != self._kept_at + self.window:
            return
        before, self._before = iter(self._before), None
        now = iter(values(self.columns.flat))
        self._next = self._kept_at + gap(self._kept_at, self.window)
        row = np.zeros(1, _rows.update_type(len(self.columns.weights)))
        row["step"] = step.numpy()
        # weights that diverge overflow here, and the norms say so
        with np.errstate(all="ignore"):
            for n, group in enumerate(self.columns.weights):
                both = [(_array(next(now)), _array(next(before))) for _ in group]
                row["update"][0, n] = norm([after - then for after, then in both])
                row["weight"][0, n] = norm([after for after, _ in both])
        self._rows.append(row)

    def unread(self):
        rows, self._rows = self._rows, []
        kind = _rows.update_type(len(self.columns.weights))
        return np.concatenate(rows) if rows else np.empty(0, kind)


class InsideTheStep(Updates):
    """Compare the weights with copies that the step makes itself."""

    inside = True

    def __init__(self, window):
        super().__init__(window)
        self._done = variable(tf.zeros([], tf.int64))

    def restart(self):
        self._done.assign(0)
        if self.columns is not None:
            self._keep()

    def prepare(self, columns, late):
        super().prepare(columns, late)
        # without values at the start, the first change cannot be measured
        self._late = late
        self._ring = Ring(UPDATE_ROWS, 1 + 2 * len(columns.weights))
        start = [np.zeros(w.shape) for w in columns.flat] if late else self._floats()
        self._shadow = [variable(tf.cast(v, tf.float32)) for v in start]

    def _keep(self):
        for shadow, weight in zip(self._shadow, self._floats(), strict=True):
            shadow.assign(weight)
        return 0

    def _floats(self):
        return [tf.cast(w.value, tf.float32) for w in self.columns.flat]

    def in_step(self, step):
        done = self._done.assign_add(1)

        def measure():
            row = [tf.cast(step, tf.float64), *self._changes()]
            self._ring.write(self._ring.open(), tf.stack(row))
            return 0

        since = done - self.window
        tf.cond(self._due(since) & (since >= int(self._late)), measure, lambda: 0)
        tf.cond(self._due(done), self._keep, lambda: 0)

    def _due(self, done):
        """Tell whether the update after ``done`` steps is one to measure."""
        often, seldom = (gap(n, self.window) for n in (0, self.window * SELDOM_FROM))
        every = tf.where(done < self.window * SELDOM_FROM, often, seldom)
        return tf.equal(done % tf.cast(every, tf.int64), 0)

    def _changes(self):
        now, before = iter(self._floats()), iter(self._shadow)
        changes, sizes = [], []
        for group in self.columns.weights:
            pairs = [(next(now), next(before)) for _ in group]
            changes.append(exact_norm([after - then for after, then in pairs]))
            sizes.append(exact_norm([after for after, _ in pairs]))
        return changes + sizes

    def unread(self):
        return _rows.updates_from_device(self._ring.unread()[1])


def _array(tensor):
    """Return a tensor as an array that NumPy can compute with: no bfloat16."""
    return (tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor).numpy()
