"""The package as it is imported, and what Keras's clipping does."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import coursekit


def _run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_is_cheap():
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'sklearn'}"
    out = _run(f"import coursekit, sys; print({heavy} & set(sys.modules))")
    assert out.strip() == "set()"


def test_every_public_name_is_there():
    for name in coursekit.__all__:
        assert getattr(coursekit, name) is not None
    assert dir(coursekit) == sorted(coursekit.__all__)


@pytest.mark.parametrize("name", ["probe", "Ensemble", "GradientMonitor"])
def test_another_backend_gets_one_sentence(name):
    # every other backend needs a package that is not there
    code = f"""
import coursekit, keras, numpy as np
net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
keras.backend.backend = lambda: "jax"
try:
    coursekit.{name} if "{name}" != "probe" else coursekit.probe(
        net, np.ones((3, 2)), np.ones((3, 1)), "mse")
except RuntimeError as error:
    print(error)
"""
    assert _run(code).strip() == (
        "Keras runs on 'jax', and coursekit measures with the TensorFlow backend "
        "only: set the environment variable KERAS_BACKEND=tensorflow before Keras is "
        "imported"
    )


def test_unknown_attribute_lists_what_is_offered():
    with pytest.raises(AttributeError, match=r"'prob'.*offers .*reproducible"):
        coursekit.prob  # noqa: B018


def _step(gradients, **clipping):
    """Return minus the change of variables that start at 0: what SGD used."""
    variables = [keras.Variable(np.zeros(len(g), "float32")) for g in gradients]
    optimizer = keras.optimizers.SGD(1.0, **clipping)
    optimizer.apply([tf.constant(g, tf.float32) for g in gradients], variables)
    return [-v.numpy() for v in variables]


@pytest.mark.parametrize(
    "clipping, gradients, expected",
    [
        ({"clipvalue": 1.0}, [[0.9, 100.0]], [[0.9, 1.0]]),
        ({"clipnorm": 1.0}, [[0.9, 100.0]], [[0.0089996, 0.9999595]]),
        ({"global_clipnorm": 1.0}, [[0.9, 100.0]], [[0.0089996, 0.9999595]]),
        (
            {"clipvalue": 1.0},
            [[3.0, 4.0], [0.3, 0.4]],
            [[1.0, 1.0], [0.3, 0.4]],
        ),
        (
            {"clipnorm": 1.0},
            [[3.0, 4.0], [0.3, 0.4]],
            [[0.6, 0.8], [0.3, 0.4]],
        ),
        (
            {"global_clipnorm": 1.0},
            [[3.0, 4.0], [0.3, 0.4]],
            [[0.597022, 0.796030], [0.0597022, 0.0796030]],
        ),
    ],
)
def test_clipping(clipping, gradients, expected):
    for found, wanted in zip(_step(gradients, **clipping), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=6e-7)
