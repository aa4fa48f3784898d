"""The warning about retracing stays out of pages, others do not."""

import logging

from coursekit._quiet import silence_retracing


def test_only_the_retracing_warning_is_dropped():
    silence_retracing()
    silence_retracing()
    logger = logging.getLogger("tensorflow")
    names = [type(f).__name__ for f in logger.filters]
    assert names.count("_Retracing") == 1

    def passes(message):
        record = logger.makeRecord(
            "tensorflow", logging.WARNING, __file__, 1, message, (), None
        )
        return bool(logger.filter(record))

    assert not passes(
        "5 out of the last 5 calls to <f> triggered tf.function retracing."
    )
    assert passes("another warning")
