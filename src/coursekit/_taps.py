"""Record what happens inside a Keras model during one forward pass.

Keras keeps the pre-activation of a layer to itself: ``Dense(activation=...)``
never hands it out. So for the time of a ``with`` block the model's own layers
are tapped, on the instance: the activation of every layer that holds a kernel,
the call of every recurrent cell, and the calls of the layers that follow.
Nothing is subclassed or rebuilt, and all is taken off again afterwards, also
after an error. What stands between layers (``tf.nn.relu`` in the ``call`` of a
subclassed model, ``keras.ops.relu`` in a functional one) is seen as TensorFlow
runs it.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np

from coursekit._backend import check_backend

check_backend()

try:
    # No public name of TensorFlow shows the operations of an eager pass.
    from tensorflow.python.framework import op_callbacks
except ImportError:  # then only layers are followed
    op_callbacks = None

# Activations with two finite ends, (lower, upper), by Keras's name or by that of
# TensorFlow's operation in small letters.
BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "soft_sign": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}
# Weights of two axes or more that do not mix units: Keras's names for those of a
# normalization over several axes, and of a PReLU behind a convolution.
_NO_KERNELS = ("gamma", "beta", "scale", "alpha", "moving_mean", "moving_variance")
# Operations whose smaller operand is a limit; of any other it is a factor or a
# summand that may be trained.
_LIMITS = ("Maximum", "Minimum", "ClipByValue", "SelectV2", "Select")


@dataclass(frozen=True)
class _State:
    """How an activation came about, from a call's pre-activation on.

    A segment reaches from what came in to what went out of operations without
    weights, ``(before, after)``; one with weights, such as BatchNormalization,
    begins the next. Without an operation the two are one and the same tensor.
    """

    segments: tuple
    # pairs (output of a bounded activation, its bounds), of what follows
    bounded: tuple = ()
    # the same of the last operation: inside of a swish a sigmoid is none
    last: tuple = ()
    age: int = 0

    def then(self, tensor, weighted, bounded=(), last=()):
        """Return the state after one more operation."""
        *older, (before, _) = self.segments
        if weighted:
            older, before = self.segments, tensor
        return _State(
            (*older, (before, tensor)), self.bounded + bounded, last, self.age + 1
        )


@dataclass
class Run:
    """One call of a layer with a kernel, and of what follows it."""

    # which of the row's pre-activations is its own
    position: int
    state: _State
    # has a layer with a kernel read the activation?
    closed: bool = False

    @property
    def activation(self):
        """Return what the last operation put out."""
        return self.state.segments[-1][1]


@dataclass
class Row:
    """What one layer with a kernel did; lists have one entry a call.

    A recurrent layer's cell is called once a time step.
    """

    name: str
    kernels: list
    channel_axis: int = -1
    pre_activations: list = field(default_factory=list)
    runs: list = field(default_factory=list)
    # pairs (output of a bounded activation, its bounds), of the layer itself
    bounded: list = field(default_factory=list)
    # states h_1 ... h_T; empty unless the layer is recurrent
    states: list = field(default_factory=list)

    @property
    def activations(self):
        """Return what each call put out, after all that follows."""
        return [run.activation for run in self.runs]

    def let_go(self):
        """Forget all tensors."""
        for tensors in (self.pre_activations, self.runs, self.bounded, self.states):
            tensors.clear()


@contextmanager
def tapped(model, called=None):
    """Tap ``model`` and yield the list of its rows, in the order of calls.

    The list is empty until the model is called inside the block.

    Parameters
    ----------
    model : keras.Model
    called : callable, optional
        Called without arguments at the first call of each layer with a kernel.
    """
    rows = []

    def enter(row):
        if not any(row is other for other in rows):
            rows.append(row)
            if called is not None:
                called()

    chain = _Chain()
    working = leaves(model)
    with ExitStack() as taps:
        for layer in working:
            kernels = own_kernels(layer)
            if kernels:
                name = row_name(model, layer, working)
                row = Row(name, kernels, _channel_axis(layer))
                _tap_kernel_layer(taps, layer, row, enter, chain)
            elif not _holds_kernels(layer):
                replace(taps, layer, "call", chain.follow(layer))
        for layer in model._flatten_layers():
            # The fused kernels of a GPU never call the cell.
            if hasattr(layer, "use_cudnn"):
                replace(taps, layer, "use_cudnn", False)
            # A symbolic loop calls the cell once more than there are steps.
            if hasattr(layer, "unroll"):
                replace(taps, layer, "unroll", True)
        # what the loss does with the outputs is no part of the model
        replace(taps, model, "call", chain.watched(model.call))
        yield rows


def kernels(model):
    """Return all kernels of ``model``, those of recurrent cells included."""
    return [kernel for layer in leaves(model) for kernel in own_kernels(layer)]


@dataclass
class _Frame:
    """A layer that is being called, and the operations that it has run."""

    # has it drawn random numbers?
    random: bool = False
    # id of an output -> (output, its name, the one tensor it was made from)
    made: dict = field(default_factory=dict)

    def origin(self, tensor):
        """Return what elementwise operations made ``tensor`` from, or itself."""
        while id(tensor) in self.made:
            tensor = self.made[id(tensor)][2]
        return tensor

    def bounds(self, tensor):
        """Return the ends of the operation that made ``tensor``, or None."""
        _, name, _ = self.made.get(id(tensor), (None, "", None))
        return _operation_bounds(name)


class _Chain:
    """Follow an activation through all that gives back the shape it got.

    Dense -> BatchNormalization -> Activation is one layer of the textbook, so
    what the last of them returns is the activation of the row of the first.
    Every layer and every operation without a kernel is followed, but for those
    that draw random numbers: dropout and noise. A tensor is recognized by
    identity, and kept so that its id stays its own.
    """

    def __init__(self):
        # id of a tensor -> (tensor, run, how it came about)
        self._known = {}
        self._frames = []

    def add(self, run):
        """Follow the output of ``run``."""
        self._known[id(run.activation)] = (run.activation, run, run.state)

    def close(self, tensor):
        """Let a layer with a kernel read ``tensor``: this is the activation."""
        _, run, state = self._known.get(id(tensor), (None, None, None))
        if run is not None and not run.closed:
            run.state, run.closed = state, True

    def _extend(self, run, state):
        tensor = state.segments[-1][1]
        self._known[id(tensor)] = (tensor, run, state)
        if not run.closed:
            run.state = state

    def _common(self, tensors):
        """Return the run that all of ``tensors`` belong to, and the latest state."""
        known = [self._known.get(id(tensor), (None, None, None)) for tensor in tensors]
        run = known[0][1] if known else None
        if run is None or any(other is not run for _, other, _ in known):
            return None, None
        return run, max((state for _, _, state in known), key=lambda state: state.age)

    @contextmanager
    def frame(self):
        """Gather the operations of one layer's call."""
        frame = _Frame()
        self._frames.append(frame)
        try:
            yield frame
        finally:
            self._frames.pop()

    def follow(self, layer):
        """Return the call of a layer without kernels, tapped."""
        original = layer.call
        weighted = any("seed_generator" not in w.path for w in layer.variables)
        random = any(
            isinstance(value, keras.random.SeedGenerator)
            for value in vars(layer).values()
        )

        def call(*args, **kwargs):
            with self.frame() as frame:
                outputs = original(*args, **kwargs)
            given = args[0] if args else next(iter(kwargs.values()), None)
            run, state = self._common([given])
            if run is None or random or frame.random or not _same(given, outputs):
                return outputs
            name = _function_name(getattr(layer, "activation", None))
            bounds = BOUNDS.get(name) or frame.bounds(outputs)
            bounded = ((outputs, bounds),) if bounds else ()
            self._extend(run, state.then(outputs, weighted, bounded))
            return outputs

        return call

    def watched(self, call):
        """Return ``call``; the operations that it runs are seen."""
        if op_callbacks is None:
            return call

        def seen(*args, **kwargs):
            op_callbacks.add_op_callback(self._operation)
            try:
                return call(*args, **kwargs)
            finally:
                op_callbacks.remove_op_callback(self._operation)

        return seen

    def _operation(self, kind, inputs, attrs, outputs, op_name=None, graph=None):
        name = kind.decode() if isinstance(kind, bytes) else kind
        if "Random" in name:
            for frame in self._frames:
                frame.random = True
        tensors = [*inputs, *outputs[:1]]
        if not outputs or any(tensor.shape.rank is None for tensor in tensors):
            return
        output = outputs[0]
        if not self._frames:
            self._between_layers(name, inputs, output)
        elif output.dtype.is_floating:
            source = _only_source(inputs, output)
            if source is not None:
                self._frames[-1].made[id(output)] = (output, name, source)

    def _between_layers(self, name, inputs, output):
        large = [i for i in inputs if _same(i, output)]
        run, state = self._common(large)
        floats = [i for i in inputs if i.dtype.is_floating]
        if run is None or not all(_broadcasts(i, output) for i in floats):
            return
        values = output.dtype.is_floating and name not in ("ZerosLike", "OnesLike")
        if not values or not any(i.dtype.is_floating for i in large):
            # a mask, or something of the same shape
            self._known[id(output)] = (output, run, state)
            return
        weighted = len(floats) > len(large) and name not in _LIMITS
        bounds = _operation_bounds(name)
        last = ((output, bounds),) if bounds else ()
        self._extend(run, state.then(output, weighted, last=last))


def _same(one, other):
    """Tell whether two tensors have one shape; two of anything else have not."""
    shapes = [getattr(tensor, "shape", None) for tensor in (one, other)]
    return shapes[0] is not None and shapes[0] == shapes[1]


def _broadcasts(tensor, output):
    """Tell whether an operand adapts to the shape of an elementwise output."""
    axes = zip(reversed(tuple(tensor.shape)), reversed(tuple(output.shape)))  # noqa: B905
    fits = all(own in (1, whole) for own, whole in axes)
    return fits and len(tensor.shape) <= len(output.shape)


def _only_source(inputs, output):
    """Return the one input of an elementwise operation, else None.

    Beside it there may be numbers, such as the slope of a ReLU.
    """
    large = [i for i in inputs if len(i.shape)]
    if len(large) == 1 and large[0].dtype.is_floating and _same(large[0], output):
        return large[0]
    return None


def _tap_kernel_layer(taps, layer, row, enter, chain):
    """Make ``layer`` write every call into ``row``."""
    is_cell = hasattr(layer, "state_size")
    for name in ("activation", "recurrent_activation"):
        if callable(getattr(layer, name, None)):
            replace(taps, layer, name, _tap_activation(layer, name, row))

    original = layer.call

    def call(*args, **kwargs):
        enter(row)
        for given in keras.tree.flatten((args, kwargs)):
            chain.close(given)
        before = len(row.pre_activations)
        with chain.frame() as frame:
            outputs = original(*args, **kwargs)
        output = outputs[0] if isinstance(outputs, tuple | list) else outputs
        seen = row.pre_activations[before:]
        if not seen:
            # No activation of the layer's own ran: one may stand in its call.
            seen = [frame.origin(output)]
            row.pre_activations += seen
            if frame.bounds(output):
                row.bounded.append((output, frame.bounds(output)))
        # the gates of an LSTM are several, and none of them is the unit's own
        own = seen[0] if len(seen) == 1 and _same(seen[0], output) else output
        run = Run(before, _State(((own, output),)))
        row.runs.append(run)
        if is_cell:
            row.states.append(output)
        else:
            chain.add(run)
        return outputs

    replace(taps, layer, "call", call)


def _tap_activation(layer, name, row):
    original = getattr(layer, name)
    bounds = BOUNDS.get(_function_name(original))
    # An LSTM calls its activation twice a step: on the candidate, which is a
    # pre-activation, then on the cell state, which is not.
    lstm_activation = name == "activation" and isinstance(layer, keras.layers.LSTMCell)
    calls = 0

    def activation(z, *args, **kwargs):
        nonlocal calls
        calls += 1
        h = original(z, *args, **kwargs)
        if not (lstm_activation and calls % 2 == 0):
            row.pre_activations.append(z)
            if bounds:
                row.bounded.append((h, bounds))
        return h

    return activation


def replace(taps, thing, name, value):
    """Set an attribute on the instance until ``taps``, an ExitStack, closes.

    Past Keras's own ``__setattr__``, which would track what it is given as a
    part of the model.
    """
    missing = object()
    before = vars(thing).get(name, missing)
    object.__setattr__(thing, name, value)

    def restore():
        if before is not missing:
            object.__setattr__(thing, name, before)
        elif name in vars(thing):
            object.__delattr__(thing, name)

    taps.callback(restore)


def leaves(model):
    """Return the layers that do the work, no models, in the order of their making."""
    found, waiting = {}, [model]
    while waiting:
        layer = waiting.pop(0)
        if id(layer) not in found:
            found[id(layer)] = layer
            # all at once, Keras gives the layers of a nested model from last to first
            waiting[:0] = layer._flatten_layers(include_self=False, recursive=False)
    return [layer for layer in found.values() if not isinstance(layer, keras.Model)]


def own_kernels(layer):
    """Return the layer's own weights that multiply its inputs."""
    if isinstance(layer, keras.layers.Embedding):
        return []
    nested = {
        id(weight)
        for inner in layer._flatten_layers(include_self=False)
        for weight in inner.weights
    }
    return [
        weight
        for weight in layer.weights
        if id(weight) not in nested
        and len(weight.shape) >= 2
        and "bias" not in weight.name
        and weight.name not in _NO_KERNELS
    ]


def _holds_kernels(layer):
    """Tell whether a layer or one inside it holds a kernel."""
    return any(own_kernels(inner) for inner in layer._flatten_layers())


def row_name(model, layer, working=None):
    """Name a layer as the model's summary does; a cell by its layer.

    Whoever names many of them hands on ``leaves(model)`` as ``working``.
    """
    owner = layer
    if hasattr(layer, "state_size"):
        for candidate in model._flatten_layers():
            if getattr(candidate, "cell", None) is layer:
                owner = candidate
    working = leaves(model) if working is None else working
    same = [other for other in working if other.name == owner.name]
    return owner.path if len(same) > 1 and owner.path else owner.name


def _channel_axis(layer):
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _operation_bounds(name):
    """Return the ends of one of TensorFlow's operations, such as Tanh, or None."""
    return BOUNDS.get(name.lower())


def _function_name(function):
    return getattr(function, "__name__", None)


def dead_fraction(row, gradients):
    """Return the share of units that are 0 and cannot come back.

    A unit is dead in a call if operations without weights make 0 of it for every
    sample and position, and pass no gradient back: they made 0 of something else,
    or nothing arrives. A 0 that comes from a factor that is trained, such as the
    gamma of a BatchNormalization, is none of that. Dead is what is dead in every
    call. NaN if an activation is not finite: nothing was measured.

    Parameters
    ----------
    row : Row
    gradients : list of arrays
        With respect to ``row.pre_activations``.
    """
    if not all(np.isfinite(tensor).all() for tensor in row.activations):
        return float("nan")
    dead = True
    for run in row.runs:
        dead = dead & _dead_units(run, gradients[run.position], row.channel_axis)
    return float(np.mean(dead))


def _dead_units(run, gradient, axis):
    dead = np.zeros(run.activation.shape[axis], bool)
    for before, after in run.state.segments:
        zero = ~_any(after, axis) if before is not after else np.False_
        if zero.any():
            dead |= zero & (_any(before, axis) | ~_any(gradient, axis))
    return dead


def _any(tensor, axis):
    """Tell for each unit whether it is something else than 0 anywhere."""
    units = np.moveaxis(np.asarray(tensor) != 0, axis, -1)
    return units.reshape(-1, units.shape[-1]).any(axis=0)


def saturated_fraction(row):
    """Return the share of bounded activations close to one of their ends.

    Close is within 2.5 % of the range, so |tanh| > .95. NaN for a row without
    a bounded activation, or with one that is not finite.
    """
    total = near = 0
    states = [run.state for run in row.runs]
    following = [pair for state in states for pair in state.bounded + state.last]
    for tensor, (lower, upper) in row.bounded + following:
        h = np.asarray(tensor)
        if not np.isfinite(h).all():
            return float("nan")
        margin = 0.025 * (upper - lower)
        # compared in float64, which half a precision would round
        low, high = np.float64(lower + margin), np.float64(upper - margin)
        near += np.count_nonzero((h < low) | (h > high))
        total += h.size
    return near / total if total else float("nan")
