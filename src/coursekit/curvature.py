"""The steepest curvature of a loss, by power iteration on its Hessian."""

import numpy as np


def largest_curvature(
    model, x, y, loss, weights=None, steps=20, seed=0, training=False
):
    """Return the largest absolute eigenvalue of the loss's Hessian.

    A start vector is multiplied by the Hessian ``steps`` times (Pearlmutter,
    1994: the product is the gradient of a gradient); its growth in the last of
    them is the answer. It is a lower bound, and close to the eigenvalue when
    the next one is clearly smaller. Gradient descent on a parabola diverges
    above a learning rate of 2 over it.

    Parameters
    ----------
    model : keras.Model
    x, y : arrays
        One batch, as ``model.fit`` takes it.
    loss : callable or keras.losses.Loss
        Called as ``loss(y, model(x))``; a mean over the batch.
    weights : list of lists of arrays, optional
        Settings as ``model.get_weights()`` returns them. All are measured with
        one traced function; the model gets its own weights back.
    steps : int
        Products with the Hessian.
    seed : int
        Of the start vector.
    training : bool
        Run as in training (batch statistics) or as in inference. BatchNorm's
        moving averages are given back with the weights.

    Returns
    -------
    float, or numpy.ndarray of shape (len(weights),)

    Raises
    ------
    ValueError
        If the model has no trainable variable, or ``steps`` is below 1.
    """
    from coursekit._backend import check_backend

    check_backend()
    variables = model.trainable_variables
    if steps < 1 or not variables:
        raise ValueError(
            f"steps={steps} and {len(variables)} trainable variables in model "
            f"{model.name!r}: give 1 or more of each"
        )

    multiply = _hessian_product(model, x, y, loss, training)
    start = _draw(variables, seed)
    kept, found = model.get_weights(), []
    try:
        for setting in [kept] if weights is None else weights:
            model.set_weights(setting)
            found.append(_growth(multiply, start, steps))
    finally:
        model.set_weights(kept)
    return found[0] if weights is None else np.array(found)


def _draw(variables, seed):
    """Return normal numbers for each variable."""
    import keras

    return [
        keras.random.normal(v.shape, seed=seed + number, dtype=v.dtype)
        for number, v in enumerate(variables)
    ]


def _hessian_product(model, x, y, loss, training):
    """Return a function that multiplies a list of tensors by the Hessian."""
    import tensorflow as tf

    @tf.function
    def multiply(vector):
        values = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                scalar = loss(y, model(x, training=training))
            gradient = inner.gradient(scalar, values)
        return outer.gradient(gradient, values, vector, unconnected_gradients="zero")

    return multiply


def _growth(multiply, vector, steps):
    """Return by how much the last of so many products lengthens the vector."""
    import tensorflow as tf

    for _ in range(steps):
        norm = tf.linalg.global_norm(vector)
        vector = multiply([tf.math.divide_no_nan(part, norm) for part in vector])
    return float(tf.linalg.global_norm(vector))
