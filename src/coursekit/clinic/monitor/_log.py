"""What was read of a training of any length, in bounded memory."""

import numpy as np

from coursekit.clinic.monitor import _rows

# A log keeps so many rows: all of the first half, and of the later ones every
# second, fourth, eighth ... as training goes on.
KEPT_ROWS = 4096


class Log:
    """Rows of one type in at most ``kept`` rows."""

    def __init__(self, kind, kept=KEPT_ROWS):
        self._kept, self._stride, self._seen = kept, 1, 0
        self.rows = np.empty(0, kind)

    def extend(self, rows):
        """Append rows, thinning the later half when there are too many."""
        numbers = self._seen + np.arange(len(rows))
        self._seen += len(rows)
        self.rows = np.concatenate([self.rows, rows[numbers % self._stride == 0]])
        half = self._kept // 2
        while len(self.rows) > self._kept:
            self._stride *= 2
            self.rows = np.concatenate([self.rows[:half], self.rows[half::2]])


class Record:
    """The steps and the updates of a training, as far as they were read.

    Parameters
    ----------
    layers : int
    scaled : bool
        Whether a loss scale leaves out steps whose gradient is not finite.

    Attributes
    ----------
    waiting : numpy.ndarray
        Steps whose norms float32 lost: they wait for one in float64.
    last_step : int
        Number of the last step that was read, waiting or not.
    bad_step : int or None
        The first step whose loss or gradient was not finite.
    bad_parts : list of str, or None
        Which of `_rows.PARTS` of its batch was not finite, and had been finite in all
        steps before: a loss may leave NaN out. None if it was not seen.
    """

    def __init__(self, layers, scaled):
        self._scaled = scaled
        self._steps = Log(_rows.step_type(layers))
        self._updates = Log(_rows.update_type(layers))
        self.waiting = np.empty(0, _rows.step_type(layers))
        self.last_step, self.bad_step, self.bad_parts = 0, None, None
        self._harmless = np.zeros(len(_rows.PARTS), bool)

    @property
    def steps(self):
        """The rows of steps that were kept."""
        return self._steps.rows

    @property
    def updates(self):
        """The rows of updates that were kept."""
        return self._updates.rows

    def extend(self, steps, updates, start=None):
        """Append what was read; rows that float32 lost wait for an exact one.

        Parameters
        ----------
        steps, updates : numpy.ndarray
        start : numpy.ndarray, optional
            As :func:`_rows.settle` takes it.
        """
        self._updates.extend(updates)
        if len(steps):
            self.last_step = int(steps["step"][-1])
        rows = np.concatenate([self.waiting, steps])
        rows, self.waiting = _rows.settle(rows, start)
        self._append(rows)

    def give_up_waiting(self, norms, start=None):
        """Append what waits, with ``norms`` of a probe in the place of lost ones."""
        rows, self.waiting = self.waiting, self.waiting[:0]
        if norms is not None:
            rows = _rows.fill(rows, norms, start)
        self._append(rows)

    def _append(self, rows):
        total = rows["total"]
        # a step that the loss scale skipped has a row of NaNs by design
        bad = np.isposinf(total) if self._scaled else ~np.isfinite(total)
        bad |= rows["told"] & ~np.isfinite(rows["loss"])
        if self.bad_step is None:
            good = rows[: np.argmax(bad)] if bad.any() else rows
            self._harmless |= (good["finite"] == 0).any(axis=0)
        if self.bad_step is None and bad.any():
            first = rows[np.argmax(bad)]
            self.bad_step = int(first["step"])
            found = (first["finite"] == 0) & ~self._harmless
            if found.any() or not np.isnan(first["finite"]).any():
                self.bad_parts = [_rows.PARTS[n] for n in np.flatnonzero(found)]
        self._steps.extend(rows)
