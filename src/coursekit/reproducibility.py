"""Seeds and deterministic operations, always both."""

import operator


def reproducible(seed):
    """Make what follows repeatable: seed everything, allow no chance kernel.

    Sets the seeds of Python, NumPy and TensorFlow, and makes TensorFlow choose
    deterministic operations. One without the other is not enough: with op
    determinism switched on or off the last bits of a gradient differ, and a
    chaotic training run turns last bits into different accuracies.

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
