"""Seeds: what follows can be repeated, and what many of them gave is summed up."""

import operator

import numpy as np


def reproducible(seed):
    """Make what follows repeatable: seed everything, allow no chance, round alike.

    Sets the seeds of Python, NumPy and TensorFlow, and makes TensorFlow choose
    deterministic operations. One without the other is not enough: with op
    determinism switched on or off the last bits of a gradient differ, and a
    chaotic training run turns last bits into different accuracies.

    Also switches TF32 off. On recent NVIDIA GPUs TensorFlow rounds the factors of
    a float32 product to 10 bits unless told otherwise, with errors up to 5e-4 in
    place of 6e-8, and a deep network is a chain of products: what a CPU printed
    would not come back. On a CPU nothing changes. A program that wants the speed of
    TF32 switches it on again.

    Another processor or another TensorFlow build may still differ in the last
    bits, so print trained results as a verdict or with one digit.

    Parameters
    ----------
    seed : int
        From 0 to 2**32 - 1.

    Raises
    ------
    TypeError, ValueError
        If ``seed`` is not such an integer.
    """
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed={seed!r}: give an integer, such as 0") from None
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed}: give an integer from 0 to 2**32 - 1")

    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)


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
