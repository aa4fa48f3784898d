"""How the course prints a number that was measured over several seeds."""

import numpy as np


def mean_sd(values, digits=2):
    """Return mean and standard deviation over seeds, as '-1.60 (sd 0.01)'.

    Parameters
    ----------
    values : array_like of shape (seeds,)
    digits : int
        Digits after the point. A zero has no sign.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If ``values`` is empty or not one-dimensional.
    """
    values = np.asarray(values, dtype="float64")
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values of shape {values.shape}: give one number a seed")
    # rounding first and adding 0 turns -0.0 into 0.0
    mean = round(float(values.mean()), digits) + 0.0
    return f"{mean:.{digits}f} (sd {values.std():.{digits}f})"
