"""Keep one warning of TensorFlow out of the pages.

A chapter trains a model a seed, and each compiles its own functions. TensorFlow
takes this for a mistake in a loop and warns, with a memory address that differs
from run to run. ``import coursekit`` drops the warning, because the pages' own
loops over seeds meet it too.
"""

import logging


class _Retracing(logging.Filter):
    def filter(self, record):
        """Drop the record if it is that warning."""
        return "triggered tf.function retracing" not in record.getMessage()


def silence_retracing():
    """Drop the warning; once is enough, and more does no harm."""
    logger = logging.getLogger("tensorflow")
    if not any(isinstance(old, _Retracing) for old in logger.filters):
        logger.addFilter(_Retracing())
