"""Values as bare data: what may cross between the grader and a sandbox.

JSON with arrays in base64, and Keras objects as their configuration and
weights. Nothing here unpickles or evaluates. The reader takes only what it
knows, so that an object with a forged ``__eq__`` arrives as a plain number, or
not at all.
"""

import base64
import math
import sys

import numpy as np

from coursegrade.border import keras_objects

MAX_DEPTH = 20
_KINDS = "biuf"
_TAG = "!"


class WireError(ValueError):
    """The value, or the data that should be one, cannot cross."""


def encode(value, depth=0):
    """Return JSON-ready data for a value.

    Takes None, bool, int, float, str, lists, tuples and dicts of such, NumPy
    arrays and scalars, tensors and variables, and models, layers, optimizers,
    initializers and the like from Keras.

    Raises
    ------
    WireError
        If the value is of another kind, or nested more than 20 deep.
    """
    if depth > MAX_DEPTH:
        raise WireError(f"nested more than {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # Without the subclass it may have.
        return str.__str__(value)
    if isinstance(value, np.generic | np.ndarray):
        return _array(np.asarray(value), scalar=isinstance(value, np.generic))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (list, tuple)):
        items = [encode(item, depth + 1) for item in value]
        return items if isinstance(value, list) else {_TAG: "tuple", "items": items}
    if isinstance(value, dict):
        items = [
            [encode(key, depth + 1), encode(item, depth + 1)]
            for key, item in value.items()
        ]
        return {_TAG: "dict", "items": items}
    if "keras" in sys.modules:
        coded = _encode_keras(value)
        if coded is not None:
            return coded
    raise WireError(f"a value of type {type(value).__name__} cannot be graded")


def decode(data, depth=0):
    """Return the value that :func:`encode` turned into data.

    Raises
    ------
    WireError
        If the data are not of that form. Keras objects are built from Keras's
        own classes alone; see :mod:`coursegrade.border.keras_objects`.
    """
    if depth > MAX_DEPTH:
        raise WireError(f"nested more than {MAX_DEPTH} deep")
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return [decode(item, depth + 1) for item in data]
    kind = data.get(_TAG) if isinstance(data, dict) else None
    try:
        if kind == "tuple":
            return tuple(decode(item, depth + 1) for item in data["items"])
        if kind == "dict":
            return {
                decode(key, depth + 1): decode(item, depth + 1)
                for key, item in data["items"]
            }
        if kind == "array":
            return _read_array(data)
        if kind == "keras":
            weights = data.get("weights")
            if weights is not None:
                weights = [_read_array(array) for array in weights]
            return _build(data["config"], weights)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, WireError):
            raise
        raise WireError(f"damaged data for a value ({type(error).__name__})") from None
    raise WireError("damaged data for a value")


def _build(config, weights):
    try:
        return keras_objects.build(config, weights)
    except ValueError as error:
        raise WireError(str(error)) from None


def _array(array, scalar=False):
    if array.dtype.kind not in _KINDS:
        # bfloat16 and its kin report kind V; their values fit in float32.
        try:
            if array.dtype.type in (np.object_, np.void):
                raise TypeError
            array = array.astype(np.float32)
        except (TypeError, ValueError):
            raise WireError(
                f"an array of dtype {array.dtype} cannot be graded; "
                "use numbers or booleans"
            ) from None
    array = np.ascontiguousarray(array).reshape(array.shape)
    array = array.astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(array.tobytes()).decode("ascii")
    made = {_TAG: "array", "dtype": array.dtype.str, "shape": list(array.shape)}
    return {**made, "data": data, **({"scalar": True} if scalar else {})}


def _read_array(data):
    dtype, shape = np.dtype(str(data["dtype"])), data["shape"]
    if dtype.kind not in _KINDS or dtype.itemsize > 8:
        raise WireError(f"an array of dtype {dtype} cannot be graded")
    if not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 16:
        raise WireError("damaged shape of an array")
    raw = base64.b64decode(data["data"], validate=True)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise WireError("an array whose shape and data do not agree")
    array = np.frombuffer(raw, dtype).reshape(shape).copy()
    return array[()] if data.get("scalar") and not shape else array


def _encode_keras(value):
    import keras

    if keras.ops.is_tensor(value) or isinstance(value, keras.Variable):
        return _array(np.asarray(keras.ops.convert_to_numpy(value)))
    if type(value).__module__.startswith("tensorflow") and hasattr(value, "numpy"):
        return _array(np.asarray(value.numpy()))
    if not type(value).__module__.startswith("keras."):
        return None
    config = keras.saving.serialize_keras_object(value)
    coded = {_TAG: "keras", "config": config}
    if isinstance(value, keras.Layer):
        coded["weights"] = [_array(np.asarray(w)) for w in value.get_weights()]
    return coded
