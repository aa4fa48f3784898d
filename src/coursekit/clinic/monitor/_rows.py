"""The columns of a recorded step, by name, and rows that wait for float64.

The squares of a gradient leave float32 long before its entries do: a norm of 1e-25
would be recorded as zero, one of 1e25 as infinite, and whether a gradient is zero or
finite decides a diagnosis. Float64 costs a few percent of a step, so a training
starts without it and changes to it at the first norm that comes near the ends of the
range. Norms that were lost before are filled in from the first step in float64; one
of step 1 that overflowed, from a probe of the weights that it started from.
"""

import numpy as np

from coursekit._norms import LOST, SAFE

#: The parts of a batch.
PARTS = ("inputs", "targets", "weights")
#: What the device keeps of a step in front of the sums of squares, in this order:
#: the loss, for each part 1 if it is finite and 0 if not, whether the sums are exact,
#: and what the norms are divided by.
DEVICE_HEAD = ("loss", *PARTS, "exact", "divisor")
#: In the place of what the training has not told: no loss is that low.
UNTOLD = np.finfo("float64").min


def step_type(layers):
    """Return the type of a row: one step, ``layers`` columns of gradients.

    ``exact`` is 1 where the norms were computed in float64, 0 where in float32, NaN
    for a step that a loss scale left out. ``told`` says whether the training has told
    its loss by then; ``total`` is the norm of all gradients; ``finite`` says of each of
    `PARTS` whether it is, NaN where the step's batch was not seen.
    """
    head = [(name, "f8") for name in ("loss", "exact", "total")]
    blocks = [("finite", "f8", (len(PARTS),)), ("gradient", "f8", (layers,))]
    return np.dtype([("step", "i8"), ("told", "?"), *head, *blocks])


def update_type(layers):
    """Return the type of a row of updates: how far one moved each layer's kernels."""
    columns = [(name, "f8", (layers,)) for name in ("update", "weight")]
    return np.dtype([("step", "i8"), *columns])


def from_device(numbers, kept):
    """Return rows of what the device kept of the steps ``numbers``.

    That is `DEVICE_HEAD`, then half a sum of squares for each column and one for all
    other weights, below 0 where none of them is trained.
    """
    head = dict(zip(DEVICE_HEAD, kept.T, strict=False))
    halves = kept[:, len(DEVICE_HEAD) :]
    squares = 2 * np.where(halves < 0, 0, halves)
    rows = np.empty(len(kept), step_type(halves.shape[1] - 1))
    rows["step"] = numbers
    rows["told"], rows["exact"] = head["loss"] != UNTOLD, head["exact"]
    rows["loss"] = np.where(rows["told"], head["loss"], np.nan)
    finite = np.column_stack([head[name] for name in PARTS])
    rows["finite"] = np.where(finite == UNTOLD, np.nan, finite)
    rows["total"] = np.sqrt(squares.sum(axis=1)) / head["divisor"]
    norms = np.where(halves < 0, np.nan, np.sqrt(squares))[:, :-1]
    rows["gradient"] = norms / head["divisor"][:, None]
    return rows


def updates_from_device(kept):
    """Return rows of what the device kept of updates: step, changes, sizes."""
    layers = kept.shape[1] // 2
    rows = np.empty(len(kept), update_type(layers))
    rows["step"], rows["update"] = kept[:, 0], kept[:, 1 : 1 + layers]
    rows["weight"] = kept[:, 1 + layers :]
    return rows


def wants_float64(rows):
    """Tell whether a norm comes near the ends of float32's range."""
    return _outside(rows, SAFE).any()


def settle(rows, start=None):
    """Split rows, in order of time, into those that are known and the others.

    Parameters
    ----------
    rows : numpy.ndarray of `step_type`
    start : numpy.ndarray of shape (1 + layers,), optional
        The norms at initialization, if they were probed: `norms_of` a probe.

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
    exact = np.flatnonzero(rows["exact"] == 1)
    later = exact[exact > first]
    if not len(later):
        return rows[:first], rows[first:]
    return fill(rows, all_norms(rows[later[:1]])[0], start), rows[:0]


def fill(rows, norms, start=None):
    """Return the rows with ``norms`` in the place of those that were lost.

    A sum that overflowed does not say that an entry is infinite: where ``norms``
    knows no better, the largest norm that float32 can tell is put.
    """
    known = all_norms(rows)
    better = np.where(np.isfinite(norms), norms, np.minimum(known, LOST[1]))
    if start is not None:
        exploded = (rows["step"] == 1)[:, None] & (known > LOST[1])
        better = np.where(exploded & np.isfinite(start), start, better)
    known = np.where(_outside(rows, LOST), better, known)
    rows = rows.copy()
    rows["total"], rows["gradient"] = known[:, 0], known[:, 1:]
    return rows


def norms_of(probed, names):
    """Return what a probe found, as the norms of a row: total, and each column."""
    found = dict(zip(probed.layers, probed.kernel_gradient_norm, strict=True))
    columns = np.array([found.get(name, np.nan) for name in names], dtype="float64")
    known = np.isfinite(columns)
    total = np.linalg.norm(columns[known]) if known.any() else np.nan
    return np.array([total, *columns])


def all_norms(rows):
    """Return the norms side by side: total, then each column."""
    return np.column_stack([rows["total"], rows["gradient"]])


def _outside(rows, bounds):
    """Return which norms of float32 are out of bounds, shape (rows, norms)."""
    norms, fast = all_norms(rows), rows["exact"] == 0
    # NaN is what it is: a layer that is not trained, or a gradient of NaNs
    return ((norms < bounds[0]) | (norms > bounds[1])) & fast[:, None]
