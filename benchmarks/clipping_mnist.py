"""Repeat a comparison of SGD with and without clipvalue=0.5, ten seeds in pairs.

An LSTM reads images row by row: rows of MNIST, which Keras downloads, or with
``--data digits`` the small digits of the course, to try the script out.
"""

import argparse

import keras
import numpy as np

from coursekit import Ensemble, data, models


def load(name, samples):
    """Return images of shape (samples, rows, pixels) in 0 to 1, and labels."""
    if name == "digits":
        (x, y), _ = data.digit_rows()
        return x, y
    try:
        (x, y), _ = keras.datasets.mnist.load_data()
    except Exception as error:
        raise SystemExit(f"MNIST could not be downloaded: {error}") from error
    return (x[:samples] / 255).astype("float32"), y[:samples].astype("int32")


def run(x, y, epochs, **option):
    """Train ten seeds; return accuracy and share of clipped steps by epoch."""
    nets = Ensemble(
        lambda seed: models.rnn(32, cell="lstm", input_shape=x.shape[1:], seed=seed),
        range(10),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    nets.compile(keras.optimizers.SGD(**option), loss)
    history = nets.fit(x, y, batch_size=32, epochs=epochs)
    return history.per_epoch(history.accuracy), history.per_epoch(history.clipped)


def main():
    """Print one line an epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    x, y = load(arguments.data, samples=500 * 32)
    plain, _ = run(x, y, arguments.epochs)
    cut, clipped = run(x, y, arguments.epochs, clipvalue=0.5)
    print("epoch  plain  clipvalue  difference (sd)  better  clipped steps")
    for epoch in range(arguments.epochs):
        gap = cut[:, epoch] - plain[:, epoch]
        print(
            f"{epoch + 1:5}  {plain[:, epoch].mean():.3f}  {cut[:, epoch].mean():9.3f}"
            f"  {gap.mean():+.4f} ({gap.std():.4f})  {np.sum(gap > 0):2} of 10"
            f"  {clipped[:, epoch].mean():.0%}"
        )


if __name__ == "__main__":
    main()
