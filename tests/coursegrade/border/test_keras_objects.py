"""Configurations that a stranger wrote: what is built of them, and what is not."""

import inspect

import keras
import pytest

from coursegrade.border import keras_objects, wire


def dense(**config):
    made = {"module": "keras.layers", "class_name": "Dense", "registered_name": None}
    return {**made, "config": {"units": 2, **config}}


NORMAL = {"module": "keras.initializers", "class_name": "RandomNormal"}
FUNCTION = {"module": "builtins", "class_name": "function", "config": "system"}


def stack(count, layer=None):
    config = {"name": "s", "layers": [layer or dense()] * count}
    made = {"module": "keras", "class_name": "Sequential", "registered_name": None}
    return {**made, "config": config}


def test_so_many_layers_are_refused_and_no_fewer():
    # The model is one itself.
    keras_objects.check(stack(keras_objects.MAX_LAYERS - 1))
    for config in (stack(501), stack(1500), stack(300, stack(300))):
        with pytest.raises(ValueError, match="more than 500 layers"):
            keras_objects.check(config)


def test_initializers_are_no_layers():
    init = {"module": "keras.initializers", "class_name": "Zeros", "config": {}}
    config = dense(kernel_initializer=init, bias_initializer=init)
    keras_objects.check(stack(keras_objects.MAX_LAYERS - 1, config))


@pytest.mark.parametrize(
    "config",
    [
        dense(activation={"class_name": "__lambda__", "config": {"value": "4wE="}}),
        {**dense(), "module": "os"},
        {**dense(), "registered_name": "mine>Dense"},
        {**dense(), "module": "keras..os"},
        {"class_name": "__typespec__", "spec_name": "x", "module": "os", "config": []},
        {"class_name": "__slice__", "config": {"value": "(1, 2, 3)"}},
        {**stack(1, dense()), "compile_config": {"loss": FUNCTION}},
        dense(units=1e308),
        dense(units="9" * 5000),
        dense(activation="os.system"),
        dense(dtype="float8_e4m3fn"),
        dense(kernel_initializer={**NORMAL, "config": {"seed": [1, 2]}}),
        {"class_name": "TFSMLayer", "config": {"filepath": "/etc/passwd"}},
        {"class_name": ["Dense"], "config": {}},
        {"config": {}},
        [],
    ],
)
def test_what_is_not_keras_own_is_refused(config):
    with pytest.raises(ValueError):
        keras_objects.build(config)


def test_no_class_that_reads_a_file_may_be_built():
    """A vocabulary can be a path; the folder of such layers holds harmless ones too."""
    made = {n: getattr(keras.layers, n) for n in dir(keras.layers)}
    classes = {n: one for n, one in made.items() if isinstance(one, type)}
    reads = {
        name
        for name, one in classes.items()
        if "vocabulary" in inspect.signature(one).parameters
    }
    assert len(reads) > 2 and not reads & keras_objects.allowed_classes()


def test_time_that_is_up_is_not_told_as_a_wrong_model(monkeypatch):
    from coursegrade.examiner.task_tests import TimeUp

    def ring(*arguments, **options):
        raise TimeUp

    monkeypatch.setattr(keras.saving, "deserialize_keras_object", ring)
    with pytest.raises(TimeUp):
        wire.decode({"!": "keras", "config": dense()})


def test_a_model_comes_back_as_it_was():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "relu")])
    model.compile("sgd", "mse")
    made = wire.decode(wire.encode(model))
    assert made.get_config() == model.get_config()
    assert made.get_compile_config() == model.get_compile_config()
    for one, two in zip(model.get_weights(), made.get_weights(), strict=True):
        assert (one == two).all()
