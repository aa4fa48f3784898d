"""What GradientMonitor costs: CPU time of fit with it over plain fit.

The same compiled model trains plain, with the monitor, and with the naive callback
that runs a second gradient tape after every batch, in changing order. CPU time of
the process is compared, so that other work on the machine counts for little.
"""

import time

import keras
import numpy as np
import tensorflow as tf

import coursekit
from _ratio import finish, interleave, parser, ratio, row

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH, STEPS, EPOCHS = 64, 100, 5


def dense():
    """Return a 20x128 MLP."""
    hidden = [
        keras.layers.Dense(128, "relu", kernel_initializer="he_normal")
        for _ in range(20)
    ]
    return keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10)])


def lstm():
    """Return an LSTM of 64 units over 28 steps."""
    return keras.Sequential(
        [keras.Input((28, 28)), keras.layers.LSTM(64), keras.layers.Dense(10)]
    )


class SecondTape(keras.callbacks.Callback):
    """The naive way: after every batch a second, compiled backward pass."""

    def __init__(self, x, y):
        super().__init__()
        self.batch, self.rows, self.norms = (x[:BATCH], y[:BATCH]), [], None

    def on_train_begin(self, logs=None):
        """Trace the second pass, once."""
        if self.norms is not None:
            return

        @tf.function
        def norms(x, y):
            with tf.GradientTape() as tape:
                loss = LOSS(y, self.model(x, training=True))
            variables = self.model.trainable_variables
            return tf.stack([tf.norm(g) for g in tape.gradient(loss, variables)])

        self.norms = norms

    def on_train_batch_end(self, batch, logs=None):
        """Run it."""
        self.rows.append(self.norms(*self.batch).numpy())


def digits_like(shape, steps):
    """Return random inputs and labels: only their shape matters for time."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * steps, *shape)).astype("float32")
    return x, rng.integers(0, 10, len(x))


def built(make):
    """Return a compiled model."""
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("sgd", LOSS)
    return model


def fits(make):
    """Return the three ways of training, with one model.

    Two models would do their work in different places of the memory, and that alone
    makes some percent.
    """
    model = built(make)
    x, y = digits_like(model.input_shape[1:], STEPS)

    def way(*callbacks):
        return lambda: model.fit(
            x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=list(callbacks)
        )

    return {
        "plain": way(),
        "monitor": way(coursekit.GradientMonitor()),
        "second tape": way(SecondTape(x, y)),
    }


def first_fits(make):
    """Return two ways of training for the first time: tracing is most of it."""
    x, y = digits_like(make().input_shape[1:], 20)

    def way(callbacks):
        def fit():
            keras.backend.clear_session()
            built(make).fit(x, y, batch_size=BATCH, verbose=0, callbacks=callbacks())

        return fit

    return {
        "plain": way(list),
        "monitor": way(lambda: [coursekit.GradientMonitor()]),
    }


def upper_bound(ratios):
    """Return the upper end of the median's 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = rng.choice(ratios, (10_000, len(ratios)))
    return float(np.quantile(np.median(draws, axis=1), 0.975))


def rows(name, make, rounds):
    """Return the rows of one model."""
    found = interleave(fits(make), rounds, clock=time.process_time)
    ratios = found["monitor"] / found["plain"]
    upper = upper_bound(ratios)
    first = interleave(first_fits(make), 5, clock=time.process_time, warm=True)
    bound = {"median": upper, "least": upper, "most": upper, "rounds": rounds}
    return [
        row(f"{name}: monitor", ratio(found["monitor"], found["plain"]), at_most=1.05),
        row(f"{name}: its upper 95 % bound", bound, at_most=1.10),
        row(f"{name}: first fit", ratio(first["monitor"], first["plain"]), at_most=1.5),
        row(f"{name}: second tape", ratio(found["second tape"], found["plain"])),
    ]


def main():
    """Print a line a ratio."""
    args = parser(__doc__, 30).parse_args()
    kinds = {"MLP 20x128": dense, "LSTM 64x28": lstm}
    found = [r for name, make in kinds.items() for r in rows(name, make, args.rounds)]
    finish(found, args.json)


if __name__ == "__main__":
    main()
