"""What the lab costs in Chromium's worker: a step over TensorFlow's compiled one.

A network of 20 layers of 64 units and a batch of 64, one thread each: the lab's own
worker code in headless Chromium, and a compiled step of the same network in
TensorFlow, held to vectors of 256 bits (AVX2). The browser's have 128, so half of its
speed is what can be asked for; with AVX-512 TensorFlow's would be four times as wide.
Then the time from a moved slider to redrawn bars, in the page. Needs Debian's package
chromium and the test extra's playwright.
"""

import os
import sys
import tempfile
from pathlib import Path

# before TensorFlow starts its threads
os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
# its matrix products are oneDNN's, which choose their instructions when they run
os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import browser as browser_of_tests  # noqa: E402
import chromium  # noqa: E402
import coursekit  # noqa: E402
from _ratio import finish, interleave, parser, ratio, row  # noqa: E402
from lab import bundle  # noqa: E402

DEPTH, WIDTH, STEPS = 20, 64, 100
#: Short blocks a round, of which the fastest counts: other work on the machine adds.
BLOCKS = 5
STEP_RATIO, SLIDER_SECONDS = 2.0, 0.1
CONFIG = """({ data: "digits", depth: 20, width: 64, activation: "tanh",
    initializer: "lecun_normal", stddev: 0.1, rate: 0.01, clip: "none", limit: 1,
    batchnorm: false, skip: false, scale: 1, seed: 1 })"""
PAGE = """<!doctype html><html lang="en"><link rel="stylesheet" href="lab.css">
<script defer src="lab.js"></script><section class="lab" data-preset="full"></section>
"""
# From the input event to the first changed bars and the frame after them.
SLIDE = """(position) => new Promise((done) => {
    const input = document.querySelector("[data-key=stddev] input");
    const box = document.querySelector(".lab-chart-gradient");
    const start = performance.now();
    new MutationObserver((_, observer) => {
        observer.disconnect();
        requestAnimationFrame(() => done((performance.now() - start) / 1000));
    }).observe(box, { childList: true });
    input.value = position;
    input.dispatchEvent(new Event("input", { bubbles: true }));
})"""


def tensorflow_steps():
    """Return a function that takes ``STEPS`` compiled steps."""
    (x, y), _ = coursekit.data.digits()
    x, y = tf.constant(x[: bundle.BATCH]), tf.constant(y[: bundle.BATCH])
    model = coursekit.models.mlp(
        DEPTH, width=WIDTH, activation="tanh", kernel_initializer="lecun_normal", seed=1
    )
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    def steps():
        for _ in range(STEPS):
            value = step()
        value.numpy()

    return steps


def worker_steps(browser):
    """Return a function that lets a worker in the browser take ``STEPS`` steps."""
    code = f"""const session = new Session({CONFIG});
        onmessage = () => {{
            for (let n = 0; n < {STEPS}; n++) session.advance();
            session.losses.length = 1;
            postMessage(0);
        }};"""
    source = bundle.joined(bundle.WORKER, bundle.constants(), code)
    page = browser.new_page()
    page.evaluate(
        """(source) => {
            globalThis.worker = new Worker(URL.createObjectURL(new Blob([source])));
        }""",
        source,
    )
    call = "() => new Promise((done) => { worker.onmessage = done; "
    call += "worker.postMessage(0); }).then(() => 0)"
    return lambda: page.evaluate(call)


def slider_seconds(browser, rounds):
    """Return the seconds from a moved slider to redrawn bars."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lab.js").write_text(bundle.script(), encoding="utf-8")
        (folder / "lab.css").write_text(bundle.style(), encoding="utf-8")
        (folder / "lab.html").write_text(PAGE, encoding="utf-8")
        page = browser.new_page()
        page.goto((folder / "lab.html").as_uri())
        page.wait_for_selector(".lab[data-step]")
        positions = np.linspace(-1.5, 0, rounds + 2)
        return [page.evaluate(SLIDE, float(p)) for p in positions][2:]


def main():
    """Print a line a promise."""
    args = parser(__doc__, 12).parse_args()
    if chromium.executable() is None:
        sys.exit(chromium.MISSING)
    with browser_of_tests.chromium() as browser:
        ways = {"lab": worker_steps(browser), "tensorflow": tensorflow_steps()}
        blocks = interleave(ways, BLOCKS * args.rounds)
        found = {name: s.reshape(-1, BLOCKS).min(axis=1) for name, s in blocks.items()}
        seconds = slider_seconds(browser, args.rounds)
    each = {name: 1000 * np.median(s) / STEPS for name, s in found.items()}
    notes = [f"{name}: {ms:.1f} ms a step" for name, ms in each.items()]
    notes_slider = [f"{1000 * np.median(seconds):.0f} ms; at most 100"]
    rows = [
        row(
            "20x64 step: lab over TensorFlow, AVX2",
            ratio(found["lab"], found["tensorflow"]),
            at_most=STEP_RATIO,
            notes=notes,
        ),
        row(
            "slider to bars over 100 ms",
            ratio(seconds, np.full(len(seconds), SLIDER_SECONDS)),
            at_most=1.0,
            notes=notes_slider,
        ),
    ]
    finish(rows, args.json)


if __name__ == "__main__":
    main()
