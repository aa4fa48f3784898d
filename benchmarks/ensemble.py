"""Ten seeds at once against ten Keras fits, one after the other.

A step: 200 steps of functions that are already compiled, by XLA for the
ensemble, as for a long training. Keras leaves XLA out on a CPU unless it is
asked, so two more rows, without a promise, compare like with like: neither side
with XLA, and both. The whole: models built, compiled and traced as well, without
XLA, as somebody meets it who trains ten seeds once for 200 steps. The floor is
what the matrix products of the work would take at the rate of one large one. Last,
what it takes to make a hundred members, against a hundred builds. Each case has a
process of its own, as a notebook has, and the whole comes first in it: what earlier
work left slows the short way more. The recurrent net's whole is measured a second time
with one thread for each operation, on both sides, as `make book` runs the chapters.

These promises are those of a CPU; the first line of the report names the device.
On a GPU two more rows hold a hundred members, trained for a thousand steps with
everything that takes (made, compiled, traced), to 20 seconds, and to a hundred fits
one after the other. Three of the fits are measured, and the rest taken to be alike.
"""

import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import keras
import numpy as np
import tensorflow as tf

import _ratio
from coursekit import Ensemble, data, models

SEEDS = range(10)
STEPS = 200
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(seed):
    """Build 20 layers of 64 units."""
    return models.mlp(20, width=64, kernel_initializer="he_normal", seed=seed)


def normalized(seed):
    """Build five layers of 100 units, each with BatchNormalization."""
    return models.mlp(5, batch_normalization="before", seed=seed)


def pixels(seed):
    """Build a recurrent net that reads a digit pixel by pixel."""
    return models.rnn(32, input_shape=(64, 1), seed=seed)


# build function, data, batch size, least ratio of a step and of the whole
CASES = {
    "20x64 MLP": (mlp, data.digits, 64, 4, 4),
    "BatchNorm MLP": (normalized, data.digits, 64, 5, 3),
    "pixel RNN": (pixels, data.digit_pixels, 100, 3, 4),
}
MANY = 100
# of the rows for a GPU: steps, fits that are measured, seconds that are promised
LONG = 1000
SOME = 3
SECONDS = 20


def device():
    """Return the name of the device that computes."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0])["device_name"]
    return f"{platform.processor() or platform.machine()} CPU, {os.cpu_count()} cores"


def batches(load, batch_size, steps=STEPS):
    """Return samples for exactly so many steps, the data over and over."""
    (x, y), _ = load()
    rows = np.arange(steps * batch_size) % len(x)
    return x[rows], y[rows]


def compiled_fits(build, jit_compile="auto", seeds=SEEDS):
    """Return Keras models ready to fit."""
    nets = [build(seed) for seed in seeds]
    for net in nets:
        net.compile(keras.optimizers.SGD(0.01), LOSS, jit_compile=jit_compile)
    return nets


def compiled_ensemble(build, jit_compile=False, seeds=SEEDS):
    """Return one ensemble ready to fit."""
    nets = Ensemble(build, seeds)
    nets.compile(keras.optimizers.SGD(0.01), LOSS, jit_compile=jit_compile)
    return nets


def fit_each(nets, x, y, batch_size):
    """Fit one after the other."""
    for net in nets:
        net.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)


def fit_all(nets, x, y, batch_size):
    """Fit all at once."""
    nets.fit(x, y, batch_size=batch_size, shuffle=False, verbose=False)


def multiplications(net, batch_size, time_steps):
    """Return the FLOPs of one step of one member.

    A kernel of n entries costs 2 n FLOPs a sample forward, twice that backward,
    and a recurrent layer's kernels once a time step.
    """
    total = 0
    for layer in net.layers:
        kernels = [v for v in layer.trainable_variables if len(v.shape) == 2]
        repeats = time_steps if isinstance(layer, keras.layers.RNN) else 1
        total += repeats * sum(int(np.prod(v.shape)) for v in kernels)
    return 6 * total * batch_size


def matmul_rate(size=1024, repeats=10):
    """Return the FLOPs a second of one large float32 matrix product."""
    a = tf.random.normal([size, size])
    tf.linalg.matmul(a, a).numpy()
    start = time.perf_counter()
    for _ in range(repeats):
        last = tf.linalg.matmul(a, a)
    last.numpy()
    return 2 * size**3 * repeats / (time.perf_counter() - start)


def measure_whole(name, rounds, how=""):
    """Return the row of one case with all that it takes, in a list."""
    build, load, batch_size, _, least = CASES[name]
    x, y = batches(load, batch_size)
    seconds = _ratio.interleave(
        {
            "fit": lambda: fit_each(compiled_fits(build), x, y, batch_size),
            "ensemble": lambda: fit_all(compiled_ensemble(build), x, y, batch_size),
        },
        rounds,
        warm=False,
    )
    ratio = _ratio.ratio(seconds["fit"], seconds["ensemble"])
    return [_ratio.row(f"{name}, the whole{how}", ratio, at_least=least)]


def measure(name, rounds, whole_rounds):
    """Return the rows of one case."""
    build, load, batch_size, least, _ = CASES[name]
    x, y = batches(load, batch_size)
    # first, as in a notebook that has done nothing else
    whole = measure_whole(name, whole_rounds)
    each, together = compiled_fits(build), compiled_ensemble(build, jit_compile=True)
    each_xla, together_plain = compiled_fits(build, True), compiled_ensemble(build)
    steps = _ratio.interleave(
        {
            "fit": lambda: fit_each(each, x, y, batch_size),
            "ensemble": lambda: fit_all(together, x, y, batch_size),
            "fit, XLA": lambda: fit_each(each_xla, x, y, batch_size),
            "ensemble, plain": lambda: fit_all(together_plain, x, y, batch_size),
        },
        rounds,
    )
    milliseconds = {k: 1e3 * np.median(v) / STEPS for k, v in steps.items()}
    work = multiplications(each[0], batch_size, x.shape[1]) * len(SEEDS)
    floor = 1e3 * work / matmul_rate()
    note = (
        f"a step of ten members {milliseconds['ensemble']:.2f} ms, ten steps of fit "
        f"{milliseconds['fit']:.2f} ms; floor {floor:.2f} ms, a factor of "
        f"{milliseconds['ensemble'] / floor:.1f} below"
    )
    return [
        _ratio.row(
            f"{name}, a step",
            _ratio.ratio(steps["fit"], steps["ensemble"]),
            at_least=least,
            notes=[note],
        ),
        _ratio.row(
            f"{name}, a step, no XLA",
            _ratio.ratio(steps["fit"], steps["ensemble, plain"]),
        ),
        _ratio.row(
            f"{name}, a step, both XLA",
            _ratio.ratio(steps["fit, XLA"], steps["ensemble"]),
        ),
        *whole,
    ]


def measure_building(rounds):
    """Return the row of a hundred members against a hundred builds, in a list."""
    seconds = _ratio.interleave(
        {
            "builds": lambda: [mlp(seed) for seed in range(MANY)],
            "ensemble": lambda: Ensemble(mlp, range(MANY)),
        },
        rounds,
    )
    return [
        _ratio.row(
            f"20x64 MLP, {MANY} members made",
            _ratio.ratio(seconds["builds"], seconds["ensemble"]),
            at_least=10,
        )
    ]


def measure_many(rounds, members=MANY, steps=LONG):
    """Return the rows of a hundred members on a GPU, with everything; none on a CPU."""
    if not tf.config.list_physical_devices("GPU"):
        return []
    x, y = batches(data.digits, 64, steps)
    seconds = _ratio.interleave(
        {
            "fits": lambda: fit_each(
                compiled_fits(mlp, seeds=range(SOME)), x, y, batch_size=64
            ),
            "ensemble": lambda: fit_all(
                compiled_ensemble(mlp, seeds=range(members)), x, y, batch_size=64
            ),
        },
        rounds,
        warm=False,
    )
    together, each = seconds["ensemble"], seconds["fits"] / SOME
    name = f"20x64 MLP, {members} members, {steps:,} steps on a GPU"
    note = (
        f"{np.median(together):.1f} s with everything; {members} fits "
        f"{np.median(each) * members:.0f} s, scaled from {SOME} of "
        f"{np.median(each):.1f} s each"
    )
    limit = np.full(rounds, SECONDS)
    return [
        # 8.5 s and fits of 4.6 to 6.3 s on an H100: the margin is a factor of 2
        _ratio.row(f"{name}, {SECONDS} s", _ratio.ratio(limit, together), at_least=1),
        _ratio.row(
            f"{name}, fits",
            _ratio.ratio(each * members, together),
            at_least=25,
            notes=[note],
        ),
    ]


def main():
    """Measure all cases."""
    parser = _ratio.parser(__doc__, rounds=3)
    parser.add_argument("--whole-rounds", type=int, default=3)
    parser.add_argument("--case", choices=list(CASES), action="append")
    arguments = parser.parse_args()
    rounds, whole = arguments.rounds, arguments.whole_rounds
    jobs = [(measure, name, rounds, whole) for name in arguments.case or CASES]
    if not arguments.case:
        jobs += [(measure_building, rounds), (measure_many, whole)]
    fresh = {"mp_context": get_context("spawn"), "max_tasks_per_child": 1}
    rows = []
    print(device())
    with ProcessPoolExecutor(1, **fresh) as pool:
        for job in jobs:
            rows += pool.submit(*job).result()
    if not arguments.case:
        # read when a process imports TensorFlow
        os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
        with ProcessPoolExecutor(1, **fresh) as pool:
            job = measure_whole, "pixel RNN", whole, ", one thread"
            rows += pool.submit(*job).result()
    _ratio.finish(rows, arguments.json)


if __name__ == "__main__":
    main()
