"""Copies of a model that are changed by a remedy and trained; the model is not."""

import math
import random
import time
import warnings
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from coursekit._taps import leaves, own_kernels
from coursekit.clinic._baseline import best_constant
from coursekit.clinic._checkup import parts_told_apart
from coursekit.clinic._facts import output_activation
from coursekit.probing import call, unchanged

#: Of so many samples or more a quarter is held back, and what was learned is measured
#: on that: noise is learned by heart, too. Of fewer a quarter would tell nothing.
ENOUGH = 256
# It is measured on so many at most.
_SAMPLES = 512
# Steps between two looks at the clock.
CHUNK = 10
LATE = "no time was left"


@dataclass(frozen=True)
class Run:
    """What a copy learned: a share, after so many steps; why it failed, if it did.

    ``seen`` is the share of samples that it was trained on, NaN if that is ``share``;
    ``apart`` how many tenths of those that were held back tell targets apart;
    ``seconds`` what the steps took, without what is measured after them.
    """

    share: float
    steps: int
    failure: str = ""
    seen: float = math.nan
    apart: float = math.nan
    seconds: float = 0.0


class Copies:
    """Makes and trains copies of one model.

    Parameters
    ----------
    model : keras.Model, or function that returns one
    x, y : numpy.ndarray
    batch : int
    until : float
        When to stop, on the clock of ``time.monotonic``.
    """

    def __init__(self, model, x, y, batch, until):
        self.x, self.y, self.batch, self.until = x, y, batch, until
        self.build = None if isinstance(model, keras.Model) else model
        self.model = _built(model() if self.build else model, x)
        self.functional = bool(getattr(self.model, "inputs", None))
        self.notes, self.norm, self._loops = [], math.nan, {}
        weights = [np.asarray(w) for w in self.model.get_weights()]
        lost = not all(np.isfinite(w).all() for w in weights if w.dtype.kind == "f")
        used = lost or int(self.model.optimizer.iterations) > 0
        if lost and not (self.functional or self.build):
            raise ValueError(
                "the weights are not finite, and a subclassed model cannot be drawn "
                "anew: give a function that builds it"
            )
        # else a copy has the model's own weights
        self._drawn = bool(self.build) or (used and self.functional)
        if used and not self.build:
            begin = "are drawn anew, but for frozen layers"
            begin = begin if self._drawn else "begin where it stands"
            self.notes.append(f"The model was trained before: the copies {begin}.")
        seen, held = _split(len(x))
        told = f"{min(len(held), _SAMPLES)} samples that no copy was trained on"
        if not len(held):
            told = f"the {len(seen)} samples of the training: too few to hold some back"
        self.notes.append(f"The shares are of {told}.")
        top = self.model.layers
        if any(
            own_kernels(a) and a not in top for a in leaves(self.model) if not _cell(a)
        ):
            self.notes.append("Layers inside other layers or models stay as they are.")
        if type(self.model).train_step is not keras.Model.train_step:
            self.notes.append(
                "The copies take plain steps, not the model's train_step."
            )

    def run(self, remedy, seed, steps):
        """Train a copy; return a Run, or a str that says why there is none."""
        first = remedy is None and seed == 0
        if time.monotonic() > self.until and not first:
            return LATE
        random.seed(seed)
        np.random.seed(seed)
        with warnings.catch_warnings():
            # a copy has the model's faults, and Keras has warned of them before
            warnings.simplefilter("ignore")
            try:
                copy = self._copy(remedy)
            except Exception as error:  # what a line meets in a model of any kind
                if remedy is None:
                    raise
                return f"{type(error).__name__}: {str(error).splitlines()[0]}"
            try:
                return self._trained(copy, remedy, seed, steps)
            except (ValueError, tf.errors.InvalidArgumentError) as error:
                return Run(math.nan, 0, str(error).strip().splitlines()[0][:80])

    def _copy(self, remedy):
        """Return model, optimizer, loss, x and y after the remedy's lines were run."""
        layers = remedy.layers if remedy else {}
        if self.functional:
            model = _clone(self.model, layers, keep=not self._drawn)
        elif self.build:
            model = _built(self.build(), self.x)
            _alter(model, self.model, layers)
        elif layers or remedy and "get_layer" in remedy.code:
            raise ValueError("a subclassed model: give a function that builds it")
        else:
            model = self.model
        names = [layer.name for layer in leaves(self.model)]
        # what a line may read and change; compile is not the model's own
        face = SimpleNamespace(
            optimizer=_again(self.model.optimizer),
            loss=self.model.loss,
            inputs=getattr(model, "inputs", None),
            get_layer=lambda name: leaves(model)[names.index(name)],
        )
        if self.functional:
            face.get_layer = model.get_layer
        face.compile = lambda optimizer, loss: vars(face).update(
            optimizer=optimizer, loss=loss
        )
        known = {"keras": keras, "np": np, "model": face, "x": self.x, "y": self.y}
        lines = remedy.code.split("\n") if remedy else []
        exec("\n".join(s for s in lines if not s.startswith("keras.layers.")), known)
        return model, face.optimizer, face.loss, known["x"], known["y"]

    def _trained(self, copy, remedy, seed, steps):
        model, optimizer, loss, x, y = copy
        inner = _inner(optimizer)
        config = inner.get_config()
        if not _scheduled(optimizer):
            config.pop("learning_rate", None)
        kinds = type(optimizer), type(inner)
        key = str((remedy.layers if remedy else {}, kinds, config, loss))
        if key not in self._loops:
            self._loops[key] = _Loop(model, optimizer, keras.losses.get(loss))
        loop = self._loops[key]
        loop.reset(model, optimizer)
        x = x.astype("float32") if x.dtype.kind == "f" else x
        y, done = loop.targets(x, y), 0
        # a remedy may have left some out
        if not len(x):
            return f"no sample is left of {len(self.x)}"
        seen, held = _split(len(x))
        data = tf.constant(x), tf.constant(y)
        order = seen[_order(seed, len(seen), self.batch, steps)]
        start = time.monotonic()
        for rows in np.split(order, range(CHUNK, steps, CHUNK)):
            value, norms = loop.train(*data, tf.constant(rows))
            done += len(rows)
            if not math.isfinite(float(value)) or time.monotonic() > self.until:
                break
        spent = time.monotonic() - start
        finite = norms.numpy()[np.isfinite(norms)]
        if remedy is None and len(finite):
            self.norm = float(np.median(finite))
        seen, held = seen[:_SAMPLES], held[:_SAMPLES]
        of_seen = loop.share(x[seen], y[seen])
        if not len(held):
            return Run(of_seen, done, seconds=spent)
        x, y = x[held], y[held]
        share = loop.share(x, y)
        # where half of it holds on others, it is not known by heart
        apart = loop.told_apart(x, y) if share < of_seen / 2 else math.nan
        return Run(share, done, seen=of_seen, apart=apart, seconds=spent)


class _Loop:
    """A compiled loop for all copies that differ in numbers alone.

    It has variables of its own: of the model only the graph is used.
    """

    def __init__(self, model, optimizer, loss):
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.trained = [
            keras.Variable(v, dtype=v.dtype) for v in model.trainable_variables
        ]
        self.state = [
            keras.Variable(v, dtype=v.dtype, trainable=False)
            for v in model.non_trainable_variables
        ]
        self.activation = output_activation(model)
        optimizer.build(self.trained)
        self._fresh = [v.numpy() for v in optimizer.variables]
        self.train = tf.function(self._train, reduce_retracing=True)

    def reset(self, model, optimizer):
        """Begin with the weights of a model and an optimizer that has done nothing."""
        for mine, theirs in (
            *zip(self.trained, model.trainable_variables, strict=True),
            *zip(self.state, model.non_trainable_variables, strict=True),
            *zip(self.optimizer.variables, self._fresh, strict=True),
        ):
            mine.assign(theirs)
        if not _scheduled(optimizer):
            self.optimizer.learning_rate = float(optimizer.learning_rate)

    def outputs(self, x, training):
        """Return outputs, new state and penalties; the model is left as it is."""
        own = (*self.model.trainable_variables, *self.model.non_trainable_variables)
        mine = [v.value for v in (*self.trained, *self.state)]
        pairs = list(zip(own, mine, strict=True))
        with keras.StatelessScope(pairs, collect_losses=True) as scope:
            outputs, penalties = self.model(x, training=training), self.model.losses
        state = [scope.get_current_value(v) for v in self.model.non_trainable_variables]
        return outputs, state, penalties

    def targets(self, x, y):
        """Return y as the loss takes it."""
        shape = self.outputs(tf.constant(x[:1]), False)[0].shape
        y = y.astype("float32")
        return y[..., None] if y.ndim == len(shape) - 1 and shape[-1] == 1 else y

    def value(self, y, outputs):
        """Return the loss, a mean over the samples."""
        return tf.reduce_mean(self.loss(y, outputs))

    def _train(self, x, y, order):
        norms = tf.TensorArray("float32", size=len(order))
        value = tf.constant(0.0)
        for n in tf.range(len(order)):
            with tf.GradientTape() as tape:
                outputs, state, penalties = self.outputs(tf.gather(x, order[n]), True)
                loss = self.value(tf.gather(y, order[n]), outputs)
                scaled = self.optimizer.scale_loss(loss + sum(penalties))
            gradients = tape.gradient(scaled, [v.value for v in self.trained])
            norm = tf.linalg.global_norm([g for g in gradients if g is not None])
            norms = norms.write(n, tf.cast(norm, "float32"))
            self.optimizer.apply(gradients, self.trained)
            for mine, new in zip(self.state, state, strict=True):
                mine.assign(new)
            value = tf.cast(loss, "float32")
        return value, norms.stack() / self.optimizer.scale_loss(1.0)

    def told_apart(self, x, y):
        """Return how many tenths of the samples lose more with others' targets."""

        def lost_by(rows):
            outputs = self.outputs(tf.constant(x[rows]), False)[0]
            return lambda others: float(self.value(y[others], outputs))

        return parts_told_apart(lost_by, len(x))

    def share(self, x, y):
        """Return the larger share of training=False and True: averages lag behind."""
        active = self.activation
        both = (self.outputs(tf.constant(x), training)[0] for training in (False, True))
        found = [share_learned(self.value, outputs, y, active) for outputs in both]
        return max((s for s in found if math.isfinite(s)), default=math.nan)


@np.errstate(all="ignore")
def share_learned(value, outputs, y, activation=None):
    """Return 1 - loss / loss of the best constant output; NaN if it is not finite.

    A negative loss has no share: then it is the difference over the larger size.
    Outputs, or labels as the loss reads them, that are the same for all samples mean
    that nothing was learned, whatever the losses round to.

    Parameters
    ----------
    value : callable
        Of (y, outputs), returns the loss.
    outputs : tf.Tensor of shape (samples, ...)
    y : numpy.ndarray of float32
    activation : str, optional
        That of the outputs.
    """
    own = float(value(y, outputs))
    if not math.isfinite(own):
        return math.nan
    best = best_constant(lambda c: value(y, c), outputs, y, activation).loss
    size = best if min(best, own) >= 0 else max(abs(best), abs(own))
    share = (best - own) / max(size, 1e-12)
    # a loss of many classes cuts its labels to whole numbers
    classes = y.shape != outputs.shape and y.size == math.prod(outputs.shape[:-1])
    read = y.astype(int) if classes else y
    spread = [np.ptp(np.asarray(a), axis=0).max(initial=0) for a in (outputs, read)]
    return share if all(spread) or len(y) == 1 else min(share, 0.0)


def _split(samples):
    """Return the rows to train on, and those that are held back: the same each time."""
    rows = np.random.default_rng(0).permutation(samples)
    held = samples // 4 if samples >= ENOUGH else 0
    return rows[held:], rows[:held]


def _order(seed, samples, batch, steps):
    """Return the rows of each step, shape (steps, batch): passes without remainders."""
    rng, batch = np.random.default_rng(seed), min(batch, samples)
    whole = samples // batch * batch
    passes = -(-steps * batch // whole)
    rows = [rng.permutation(samples)[:whole] for _ in range(passes)]
    return np.concatenate(rows)[: steps * batch].reshape(steps, batch)


def _cell(layer):
    return hasattr(layer, "state_size")


def _inner(optimizer):
    """Return what a loss scale stands around."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _scheduled(optimizer):
    return isinstance(_inner(optimizer).get_config().get("learning_rate"), dict)


def _again(optimizer):
    config = optimizer.get_config()
    if "inner_optimizer" not in config:
        return type(optimizer).from_config(config)
    # a loss scale would look for a class of somebody's own among the registered ones
    inner = _again(optimizer.inner_optimizer)
    return type(optimizer)(**config | {"inner_optimizer": inner})


def _built(model, x):
    """Return the model, or a copy with weights; refuse what cannot be trained."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model is a {type(model).__name__}: give a keras.Model, or a function "
            "that returns one"
        )
    loss = getattr(model, "loss", None)
    if loss is None or model.optimizer is None:
        raise ValueError("the model has no optimizer or no loss: compile it")
    outputs = getattr(model, "outputs", None) or [0]
    if isinstance(loss, dict | list | tuple) or len(outputs) > 1:
        raise ValueError("the model has several outputs or losses: give one of one")
    if model.built or not isinstance(model, keras.Sequential):
        # builds it, as a diagnosis does, or refuses what it does not take
        with unchanged(model):
            call(model, x[:1], whole=x)
        return model
    copy = keras.models.clone_model(model)
    copy.build((None, *x.shape[1:]))
    copy.compile(_again(model.optimizer), model.loss)
    return copy


def _clone(model, layers, keep):
    """Rebuild a model with some layers changed; others may keep its weights.

    What is frozen keeps them in any case: nobody would train it again.
    """
    if nested := set(layers) - {layer.name for layer in model.layers}:
        raise ValueError(f"{min(nested)} is inside a nested model")

    def fresh(layer):
        # a Python function is not read back from a configuration: the model's own
        # is taken, and a Lambda, which has no weights, as it is
        # the same holds for what was adapted to data
        if isinstance(layer, keras.layers.Lambda) or hasattr(layer, "adapt"):
            return layer
        own = getattr(layer, "activation", None)
        own = {"activation": own} if isinstance(own, FunctionType) else {}
        change = {
            k: v
            for k, v in layers.get(layer.name, {}).items()
            if k not in ("kind", "normalize")
        }
        kind, config = type(layer), layer.get_config()
        if "kind" in layers.get(layer.name, {}):
            kind = getattr(keras.layers, layers[layer.name]["kind"])
        elif change.keys() == {"activation"} and "activation" not in config:
            # ReLU, Softmax and their like: each has settings of its own
            kind, config = keras.layers.Activation, {"name": layer.name}
        return kind.from_config(config | own | change)

    def call(layer, *args, **kwargs):
        # another kind of layer may know no mask
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        outputs, name = layer(*args, **kwargs), layer.name
        activation = layers.get(name, {}).get("normalize")
        if activation is None:
            return outputs
        outputs = keras.layers.BatchNormalization(name=f"{name}_normalized")(outputs)
        return keras.layers.Activation(activation, name=f"{name}_active")(outputs)

    view = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    copy = keras.models.clone_model(view, clone_function=fresh, call_function=call)
    for layer in model.layers:
        drawn = not keep and layer.trainable
        drawn |= any("initializer" in key for key in layers.get(layer.name, {}))
        if layer.weights and not drawn:
            mine = copy.get_layer(layer.name)
            if [w.shape for w in mine.weights] == [w.shape for w in layer.weights]:
                mine.set_weights(layer.get_weights())
    return copy


def _alter(model, template, layers):
    """Change layers of a subclassed model in place, before a loop is compiled."""
    for layer, old in zip(leaves(model), leaves(template), strict=True):
        for key, value in layers.get(old.name, {}).items():
            if key == "activation" and hasattr(layer, key):
                layer.activation = keras.activations.get(value)
            elif key in ("trainable", "rate"):
                setattr(layer, key, value)
            elif key == "kernel_initializer":
                for kernel in own_kernels(layer):
                    kernel.assign(keras.initializers.get(value)(kernel.shape))
            elif key == "bias_initializer":
                layer.bias.assign(np.zeros(layer.bias.shape))
            elif key in ("kernel_regularizer", "bias_regularizer"):
                getattr(layer, key.split("_")[0]).regularizer = None
            else:
                raise ValueError(f"{key} of a subclassed model cannot be changed")
