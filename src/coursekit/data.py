"""Real handwriting that ships inside scikit-learn: no download, one split.

The digits are the test part of the UCI data set "Optical Recognition of
Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, doi 10.24432/C50P49,
CC BY 4.0): 1797 images of 8x8 pixels, ten classes.
"""

from functools import cache

import numpy as np

__all__ = ["digits", "digit_rows", "digit_pixels"]

TRAIN_SIZE = 1400
DARKEST = 16.0


def digits():
    """Return the digits as vectors of 64 pixels, for dense networks.

    Each pixel is standardised: minus its mean over the training images,
    divided by its standard deviation plus 0.01 (some pixels are constant).

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of numpy.ndarray
        ``x_train`` float32 of shape (1400, 64), ``x_test`` float32 of shape
        (397, 64), in standard deviations of the pixel; ``y_train`` and
        ``y_test`` int32 of shapes (1400,) and (397,), the digit 0 to 9. The
        split is the same at every call; the arrays are copies and may be
        changed.
    """
    return _split((64,))


def digit_rows():
    """Return the digits as sequences of 8 rows, for recurrent networks.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of numpy.ndarray
        As :func:`digits`, with ``x`` of shape (n, 8, 8): image, time step
        (rows from top to bottom), pixel of the row; in amounts of ink from 0
        (white) to 1, not standardised, so that all steps share one scale.
    """
    return _split((8, 8), ink=True)


def digit_pixels():
    """Return the digits as sequences of 64 pixels, for long recurrences.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of numpy.ndarray
        As :func:`digits`, with ``x`` of shape (n, 64, 1): image, time step
        (pixels in reading order), one value; in amounts of ink from 0 (white)
        to 1, not standardised, so that all steps share one scale.
    """
    return _split((64, 1), ink=True)


def _split(shape, ink=False):
    raw, y = shuffled()
    mean, std = raw[:TRAIN_SIZE].mean(axis=0), raw[:TRAIN_SIZE].std(axis=0)
    x = raw / DARKEST if ink else (raw - mean) / (std + 0.01)
    x = x.astype("float32").reshape(-1, *shape)
    return (
        (x[:TRAIN_SIZE].copy(), y[:TRAIN_SIZE].copy()),
        (x[TRAIN_SIZE:].copy(), y[TRAIN_SIZE:].copy()),
    )


@cache
def shuffled():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order], y[order].astype("int32")
