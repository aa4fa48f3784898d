"""Plain Keras models for repeated measurements; compile them yourself."""

import keras
import numpy as np

BATCH_NORMALIZATION = (None, "before", "after")
CELLS = {
    "simple_rnn": keras.layers.SimpleRNN,
    "gru": keras.layers.GRU,
    "lstm": keras.layers.LSTM,
}


def mlp(
    depth,
    *,
    width=100,
    activation="relu",
    kernel_initializer="glorot_uniform",
    kernel_regularizer=None,
    batch_normalization=None,
    input_shape=(64,),
    classes=10,
    seed=None,
    dtype=None,
):
    """Build a plain deep network that puts out logits.

    ``depth`` hidden layers of ``width`` units, then a dense layer of
    ``classes`` units without activation. Biases start at 0.

    Parameters
    ----------
    depth, width, classes : int
        Each 1 or more.
    activation : str or callable
        Of the hidden layers, as ``keras.layers.Dense`` takes it.
    kernel_initializer : str or keras.initializers.Initializer
        For all kernels. Every layer draws its own values, though one Keras
        initializer gives the same values each time it is called.
    kernel_regularizer : str or keras.regularizers.Regularizer, optional
        For all kernels.
    batch_normalization : {None, "before", "after"}
        Where ``BatchNormalization(momentum=.9)`` stands with respect to the
        activation. Before it, the dense layer has no bias: it would cancel.
        Keras's own momentum of .99 needs some 600 steps to settle.
    input_shape : tuple of int
        Of one sample, flattened first if it has several axes.
    seed : int, optional
        Same seed, same weights.
    dtype : str or keras.DTypePolicy, optional
        "float64" for gradients that float32 cannot hold.

    Returns
    -------
    keras.Sequential

    Raises
    ------
    ValueError
        If an argument is not accepted, named with what is.
    """
    depth, width, classes = _counts(depth=depth, width=width, classes=classes)
    _choice("batch_normalization", batch_normalization, BATCH_NORMALIZATION)
    _known("activation", activation)
    _known("kernel_regularizer", kernel_regularizer)
    draws = _initializers(kernel_initializer, seed, depth + 1)
    how = {"kernel_regularizer": kernel_regularizer, "dtype": dtype}
    layers = _inputs(_shape(input_shape), dtype)
    for number, draw in enumerate(draws[:-1], start=1):
        layers += _hidden(number, draw, width, activation, batch_normalization, how)
    return keras.Sequential([*layers, _dense("output", classes, draws[-1], **how)])


def rnn(
    units=32,
    *,
    cell="simple_rnn",
    activation="tanh",
    kernel_initializer="glorot_uniform",
    recurrent_initializer="orthogonal",
    input_shape=(8, 8),
    unroll=True,
    classes=10,
    seed=None,
    dtype=None,
):
    """Build one recurrent layer that reads a sequence, and puts out logits.

    Parameters
    ----------
    units, classes : int
        Each 1 or more.
    cell : {"simple_rnn", "gru", "lstm"}
        The recurrent layer.
    activation, kernel_initializer, recurrent_initializer
        As the Keras layer takes them.
    input_shape : (int, int)
        Time steps and features a step: (8, 8) for ``data.digit_rows``, (64, 1)
        for ``data.digit_pixels``.
    unroll : bool
        Unrolled, a SimpleRNN over 64 steps is five times as fast.
    seed, dtype
        As in :func:`mlp`.

    Returns
    -------
    keras.Sequential

    Raises
    ------
    ValueError
        If an argument is not accepted, named with what is.
    """
    units, classes = _counts(units=units, classes=classes)
    _choice("cell", cell, tuple(CELLS))
    _known("activation", activation)
    if len(_shape(input_shape)) != 2:
        raise ValueError(f"input_shape={input_shape!r}: give (time steps, features)")
    inner, output = _initializers(kernel_initializer, seed, 2)
    # the third seed: with that of the input kernel the two could be equal
    *_, between = _initializers(
        recurrent_initializer, seed, 3, name="recurrent_initializer"
    )
    recurrent = CELLS[cell](
        units,
        activation=activation,
        kernel_initializer=inner,
        recurrent_initializer=between,
        unroll=unroll,
        dtype=dtype,
    )
    head = _dense("output", classes, output, dtype=dtype)
    return keras.Sequential([keras.Input(input_shape), recurrent, head])


def _inputs(shape, dtype):
    """Return the input, and what flattens a sample of several axes."""
    layers = [keras.Input(shape)]
    if len(shape) > 1:
        layers.append(keras.layers.Flatten(dtype=dtype))
    return layers


def _hidden(number, draw, width, activation, batch_normalization, how):
    """Return a hidden dense layer, its activation, and what normalizes."""
    biased = batch_normalization != "before"
    layers = [_dense(f"hidden_{number}", width, draw, use_bias=biased, **how)]
    layers.append(keras.layers.Activation(activation, dtype=how["dtype"]))
    if batch_normalization:
        norm = keras.layers.BatchNormalization(momentum=0.9, dtype=how["dtype"])
        layers.insert(1 if batch_normalization == "before" else 2, norm)
    return layers


def _dense(name, units, draw, **options):
    return keras.layers.Dense(units, name=name, kernel_initializer=draw, **options)


def _initializers(identifier, seed, number, name="kernel_initializer"):
    """Return ``number`` initializers that draw different values.

    A Keras initializer returns the same values at every call, so one instance
    shared by all layers would give them all the same kernel.
    """
    if seed is None:
        seeds = [None] * number
    else:
        sequence = np.random.SeedSequence(_count("seed", seed, least=0))
        seeds = [int(value) for value in sequence.generate_state(number)]
    initializer = _known(name, identifier)
    config = initializer.get_config()
    if "seed" not in config:
        return [initializer] * number
    return [type(initializer).from_config({**config, "seed": s}) for s in seeds]


_KNOWN = {
    "activation": (
        keras.activations.get,
        "'linear', 'relu', 'tanh' or 'sigmoid'",
    ),
    "kernel_initializer": (
        keras.initializers.get,
        "'glorot_uniform', 'he_normal' or 'lecun_normal'",
    ),
    "kernel_regularizer": (keras.regularizers.get, "'l2'"),
    "recurrent_initializer": (
        keras.initializers.get,
        "'orthogonal' or 'glorot_uniform'",
    ),
}


def _known(name, value):
    """Return what Keras makes of an argument."""
    get, examples = _KNOWN[name]
    try:
        return get(value)
    except ValueError as error:
        raise ValueError(
            f"{name}={value!r}: Keras does not know it. Give a name that Keras "
            f"documents, such as {examples}, or the object itself"
        ) from error


def _choice(name, value, accepted):
    if value not in accepted:
        raise ValueError(
            f"{name}={value!r}: give one of {', '.join(map(repr, accepted))}"
        )


def _count(name, value, least=1):
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name}={value!r}: give an integer, {least} or more")
    if value < least:
        raise ValueError(f"{name}={value!r}: give an integer, {least} or more")
    return int(value)


def _counts(**values):
    return [_count(name, value) for name, value in values.items()]


def _shape(value):
    try:
        return tuple(_count("input_shape", axis) for axis in value)
    except TypeError:
        raise ValueError(
            f"input_shape={value!r}: give a tuple, such as (64,)"
        ) from None
