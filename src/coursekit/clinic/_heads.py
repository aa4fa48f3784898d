"""Which layers make the outputs of a model."""

import keras

from coursekit import _taps


def heads(model, names):
    """Return which of the layers ``names`` make the outputs of ``model``.

    A Functional model knows; of others the last layer is taken.
    """
    outputs = getattr(model, "outputs", None) or []
    makers = ((_maker(o, names) for o in way_back(output)) for output in outputs)
    found = {next(filter(None, way), None) for way in makers} - {None}
    return sorted(found, key=names.index) or list(names[-1:])


def way_back(tensor):
    """Yield operations and layers from a tensor down, while each has one input."""
    tensors = [tensor]
    while len(tensors) == 1:
        operation, *_ = getattr(tensors[0], "_keras_history", (None,))
        if operation is None:
            return
        yield operation
        tensors = keras.tree.flatten(operation.input) if single(operation) else []


def _maker(operation, names):
    """Return which of the layers an operation is, or the last inside of it; or None."""
    if operation.name in names or not isinstance(operation, keras.Layer):
        return operation.name if operation.name in names else None
    inside = {layer.name for layer in _taps.leaves(operation)}
    return next((name for name in reversed(names) if name in inside), None)


def single(operation):
    """Tell whether an operation of a graph is used once: it has one input then."""
    return len(getattr(operation, "_inbound_nodes", ())) == 1
