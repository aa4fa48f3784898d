"""What makes the many short trainings here cheaper."""

import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def _graphs_as_they_were_traced():
    """Let TensorFlow run graphs without rewriting them first; notebooks do that.

    The rewriting took a quarter of the time of a short training.
    """
    if tf := sys.modules.get("tensorflow"):
        options = tf.config.optimizer
        options.set_experimental_options({"disable_meta_optimizer": True})
        yield
        options.set_experimental_options({"disable_meta_optimizer": False})
    else:
        yield
