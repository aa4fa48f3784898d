"""Make one classic script of the lab's modules: it also runs from a file.

Browsers refuse `import` from `file://`, so the modules are put one after the other
into one function, each behind those that it imports, without their `import` lines,
the word `export`, and comments. All top-level names must differ; a test of the
bundle sees to it. The worker's modules become a text that the page turns into a
worker. What Python knows better (thresholds, digits) goes in as constants.
"""

import json
import posixpath
import re
from graphlib import TopologicalSorter
from pathlib import Path

import yaml

from lab import wasm

FOLDER = Path(__file__).parent
#: A line that names another module, with its path from the one that imports it.
IMPORT = re.compile(r'^import .* from "(.+)\.js";$', re.MULTILINE)
#: Made here, no file.
CONSTANTS = "constants"
#: Of `coursekit.clinic.diagnosis.rules`: those that the lab's rules use.
THRESHOLDS = (
    "VANISHED SHRUNK GROWN TREND FALLEN SKILL LEARNED EMPTY PATIENCE DIVERGED "
    "LASTING HALVED SCATTER DEAD"
).split()
#: What a preset may have, and a question must have.
PRESET = ("title", "values", "controls", "labels", "charts", "kernel", "goal")
QUESTION = ("question", "choices", "answer", "because")
#: Samples of the lab's one batch.
BATCH = 64


def text_of(module):
    return (FOLDER / f"{module}.js").read_text(encoding="utf-8")


def needed(module):
    """Return what a module imports, as paths from the lab's folder."""
    folder = posixpath.dirname(module)
    paths = IMPORT.findall(text_of(module))
    found = {posixpath.normpath(posixpath.join(folder, path)) for path in paths}
    return sorted(found - {CONSTANTS})


def modules(entry):
    """Return a module and all that it needs, each behind those that it imports.

    Raises
    ------
    graphlib.CycleError
        If modules import each other in a circle.
    """
    graph, waiting = {}, [entry]
    while waiting:
        module = waiting.pop()
        if module not in graph:
            graph[module] = needed(module)
            waiting += graph[module]
    return tuple(TopologicalSorter(graph).static_order())


WORKER = modules("worker/worker")
VIEW = modules("view/lab")


def constants():
    """Return what the worker's modules import from `constants.js`."""
    from coursekit.clinic.diagnosis import rules

    return {
        "RULES": {name: getattr(rules, name) for name in THRESHOLDS},
        "SENTENCES": rules.SENTENCES,
        "BATCH": BATCH,
        "DIGITS": digits(),
        "GEMM": wasm.encoded(),
    }


def digits():
    """Return the first training images, a letter a pixel, and their standards."""
    from coursekit import data

    raw, labels = data.shuffled()
    train = raw[: data.TRAIN_SIZE]
    ink = raw[:BATCH].astype(int).ravel()
    return {
        "ink": "".join(chr(97 + value) for value in ink),
        "labels": "".join(map(str, labels[:BATCH])),
        # 12 digits are enough for the same 32-bit floats as in Python
        "mean": [float(f"{v:.12g}") for v in train.mean(axis=0)],
        "sd": [float(f"{v:.12g}") for v in train.std(axis=0) + 0.01],
    }


def presets():
    """Return the presets by name.

    Raises
    ------
    ValueError
        If one has a key that nothing reads, or a question without its answer.
    """
    found = yaml.safe_load((FOLDER / "presets.yml").read_text(encoding="utf-8"))
    check(found)
    return found


def check(presets):
    """Refuse presets with a key that nothing reads, or a question half told."""
    settings, charts = keys("DEFAULTS", "view/settings"), keys("CHARTS", "view/lab")
    for name, one in presets.items():
        named = [
            w for part in ("values", "controls", "labels") for w in one.get(part, ())
        ]
        named += [one["goal"]["key"]] if "goal" in one else []
        used = {
            "key": (one, (*PRESET, *QUESTION)),
            "setting": (named, settings),
            "chart": (one.get("charts", ()), charts),
        }
        faults = [
            f"nothing reads the {what} {word!r}; there are {', '.join(sorted(known))}"
            for what, (words, known) in used.items()
            for word in words
            if word not in known
        ]
        needed = {"title", *(QUESTION if set(QUESTION) & set(one) else ())}
        faults += [f"it needs {key!r}" for key in sorted(needed - set(one))]
        if not faults and "answer" in one:
            if one["answer"] not in range(len(one["choices"])):
                faults = [f"answer {one['answer']!r} is none of the choices, from 0"]
        if faults:
            raise ValueError(f"presets.yml, {name}: {'; '.join(faults)}")


def keys(constant, module):
    """Return the keys of a module's constant that is an object."""
    body = re.search(rf"const {constant} = \{{(.*?)\}};", text_of(module), re.DOTALL)[1]
    return set(re.findall(r"(\w+): ", re.sub(r'"[^"]*"', '""', body)))


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
    sources += map(text_of, names)
    body = "\n".join(map(plain, sources))
    return f'(() => {{\n"use strict";\n{body}\n{call}\n}})();\n'


def script():
    """Return the script that pages with a lab load."""
    inside = constants()
    worker = joined(WORKER, inside, "serve(self);")
    values = {"WORKER": worker, "PRESETS": presets()}
    values["PATIENCE"] = inside["RULES"]["PATIENCE"]
    return joined(VIEW, values, "start();")


def style():
    return (FOLDER / "lab.css").read_text(encoding="utf-8")
