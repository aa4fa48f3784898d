"""Write tests/lab/reference.json: what TensorFlow computes for the lab's networks.

Each case draws the kernels that the lab draws, with the generator of
`lab/worker/random.js` written again here, puts them into a Keras model, and keeps
delta and kernel gradient of each layer at the start, the losses of 20 steps, and the
verdict of `coursekit.diagnose` before training. Run it after a change of the cases:

    PYTHONPATH=book/_ext .venv/bin/python tests/lab/reference.py
"""

import json
import math
from itertools import count
from pathlib import Path

import keras
import numpy as np

import coursekit
from lab import bundle

OUT = Path(__file__).with_name("reference.json")
STEPS = 20
MASK = 2**32 - 1
BASE = {
    "data": "digits",
    "depth": 6,
    "width": 16,
    "activation": "tanh",
    "initializer": "glorot_uniform",
    "stddev": 0.3,
    "rate": 0.1,
    "clip": "none",
    "limit": 1,
    "batchnorm": False,
    "skip": False,
    "scale": 1,
    "seed": 3,
}
CASES = (
    *({"activation": name} for name in ("sigmoid", "tanh", "elu", "selu", "linear")),
    {"activation": "relu", "initializer": "he_normal", "rate": 0.03},
    {"activation": "leaky_relu", "initializer": "he_uniform", "rate": 0.03},
    {"initializer": "glorot_normal"},
    {"initializer": "lecun_normal", "activation": "selu"},
    {"initializer": "lecun_uniform", "seed": 4},
    {"initializer": "random_normal", "stddev": 0.5, "rate": 0.01},
    {"initializer": "truncated_normal"},
    {"skip": True, "depth": 12},
    {"skip": True, "scale": 0.35, "activation": "relu", "initializer": "he_normal"},
    {"batchnorm": True, "activation": "relu", "rate": 0.03},
    {"batchnorm": True, "skip": True, "scale": 0.5},
    {"clip": "value", "limit": 0.01},
    {"clip": "norm", "limit": 0.1},
    {"clip": "global", "limit": 0.3},
    {"clip": "global", "limit": 0.3, "activation": "elu", "batchnorm": True},
    {"depth": 20, "width": 64, "initializer": "random_normal", "stddev": 0.06},
    {"depth": 20, "width": 64, "activation": "sigmoid"},
)
CLIPPING = {"value": "clipvalue", "norm": "clipnorm", "global": "global_clipnorm"}
FAMILIES = {
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
CUT_SD = 0.8796256610342398


def uniforms(seed):
    """Draw from [0, 1): mulberry32."""
    for n in count(1):
        state = (seed + n * 0x6D2B79F5) & MASK
        t = (state ^ state >> 15) * (state | 1) & MASK
        t ^= t + (t ^ t >> 7) * (t | 61) & MASK
        yield ((t ^ t >> 14) & MASK) / 2**32


def normals(draws):
    while True:
        radius = math.sqrt(-2 * math.log(1 - next(draws)))
        yield radius * math.cos(2 * math.pi * next(draws))


def kernel(case, fan_in, fan_out, draws):
    """Return the kernel that `drawKernel` of random.js draws."""
    name, stddev = case["initializer"], case["stddev"]
    size = fan_in * fan_out
    if name == "random_normal":
        z = normals(draws)
        values = [stddev * next(z) for _ in range(size)]
    elif name.endswith("uniform"):
        sd = math.sqrt(FAMILIES[name.split("_")[0]](fan_in, fan_out))
        values = [sd * math.sqrt(3) * (2 * next(draws) - 1) for _ in range(size)]
    else:
        scaled = name != "truncated_normal"
        if scaled:
            variance = FAMILIES[name.split("_")[0]](fan_in, fan_out)
            stddev = math.sqrt(variance) / CUT_SD
        z = (value for value in normals(draws) if abs(value) <= 2)
        values = [stddev * next(z) for _ in range(size)]
    return np.array(values, "float32").reshape(fan_in, fan_out)


def model_of(case):
    """Return the compiled Keras model with the lab's weights."""
    draws = uniforms(case["seed"])

    def dense(fan_in, units, **options):
        made = keras.layers.Dense(units, **options)
        made.build((None, fan_in))
        made.kernel.assign(kernel(case, fan_in, units, draws))
        return made

    x = inputs = keras.Input((64,))
    for layer in range(case["depth"]):
        units = case["width"]
        h = dense(x.shape[1], units, use_bias=not case["batchnorm"])(x)
        if case["batchnorm"]:
            h = keras.layers.BatchNormalization()(h)
        h = keras.layers.Activation(case["activation"])(h)
        x = x + case["scale"] * h if case["skip"] and layer else h
    model = keras.Model(inputs, dense(x.shape[1], 10)(x))
    clip = case["clip"]
    options = {} if clip == "none" else {CLIPPING[clip]: case["limit"]}
    model.compile(
        keras.optimizers.SGD(case["rate"], **options),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def one_step(model, x, y):
    """Return the loss before the step; without a reset it is a running mean."""
    model.reset_metrics()
    return float(model.train_on_batch(x, y))


def result(case, x, y):
    model = model_of(case)
    report = coursekit.probe(model, x, y)
    verdict = coursekit.diagnose(model, x, y).verdict
    losses = [one_step(model, x, y) for _ in range(STEPS)]
    return {
        "config": case,
        "delta": [float(f"{v:.9g}") for v in report.delta_norm],
        "kernel": [float(f"{v:.9g}") for v in report.kernel_gradient_norm],
        "activation": [float(f"{v:.9g}") for v in np.sqrt(report.activation_ms)],
        "losses": [float(f"{v:.9g}") for v in losses],
        "verdict": verdict,
    }


def main():
    (x, y), _ = coursekit.data.digits()
    cases = [{**BASE, **changes} for changes in CASES]
    rows = [result(case, x[: bundle.BATCH], y[: bundle.BATCH]) for case in cases]
    OUT.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{OUT.name}: {len(rows)} cases")


if __name__ == "__main__":
    main()
