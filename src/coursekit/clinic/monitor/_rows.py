"""Norms that float32 could not hold, and when to compute them in float64.

The squares of a gradient leave float32 long before its entries do: a norm of 1e-25
would be recorded as zero, one of 1e25 as infinite, and whether a gradient is zero or
finite decides a diagnosis. Float64 costs a few percent of a step, so a training
starts without it and changes to it at the first norm that comes near the ends of the
range. Norms that were lost before are filled in from the first step in float64; one
of step 1 that overflowed, from a probe of the weights that it started from.
"""

import numpy as np

# A sum of squares of a million entries is right in float32 within these bounds ...
SAFE = (1e-15, 1e17)
# ... and of no use outside of these.
LOST = (1e-18, 1e19)
STEP, EXACT, NORMS = 0, 3, slice(4, None)  # columns of a recorder's row


def wants_float64(rows):
    """Tell whether a norm comes near the ends of float32's range."""
    return _outside(rows, SAFE).any()


def settle(rows, start=None):
    """Split rows, in order of time, into those that are known and the others.

    Parameters
    ----------
    rows : numpy.ndarray
    start : numpy.ndarray, optional
        The norms at initialization, if they were probed.

    Returns
    -------
    tuple of numpy.ndarray
        Rows whose norms are known, if need be from the first exact row after
        them, and the later ones, for which there is no such row yet.
    """
    lost = _outside(rows, LOST).any(axis=1)
    if not lost.any():
        return rows, rows[:0]
    first = np.argmax(lost)
    exact = np.flatnonzero(rows[:, EXACT] == 1)
    if not (exact > first).any():
        return rows[:first], rows[first:]
    return fill(rows, rows[exact[exact > first][0], NORMS], start), rows[:0]


def fill(rows, norms, start=None):
    """Return the rows with ``norms`` in the place of those that were lost.

    A sum that overflowed does not say that an entry is infinite: where ``norms``
    knows no better, the largest norm that float32 can tell is put.
    """
    rows = rows.copy()
    known = rows[:, NORMS]
    better = np.where(np.isfinite(norms), norms, np.minimum(known, LOST[1]))
    if start is not None:
        exploded = (rows[:, STEP] == 1)[:, None] & (known > LOST[1])
        better = np.where(exploded & np.isfinite(start), start, better)
    rows[:, NORMS] = np.where(_outside(rows, LOST), better, known)
    return rows


def norms_of(report, names):
    """Return what a probe found, as the norms of a row: total, and each column."""
    found = dict(zip(report.layers, report.kernel_gradient_norm, strict=True))
    columns = np.array([found.get(name, np.nan) for name in names], dtype="float64")
    known = np.isfinite(columns)
    total = np.linalg.norm(columns[known]) if known.any() else np.nan
    return np.array([total, *columns])


def _outside(rows, bounds):
    """Return which norms of float32 are out of bounds, shape (rows, norms)."""
    norms, fast = rows[:, NORMS], rows[:, EXACT] == 0
    # NaN is what it is: a layer that is not trained, or a gradient of NaNs
    return ((norms < bounds[0]) | (norms > bounds[1])) & fast[:, None]
