"""What to do about a verdict: lines that fit the model, those of the cause first.

A cause is a function of what is known, the :class:`Facts` of the model and its data
and the :class:`Signs` of a training; it yields the remedies that fit, or none.
``_ORDER`` says which causes a verdict has, the likeliest first. What the model and
the data show by themselves (numbers that are not finite, labels, an output that does
not fit the loss, a penalty, sizes) comes before the rest.
"""

import inspect
import math
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from coursekit.clinic._facts import Facts, Part
from coursekit.clinic.diagnosis import rules

__all__ = ["Remedy", "remedies"]

#: A report offers so many.
MOST = 5
#: Learning rates far out for an optimizer that divides by the size of the gradient.
#: Margin: Keras's default is 1e-3.
ADAPTIVE_LOW, ADAPTIVE_HIGH = 1e-5, 0.03
#: A clip that leaves less than this of the usual gradient is tight. Margin: one at the
#: usual norm leaves 1; a typing error in a limit, 1e-6, leaves 1e-4.
TIGHT = 0.1
_ADAPTIVE = ("Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Lion")
_SATURATING = ("sigmoid", "hard_sigmoid", "tanh", "softsign", "hard_tanh")
_SCALED = ("Glorot", "He", "Lecun", "Orthogonal")


@dataclass(frozen=True)
class Remedy:
    """One thing to try.

    Attributes
    ----------
    text : str
        What to do, and when it helps.
    code : str
        Lines that run where ``keras``, ``np``, ``model``, ``x`` and ``y`` are known.
        A line that makes a layer stands for those that the text names.
    chapter : str
        The page of the book that shows it working, without its ending.
    layers : dict
        Name of a layer to what its constructor takes instead; "normalize" is the
        activation behind a BatchNormalization that follows.
    """

    text: str
    code: str
    chapter: str
    layers: dict = field(default_factory=dict, repr=False, compare=False)

    def __str__(self):
        """Return the advice in a line."""
        lines = self.code.replace(":\n", ": ").replace("\n    ", "; ").split("\n")
        code = "; ".join(lines).replace(": ; ", ": ")
        return f"{self.text}: {code} (chapter {self.chapter})"


@dataclass(frozen=True)
class Signs:
    """What a training showed beside its verdict.

    Attributes
    ----------
    sudden : bool
        NaN came from one step to the next: the norms before were ordinary.
    underived : bool
        The loss was finite where its gradient was not.
    bottomless : bool
        The loss has no least value.
    single : bool
        One sample a batch was normalized over the batch.
    place : {"", " at start", " in time"}
        Whether the fault was there before the first step, or lies in time steps.
    ratio : float
        Change of the kernels over the kernels in a step (median); NaN: not known.
    moved : float
        The same in all steps together.
    falling : bool
        The loss falls to the end.
    norm : float
        Norm of the gradient while it was finite (median); NaN: not known.
    """

    sudden: bool = False
    underived: bool = False
    bottomless: bool = False
    single: bool = False
    place: str = ""
    ratio: float = math.nan
    moved: float = math.nan
    falling: bool = False
    norm: float = math.nan


def remedies(judgement, trace):
    """Return the remedies of a judgement, the first to try first.

    They fit the model where the trace has ``facts``. Without, their lines stand for a
    plain model of Dense(64, 'relu').
    """
    facts = getattr(trace, "facts", None) or _assumed(trace)
    if rules.bad_data(trace):
        return tuple(_unseen(facts, Signs(sudden=True)))
    # what is not finite in the data, and did no harm, need not go
    facts = replace(facts, finite=True)
    verdict = judgement.verdict
    # healthy, and little was learned, for what reason ever
    late = trace.last_step >= rules.PATIENCE
    if verdict == "healthy" and late and rules.skill(trace) < rules.SKILL:
        verdict = "weak"
    return advice(facts, _signs(judgement, trace), verdict)[:MOST]


def advice(facts, signs, verdict, rest=()):
    """Return all remedies that fit, those of the causes ``rest`` last."""
    order = _ORDER.get(verdict + signs.place, _ORDER.get(verdict))
    causes = _ALWAYS if order is None else (*_SEEN, *order, *rest)
    if facts.one_softmax:
        # whatever else is changed, such an output stays 1
        causes = _ALWAYS
    found = {}
    for cause in causes:
        for remedy in cause(facts, signs):
            found.setdefault(remedy.code, remedy)
    return tuple(found.values())


def _signs(judgement, trace):
    known = np.isfinite(trace.total_gradient)
    bad = trace.first_bad_step
    before = trace.total_gradient[known & (bad is None or trace.steps < (bad or 0))]
    middle = rules.pace(trace)
    late, place = trace.last_step >= rules.PATIENCE, ""
    if any(judgement.layer in report.time_norm for _, report in trace.probes):
        place = " in time"
    elif judgement.step == 0 or rules.growth_at_start(trace) is not None:
        place = " at start"
    return Signs(
        sudden=judgement.sentence == "sudden",
        underived=rules.without_derivative(trace) is not None,
        bottomless=judgement.sentence == "bottomless",
        single=any("one sample a batch" in note for note in trace.notes),
        place=place,
        ratio=middle,
        # a few steps move little, and what explodes has not moved too little
        moved=middle * trace.last_step if late and bad is None else math.nan,
        falling=rules.still_falls(trace),
        norm=float(np.median(before)) if len(before) else math.nan,
    )


def _assumed(trace):
    names = [name for name in trace.layers if name not in trace.heads]
    hidden = tuple(Part("Dense", {"units": 64}, name, "relu") for name in names)
    rate = trace.learning_rate
    return Facts(hidden=hidden, rate=rate if rate > 0 else 0.01)


# --- data ---------------------------------------------------------------------


def _clean(facts, signs):
    if not facts.finite:
        yield from _unseen(facts, Signs(sudden=True))


def _unseen(facts, signs):
    """Suppose rows that are not finite in batches that were not looked at."""
    if signs.sudden and not signs.underived:
        yield Remedy(
            "Remove the samples that are not finite from inputs and targets: no layer "
            "can repair them",
            "kept = [bool(np.isfinite(a).all() and np.isfinite(b).all())"
            " for a, b in zip(x, y)]\nx, y = x[kept], y[kept]",
            "exploding",
        )


def _derivative(facts, signs):
    if signs.underived:
        yield Remedy(
            "Add a small constant inside a root, norm, logarithm or division: at 0 it "
            "has no derivative",
            "keras.ops.sqrt(keras.ops.sum(x**2, axis=-1) + keras.config.epsilon())",
            "exploding",
        )


def _batch(facts, signs):
    if signs.single:
        yield Remedy(
            "Take larger batches: of one sample a BatchNormalization makes 0",
            "model.fit(x, y, batch_size=32)",
            "batchnorm",
        )


def _labels(facts, signs):
    """Bring targets into what the loss takes."""
    code = "y = (y - y.min()) / (y.max() - y.min())"
    what = "Code the targets from 0 to 1"
    if facts.loss == "sparse":
        code = "y = np.unique(y, return_inverse=True)[1].reshape(y.shape)"
        what = "Number the classes 0, 1, 2, ..."
    if facts.wrong_targets:
        yield Remedy(f"{what}: {facts.wrong_targets}", code, "clinic")


def _bound(facts, signs):
    if signs.bottomless and not facts.wrong_targets:
        yield Remedy(
            "Take a loss that has a least value: a distance of outputs and targets",
            "model.compile(model.optimizer, loss='mean_squared_error')",
            "exploding",
        )


def _scale(facts, signs):
    arrays = {"inputs": ("x", facts.x_rank), "targets": ("y", 2)}
    far = facts.unscaled(rules.LARGE)
    lines = []
    for what in far:
        name, rank = arrays[what]
        axis = 0 if rank < 3 else tuple(range(rank - 1))
        mean, sd = f"{name}.mean(axis={axis})", f"{name}.std(axis={axis})"
        lines.append(f"{name} = ({name} - {mean}) / ({sd} + 1e-7)")
    if lines:
        text = f"Bring the {' and '.join(far)} to mean 0 and variance 1"
        yield Remedy(text, "\n".join(lines), "exploding")


# --- output and loss ----------------------------------------------------------


def _output(facts, signs):
    """Fit the output's activation to the loss and the targets."""
    why, now, sparse = facts.misfit, facts.output, facts.loss == "sparse"
    if facts.head is None or not why:
        return
    if facts.loss in ("sparse", "categorical") and facts.units == 1:
        if sparse and facts.high > 1:
            yield _head(facts, "softmax", why, int(facts.high) + 1)
        else:
            fit = _head(facts, "sigmoid", why)
            loss = "model.compile(model.optimizer, loss='binary_crossentropy')"
            text = fit.text.replace(":", " and binary crossentropy:")
            yield Remedy(text, f"{fit.code}\n{loss}", fit.chapter, fit.layers)
    elif facts.from_logits:
        yield _head(facts, "linear", why)
    elif facts.loss in ("sparse", "categorical"):
        if now == "linear":
            yield _logits("Sparse" * sparse + "CategoricalCrossentropy")
        yield _head(facts, "softmax", why)
    elif facts.loss == "binary":
        if now == "linear":
            yield _logits("BinaryCrossentropy")
        yield _head(facts, "sigmoid", why)
    else:
        inside = facts.one_softmax and facts.low >= 0 and facts.high <= 1
        yield _head(facts, "sigmoid" if inside else "linear", why)


def _relu_output(facts, signs):
    if facts.output == "relu" and facts.head is not None and not facts.misfit:
        yield _head(facts, "linear", "relu can be 0 for all samples")


def _logits(loss):
    return Remedy(
        "Tell the loss that the outputs are logits: they have no activation",
        f"model.compile(model.optimizer, keras.losses.{loss}(from_logits=True))",
        "vanishing",
    )


def _head(facts, activation, why, units=None):
    change = {"activation": activation} | ({"units": units} if units else {})
    given = "no activation" if activation == "linear" else f"a {activation}"
    text = f"Give the output layer {{}} {given}: {why}"
    return _replaced({facts.head: change}, text, "vanishing")


# --- layers -------------------------------------------------------------------


def _replaced(changes, text, chapter):
    """Return a remedy that makes layers anew: {Part: what its constructor takes}."""
    lines = dict.fromkeys(_constructor(p, c) for p, c in changes.items())
    names = [part.name for part in changes]
    which = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    layers = {part.name: change for part, change in changes.items()}
    return Remedy(text.format(which), "\n".join(lines), chapter, layers)


def _constructor(part, change):
    line = _call(getattr(keras.layers, part.kind), part.config, change)
    if "normalize" in change:
        line += "\nkeras.layers.BatchNormalization()\n"
        line += f"keras.layers.Activation('{change['normalize']}')"
    return line


def _call(kind, config, change):
    """Return a call of a constructor: what it must have, what differs, the change."""
    words = []
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        value = _plain(change.get(name, config.get(name)))
        default = _plain(parameter.default)
        # initializers and their like have a dict: the change names those that matter
        left = value is None or name == "name" or isinstance(value, dict)
        if default is parameter.empty:
            words.append(repr(value))
        elif value != "linear" and (
            name in change or not left and value not in (default, "channels_last")
        ):
            words.append(f"{name}={value!r}")
    package = "optimizers" if issubclass(kind, keras.optimizers.Optimizer) else "layers"
    return f"keras.{package}.{kind.__name__}({', '.join(words)})"


def _plain(value):
    """Return 3 for (3, 3), which Keras takes as well, and floats of four digits."""
    if isinstance(value, list | tuple) and len(set(value)) == 1:
        return value[0]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _all(facts):
    """Return the layers whose constructors are known, the head's last."""
    return [p for p in (*facts.hidden, facts.head) if p and p.config]


def _kernels(facts):
    """Return hidden layers without a recurrence."""
    return [p for p in facts.hidden if "recurrent_initializer" not in p.config]


def _drawn(part, what):
    return part.config.get(f"{what}_initializer", {"class_name": "", "config": {}})


def _initialize(facts, signs):
    """Draw the kernels that were not drawn for their activation, zero the biases."""
    changes = {}
    for part in _kernels(facts):
        saturating = part.activation in (*_SATURATING, "linear", "softmax")
        wanted = "glorot_uniform" if saturating else "he_normal"
        wanted = "lecun_normal" if part.activation == "selu" else wanted
        kernel, bias = _drawn(part, "kernel"), _drawn(part, "bias")
        fits = kernel["class_name"].startswith(
            ("He", "Orthogonal") if wanted == "he_normal" else _SCALED
        )
        zero = bias["class_name"] in ("", "Zeros") or bias["config"].get("value") == 0
        if not (fits and zero):
            change = {"activation": part.activation, "kernel_initializer": wanted}
            changes[part] = change | ({} if zero else {"bias_initializer": "zeros"})
    if changes:
        text = "Draw the kernels of {} for their activation"
        if any("bias_initializer" in change for change in changes.values()):
            text += ", with zero biases"
        text += ": at that scale delta stays constant over depth"
        yield _replaced(changes, text, "initializers")


def _zeros(facts, signs):
    """Draw kernels first where one is 0: nothing gets past it."""
    if any(_drawn(p, "kernel")["class_name"] == "Zeros" for p in _all(facts)):
        yield from _initialize(facts, signs)


def _swap(old, new, text):
    def fits(facts, signs):
        change = {"activation": new, "kernel_initializer": "he_normal"}
        changes = {p: change for p in _kernels(facts) if p.activation in old}
        if changes:
            yield _replaced(changes, text, "initializers")

    return fits


_activate = _swap(
    _SATURATING, "relu", "Replace the activations of {}: they shrink delta"
)
_alive = _swap(("relu",), "leaky_relu", "Let {} pass negative inputs: no unit can die")


def _normalize(facts, signs):
    if _kernels(facts) and facts.functional and not facts.normalized:
        same = {"activation": "linear", "use_bias": False}
        changes = {p: same | {"normalize": p.activation} for p in _kernels(facts)}
        text = "Normalize between kernel and activation of {}"
        yield _replaced(changes, text, "batchnorm")


def _unit_variance(facts, signs):
    """Scale layer by layer, as Mishkin and Matas (2016) do."""
    names = [p.name for p in _kernels(facts)]
    if len(names) > 1 and facts.functional:
        yield Remedy(
            "Scale the kernels layer by layer until outputs have variance 1",
            f"for name in {names}:\n"
            "    part = keras.Model(model.inputs[0], model.get_layer(name).output)\n"
            "    kernel = model.get_layer(name).kernel\n"
            "    kernel.assign(kernel / (np.std(part(x[:256])) + 1e-7))",
            "initializers",
        )


def _penalty(facts, signs):
    strong = [p for p in _all(facts) if p.config.get("kernel_regularizer")]
    if strong:
        text = "Take the penalty from {}: a strong one drives the kernels to 0"
        changes = {part: {"kernel_regularizer": None} for part in strong}
        yield _replaced(changes, text, "vanishing")


def _gates(facts, signs):
    """Open gates for as long as a sequence is, as Tallec and Ollivier (2018) do."""
    # GRU adds two biases, one of the inputs, one of the state
    kinds = {"LSTM": ([0, 1, 0, 0], 1), "GRU": ([1, 0, 0], 2)}
    for kind, (gates, biases) in kinds.items():
        names = [p.name for p in facts.hidden if p.kind == kind]
        if names:
            bias = round(math.log(max(facts.sequence, 3)) / biases, 2)
            yield Remedy(
                f"Start {', '.join(names)} with gates that stay open: a bias of "
                "log(steps) keeps the state for the whole sequence",
                f"for name in {names}:\n    cell = model.get_layer(name).cell\n"
                f"    bias = np.repeat({[bias * gate for gate in gates]}, cell.units)\n"
                "    cell.bias.assign(np.broadcast_to(bias, cell.bias.shape))",
                "exploding",
            )


def _recurrence(facts, signs):
    changes = {
        part: {"recurrent_initializer": "orthogonal"}
        for part in facts.hidden
        if part.kind == "SimpleRNN"
    }
    if changes:
        text = "Draw the recurrent kernel of {} so that a state keeps its length"
        yield _replaced(changes, text, "exploding")


# --- optimizer ----------------------------------------------------------------


def _compile(facts, **change):
    """Return a line that compiles with the optimizer changed, and without its clip."""
    kind = getattr(keras.optimizers, facts.optimizer.kind)
    config = {k: v for k, v in facts.optimizer.config.items() if "clip" not in k}
    rate = facts.rate or _usual(facts)
    call = _call(kind, config, {"learning_rate": rate} | change)
    # no "+" in an exponent: shorter, and Python reads both
    return f"model.compile({call}, model.loss)".replace("e+", "e")


def _usual(facts):
    """Return the learning rate that Keras gives the optimizer."""
    kind = getattr(keras.optimizers, facts.optimizer.kind)
    return float(f"{kind().get_config()['learning_rate']:.4g}")


def _rate(facts, factor):
    if facts.rate:
        rate = float(f"{facts.rate * factor:.4g}")
        text = (
            f"{'Lower' if factor < 1 else 'Raise'} the learning rate to {rate!r}: go "
            "on by tens until the loss falls below that of a constant output"
        )
    else:
        rate = _usual(facts)
        text = f"Raise the learning rate to {rate!r}: it is 0 now"
    code = f"model.optimizer.learning_rate = {rate!r}"
    if facts.scheduled:
        code = _compile(facts, learning_rate=rate)
    return Remedy(text, code, "exploding")


def _decades(facts, signs):
    for factor in (0.01, 0.001, 100.0):
        yield _rate(facts, factor)


def _too_fast(facts, signs):
    adaptive = facts.optimizer.kind in _ADAPTIVE
    return adaptive and facts.rate > ADAPTIVE_HIGH or signs.ratio > rules.FAST


def _too_slow(facts, signs):
    adaptive = facts.optimizer.kind in _ADAPTIVE
    return adaptive and facts.rate < ADAPTIVE_LOW or signs.moved < rules.MOVED


def _lower(facts, signs):
    if not _too_slow(facts, signs):
        yield _rate(facts, 0.1)


def _tight(facts, signs):
    """Tell whether a clip leaves next to nothing of the gradient."""
    clips = [(k, v) for k, v in facts.optimizer.config.items() if "clip" in k and v]
    many = {"clipvalue": math.sqrt(facts.weights)}
    return any(v * many.get(k, 1) < TIGHT * signs.norm for k, v in clips)


def _raise(facts, signs):
    if _too_fast(facts, signs) or _tight(facts, signs):
        return
    low = facts.optimizer.kind in _ADAPTIVE and facts.rate < ADAPTIVE_LOW
    # as many tens as all steps together lack, three at most
    lacking = rules.MOVED / signs.moved if 0 < signs.moved < rules.MOVED else 10.0
    tens = 3 if low else min(3, math.ceil(math.log10(lacking)))
    yield _rate(facts, 10.0**tens)


def _raise_once(facts, signs):
    """Raise the rate where little moves because little arrives."""
    if not _too_fast(facts, signs):
        yield _rate(facts, 10.0)


def _go_on(facts, signs):
    """Raise the rate where a plain fault learns slowly: what is mended may, too."""
    if signs.falling and (facts.misfit or facts.unscaled(rules.LARGE)):
        yield from _raise(facts, signs)


def _pace(facts, signs):
    """Change a learning rate that is known to be far out, and a clip that is tight."""
    if _tight(facts, signs):
        yield from _clip(facts, signs)
    elif _too_fast(facts, signs):
        yield from _lower(facts, signs)
    elif _too_slow(facts, signs):
        yield from _raise(facts, signs)


def _clip(facts, signs):
    norm = signs.norm if 0 < signs.norm < math.inf else 1.0
    yield Remedy(
        f"Clip the gradient's norm at {norm:.2g}, its size so far: it keeps the steps "
        "finite and repairs no bad initialization",
        _compile(facts, global_clipnorm=norm),
        "clipping",
    )


def _connect(facts, signs):
    """Ask to look at the layers, where output, loss and labels fit each other."""
    if not (*_labels(facts, signs), *_output(facts, signs)):
        yield Remedy(
            "See that the loss reaches every layer: no stop_gradient, rounding or "
            "argmax between them",
            "coursekit.probe(model, x, y)",
            "vanishing",
        )


_ALWAYS = (_clean, _derivative, _batch, _labels, _output)
_SEEN = (*_ALWAYS, _bound, _relu_output, _penalty, _scale)
_ORDER = {
    # healthy gradients, and little was learned: only what is plain
    "weak": (_pace, _go_on),
    "vanishing": (_activate, _initialize, _normalize, _raise_once),
    "vanishing in time": (_gates, _recurrence, _raise_once),
    "exploding": (_unseen, _lower, _initialize, _clip, _normalize),
    "exploding at start": (_unseen, _initialize, _normalize, _lower, _clip),
    "exploding in time": (_unseen, _recurrence, _clip, _lower),
    "dead_units": (_pace, _initialize, _alive, _normalize, _lower),
    "no_gradient": (_zeros, _connect, _initialize, _alive),
    "not_learning": (_pace, _gates, _initialize, _activate, _normalize, _raise, _lower),
}
#: What a trial has to try beside what fits the verdict.
EVERY = (
    *(_pace, _initialize, _activate, _normalize, _unit_variance, _raise, _lower),
    *(_clip, _alive, _gates, _recurrence, _decades),
)
