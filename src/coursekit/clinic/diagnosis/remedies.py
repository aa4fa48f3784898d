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

from coursekit._taps import BOUNDS
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
#: Targets of this size are out of reach for an output that is not bounded. Margin: a
#: parabola up to 100 (size 45) is learned by SGD(0.01) once the sigmoid is gone.
FAR = 100.0
#: Adam moves a bias by its rate a step at most, and units carry an output so many
#: times as far. Margin, 200 steps: of targets 143 times as far, 16 units take away .05
#: and less, of those 10 times as far, 8 units .88 and more (2 seeds each).
REACH = 30.0
#: A penalty with this factor is strong. Margin, two layers of 64, 200 steps of Adam:
#: with L1 of 1e-3 they take away .60 of a constant's loss, with 1e-2 .19 to .41.
STRONG = 5e-3
#: A layer that drops this share of its units lets next to nothing through. Margin, in
#: the same nets: they take away .35 with .7, .15 with .8 and .05 with .9.
HEAVY = 0.8
#: So many layers at Glorot's scale in place of He's shrink delta to a sixth; fewer are
#: not why nothing is learned.
SHALLOW = 5
_SHARES = ("rate", "dropout", "recurrent_dropout")
_ADAPTIVE = ("Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Lion")
#: Optimizers whose steps shrink from the first on, or begin at next to nothing. Margin,
#: ten classes of images, 200 steps that learned nothing: with the rate tenfold Adadelta
#: and Ftrl take away .06 and less (a seed), Adam in their place .99 and more (2 seeds).
_DWINDLING = ("Adagrad", "Adadelta", "Ftrl")
_SATURATING = (*BOUNDS, "softmax")
#: What gives the probabilities, or the rates, that a loss takes.
_WANTED = {
    "binary": "sigmoid",
    "categorical": "softmax",
    "sparse": "softmax",
    "overlap": "sigmoid",
    "counts": "softplus",
}
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
        The page of the book that shows it working, without its ending; empty if none
        does.
    layers : dict
        Name of a layer to what its constructor takes instead; "normalize" is the
        activation behind a BatchNormalization that follows, "kind" another class.
    changes : bool
        Whether it changes something; else somebody must look.
    """

    text: str
    code: str
    chapter: str
    layers: dict = field(default_factory=dict, repr=False, compare=False)
    changes: bool = True

    def plus(self, other):
        """Return one remedy that does both: either alone would be of no use."""
        what = self.text.split(":")[0]
        return Remedy(
            f"{what}, and {other.text[0].lower()}{other.text[1:]}",
            f"{self.code}\n{other.code}",
            self.chapter,
            self.layers | other.layers,
        )

    def __str__(self):
        """Return the advice in a line."""
        code = self.code.replace(":\n    ", ": ")
        code = code.replace("\n    ", "; ").replace("\n", "; ")
        return f"{self.text}: {code}{self.where}"

    @property
    def where(self):
        """The chapter in brackets, behind a space, or nothing."""
        return f" (chapter {self.chapter})" if self.chapter else ""


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
    steps : int
        So many were taken; 0: not known.
    falling : bool
        The loss falls to the end.
    norm : float
        Norm of the gradient while it was finite (median); NaN: not known.
    inverted : bool
        Only padding reaches the loss.
    unpaired : bool
        The loss compares no output with its own target.
    mixed : bool
        The outputs of a sample depend on the others.
    """

    sudden: bool = False
    underived: bool = False
    bottomless: bool = False
    single: bool = False
    place: str = ""
    ratio: float = math.nan
    moved: float = math.nan
    steps: int = 0
    falling: bool = False
    norm: float = math.nan
    inverted: bool = False
    unpaired: bool = False
    mixed: bool = False


def remedies(judgement, trace):
    """Return the remedies of a judgement, the first to try first.

    They fit the model where the trace has ``facts``. Without, their lines stand for a
    plain model of Dense(64, 'relu').
    """
    facts = trace.facts or _assumed(trace)
    if rules.bad_data(trace):
        return tuple(_unseen(facts, Signs(sudden=True)))
    # what is not finite in the data, and did no harm, need not go
    facts = replace(facts, finite=True)
    verdict = judgement.verdict
    # healthy, and little was learned, for what reason ever
    late = trace.last_step >= rules.PATIENCE
    little = verdict == "healthy" or judgement.sentence == "unsure"
    if little and late and rules.skill(trace) < rules.SKILL:
        verdict = "weak"
    if judgement.sentence in ("by_heart", "alike"):
        verdict = judgement.sentence
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
    found = list(found.values())
    mended = facts.harmless and verdict != "no_gradient"
    if mended and found[:1] == list(_output(facts, signs)):
        # with this output predictions are wrong, and training is not
        found[:2] = found[1::-1]
    return tuple(found)


def _signs(judgement, trace):
    known = np.isfinite(trace.total_gradient)
    bad = trace.first_bad_step
    before = trace.total_gradient[known & (bad is None or trace.steps < (bad or 0))]
    middle = rules.pace(trace)
    if math.isnan(middle) and len(trace.update):
        # what died of its first step moves no more
        first = trace.update_ratio[0]
        first = first[np.isfinite(first) & (first > 0)]
        middle = float(np.median(first)) if len(first) else math.nan
    late, place = trace.last_step >= rules.PATIENCE, ""
    alive = bad is None and rules.died(trace) is None
    if any(judgement.layer in report.time_norm for _, report in trace.probes):
        place = " in time"
    elif judgement.step == 0 or rules.growth_at_start(trace) is not None:
        place = " at start"
    return Signs(
        sudden=judgement.sentence == "sudden" and not rules.undefined(trace),
        underived=rules.without_derivative(trace) is not None,
        bottomless=judgement.sentence == "bottomless",
        single=any("one sample a batch" in note for note in trace.notes),
        place=place,
        ratio=middle,
        # a few steps move little, and what explodes has not moved too little
        moved=middle * trace.last_step if late and alive else math.nan,
        steps=trace.last_step,
        falling=rules.still_falls(trace),
        norm=float(np.median(before)) if len(before) else math.nan,
        inverted=rules.padding_alone(trace),
        unpaired=rules.unpaired(trace),
        mixed=rules.mixed(trace),
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
    if signs.sudden and facts.broken:
        yield Remedy(
            "Put 0 where inputs are not finite, and see where that comes from: nearly "
            "all samples have it, as where a feature that never changes is divided by "
            "its spread",
            "x = np.where(np.isfinite(x), x, 0)",
            "",
        )
    elif signs.sudden and not signs.underived:
        yield Remedy(
            "Remove the samples that are not finite from inputs and targets: no layer "
            "can repair them",
            "kept = [bool(np.isfinite(a).all() and np.isfinite(b).all())"
            " for a, b in zip(x, y)]\nx, y = x[kept], y[kept]",
            "",
        )


def _derivative(facts, signs):
    if signs.underived:
        yield Remedy(
            "Add a small constant inside a root, norm, logarithm or division: at 0 it "
            "has no derivative",
            "keras.ops.sqrt(keras.ops.sum(x**2, axis=-1) + keras.config.epsilon())",
            "",
        )


def _batch(facts, signs):
    if signs.single:
        yield Remedy(
            "Take larger batches: of one sample a BatchNormalization makes 0",
            "model.fit(x, y, batch_size=32)",
            "batchnorm",
        )


def _mask(facts, signs):
    if signs.inverted:
        tokens = facts.x_rank < 3
        yield Remedy(
            "Give layers a mask that is True where a step counts, not in padding: "
            "it is inverted now",
            f"mask = {'x != 0' if tokens else 'np.any(x != 0, axis=-1)'}",
            "",
        )


def _pair(facts, signs):
    shape = "*model.output_shape[1:]" if facts.functional else "-1"
    if signs.unpaired:
        yield Remedy(
            "Give the targets the shape of the outputs, a row for each sample: the "
            "loss compares each output with the targets of all samples",
            f"y = y.reshape(len(y), {shape})",
            "",
        )


def _axis(facts, signs):
    if signs.mixed:
        yield Remedy(
            "Let operations go along the axis of the classes, the last one, and not "
            "along that of the samples",
            "keras.layers.Softmax(axis=-1)",
            "",
        )


def _look(facts, signs):
    yield Remedy(
        "Look at what the inputs were made of, and where they became one number: by a "
        "division of whole numbers, a product with 0, or a wrong axis",
        "print(np.min(x, axis=0), np.max(x, axis=0))",
        "",
        changes=False,
    )


def _joined(facts, signs):
    yield Remedy(
        "See whether each target is that of its input: shuffled apart, they are noise",
        "for pair in zip(x[:5], y[:5]):\n    print(*pair)",
        "clinic",
        changes=False,
    )


def _generalize(facts, signs):
    yield Remedy(
        "Take more samples, or a smaller model, or let hidden units drop",
        "keras.layers.Dropout(0.5)",
        "",
    )


def _labels(facts, signs):
    """Bring targets into what the loss takes, or the output to what the targets are."""
    code = "y = (y - y.min()) / (y.max() - y.min())"
    what = "Code the targets from 0 to 1"
    if facts.loss == "sparse":
        code = "y = np.unique(y, return_inverse=True)[1].reshape(y.shape)"
        what = "Number the classes 0, 1, 2, ..."
        near = facts.head and facts.whole and 0 <= facts.low
        if near and 1 < facts.units <= facts.high < 2 * facts.units:
            # first: new numbers are of no use if there are more classes than units
            units = int(facts.high) + 1
            text = f"Give the output layer {{}} a unit for each label, {units}: "
            change = {facts.head: {"units": units}}
            yield _replaced(change, text + facts.wrong_targets, "")
    if facts.wrong_targets:
        yield Remedy(f"{what}: {facts.wrong_targets}", code, "")


def _bound(facts, signs):
    if signs.bottomless and not facts.wrong_targets:
        yield Remedy(
            "Take a loss that has a least value: a distance of outputs and targets",
            "model.compile(model.optimizer, loss='mean_squared_error')",
            "",
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
        yield Remedy(text, "\n".join(lines), "")


# --- output and loss ----------------------------------------------------------


def _output(facts, signs):
    """Fit the output's activation to the loss and the targets."""
    why, wanted = facts.misfit, _WANTED.get(facts.loss)
    if facts.head is None or not why:
        return
    if wanted == "softmax" and facts.units == 1:
        if facts.loss == "sparse" and facts.high > 1:
            yield _head(facts, wanted, why, int(facts.high) + 1)
        else:
            fit = _head(facts, "sigmoid", why)
            loss = "model.compile(model.optimizer, loss='binary_crossentropy')"
            text = fit.text.replace(":", " and binary crossentropy:")
            yield Remedy(text, f"{fit.code}\n{loss}", fit.chapter, fit.layers)
    elif facts.from_logits:
        yield _head(facts, "linear", why)
    elif wanted:
        if facts.output == "linear" and facts.loss not in ("counts", "overlap"):
            name = "SparseCategorical" if facts.loss == "sparse" else facts.loss.title()
            loss = f"keras.losses.{name}Crossentropy(from_logits=True)"
            yield Remedy(
                "Tell the loss that the outputs are logits: they have no activation",
                f"model.compile(model.optimizer, {loss})",
                "clinic",
            )
        yield _head(facts, wanted, why)
    else:
        inside = facts.one_softmax and facts.low >= 0 and facts.high <= 1
        fit = _head(facts, "sigmoid" if inside else "linear", why)
        if facts.y_size > _far(facts, signs):
            # either alone is of no use: a bound, or a way too long
            yield from (fit.plus(scaled) for scaled in _scale(facts, signs))
        yield fit


def _far(facts, signs):
    """Return the size of targets that a training like this one does not get to."""
    if facts.optimizer.kind not in _ADAPTIVE or not signs.steps:
        return FAR
    return min(FAR, max(rules.LARGE, REACH * facts.rate * signs.steps))


def _crossentropy(facts, signs):
    """Offer classes their loss: of a sure wrong answer a squared error gets nothing."""
    loss = {"sigmoid": "binary", "softmax": "categorical"}.get(facts.output)
    classes = facts.whole and (facts.low, facts.high) == (0, 1)
    if loss and classes and facts.loss == "regression" and not facts.one_softmax:
        yield Remedy(
            f"Take {loss} crossentropy: a squared error hardly corrects classes that "
            "are sure and wrong",
            f"model.compile(model.optimizer, loss='{loss}_crossentropy')",
            "",
        )


def _relu_output(facts, signs):
    if facts.output == "relu" and facts.head is not None and not facts.misfit:
        # a loss of somebody's own over masks or shares takes what is from 0 to 1
        shares = facts.loss is None and facts.low >= 0 and facts.high <= 1
        given = "sigmoid" if shares else "linear"
        yield _head(facts, given, "relu can be 0 for all samples")


def _head(facts, activation, why, units=None):
    change = {"activation": activation} | ({"units": units} if units else {})
    given = "no activation" if activation == "linear" else f"a {activation}"
    text = f"Give the output layer {{}} {given}: {why}"
    shown = activation in ("linear", "sigmoid", "softmax")
    return _replaced({facts.head: change}, text, "clinic" if shown else "")


# --- layers -------------------------------------------------------------------


def _replaced(changes, text, chapter):
    """Return a remedy that makes layers anew: {Part: what its constructor takes}."""
    changes = dict(pair for p, c in changes.items() for pair in _apart(p, c))
    lines = dict.fromkeys(_constructor(p, c) for p, c in changes.items())
    names = [part.name for part in changes]
    layers = {part.name: change for part, change in changes.items()}
    return Remedy(text.format(_span(names)), "\n".join(lines), chapter, layers)


def _span(names):
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _apart(part, change):
    """Yield a change, that of an activation in a layer of its own on its own."""
    own = {k: v for k, v in change.items() if not (part.apart and k == "activation")}
    if own:
        yield part, own
    if len(own) < len(change) and change["activation"] != part.activation:
        yield Part("Activation", {}, part.apart), {"activation": change["activation"]}


def _constructor(part, change):
    kind = getattr(keras.layers, change.get("kind", part.kind))
    line = _call(kind, part.config, change)
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
    if config.get("trainable") is False and not change.get("trainable"):
        words.append("trainable=False")
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


def _misdrawn(facts, signs):
    """Draw kernels early on where their scale can be the cause."""
    few = len(_kernels(facts)) < SHALLOW
    if list(_initialize(facts, signs, any_scale=few)):
        yield from _initialize(facts, signs)


def _initialize(facts, signs, any_scale=False):
    """Draw the kernels that were not drawn for their activation, zero the biases."""
    changes = {}
    for part in (*_kernels(facts), *([facts.head] if facts.head else ())):
        saturating = part.activation in (*_SATURATING, "linear")
        wanted = "glorot_uniform" if saturating else "he_normal"
        wanted = "lecun_normal" if part.activation == "selu" else wanted
        kernel, bias = _drawn(part, "kernel"), _drawn(part, "bias")
        # what is frozen was trained before, unless it was drawn without a scale
        strict = wanted == "he_normal" and not part.frozen and not any_scale
        fits = kernel["class_name"].startswith(
            ("He", "Orthogonal") if strict else _SCALED
        )
        zero = bias["class_name"] in ("", "Zeros") or bias["config"].get("value") == 0
        # at the output a bias may be that of the frequencies
        zero = zero or part is facts.head
        if not (fits and zero):
            changes[part] = {"kernel_initializer": wanted}
            changes[part] |= {"activation": part.activation}
            changes[part] |= {} if zero else {"bias_initializer": "zeros"}
            changes[part] |= {"trainable": True} if part.frozen else {}
    if changes:
        text = "Draw the kernels of {} for their activation"
        keys = set().union(*changes.values())
        text += ", with zero biases" * ("bias_initializer" in keys)
        text += ", and let all of them train" * ("trainable" in keys)
        text += ": at that scale delta stays constant over depth"
        yield _replaced(changes, text, "initializers")


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
_bend = _swap(
    ("linear",), "relu", "Give {} an activation: without one all layers are one"
)
_alive = _swap(("relu",), "leaky_relu", "Let {} pass negative inputs: no unit can die")


def _nonlinear(facts, signs):
    """Bend a model that is one linear map, however many layers it has."""
    if facts.linear:
        yield from _bend(facts, signs)


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
    changes = {}
    for part in _all(facts):
        given = [k for k, v in part.config.items() if "_regularizer" in k and v]
        strong = [k for k in given if _strength(part.config[k]) >= STRONG]
        if strong:
            changes[part] = dict.fromkeys(strong)
    if changes:
        text = "Take the penalty from {}: a strong one drives the kernels to 0"
        yield _replaced(changes, text, "vanishing")


def _strength(penalty):
    """Return the largest factor of a penalty; one that is not known may be strong."""
    numbers = [v for v in penalty["config"].values() if isinstance(v, int | float)]
    return max(numbers, default=math.inf)


def _dropped(facts, signs):
    """Let units through where nearly all are dropped, and all outputs."""
    behind = {p: {"rate": 0.0} for p in facts.dropout if p.name in facts.behind}
    if behind:
        text = "Drop no outputs, in {}: a 0 in their place is an answer, and wrong"
        yield _replaced(behind, text, "")
    changes = {}
    for part in (*facts.dropout, *facts.hidden):
        shares = {k: part.config.get(k) or 0 for k in _SHARES}
        if max(shares.values()) >= HEAVY:
            changes[part] = {k: 0.2 for k, share in shares.items() if share >= HEAVY}
    if changes:
        text = "Drop fewer units in {}: of nearly all that are 0, nothing is learned"
        yield _replaced(changes, text, "")


def _frozen(facts, signs):
    names = [part.name for part in _all(facts) if part.frozen]
    if names:
        yield Remedy(
            f"Let {_span(names)} train: frozen layers learn nothing",
            f"for name in {names}:\n    model.get_layer(name).trainable = True\n"
            + _compile(facts),
            "",
            {name: {"trainable": True} for name in names},
        )


def _backwards(facts, signs):
    """Bring what stands at the beginning of a sequence to the end of the reading."""
    last = [p for p in facts.hidden if p.config.get("return_sequences") is False]
    if last and not last[-1].config["go_backwards"]:
        text = "Read the sequence backwards in {}, for what stands at its beginning"
        read = _replaced({last[-1]: {"go_backwards": True}}, text, "")
        # a gradient that is small in all weights alike moves nothing but with Adam
        yield from ([read.plus(adam) for adam in _adapt(facts, signs)] or [read])


def _gates(facts, signs):
    """Open gates for as long as a sequence is, as Tallec and Ollivier (2018) do."""
    # GRU adds two biases, one of the inputs, one of the state
    kinds = {"LSTM": ([0, 1, 0, 0], 1), "GRU": ([1, 0, 0], 2)}
    for kind, (gates, biases) in kinds.items():
        names = [p.name for p in facts.hidden if p.kind == kind]
        if names:
            bias = round(math.log(max(facts.sequence, 3)) / biases, 2)
            yield Remedy(
                f"Start {', '.join(names)} with gates that stay open, and train for "
                "longer: a bias of log(steps) keeps the state for the whole sequence",
                f"for name in {names}:\n    cell = model.get_layer(name).cell\n"
                f"    bias = np.repeat({[bias * gate for gate in gates]}, cell.units)\n"
                "    cell.bias.assign(np.broadcast_to(bias, cell.bias.shape))",
                "exploding",
            )


def _recurrence(facts, signs):
    changes = {
        part: {"recurrent_initializer": "orthogonal"}
        for part in facts.hidden
        if _drawn(part, "recurrent")["class_name"] not in ("", "Orthogonal")
    }
    if changes:
        text = "Draw the recurrent kernel of {} so that a state keeps its length"
        yield _replaced(changes, text, "exploding")


def _cell(facts, signs):
    """Take cells with gates: they keep a state where plain ones forget it."""
    plain = [part for part in facts.hidden if part.kind == "SimpleRNN"]
    if plain:
        text = "Make {} of LSTM: a gate keeps the state over many steps"
        yield _replaced(dict.fromkeys(plain, {"kind": "LSTM"}), text, "exploding")


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
        # as many tens as a step is too large by
        factor = 10.0 ** -_tens(signs.ratio / rules.FAST)
        if facts.optimizer.kind in _ADAPTIVE and facts.rate > ADAPTIVE_HIGH:
            factor = _usual(facts) / facts.rate
        yield _rate(facts, factor)


def _tens(lacking):
    """Return how many tens make up for a factor: one at least, three at most."""
    return min(3, max(1, math.ceil(math.log10(lacking)))) if lacking > 1 else 1


def _tight(facts, signs):
    """Tell whether a clip leaves next to nothing of the gradient."""
    clips = [(k, v) for k, v in facts.optimizer.config.items() if "clip" in k and v]
    many = {"clipvalue": math.sqrt(facts.weights)}
    return any(v * many.get(k, 1) < TIGHT * signs.norm for k, v in clips)


def _raise(facts, signs):
    if _too_fast(facts, signs) or _tight(facts, signs):
        return
    low = facts.optimizer.kind in _ADAPTIVE and facts.rate < ADAPTIVE_LOW
    # as many tens as all steps together lack
    lacking = rules.MOVED / signs.moved if signs.moved > 0 else 1.0
    yield _rate(facts, 10.0 ** (3 if low else _tens(lacking)))


def _raise_once(facts, signs):
    """Raise the rate where little moves because little arrives."""
    if not _too_fast(facts, signs):
        yield _rate(facts, 10.0)


def _steady(facts, signs):
    """Raise the rate where the loss falls to the end: the steps are too small."""
    if signs.falling:
        yield from _raise(facts, signs)


def _go_on(facts, signs):
    """Raise the rate where a plain fault learns slowly: what is mended may, too."""
    if facts.misfit or facts.unscaled(rules.LARGE):
        yield from _steady(facts, signs)


def _creep(facts, signs):
    """Mend first a rate at which Adam hardly moves: it knows no size of gradients."""
    if facts.optimizer.kind in _ADAPTIVE and signs.moved < rules.MOVED:
        yield from _pace(facts, signs)


def _slow_down(facts, signs):
    """Lower a learning rate that is known to be far too large."""
    if _too_fast(facts, signs):
        yield from _lower(facts, signs)


def _pace(facts, signs):
    """Change a learning rate that is known to be far out, and a clip that is tight."""
    if _tight(facts, signs):
        yield from _clip(facts, signs)
    elif _too_slow(facts, signs):
        if facts.optimizer.kind in _DWINDLING:
            yield from _adapt(facts, signs)
        yield from _raise(facts, signs)
    else:
        yield from _slow_down(facts, signs)


def _clip(facts, signs):
    norm = signs.norm if 0 < signs.norm < math.inf else 1.0
    why = "it keeps the steps finite and repairs no bad initialization"
    if _tight(facts, signs):
        why = "the clip that is there leaves next to nothing of it"
    yield Remedy(
        f"Clip the gradient's norm at {norm:.2g}, its size so far: {why}",
        _compile(facts, global_clipnorm=norm),
        "clipping",
    )


def _adapt(facts, signs):
    """Take an optimizer whose steps do not hang on the gradient's size."""
    if facts.optimizer.kind not in _ADAPTIVE:
        yield Remedy(
            "Take Adam: it divides the gradient of each weight by its size so far",
            "model.compile(keras.optimizers.Adam(), model.loss)",
            "conclusions",
        )


def _connect(facts, signs):
    """Ask to look at the layers, where nothing else that is known blocks them."""
    zeros = any(_drawn(p, "kernel")["class_name"] == "Zeros" for p in _all(facts))
    if not (zeros or facts.wrong_targets or facts.head and facts.misfit):
        yield Remedy(
            "See that the loss reaches every layer: no stop_gradient, rounding or "
            "argmax between them",
            "coursekit.probe(model, x, y)",
            "",
            changes=False,
        )


_ALWAYS = (_clean, _derivative, _batch, _mask, _pair, _axis, _labels, _output)
_SEEN = (*_ALWAYS, _bound, _relu_output, _creep, _scale, _penalty, _dropped)
_ORDER = {
    # whatever is changed in the model, there is nothing to see
    "alike": (_look,),
    # other samples are what helps, and no other step
    "by_heart": (_joined, _generalize),
    # healthy gradients, and little was learned: only what is plain
    "weak": (_pace, _go_on, _frozen, _crossentropy, _nonlinear),
    "vanishing": (_activate, _initialize, _normalize, _raise_once, _adapt),
    "vanishing in time": (_recurrence, _backwards, _gates, _cell, _raise_once),
    "exploding": (_unseen, _lower, _initialize, _clip, _normalize),
    "exploding at start": (_unseen, _initialize, _normalize, _lower, _clip),
    "exploding in time": (_unseen, _recurrence, _clip, _lower),
    "dead_units": (_pace, _initialize, _alive, _normalize, _lower),
    "no_gradient": (_slow_down, _connect, _initialize, _frozen, _alive),
    "not_learning": (
        *(_pace, _steady, _crossentropy, _nonlinear, _gates, _misdrawn, _frozen),
        *(_adapt, _joined, _initialize, _activate, _normalize, _raise, _lower),
    ),
}
#: What a trial has to try beside what fits the verdict.
EVERY = (
    *(_pace, _initialize, _activate, _normalize, _unit_variance, _raise, _lower),
    *(_adapt, _clip, _alive, _backwards, _gates, _recurrence, _cell, _frozen),
    *(_decades,),
)
