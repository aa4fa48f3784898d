"""Variables on the device that belong to a recorder alone, and rows in them.

Keras neither tracks nor saves them. No integer is narrower than 64 bits: TensorFlow
holds variables of int32 in the memory of the host, where a step that XLA compiled for
a GPU cannot write.
"""

import numpy as np
import tensorflow as tf


def variable(value, **options):
    """Return a variable; a tf.function that makes one is not traced twice for it."""
    return tf.Variable(
        value, trainable=False, experimental_enable_variable_lifting=False, **options
    )


def values(variables):
    """Return the values of Keras variables as tensors, without copying."""
    return [_value(v.value) for v in variables]


def _value(v):
    if isinstance(v, tf.distribute.DistributedValues):
        return tf.convert_to_tensor(v)
    # three times as fast as `read_value`, which copies
    return tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype)


class Ring:
    """The first so many rows of all, and the last so many that were not yet read.

    Attributes
    ----------
    count : tf.Variable of int64
        Number of the row that was opened last, from 1.
    """

    def __init__(self, rows, width):
        self._rows, self.width, self._read = rows, width, 0
        self.count = variable(tf.zeros([], tf.int64))
        self._buffer = variable(tf.fill([2 * rows, width], np.float64(np.nan)))

    def open(self):
        """Return the number of a new row. It may stand in a compiled step."""
        return self.count.assign_add(1)

    def write(self, number, row):
        """Write a row: the first ``rows`` stay, then comes a ring."""
        n = number - 1
        place = tf.minimum(n, self._rows + n % self._rows)
        self._buffer.scatter_nd_update([[place]], [row])

    def unread(self):
        """Return the numbers and the rows that are there since the last call."""
        count, rows = int(self.count.numpy()), self._rows
        numbers = np.arange(self._read, count)
        self._read = count
        # what the ring has written over is lost
        numbers = numbers[(numbers < rows) | (numbers >= count - rows)]
        if not len(numbers):
            return numbers, np.empty((0, self.width))
        places = np.minimum(numbers, rows + numbers % rows)
        return numbers + 1, self._buffer.numpy()[places]
