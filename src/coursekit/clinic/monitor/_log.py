"""Rows of a training of any length, in bounded memory."""

import numpy as np

# A log keeps so many rows: all of the first half, and of the later ones every
# second, fourth, eighth ... as training goes on.
KEPT_ROWS = 4096


class Log:
    """Rows of float64 in at most ``kept`` rows."""

    def __init__(self, width, kept=KEPT_ROWS):
        self._kept, self._stride, self._seen = kept, 1, 0
        self._rows = np.empty((0, width))

    def extend(self, rows):
        """Append rows, thinning the later half when there are too many."""
        numbers = self._seen + np.arange(len(rows))
        self._seen += len(rows)
        self._rows = np.concatenate([self._rows, rows[numbers % self._stride == 0]])
        half = self._kept // 2
        while len(self._rows) > self._kept:
            self._stride *= 2
            self._rows = np.concatenate([self._rows[:half], self._rows[half::2]])

    @property
    def rows(self):
        """The rows that were kept."""
        return self._rows
