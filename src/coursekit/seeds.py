"""Seeds: what follows can be repeated, and what many of them gave is summed up."""

import operator

import numpy as np

__all__ = ["mean_sd", "probe_seeds", "reproducible"]


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


def probe_seeds(build, seeds, x, y, loss):
    """Probe one batch in a network a seed; see :func:`coursekit.probe`.

    Parameters
    ----------
    build : callable
        ``build(seed)`` returns a built ``keras.Model`` of one architecture.
    seeds : iterable of int
    x, y : arrays
        One batch, the same for all.
    loss : str, callable or keras.losses.Loss

    Returns
    -------
    dict of str to numpy.ndarray of shape (seeds, rows)
        The measurements of a :class:`coursekit.ProbeReport` that have a row for each
        layer with a kernel, under their names there.

    Raises
    ------
    ValueError
        If there is no seed, or the networks differ in their layers.
    """
    from coursekit._members import values_of
    from coursekit.probing import probe

    seeds, reports = list(seeds), []

    def probe_built(first, model, seed=None):
        report = probe(model, x, y, loss, verbose=False)
        shapes = [[v.shape for v in each.variables] for each in (first, model)]
        if shapes[0] != shapes[1]:
            raise ValueError(wanted)
        reports.append(report)

    wanted = "seeds: give one or more, and networks that differ in their seed alone"
    if not seeds:
        raise ValueError(wanted)
    model, values = values_of(build, seeds, probe_built)
    # of the others the values alone are drawn
    for number in range(len(reports), len(seeds)):
        for variable, of_all in zip(model.variables, values, strict=True):
            variable.assign(of_all[number])
        probe_built(model, model)
    columns = [n for n, v in vars(reports[0]).items() if isinstance(v, np.ndarray)]
    return {name: np.stack([getattr(r, name) for r in reports]) for name in columns}


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
