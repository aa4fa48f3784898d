"""Make one classic script of the lab's modules: it also runs from a file.

Browsers refuse `import` from `file://`, so the modules are put one after the other
into one function, in the order of their dependence, without their `import` lines,
the word `export`, and comments. All top-level names must differ; a test of the
bundle sees to it. The worker's modules become a text that the page turns into a
worker. What Python knows better (thresholds, digits) goes in as constants.
"""

import json
from pathlib import Path

import yaml

from lab import wasm

FOLDER = Path(__file__).parent
ENGINE = ("random", "activations", "gemm", "data", "engine", "measure", "theory")
WORKER = tuple(f"worker/{name}" for name in (*ENGINE, "diagnose", "worker"))
VIEW = tuple(
    f"view/{name}" for name in ("settings", "charts", "keras_code", "controls", "lab")
)
#: Of `coursekit.clinic.diagnosis.rules`: those that the lab's rules use.
THRESHOLDS = (
    "VANISHED SHRUNK GROWN TREND SKILL LEARNED EMPTY PATIENCE DIVERGED LASTING DEAD"
).split()
#: Samples of the lab's batch; `BATCH` in `data.js`.
DIGITS = 64


def constants():
    """Return what the worker's modules import from `constants.js`."""
    from coursekit.clinic.diagnosis import rules

    return {
        "RULES": {name: getattr(rules, name) for name in THRESHOLDS},
        "SENTENCES": rules.SENTENCES,
        "DIGITS": digits(),
        "GEMM": wasm.encoded(),
    }


def digits():
    """Return the first training images, a letter a pixel, and their standards."""
    from coursekit import data

    raw, labels = data.shuffled()
    train = raw[: data.TRAIN_SIZE]
    ink = raw[:DIGITS].astype(int).ravel()
    return {
        "ink": "".join(chr(97 + value) for value in ink),
        "labels": "".join(map(str, labels[:DIGITS])),
        # 12 digits are enough for the same 32-bit floats as in Python
        "mean": [float(f"{v:.12g}") for v in train.mean(axis=0)],
        "sd": [float(f"{v:.12g}") for v in train.std(axis=0) + 0.01],
    }


def presets():
    return yaml.safe_load((FOLDER / "presets.yml").read_text(encoding="utf-8"))


def declared(values):
    """Return constants as lines of a module."""
    lines = [f"export const {k} = {json.dumps(v)};" for k, v in values.items()]
    return "\n".join(lines) + "\n"


def plain(source):
    """Return a module's code without imports, exports, comments and indents."""
    kept, comment = [], False
    for line in map(str.strip, source.splitlines()):
        comment = comment or line.startswith("/**")
        if not (comment or not line or line.startswith(("//", "import "))):
            kept.append(line.removeprefix("export "))
        if line.endswith("*/"):
            comment = False
    return "\n".join(kept)


def joined(names, values, call):
    """Return modules and constants as one function that ends with a call."""
    sources = [declared(values)]
    sources += [(FOLDER / f"{n}.js").read_text(encoding="utf-8") for n in names]
    body = "\n".join(map(plain, sources))
    return f'(() => {{\n"use strict";\n{body}\n{call}\n}})();\n'


def script():
    """Return the script that pages with a lab load."""
    worker = joined(WORKER, constants(), "serve(self);")
    values = {"WORKER": worker, "PRESETS": presets()}
    return joined(VIEW, values, "start();")


def style():
    return (FOLDER / "lab.css").read_text(encoding="utf-8")
