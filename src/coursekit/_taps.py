"""Record what happens inside a Keras model during one forward pass.

Keras keeps the pre-activation of a layer to itself: ``Dense(activation=...)``
never hands it out. So for the time of a ``with`` block the model's own layers
are tapped, on the instance: the activation of every layer that holds a kernel,
the call of every recurrent cell, and the calls of the normalizations and
activations that follow. Nothing is subclassed or rebuilt, and all is taken off
again afterwards, also after an error.
"""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np

# Activations with two finite ends: (lower, upper).
BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "soft_sign": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
}

_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.UnitNormalization,
)
_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
    keras.layers.Softmax,
)
_GATED_CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell)


@dataclass
class Row:
    """What one layer with a kernel did; lists have one entry a call.

    A recurrent layer's cell is called once a time step.
    """

    name: str
    kernels: list
    channel_axis: int = -1
    pre_activations: list = field(default_factory=list)
    activations: list = field(default_factory=list)
    # pairs (output of a bounded activation, its bounds)
    bounded: list = field(default_factory=list)
    # states h_1 ... h_T; empty unless the layer is recurrent
    states: list = field(default_factory=list)


@contextmanager
def tapped(model):
    """Tap ``model`` and yield the list of its rows, in the order of calls.

    The list is empty until the model is called inside the block.
    """
    called = []
    chain = _Chain()
    with ExitStack() as taps:
        for layer in leaves(model):
            kernels = own_kernels(layer)
            if isinstance(layer, _NORMALIZATIONS + _ACTIVATIONS):
                _replace(taps, layer, "call", chain.follow(layer))
            elif kernels:
                row = Row(row_name(model, layer), kernels, _channel_axis(layer))
                _tap_kernel_layer(taps, layer, row, called, chain)
        for layer in model._flatten_layers():
            # The fused kernels of a GPU never call the cell.
            if hasattr(layer, "use_cudnn"):
                _replace(taps, layer, "use_cudnn", False)
            # A symbolic loop calls the cell once more than there are steps.
            if hasattr(layer, "unroll"):
                _replace(taps, layer, "unroll", True)
        yield called


def kernels(model):
    """Return all kernels of ``model``, those of recurrent cells included."""
    return [kernel for layer in leaves(model) for kernel in own_kernels(layer)]


class _Chain:
    """Follow an activation through the layers that reshape its values.

    Dense -> BatchNormalization -> Activation is one layer of the textbook, so
    what the last of them returns is the activation of the row of the first. A
    tensor is recognized by identity, and kept so that its id stays its own.
    """

    def __init__(self):
        self._row_of = {}

    def add(self, tensor, row):
        self._row_of[id(tensor)] = (tensor, row, len(row.activations))
        row.activations.append(tensor)

    def follow(self, layer):
        original = layer.call

        def call(inputs, *args, **kwargs):
            outputs = original(inputs, *args, **kwargs)
            if id(inputs) in self._row_of:
                _, row, position = self._row_of[id(inputs)]
                self._row_of[id(outputs)] = (outputs, row, position)
                row.activations[position] = outputs
                bounds = BOUNDS.get(_function_name(getattr(layer, "activation", None)))
                if bounds:
                    row.bounded.append((outputs, bounds))
            return outputs

        return call


def _tap_kernel_layer(taps, layer, row, called, chain):
    """Make ``layer`` write every call into ``row``."""
    is_cell = hasattr(layer, "state_size")
    has_activation = callable(getattr(layer, "activation", None))
    for name in ("activation", "recurrent_activation"):
        if callable(getattr(layer, name, None)):
            _replace(taps, layer, name, _tap_activation(layer, name, row))

    original = layer.call

    def call(*args, **kwargs):
        if not any(row is other for other in called):
            called.append(row)
        outputs = original(*args, **kwargs)
        output = outputs[0] if isinstance(outputs, tuple | list) else outputs
        if not has_activation:
            row.pre_activations.append(output)
        if is_cell:
            row.states.append(output)
            row.activations.append(output)
        else:
            chain.add(output, row)
        return outputs

    _replace(taps, layer, "call", call)


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


def _replace(taps, layer, name, value):
    """Set an attribute on the instance until ``taps`` closes.

    Past Keras's own ``__setattr__``, which would track what it is given as a
    part of the model.
    """
    missing = object()
    before = vars(layer).get(name, missing)
    object.__setattr__(layer, name, value)

    def restore():
        if before is missing:
            object.__delattr__(layer, name)
        else:
            object.__setattr__(layer, name, before)

    taps.callback(restore)


def leaves(model):
    """Return the layers that do the work: no models, no wrappers of layers."""
    layers = list(model._flatten_layers())
    return [layer for layer in layers if not isinstance(layer, keras.Model)]


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
    ]


def row_name(model, layer):
    """Name a layer as the model's summary does; a cell by its layer."""
    owner = layer
    if hasattr(layer, "state_size"):
        for candidate in model._flatten_layers():
            if getattr(candidate, "cell", None) is layer:
                owner = candidate
    same = [other for other in leaves(model) if other.name == owner.name]
    return owner.path if len(same) > 1 and owner.path else owner.name


def _channel_axis(layer):
    return 1 if getattr(layer, "data_format", None) == "channels_first" else -1


def _function_name(function):
    return getattr(function, "__name__", None)


def dead_fraction(row):
    """Return the share of units that gave 0 for every sample and position."""
    alive = None
    for tensor in row.activations:
        h = np.asarray(tensor)
        units = np.moveaxis(h, row.channel_axis, -1)
        units = units.reshape(-1, units.shape[-1])
        now = (units != 0).any(axis=0)
        alive = now if alive is None else alive | now
    return float(1 - alive.mean())


def saturated_fraction(row):
    """Return the share of bounded activations close to one of their ends.

    Close is within 2.5 % of the range, so |tanh| > .95. NaN for a row without
    a bounded activation.
    """
    total = near = 0
    for tensor, (lower, upper) in row.bounded:
        h = np.asarray(tensor, dtype="float64")
        margin = 0.025 * (upper - lower)
        near += np.count_nonzero((h < lower + margin) | (h > upper - margin))
        total += h.size
    return near / total if total else float("nan")
