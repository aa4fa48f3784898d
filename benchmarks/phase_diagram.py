"""A phase diagram of 39 networks of 50 layers, against the naive loop.

The naive loop builds a Keras model for each standard deviation and seed, and
runs a gradient tape over it. ``delta_sweep`` maps one traced function over the
weights. Building, tracing and running count on both sides.
"""

import keras
import numpy as np
import tensorflow as tf

import _ratio
from coursekit import data, delta_sweep, models

DEPTH = 50
STDS = np.geomspace(0.03, 0.3, 13)
SEEDS = range(3)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build(std, seed):
    """Build one network, as the page does."""
    unit = keras.initializers.RandomNormal(stddev=std)
    return models.mlp(
        DEPTH, activation="tanh", kernel_initializer=unit, seed=seed, dtype="float64"
    )


def sweep(x, y):
    """Return the size of delta, as the chapter computes it."""
    nets = [build(0.1, seed) for seed in SEEDS]
    every = zip(*[net.get_weights() for net in nets], strict=True)
    many = [
        np.concatenate([w * std / 0.1 for std in STDS]) for w in map(np.stack, every)
    ]
    return delta_sweep(nets[0], many, x, y, LOSS)[:, :DEPTH]


def naive(x, y):
    """Return the same: a model for every point, layer by layer under a tape."""
    found = []
    for std in STDS:
        for seed in SEEDS:
            net = build(std, seed)
            h, outputs = tf.constant(x, "float64"), []
            with tf.GradientTape() as tape:
                for layer in net.layers:
                    h = layer(h)
                    if isinstance(layer, keras.layers.Dense):
                        outputs.append(h)
                value = LOSS(y, h)
            deltas = tape.gradient(value, outputs[:DEPTH])
            found.append([len(x) ** 0.5 * float(tf.norm(d)) for d in deltas])
    return np.array(found)


def main():
    """Check that both agree, then time them."""
    arguments = _ratio.parser(__doc__, rounds=3).parse_args()
    (x, y), _ = data.digits()
    x, y = x[:256], y[:256]
    np.testing.assert_allclose(sweep(x, y), naive(x, y), rtol=1e-6)
    times = _ratio.interleave(
        {"naive": lambda: naive(x, y), "sweep": lambda: sweep(x, y)},
        arguments.rounds,
    )
    found = _ratio.ratio(times["naive"], times["sweep"])
    _ratio.finish(
        [_ratio.row("phase diagram, 39 x 50", found, at_least=4)], arguments.json
    )


if __name__ == "__main__":
    main()
