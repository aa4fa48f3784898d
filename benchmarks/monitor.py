"""What GradientMonitor costs: CPU time of fit with it over plain fit.

Every pair trains the same compiled model plain, with the monitor, and with the
naive callback that a second GradientTape makes, in changing order. CPU time of
the process is compared, so that other work on the machine counts for little.
Promise: median at most 1.05 and upper 95 % bound at most 1.10; first fit, with
tracing, at most 1.5.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import coursekit

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BATCH = 64


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
        self.batch, self.rows = (x[:BATCH], y[:BATCH]), []

    def on_train_begin(self, logs=None):
        """Trace the second pass."""

        @tf.function
        def norms(x, y):
            with tf.GradientTape() as tape:
                loss = LOGITS_OF(self.model, x, y)
            variables = self.model.trainable_variables
            return tf.stack([tf.norm(g) for g in tape.gradient(loss, variables)])

        self.norms = norms

    def on_train_batch_end(self, batch, logs=None):
        """Run it."""
        self.rows.append(self.norms(*self.batch).numpy())


def LOGITS_OF(model, x, y):
    return LOSS(y, model(x, training=True))


def data(model, steps):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * steps, *model.input_shape[1:])).astype("float32")
    return x, rng.integers(0, 10, len(x))


def measure(model, x, y, callbacks, epochs):
    start = time.process_time()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=callbacks)
    return time.process_time() - start


def first_fit(make, callback, steps=20):
    """Return the CPU time of a first fit, tracing included."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("sgd", LOSS)
    x, y = data(model, steps)
    return measure(model, x, y, [callback(x, y)] if callback else [], 1)


def pairs(make, count, steps, epochs):
    """Return the CPU times (count, 3): plain, monitored, second tape."""
    keras.utils.set_random_seed(0)
    models = [make() for _ in range(3)]
    x, y = data(models[0], steps)
    tape = SecondTape(x, y)
    monitor = coursekit.GradientMonitor()
    callbacks = [[], [monitor], [tape]]
    for model, mine in zip(models, callbacks, strict=True):
        model.compile("sgd", LOSS)
        measure(model, x, y, mine, 1)  # trace, and forget
    times = np.empty((count, 3))
    for n in range(count):
        for k in np.roll(np.arange(3), n):
            # a new monitor would trace again, and that is measured apart
            times[n, k] = measure(models[k], x, y, callbacks[k], epochs)
    return times


def bound(ratios):
    """Return the median and the upper end of its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (10_000, len(ratios))), axis=1)
    return float(np.median(ratios)), float(np.quantile(medians, 0.975))


def main():
    """Print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100, help="batches an epoch")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    print("model      monitor: median  upper 95 %  first fit   second tape: median")
    kinds = {"MLP 20x128": dense, "LSTM 64x28": lstm}
    for name, make in kinds.items():
        monitor = [lambda x, y: coursekit.GradientMonitor()]
        plain = [first_fit(make, None) for _ in range(3)]
        watched = [first_fit(make, monitor[0]) for _ in range(3)]
        times = pairs(make, args.pairs, args.steps, args.epochs)
        middle, upper = bound(times[:, 1] / times[:, 0])
        tape = np.median(times[:, 2] / times[:, 0])
        first = np.median(watched) / np.median(plain)
        print(f"{name} {middle:15.3f} {upper:11.3f} {first:10.2f} {tape:15.2f}")


if __name__ == "__main__":
    main()
