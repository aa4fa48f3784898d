"""Every exercise's check: right answers pass, wrong ones hear what is unmet.

A check runs as its page has it: the cells that it needs, then an answer in place
of the reader's, then the page's own call of ``answers.check``.
"""

import ast
import contextlib
import dis
import io
import re
import textwrap
from functools import cache
from pathlib import Path
from types import CodeType

import jupytext
import pytest

BOOK = Path(__file__).parents[2] / "book"
# What every check says to an answer that is no number.
NO_NUMBERS = {
    "'1.5'": "give a number, no quotes",
    "[1.5]": "a list: give one number",
    "float('nan')": "give a finite number",
    "None": "Set my_",
}


def names(code):
    """Return the global names that a cell's code reads, and those that it binds."""
    reads, binds = [], []
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in binds:
            reads.append(step.argval)
        if step.opname == "STORE_NAME":
            binds.append(step.argval)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            reads += names(part)[0]
    return reads, binds


@cache
def exercise(label):
    """Return a name space with all that a check needs, and the check's own call."""
    (path,) = [p for p in BOOK.glob("*.md") if f":label: {label}\n" in p.read_text()]
    cells = jupytext.read(path, fmt="md:myst").cells
    (first,) = [n for n, c in enumerate(cells) if f":label: {label}\n" in c.source]
    (last,) = [n for n, c in enumerate(cells) if f"-start}} {label}\n" in c.source]
    code = {
        n: compile(c.source, f"{label}, cell {n}", "exec")
        for n, c in enumerate(cells[:last])
        if c.cell_type == "code"
    }
    own = {n: set(names(code[n])[1]) for n in code if n > first}
    wanted = set(own)
    assert wanted
    home = {name: n for n in code if n < first for name in names(code[n])[1]}
    queue = list(wanted)
    while queue:
        n = queue.pop()
        # what the exercise itself has bound by then is not looked for above it
        bound = set().union(*(own[m] for m in own if m < n and n in own))
        reads = set(names(code[n])[0]) - bound
        found = {home[name] for name in reads if name in home}
        queue += found - wanted
        wanted |= found
    tree = ast.parse(cells[max(wanted)].source)
    call = ast.unparse(tree.body.pop())
    assert call.startswith("answers.check(unmet, ")
    code[max(wanted)] = compile(tree, f"{label}, the check", "exec")
    space = {"__name__": label}
    with contextlib.redirect_stdout(io.StringIO()):
        for n in sorted(wanted):
            exec(code[n], space)
    return space, call


def told(label, answer=""):
    """Return what the page says to an answer, a piece of Python, or to its own."""
    space, call = exercise(label)
    space = dict(space)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(f"{answer}\n{call}", space)
    return said.getvalue()


# For each exercise: the name of the answer, right ones, and wrong ones with a part
# of what the page must say. Answers are Python; a function's body stands indented.
VALUES = {
    "ex-softplus": (
        "my_slope",
        ["-1.3", "-1.30", "-1.301", "np.log10(0.05)", "np.float32(-1.3)", "-1.31"],
        {
            "1.3": "sign",
            "-np.log10(0.05)": "sign",
            "0.05": "its logarithm",
            "0.1 / 2": "its logarithm",
            "0.1": "derivative of softplus at 0",
            "-1": "derivative of softplus at 0",
            "-1.6": "derivative of softplus at 0",
            "0": "derivative of softplus at 0",
            "-1.25": "derivative of softplus at 0",
        },
    ),
    "ex-gain": (
        "my_stddev",
        [
            "0.125",
            "0.12",
            "0.127",
            "np.float64(0.125)",
            "theory.critical_gain("
            "'tanh', depth=20, q0=np.mean(np.sum(x**2, axis=1)) / 100) / 10",
        ],
        {
            "0.1": "of the top, wanted",
            "0.05": "of the top, wanted",
            "0.2": "of the top, wanted",
            "1.25": "of the top, wanted",
            "0": "give a number above 0",
            "-0.125": "give a number above 0",
        },
    ),
    "ex-half": (
        "my_steps",
        ["346", "345", "343", "347", "348", "350", "np.log(0.5) / np.log(0.998)"],
        {
            "34": "0.93 of the norm",
            "340": "0.51 of the norm",
            "353": "0.49 of the norm",
            "693": "0.25 of the norm",
            "0.5": "1.00 of the norm",
            "-346": "give a number above 0",
            "10**400": "give one number",
        },
    ),
    "ex-growth": (
        "my_factor",
        ["1.5**29", "127834", "1.3e5", "1e5", "2e5", "np.exp(29 * np.log(1.5))"],
        {
            "1.5": "29 steps",
            "0.15**29": "29 steps",
            "5.1": "29 steps",
            "1.5**-29": "29 steps",
            "1e7": "29 steps",
            "0": "give a number above 0",
            "-1.5**29": "give a number above 0",
        },
    ),
    "ex-forget": (
        "my_bias",
        ["4.27", "4.3", "4.272", "4.25", "np.log(2**-0.02 / (1 - 2**-0.02))"],
        {
            "1": "0.000 of the gradient",
            "0.5": "0.000 of the gradient",
            "5": "0.715 of the gradient",
            "4": "0.404 of the gradient",
            "4.4": "of the gradient",
            "-4.27": "0.000 of the gradient",
            "1e6": "1.000 of the gradient",
            "-1e6": "0.000 of the gradient",
        },
    ),
    "ex-warmup": (
        "my_steps",
        ["44", "44.0", "np.int64(60)", "88", "132"],
        {
            "1": "of 5 seeds are above 0.5",
            "2": "of 5 seeds are above 0.5",
            "0": "give a number above 0",
            "-44": "give a number above 0",
            "44.5": "whole number of steps",
            "1000": "220 at most",
        },
    ),
    "ex-init-softplus": (
        "my_stddev",
        [
            "0.148",
            "0.15",
            "np.float32(0.15)",
            "theory.critical_gain('softplus', depth=50, q0=0.64 * np.mean(x**2)) / 10",
            "0.149",
        ],
        {
            "0.1": "decades a layer",
            "0.2": "decades a layer",
            "1.5": "decades a layer",
            "0.0148": "decades a layer",
            "0": "give a number above 0",
            "-0.15": "give a number above 0",
        },
    ),
    "ex-init-uniform": (
        "my_limit",
        ["0.1414", "0.141", "0.02**0.5", "np.sqrt(6 / 300)", "0.14142"],
        {
            "0.0816": "the variance 0.00222",
            "0.02": "the variance 0.00013",
            "0.14": "the variance 0.00653",
            "0.1": "the variance 0.00333",
            "0.245": "the variance 0.02001",
            "-0.1414": "give a number above 0",
        },
    ),
    "ex-bn-momentum": (
        "my_steps",
        ["298", "299", "300", "297.5", "np.log(0.05) / np.log(0.99)"],
        {
            "59": "55.27 % is left",
            "100": "36.60 % is left",
            "230": "9.91 % is left",
            "294": "5.21 % is left",
            "310": "4.44 % is left",
            "0.05": "99.95 % is left",
            "-300": "give a number above 0",
        },
    ),
    "ex-bn-scale": (
        "my_scale",
        ["0.17", "0.169", "0.165", "(2 ** (2 / 49) - 1) ** 0.5", "np.float32(0.17)"],
        {
            "1": "it grows by a factor of",
            "0": "it grows by a factor of 1.000",
            "0.12": "it grows by a factor of 1.4",
            "0.1": "it grows by a factor of 1.",
            "0.2": "it grows by a factor of 2.",
            "50**-0.5": "it grows by a factor of 1.6",
        },
    ),
    "ex-today-scale": (
        "my_scale",
        ["0.354", "0.35", "(3 / 24) ** 0.5", "0.125**0.5", "0.36"],
        {
            "1": "a factor of 5.00",
            "24**-0.5": "a factor of 1.41",
            "0.5": "a factor of 2.65",
            "0.3": "a factor of 1.78",
            "12**-0.5": "a factor of 1.73",
            "0": "give a number above 0",
            "-0.354": "give a number above 0",
        },
    ),
    "ex-loss-scale": (
        "my_scale",
        ["2**12", "2.0**14", "4096", "np.float32(2**13)", "2**10"],
        {
            "2**8": "1.0",
            "1": "% of the entries are lost, none overflow",
            "20": "20 is no power of 2",
            "1e6": "1e+06 is no power of 2",
            "2**12 + 1": "4097 is no power of 2",
            "2.0**60": "some overflow",
            "-2**12": "give a number above 0",
            "0": "give a number above 0",
        },
    ),
    "ex-decay": (
        "my_decay",
        ["0.0693", "0.07", "0.069", "np.log(2) / 10", "(1 - 0.5**1e-4) / 1e-3"],
        {
            "0.02": "0.819 is left",
            "0.5": "0.007 is left",
            "0.05": "0.607 is left",
            "0.073": "0.482 is left",
            "0": "give a number above 0",
            "-0.0693": "give a number above 0",
            "1e6": "0.000 is left",
        },
    ),
    "ex-clinic-cure": (
        "my_stddev",
        ["1.25", "10 / 8", "1.2", "1.3", "np.float32(1.25)"],
        {
            "0.125": "vanishing: the lowest layer has",
            "0.05": "vanishing: the lowest layer has",
            "0.3": "vanishing: the lowest layer has",
            "0.2": "vanishing: the lowest layer has",
            "100": "vanishing: the lowest layer has",
            "0": "give a number above 0",
            "-1.25": "give a number above 0",
        },
    ),
}
LISTS = {
    # a word, not a number
    "ex-clinic-before": (
        "my_verdict",
        ["'vanishing'", "' Vanishing'", "np.str_('vanishing')", "'VANISHING'"]
        + ["before(0.05).verdict"],
        {
            "'exploding'": "the lowest layer has",
            "'healthy'": "the lowest layer has",
            "'no_gradient'": "the lowest layer has",
            "['vanishing', 'exploding']": "the lowest layer has",
            "''": "the lowest layer has",
            "0.4": "the lowest layer has",
        },
    ),
    "ex-clip-direction": (
        "my_gradient",
        ["[5, 5]", "(7.0, -7.0)", "[9, 0]", "[-5, -5]", "np.array([0, 6])"],
        {
            "[4, 4]": "at least 5",
            "[0, 0]": "at least 5",
            "[0.9, 100]": "turned by 41.4",
            "[5, 6]": "turned by 5.19",
            "[5, 0.5]": "turned by",
            "[5, 1e-9]": "turned by",
            "[5, 5, 5]": "a list of 3: give 2 numbers",
            "5": "give 2 numbers in a list",
            "'[5, 5]'": "give 2 numbers in a list",
            "['5', '5']": "an entry that is the text '5'",
            "[[5, 5], [5, 5]]": "an entry that is a list",
            "[5, np.inf]": "give a finite number",
        },
    ),
    "ex-clip-adam": (
        "my_steps",
        ["[0.1, 0.1]", "(0.1, 0.1)", "[-0.1, -0.1]", "np.full(2, 0.1)", "[0.1, 1e-1]"],
        {
            "[0.1, 0.001]": "m / sqrt(v)",
            "[0.1, -0.1]": "m / sqrt(v)",
            "[0.09, 0.1]": "m / sqrt(v)",
            "[10.0, 0.1]": "m / sqrt(v)",
            "0.1": "give 2 numbers in a list",
            "[[0.1, 0.1], [0.1, 0.1]]": "an entry that is a list",
            "[0.1]": "a list of 1",
            "'0.1, 0.1'": "give 2 numbers in a list",
        },
    ),
    # A training each: no more than are needed.
    "ex-repair": (
        "my_settings",
        [
            "['tanh', 'orthogonal', 0.05]",
            "['tanh', normal(stddev=1.25 / 8), 0.05]",
            "['tanh', keras.initializers.GlorotNormal(seed=1), 0.05]",
            "['tanh', 'glorot_uniform', 0.05]",
            "['selu', 'lecun_normal', 0.05]",
        ],
        {
            "['relu', 'he_normal', 0.05]": "0.01 decades a layer, cosine 0.98",
            "['tanh', normal(stddev=0.02), 0.05]": "0 of 3 seeds",
            "['relu', normal(stddev=0.02), 1.0]": "0 of 3 seeds",
            "['tanh', 'orthogonal', 0.1]": "changes all three settings",
            "['tanh', 'orthogonal', '0.05']": "no quotes",
            "['tanh', 'orthogonal', [0.05]]": "give one number",
        },
    ),
}
FUNCTIONS = {
    "ex-guard": (
        "finite(gradients)",
        [
            "return all(np.isfinite(g).all() for g in gradients)",
            "return not any((~np.isfinite(g)).any() for g in gradients)",
            "every = np.concatenate([np.ravel(g) for g in gradients])\n"
            "return np.isfinite(every).all()",
            "every = [tf.reduce_all(tf.math.is_finite(g)) for g in gradients]\n"
            "return tf.reduce_all(every)",
            "for g in gradients:\n"
            "    if np.isnan(g).any() or np.isinf(g).any():\n"
            "        return False\n"
            "return True",
        ],
        {
            "return None": "returns nothing yet",
            "return True": "finite says True, and an entry is nan",
            "return False": "finite says False, and an entry is 3e+38",
            "return not any(np.isnan(g).any() for g in gradients)": "an entry is inf",
            "return np.isfinite(gradients[0]).all()": "an entry is nan",
            "return np.isfinite(gradients[-1]).all()": "an entry is nan",
            "return bool(np.isfinite(gradients[0]).all()"
            " and np.isfinite(gradients[-1]).all())": "an entry is nan",
            "return any(np.isfinite(g).all() for g in gradients)": "an entry is nan",
            "return all(np.isfinite(g).any() for g in gradients)": "an entry is nan",
            "return all(np.isfinite(g[0]).all() for g in gradients)": "an entry is nan",
            "return all(np.abs(g).max() < 1e10 for g in gradients)": "is 3e+38",
            "return all(np.max(g) < np.inf for g in gradients)": "an entry is -inf",
            "return [np.isfinite(g).all() for g in gradients]": "finite says [",
        },
    ),
    "ex-init-lsuv": (
        "lsuv(net, x)",
        [
            "h = x\n"
            "for layer in net.layers:\n"
            "    if hasattr(layer, 'kernel'):\n"
            f"        {line}\n"
            "    h = layer(h)\n"
            "return net"
            for line in (
                "layer.kernel.assign(layer.kernel / np.std(layer(h)))",
                "layer.set_weights([layer.kernel / np.std(layer(h)), layer.bias])",
                "layer.kernel.assign(layer.kernel / np.array(layer(h)).std())",
                "layer.kernel.assign(layer.kernel / np.var(layer(h)) ** 0.5)",
                "layer.kernel.assign(layer.kernel / keras.ops.std(layer(h)))",
            )
        ],
        {
            "return None": "does not return the net",
            "return net": "gelu: deviations from",
            "return keras.models.clone_model(net)": "does not return the net",
            # the variance in place of its root
            "h = x\n"
            "for layer in net.layers:\n"
            "    if hasattr(layer, 'kernel'):\n"
            "        layer.kernel.assign(layer.kernel / np.var(layer(h)))\n"
            "    h = layer(h)\n"
            "return net": "gelu: deviations from",
            # not the output layer
            "h = x\n"
            "for layer in net.layers[:-1]:\n"
            "    if hasattr(layer, 'kernel'):\n"
            "        layer.kernel.assign(layer.kernel / np.std(layer(h)))\n"
            "    h = layer(h)\n"
            "return net": "gelu: deviations from",
            # always the same batch
            "h = x_train[:256]\n"
            "for layer in net.layers:\n"
            "    if hasattr(layer, 'kernel'):\n"
            "        layer.kernel.assign(layer.kernel / np.std(layer(h)))\n"
            "    h = layer(h)\n"
            "return net": "tanh: deviations from",
            # one of the kernels drawn anew
            "h = x\n"
            "net.layers[2].kernel.assign(net.layers[2].kernel[::-1])\n"
            "for layer in net.layers:\n"
            "    if hasattr(layer, 'kernel'):\n"
            "        layer.kernel.assign(layer.kernel / np.std(layer(h)))\n"
            "    h = layer(h)\n"
            "return net": "more than divided by a number",
        },
    ),
    "ex-today-schedule": (
        "schedule(step, peak, warm)",
        [
            "return peak * min(step / warm, (warm / step) ** 0.5)",
            "return peak * step / warm if step < warm else peak * (warm / step) ** 0.5",
            "return min(peak * step / warm, peak * warm**0.5 * step**-0.5)",
            "if step <= warm:\n    return peak * step / warm\n"
            "return peak / (step / warm) ** 0.5",
            "return peak * warm**0.5 * min(step**-0.5, step * warm**-1.5)",
        ],
        {
            "return None": "returns nothing yet",
            "return peak": "schedule(1, 1.0, 100) is 1",
            "return peak * step / warm": "schedule(400, 0.2, 100) is 0.8",
            "return peak * min(step / warm, 1)": "schedule(400, 0.2, 100) is 0.2",
            "return peak * min(step / warm, warm / step)": "is 0.05",
            "return peak * min((step - 1) / warm, 1)": "schedule(1, 1.0, 100) is 0,",
            "return '0.01'": "no quotes",
            "return [0.01]": "a list: give one number",
        },
    ),
    "ex-today-softmax": (
        "jacobian(p)",
        [
            "return np.diag(p) - np.outer(p, p)",
            "return np.diag(p) - p[:, None] * p",
            "return p[:, None] * (np.eye(len(p)) - p)",
            "return (np.eye(len(p)) - p[:, None]) * p",
            "return [[a * ((i == j) - b) for j, b in enumerate(p)]"
            " for i, a in enumerate(p)]",
        ],
        {
            "return None": "returns nothing yet",
            "return p * (1 - p)": "2 weights give (2,)",
            "return np.diag(p * (1 - p))": "for 2 scores",
            "return np.outer(p, p)": "for 2 scores",
            "return np.diag(p) + np.outer(p, p)": "for 2 scores",
            "return p[0] * p[1] * np.array([[1, -1], [-1, 1]])": "give (2, 2)",
            "return 0.0": "2 weights give ()",
        },
    ),
    "ex-clinic-own": (
        "my_patient()",
        [
            f"off = L.Dense(8, 'relu', {options})\n"
            "return keras.Sequential([keras.Input((64,)), off, L.Dense(10)])"
            for options in (
                "bias_initializer=keras.initializers.Constant(-20.0)",
                "bias_initializer=keras.initializers.Constant(-1e6)",
                "bias_initializer=keras.initializers.RandomUniform(-60, -50)",
            )
        ]
        + [
            "low = keras.initializers.Constant(-50.0)\n"
            "ends = L.Dense(9, bias_initializer=low), L.ReLU()\n"
            "return keras.Sequential([keras.Input((64,)), *ends, L.Dense(10)])",
            "low = keras.initializers.Constant(-50.0)\n"
            "h = inputs = keras.Input((64,))\n"
            "h = L.Dense(8, 'tanh')(h)\n"
            "h = L.Dense(8, 'relu', bias_initializer=low)(h)\n"
            "return keras.Model(inputs, L.Dense(10)(h))",
        ],
        {
            "return None": "returns no Keras model yet",
            "return L.Dense(10)": "returns no Keras model yet",
            "return [L.Dense(8, 'relu'), L.Dense(10)]": "returns no Keras model yet",
            "return keras.Sequential([keras.Input((64,)), L.Dense(8, 'relu'), "
            "L.Dense(10)])": "healthy, at most",
            "return keras.Sequential([keras.Input((8,)), L.Dense(10)])": "10 numbers",
            "return keras.Sequential([keras.Input((64,)), L.Dense(1)])": "10 numbers",
            "return keras.Sequential([keras.Input((64,)), L.Dense(10)])": "healthy",
        },
    ),
    "ex-bn-rmsnorm": (
        "rms_norm(h)",
        [
            "return h / np.sqrt(np.mean(h**2, axis=-1, keepdims=True))",
            "return h / np.linalg.norm(h, axis=1, keepdims=True) * h.shape[1] ** 0.5",
            "return h / np.sqrt(np.mean(h**2, axis=1) + 1e-6)[:, None]",
            "return tf.math.l2_normalize(h, axis=1) * np.sqrt(h.shape[1])",
            "return np.array([row / np.sqrt(np.mean(row**2)) for row in h])",
        ],
        {
            "return None": "returns nothing yet",
            "return tf.math.l2_normalize(h, axis=1) * 4": "Keras has other numbers",
            "return h / np.sqrt(np.mean(h**2))": "Keras has other numbers",
            "return h / np.sqrt(np.mean(h**2, axis=0))": "Keras has other numbers",
            "return h / np.std(h, axis=1, keepdims=True)": "Keras has other numbers",
            "return (h - h.mean(axis=1)[:, None]) / h.std(axis=1)[:, None]": "Keras",
            "return h / np.mean(h**2, axis=1, keepdims=True)": "Keras",
            "return h": "Keras has other numbers",
            "return 1.0": "becomes ()",
            "return h[:1] / np.sqrt(np.mean(h[:1]**2))": "becomes (1, 16)",
        },
    ),
    "ex-clip-global": (
        "by_global_norm(gradients, c)",
        [
            "norm = np.sqrt(sum(np.sum(g**2) for g in gradients))\n" + line
            for line in (
                "return [g * min(1.0, c / norm) for g in gradients]",
                "return tuple(g if norm <= c else g * c / norm for g in gradients)",
                "return [g * c / max(norm, c) for g in gradients]",
                "return gradients if norm < c else [c * g / norm for g in gradients]",
                "return list(map(lambda g: g / max(1, norm / c), gradients))",
            )
        ],
        {
            "return None": "returns no list yet",
            "return []": "2 arrays give 0",
            "return gradients": "2 arrays, c = 1.0",
            "return gradients[0]": "returns no list",
            "norm = np.sqrt(sum(np.sum(g**2) for g in gradients))\n"
            "return [g * min(1.0, 1 / norm) for g in gradients]": "1 arrays, c = 0.5",
            "norm = np.sqrt(sum(np.sum(g**2) for g in gradients))\n"
            "return [g * c / norm for g in gradients]": "2 arrays, c = 7.0",
            "norm = np.sqrt(sum(np.sum(g**2) for g in gradients))\n"
            "for g in gradients:\n"
            "    return [g * min(1.0, c / norm)]": "2 arrays give 1",
            "norm = np.sqrt(sum(np.sum(g**2) for g in gradients))\n"
            "return [gradients[0] * min(1.0, c / norm)]": "2 arrays give 1",
            "return [g * min(1, c / np.linalg.norm(g)) for g in gradients]": "2 arrays",
            "return [np.clip(g, -c, c) for g in gradients]": "2 arrays, c = 1.0",
        },
    ),
}


def answers():
    """Return (label, answer, what is said) of all tables."""
    found = []
    for label, (name, right, wrong) in {**VALUES, **LISTS}.items():
        wrong = wrong | (NO_NUMBERS if label in VALUES else {"None": "Set my_"})
        found += [(label, f"{name} = {text}", "Right.") for text in right]
        found += [(label, f"{name} = {text}", said) for text, said in wrong.items()]
    for label, (head, right, wrong) in FUNCTIONS.items():
        for body, said in [*((body, "Right.") for body in right), *wrong.items()]:
            answer = f"def {head}:\n{textwrap.indent(body, '    ')}"
            found.append((label, answer, said))
    return found


@pytest.mark.parametrize(("label", "answer", "said"), answers())
def test_a_check_says_what_it_should(label, answer, said):
    out = told(label, answer)
    assert out.count("\n") == 1 and len(out) < 130
    assert out == "Right.\n" if said == "Right." else said in out
    assert out.startswith(("Right.", "Not yet: ", "Set my_"))


def test_every_exercise_of_the_chapters_has_its_table():
    tables = {**VALUES, **LISTS, **FUNCTIONS}
    labels = set()
    for path in BOOK.glob("*.md"):
        labels |= set(re.findall(r"^:label: (ex-.*)$", path.read_text(), re.MULTILINE))
    assert labels == set(tables)
    assert all(min(len(right), len(wrong)) >= 5 for _, right, wrong in tables.values())


def test_a_page_that_nobody_has_answered_asks_for_an_answer():
    for label in {**VALUES, **FUNCTIONS}:
        assert told(label).startswith(("Set my_", "Not yet: "))
