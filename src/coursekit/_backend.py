"""One sentence for Keras on another backend than TensorFlow."""

import keras


def check_backend():
    """Raise a RuntimeError unless Keras runs on TensorFlow.

    Gradient tapes, stacked variables and the hooks of a monitor are TensorFlow's.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"Keras runs on {keras.backend.backend()!r}, and coursekit measures with "
            "the TensorFlow backend only: set the environment variable "
            "KERAS_BACKEND=tensorflow before Keras is imported"
        )
