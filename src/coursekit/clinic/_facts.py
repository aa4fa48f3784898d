"""What a remedy must know of a model, its loss, its optimizer and its data."""

import math
from dataclasses import dataclass, field, replace
from itertools import takewhile

import keras
import numpy as np

from coursekit._taps import BOUNDS, leaves, own_kernels
from coursekit.clinic._heads import heads, single, way_back
from coursekit.probing import unchanged

# What a remedy can replace: layers whose constructor says all.
_KINDS = ("Dense", "Conv1D", "Conv2D", "Conv3D", "LSTM", "GRU", "SimpleRNN")
_ACTIVATIONS = {"Softmax": "softmax", "ReLU": "relu", "LeakyReLU": "leaky_relu"}
_LOSSES = {
    "binarycrossentropy": "binary",
    "binaryfocalcrossentropy": "binary",
    "categoricalcrossentropy": "categorical",
    "categoricalfocalcrossentropy": "categorical",
    "sparsecategoricalcrossentropy": "sparse",
    "meansquarederror": "regression",
    "meanabsoluteerror": "regression",
    "huber": "regression",
    "logcosh": "regression",
    "poisson": "counts",
    "hinge": "margin",
    "squaredhinge": "margin",
    "kldivergence": "categorical",
    "dice": "overlap",
    "tversky": "overlap",
}
# Layers between those with kernels that leave a linear map one.
_LINEAR = ("InputLayer", "Flatten", "Reshape", "Dropout", "BatchNormalization")
# What an activation can give.
RANGES = BOUNDS | {
    "softmax": (0, 1),
    "relu": (0, math.inf),
    "relu6": (0, 6),
    "softplus": (0, math.inf),
    "exponential": (0, math.inf),
    "elu": (-1, math.inf),
    "celu": (-1, math.inf),
    "log_sigmoid": (-math.inf, 0),
}
# Operations of Keras that leave the outputs of a layer what they are.
_SHAPES = ("Cast", "ExpandDims", "GetItem", "Reshape", "Squeeze", "Transpose")
# What gives the probabilities that a loss takes.
_PROBABILITIES = {
    "binary": ("sigmoid", "hard_sigmoid", "softmax"),
    "categorical": ("softmax",),
    "sparse": ("softmax",),
    "overlap": ("sigmoid", "hard_sigmoid", "softmax"),
}
# Losses that need outputs of 0 or more.
_WANT_POSITIVE = (*_PROBABILITIES, "counts")
# Outputs that a loss makes probabilities of: it takes the logits that Keras keeps of a
# sigmoid, so that training is that of a softmax, or divides by the sum.
_COMPLETED = {
    "categoricalcrossentropy": ("sigmoid", "softplus", "exponential"),
    "sparsecategoricalcrossentropy": ("sigmoid",),
}
# Of large data a part tells the size, and a smaller one the sign of the outputs.
_ROWS, _FEW = 2048, 32


@dataclass(frozen=True, eq=False)
class Part:
    """A layer or an optimizer of Keras: its class, and what its constructor takes."""

    kind: str
    config: dict
    name: str = ""
    # of a layer: its own, or that of the next layer that has one, and its name
    activation: str = "linear"
    apart: str = ""

    @property
    def frozen(self):
        """Whether a layer was told not to train."""
        return not self.config.get("trainable", True)


@dataclass(frozen=True)
class Facts:
    """What a remedy must know, as plain values; the defaults stand for not known."""

    # layers of known kinds, from the input to the output
    hidden: tuple = ()
    # the layer that makes the outputs, if its kind is known
    head: Part | None = None
    # layers that drop units, and the names of those that drop outputs
    dropout: tuple = ()
    behind: tuple = ()
    # the outputs' activation, and the length of their last axis
    output: str | None = None
    units: int | None = None
    # whether all hidden layers are linear, so that together they are one
    linear: bool = False
    # whether the model's graph is known, so that it can be rebuilt
    functional: bool = True
    # whether a layer normalizes its inputs
    normalized: bool = False
    # numbers that are trained
    weights: int = 0
    # one of the kinds of _LOSSES
    loss: str | None = None
    from_logits: bool = False
    # activations whose outputs the loss itself makes probabilities of
    completed: tuple = ()
    optimizer: Part = field(default_factory=lambda: Part("SGD", {}))
    # the learning rate, and whether a schedule gives it
    rate: float = 0.01
    scheduled: bool = False
    x_rank: int = 2
    # the larger of |mean| and standard deviation, of the feature that has most of it;
    # NaN for tokens
    x_size: float = math.nan
    y_size: float = math.nan
    # time steps of the inputs of a recurrent model
    sequence: int = 0
    # ends of the targets
    low: float = math.nan
    high: float = math.nan
    # whether all targets are whole numbers, and all numbers finite
    whole: bool = True
    finite: bool = True
    # whether most samples have inputs that are not finite
    broken: bool = False

    @property
    def one_softmax(self):
        """Whether the output is a softmax over one unit, which is always 1."""
        return self.output == "softmax" and self.units == 1

    @property
    def harmless(self):
        """Whether the loss mends the outputs, so that they do not block learning."""
        return self.output in self.completed and self.units not in (None, 1)

    @property
    def strays(self):
        """Whether labels are no classes of a cross-entropy that takes numbers."""
        classes = self.units not in (None, 1)
        outside = classes and (self.low < 0 or self.high >= self.units)
        return self.loss == "sparse" and self.whole and outside

    @property
    def undefined(self):
        """Whether the loss need not be a number, whatever the weights are."""
        dropped = bool(self.behind) and self.loss == "categorical"
        return self.strays or dropped or self.loss == "counts" and bool(self.misfit)

    @property
    def wrong_targets(self):
        """What the loss cannot take of the targets, in words, or ""."""
        low, high = self.low, self.high
        if self.loss == "sparse":
            if not self.whole:
                return (
                    "the labels are not whole numbers: they are cut to the classes "
                    f"below, and go from {low:.3g} to {high:.3g}"
                )
            if self.strays:
                return (
                    f"the labels go from {low:.0f} to {high:.0f}, outside of the "
                    f"classes 0 to {self.units - 1}"
                )
        elif self.loss in _PROBABILITIES and (low < 0 or high > 1):
            return f"the targets go from {low:.3g} to {high:.3g}, the loss takes 0 to 1"
        return ""

    @property
    def misfit(self):
        """Why the outputs do not fit the loss and the targets, in words, or ""."""
        now, (lowest, highest) = (
            self.output,
            RANGES.get(self.output, (-math.inf, math.inf)),
        )
        known = self.head is not None or now in RANGES
        if self.one_softmax:
            return "softmax of one unit is 1"
        if not known or math.isnan(self.low):
            return ""
        if self.loss == "counts" and lowest < 0:
            return f"the loss takes the logarithm of the outputs, {now} may be below 0"
        if self.loss == "margin" and lowest >= 0:
            return f"the loss takes outputs on both sides of 0, {now} gives none below"
        if self.loss in _PROBABILITIES:
            if self.loss == "sparse" and self.units == 1:
                return "a class has a unit of its own"
            if self.from_logits:
                return "" if now == "linear" else f"the loss takes logits, not a {now}"
            if now not in _PROBABILITIES[self.loss]:
                mended = ", in training the loss makes them" * self.harmless
                return f"{now} gives no probabilities of classes{mended}"
        # what a loss of somebody's own makes of its targets is not known
        elif self.loss == "regression" and (self.low < lowest or self.high > highest):
            ends = f"the targets go from {self.low:.3g} to {self.high:.3g}"
            return f"{ends}, {now} from {lowest:g} to {highest:g}"
        return ""

    def unscaled(self, large):
        """Return the sizes of inputs and targets that are far from 1, by name."""
        sizes = {}
        if not (0.1 / large <= self.x_size <= large) and not self.normalized:
            sizes["inputs"] = self.x_size
        if self.loss in ("regression", None) and self.y_size > large:
            sizes["targets"] = self.y_size
        return {name: size for name, size in sizes.items() if size > 0}


def facts_of(model, x=None, y=None, loss=None, optimizer=None, called=()):
    """Return the facts of a built model and of its data, or of a batch of them.

    Inputs or targets of several arrays tell nothing. By default the loss and the
    optimizer are those that the model is compiled with. ``called`` are the rows of a
    probe: which layer comes last, a model that is no graph does not tell.
    """
    loss = getattr(model, "loss", None) if loss is None else loss
    optimizer = optimizer or getattr(model, "optimizer", None)
    order = leaves(model)
    tokens = any(isinstance(layer, keras.layers.Embedding) for layer in order)
    ignored = getattr(loss, "ignore_class", None)
    facts = Facts(
        **_of_layers(model, order, called),
        **_of_loss(loss),
        **_of_optimizer(optimizer),
        **_of_data(order, x, y, tokens, ignored),
    )
    # what a model that is no graph does behind its last layer is not known
    hidden = facts.output == "linear" and not facts.functional and x is not None
    if hidden and facts.loss in _WANT_POSITIVE and _never_below_0(model, x):
        return replace(facts, output=None, head=None)
    return facts


def _never_below_0(model, x):
    with unchanged(model):
        x = keras.tree.map_structure(lambda a: a[:_FEW], x)
        outputs = keras.tree.flatten(model(x, training=False))
    return all(np.min(o) >= 0 for o in outputs)


def output_activation(model, called=()):
    """Return the name of the activation of the one layer of outputs, or None."""
    return _of_layers(model, leaves(model), called)["output"]


def _of_layers(model, order, called):
    parts, dropout, output, across = [], [], None, set()
    for layer in order:
        kind = type(layer).__name__
        if "Dropout" in kind and layer in model.layers:
            dropout.append(Part(kind, layer.get_config(), layer.name))
        name = getattr(getattr(layer, "activation", None), "__name__", None)
        name = _ACTIVATIONS.get(kind, name)
        if own_kernels(layer) or hasattr(layer, "cell"):
            # else no line of Keras's names makes it anew
            known = getattr(keras.layers, kind, None) is type(layer) and kind in _KINDS
            known = known and layer in model.layers and _has_name(name)
            config = layer.get_config() if known else {}
            parts.append(
                Part(kind if known else "", config, layer.name, name or "linear")
            )
        elif name and parts and parts[-1].activation == "linear":
            last = parts.pop()
            kind = last.kind if _has_name(name) else ""
            if kind and getattr(layer, "axis", -1) not in (-1, _rank(layer) - 1):
                across.add(last.name)
            parts.append(Part(kind, last.config, last.name, name, layer.name))
    names = [p.name for p in parts]
    names = [n for n in called if n in names] if {*called} >= {*names} else names
    ends = heads(model, names) if parts else []
    head = next((p for p in parts if [p.name] == ends), None)
    if head is not None:
        output = head.activation
    units = head and (head.config.get("units") or head.config.get("filters"))
    # a softmax over places or time steps, not over units
    units = None if head and head.name in across else units
    if operations := _operations(model):
        # no line of Keras's names takes one out of a model
        known = {name.replace("_", ""): name for name in RANGES}
        alone = len(operations) == 1 and output == "linear"
        head, output = None, known.get(operations[0].lower()) if alone else None
    hidden = [p for p in parts if p.name not in ends]
    plain = all(type(a).__name__ in (*_LINEAR, *_KINDS[:4]) for a in order)
    linear = plain and all(p.activation == "linear" for p in hidden)
    return {
        "hidden": tuple(p for p in hidden if p.kind),
        "linear": linear and bool(hidden) and isinstance(model, keras.Sequential),
        "head": head if head is not None and head.kind else None,
        "dropout": tuple(p for p in dropout if hasattr(keras.layers, p.kind)),
        "behind": tuple(_behind(model, [p.name for p in dropout])),
        "output": output,
        "units": units,
        "functional": bool(getattr(model, "inputs", None)),
        "normalized": any("Normalization" in type(layer).__name__ for layer in order),
        "weights": sum(math.prod(v.shape) for v in model.trainable_variables),
    }


def _rank(layer):
    """Return how many axes the outputs of a layer have, 0 if that is not known."""
    try:
        return len(layer.output.shape)
    except (AttributeError, ValueError):
        return 0


def _end(model, belongs):
    """Return what ends the way to the only output, as long as it belongs there."""
    outputs = getattr(model, "outputs", None) or []
    way = way_back(outputs[0]) if len(outputs) == 1 else ()
    return list(takewhile(lambda one: single(one) and belongs(one), way))


def _operations(model):
    """Return the names of the operations, no layers, that make the only output."""
    end = _end(model, lambda one: not isinstance(one, keras.Layer))
    return [type(one).__name__ for one in end if type(one).__name__ not in _SHAPES]


def _behind(model, names):
    """Return those layers that the way back from the only output meets first of all."""
    end = _end(model, lambda one: isinstance(one, keras.Layer) and not own_kernels(one))
    return [layer.name for layer in end if layer.name in names]


def _has_name(activation):
    """Tell whether Keras knows an activation by its name."""
    try:
        return activation is None or bool(keras.activations.get(activation))
    except ValueError:
        return False


def _of_loss(loss):
    if loss is None or isinstance(loss, dict | list | tuple):
        return {}
    loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__).lower().replace("_", "")
    logits = bool(getattr(loss, "from_logits", False))
    return {
        "loss": _LOSSES.get(name),
        "from_logits": logits,
        "completed": () if logits else _COMPLETED.get(name, ()),
    }


def _of_optimizer(optimizer):
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return {}
    config = optimizer.get_config()
    return {
        "optimizer": Part(_of_keras(type(optimizer)), config),
        "scheduled": isinstance(config.get("learning_rate"), dict),
        "rate": float(optimizer.learning_rate),
    }


def _of_keras(kind):
    """Return the name of Keras's optimizer that a class is or comes from, else SGD."""
    for own in kind.__mro__[: kind.__mro__.index(keras.optimizers.Optimizer)]:
        if getattr(keras.optimizers, own.__name__, None) is own:
            return own.__name__
    return "SGD"


def _of_data(order, x, y, tokens, ignored=None):
    found = {}
    if not isinstance(x, dict | list | tuple | None):
        x = np.asarray(x)
        recurrent = any(hasattr(layer, "cell") for layer in order)
        good = _finite(x)
        found["x_rank"], found["finite"] = x.ndim, bool(good.all())
        rows = good.reshape(len(x), -1).all(axis=1) if x.ndim else good
        found["broken"] = bool(np.mean(rows) < 0.5)
        found["sequence"] = x.shape[1] if recurrent and x.ndim > 1 else 0
        found["x_size"] = math.nan if tokens else _size(x)
    if not isinstance(y, dict | list | tuple | None):
        y = np.asarray(y)
        known = y[_finite(y)]
        found["finite"] = found.get("finite", True) and known.size == y.size
        found["y_size"] = _size(y)
        # a class that the loss leaves out, such as padding
        known = known if ignored is None else known[known != ignored]
        if known.size:
            found["low"], found["high"] = float(known.min()), float(known.max())
            found["whole"] = not (known % 1).any()
    return found


def _finite(array):
    return np.isfinite(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)


def _size(array):
    if array.dtype.kind not in "iuf" or not array.size:
        return math.nan
    features = np.asarray(array[:_ROWS], dtype="float64")
    features = features.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
    features = features[np.isfinite(features).all(axis=1)]
    sizes = (
        [*np.abs(features.mean(axis=0)), *features.std(axis=0)] if len(features) else []
    )
    return float(max(sizes, default=math.nan))
