"""Build Keras objects from a configuration that a stranger wrote.

Keras's own deserialization looks a class up by any module name that the
configuration holds. Here each name must first be one of a list that is made
from Keras's public modules, without the layers that run code or read files.
"""

import importlib
from functools import lru_cache

MAX_LAYERS = 500
_LAYER_FOLDERS = (
    "activations",
    "attention",
    "convolutional",
    "core",
    "merging",
    "normalization",
    "pooling",
    "regularization",
    "reshaping",
    "rnn",
)
# The arithmetic of functional models, such as 2 * x + y.
_OPERATIONS = ("keras.src.ops.numpy", "keras.src.ops.nn")
_REFUSED = {"Lambda", "Wrapper", "MeanMetricWrapper"}
# How Keras marks tensors and tuples in a configuration; no class is looked up.
_MARKS = {"__keras_tensor__", "__tensor__", "__numpy__", "__tuple__"}


@lru_cache(maxsize=1)
def layer_classes():
    """Return the names of the layers and models that may be built."""
    import keras

    names = {"Sequential", "Functional", "Model", "Rescaling"}
    for name in dir(keras.layers):
        made = getattr(keras.layers, name)
        folder = getattr(made, "__module__", "").removeprefix("keras.src.layers.")
        if isinstance(made, type) and folder.split(".")[0] in _LAYER_FOLDERS:
            names.add(name)
    return names - _REFUSED


@lru_cache(maxsize=1)
def allowed_classes():
    """Return the names of the classes that may be built."""
    import keras

    names = {"DTypePolicy"} | layer_classes()
    for module in map(importlib.import_module, _OPERATIONS):
        names |= {
            name
            for name, made in vars(module).items()
            if isinstance(made, type) and issubclass(made, keras.Operation)
        }
    for module in (
        keras.initializers,
        keras.optimizers,
        keras.optimizers.schedules,
        keras.regularizers,
        keras.constraints,
        keras.losses,
        keras.metrics,
    ):
        names |= {n for n in dir(module) if isinstance(getattr(module, n), type)}
    return names - _REFUSED


def check(config):
    """Refuse a configuration that names a class or function not on the list.

    Raises
    ------
    ValueError
        With the name, as far as it is a short plain word; and if there are more
        than MAX_LAYERS layers.
    """
    layers = 0
    for part in _parts(config):
        if "class_name" in part:
            _check_class(part)
            layers += part["class_name"] in layer_classes()
            if layers > MAX_LAYERS:
                raise ValueError(f"more than {MAX_LAYERS} layers")


def _parts(config, depth=0):
    """Yield all dicts of a configuration."""
    if depth > 60:
        raise ValueError("a configuration nested more than 60 deep")
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from _parts(item, depth + 1)


def _check_class(config):
    name, module = config.get("class_name"), config.get("module") or ""
    if not isinstance(name, str) or name not in allowed_classes() | _MARKS:
        shown = name if isinstance(name, str) and name.isidentifier() else "?"
        raise ValueError(
            f"{shown[:40]} cannot be graded: use Keras's own layers, in a "
            "Sequential or functional model, without Lambda"
        )
    if name in _MARKS:
        return
    # A Keras class by its public name; any other module could be loaded as code.
    if not isinstance(module, str) or not (
        module in ("", "builtins") or module.split(".")[0] == "keras"
    ):
        raise ValueError(f"{name} from a module that is not Keras's")
    if config.get("registered_name") not in (None, name):
        raise ValueError(f"{name} under a registered name")


def _deserialized(config):
    """Return the object of a configuration that was checked.

    A Sequential model gets its layers all at once: Keras adds one after the other, and
    runs through the whole model for each.
    """
    import keras

    inner = config["config"]
    known = config["class_name"] == "Sequential" and isinstance(inner, dict)
    if not known or not inner.keys() >= {"name", "layers", "build_input_shape"}:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    layers = [
        keras.saving.deserialize_keras_object(layer, safe_mode=True)
        for layer in inner["layers"]
    ]
    made = keras.Sequential(layers, name=inner["name"])
    if compiled := config.get("compile_config"):
        made.compile_from_config(compiled)
    return made


def build(config, weights=None):
    """Return the object of a configuration, with its weights set.

    Parameters
    ----------
    config : dict
        As ``keras.saving.serialize_keras_object`` writes it.
    weights : list of numpy.ndarray, optional
        In the order of ``get_weights()``.

    Raises
    ------
    ValueError
        If something in it is not one of Keras's own harmless classes, or if
        the weights do not fit.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError("not a configuration of a Keras object")
    check(config)
    try:
        made = _deserialized(config)
        if weights is not None and (weights or getattr(made, "built", False)):
            made.set_weights(weights)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(
            f"the Keras object cannot be built again ({type(error).__name__})"
        ) from None
    return made
