"""Which layers make the outputs of a model."""

import keras

from coursekit import _taps


def heads(model, names):
    """Return which of the layers ``names`` make the outputs of ``model``.

    A Functional model knows; of others the last layer is taken.
    """
    outputs = getattr(model, "outputs", None) or []
    found = {_head_below(output, names) for output in outputs} - {None}
    return sorted(found, key=names.index) or list(names[-1:])


def _head_below(tensor, names):
    """Return the last of the layers ``names`` on the one way to a tensor, or None."""
    operation, *_ = getattr(tensor, "_keras_history", (None,))
    if operation is None:
        return None
    if maker := _maker(operation, names):
        return maker
    inputs = keras.tree.flatten(operation.input) if single(operation) else []
    return _head_below(inputs[0], names) if len(inputs) == 1 else None


def _maker(operation, names):
    """Return which of the layers an operation is, or the last inside of it; or None."""
    if operation.name in names or not isinstance(operation, keras.Layer):
        return operation.name if operation.name in names else None
    inside = {layer.name for layer in _taps.leaves(operation)}
    return next((name for name in reversed(names) if name in inside), None)


def single(operation):
    """Tell whether an operation of a graph is used once: it has one input then."""
    return len(getattr(operation, "_inbound_nodes", ())) == 1
