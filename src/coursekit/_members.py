"""Many models of one architecture, without building all of them.

A build spends its time on layers, graphs and variables, and what differs from member
to member is which initializer with which seed fills which variable. So two members
are built, and it is noted what their layers were made with. Of every other member the
build function runs with stand-ins in the place of layers: they keep their arguments,
do nothing, and draw as many default seeds as the layer would. The values are then
drawn by Keras's own initializers, all of one kind in one call, bit by bit those of
a build.

This holds for a ``keras.Sequential`` of Keras's own layers. Whatever else happens (a
functional model, a layer of one's own, weights that are set, other values in the two
models that were built) makes every member a build. The stand-ins replace
``Layer.__new__`` for that time: build no other model in a second thread meanwhile.
"""

import inspect
import random
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import keras
import numpy as np
import tensorflow as tf

# A member is built where fewer are asked for.
FEW = 4
# Up to so many draws of one kind are made one by one: tracing takes longer.
ONE_BY_ONE = 24


class _NotKnown(Exception):
    """A build did something that its stand-ins cannot follow."""


@dataclass
class _Made:
    """What a layer was made with, by the names of its arguments."""

    kind: type
    arguments: dict
    # the layer; None for a stand-in
    layer: object = None
    # default seeds that its constructor draws
    seeds: list = field(default_factory=list)
    # how many seeds and layers came before, and the list of all seeds
    start: int = 0
    number: int = 0
    drawn: list = field(default_factory=list)


class _StandIn:
    """Stands for a layer, or for a Sequential; nothing can be asked of it."""

    def __init__(self, made):
        object.__setattr__(self, "made", made)

    def __getattr__(self, name):
        raise _NotKnown(f"the build function uses {name!r} of a layer")

    def __setattr__(self, name, value):
        raise _NotKnown(f"the build function sets {name!r} of a layer")

    def __call__(self, *args, **kwargs):
        raise _NotKnown("the build function calls a layer")


def values_of(build, settings, check):
    """Return the first model, and the values of all variables of all members.

    Parameters
    ----------
    build : callable
        Called once for each setting, in order; again where a stand-in did not do.
    settings : list
    check : callable
        Called with the first model and another that was built, and its setting.

    Returns
    -------
    keras.Model, list of numpy.ndarray of shape (members, ...)
        In the order of ``model.variables``.
    """
    models, notes = _build_two(build, settings, check)
    first, built = models[0], [_values(model) for model in models]
    rest = settings[len(built) :]
    if rest and len(settings) > FEW:
        try:
            with _chance_kept():
                plans = [_plan(*pair) for pair in zip(models, notes, strict=True)]
                return first, _drawn(build, rest, plans, first.inputs[0], built)
        except _NotKnown:
            pass
    for setting in rest:
        model = build(setting)
        check(first, model, setting)
        built.append(_values(model))
    return first, [np.stack(same) for same in zip(*built, strict=True)]


def _build_two(build, settings, check):
    """Return one or two models, and of each what its layers were made with."""
    models, notes = [], []
    for setting in settings[:2]:
        with _noting() as made:
            model = build(setting)
        check((models or [model])[0], model, setting)
        models.append(model)
        notes.append(made)
    return models, notes


def _values(model):
    return [variable.numpy() for variable in model.variables]


@contextmanager
def _chance_kept():
    """Give the states of Python's and NumPy's generators back after an error."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    except _NotKnown:
        random.setstate(states[0])
        np.random.set_state(states[1])
        raise


@contextmanager
def _replaced(owner, name, value):
    original = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def _noting():
    """Note what layers are made with: {id of the layer: _Made}."""
    made, drawn = {}, []
    new, draw = keras.layers.Layer.__new__, random.randint

    def noted(cls, *args, **kwargs):
        layer = new(cls, *args, **kwargs)
        made[id(layer)] = _Made(
            cls,
            _arguments(cls, args, kwargs),
            layer,
            start=len(drawn),
            number=len(made),
            drawn=drawn,
        )
        return layer

    def randint(low, high):
        drawn.append(draw(low, high))
        return drawn[-1]

    with _replaced(keras.layers.Layer, "__new__", staticmethod(noted)):
        # Keras draws a default seed by random.randint
        with _replaced(random, "randint", randint):
            yield made


@cache
def _signature(cls):
    return inspect.signature(cls.__init__)


def _arguments(cls, args, kwargs):
    """Return the arguments of a constructor by name; None if they do not fit."""
    try:
        bound = _signature(cls).bind(None, *args, **kwargs).arguments
    except TypeError:
        return None
    found = {}
    for name, value in list(bound.items())[1:]:
        found |= value if name == "kwargs" else {name: value}
    return found


# --- what two built models say ----------------------------------------------


@dataclass
class _Plan:
    """One layer of the first model, and where its variables come from."""

    made: _Made
    # how many default seeds its constructor draws
    draws: int
    # one (name of the initializer, which default seed or None) a variable
    sources: list
    # the initializers and seed generators of the first model's layer, by name
    makers: dict


def _plan(model, notes):
    """Return a plan for each layer, in the order of ``model.layers``.

    Raises
    ------
    _NotKnown
        If a variable is not what one of its layer's initializers draws.
    """
    if type(model) is not keras.Sequential:
        raise _NotKnown("no Sequential")
    plans = [_plan_of(layer, notes.get(id(layer))) for layer in model.layers]
    ordered = [v for layer in model.layers for v in layer.variables]
    if [id(v) for v in ordered] != [id(v) for v in model.variables]:
        raise _NotKnown("variables that are no layer's own")
    return plans


def _plan_of(layer, made):
    own = made is not None and made.arguments is not None
    if not own or not made.kind.__module__.startswith("keras."):
        raise _NotKnown(f"a {type(layer).__name__} of one's own")
    if any(isinstance(v, keras.layers.Layer) for v in made.arguments.values()):
        raise _NotKnown("a layer around a layer")
    parts = list(layer._flatten_layers())
    given = {id(value) for value in made.arguments.values()}
    default = [
        _seed(value)
        for part in parts
        for value in vars(part).values()
        if id(value) not in given and _seed(value) is not None
    ]
    # a seed that was passed on is none that was drawn
    default = [seed for seed in dict.fromkeys(default) if seed in made.drawn]
    made.seeds = made.drawn[made.start : made.start + len(default)]
    if set(made.seeds) != set(default):
        raise _NotKnown("seeds that no constructor draws")
    makers = {
        name: value
        for part in parts
        for name, value in vars(part).items()
        if isinstance(value, keras.initializers.Initializer) or _is_generator(value)
    }
    sources = [_source(v, makers, made.seeds, given) for v in layer.variables]
    return _Plan(made, len(default), sources, makers)


def _is_generator(value):
    return isinstance(value, keras.random.SeedGenerator)


def _seed(value):
    """Return the seed of an initializer or generator; None if it has none."""
    if _is_generator(value):
        return int(np.asarray(value.state)[0])
    random_one = isinstance(value, keras.initializers.Initializer)
    return getattr(value, "seed", None) if random_one else None


def _source(variable, makers, draws, given):
    """Return which initializer made a variable, and which default seed it had."""
    value = variable.numpy()
    # the initializer of its own name first: each that is asked draws
    likely = sorted(makers.items(), key=lambda m: not m[0].startswith(variable.name))
    for name, maker in likely:
        if _is_generator(maker):
            same = maker.state is variable
        else:
            same = _makes(maker, value)
        if same and id(maker) in given:
            return name, None
        if same and _seed(maker) in draws:
            return name, draws.index(_seed(maker))
        if same and _seed(maker) is None:
            return name, None
    # such as the bias of an LSTM: it may be the same in all members
    return None, None


def _makes(initializer, value):
    try:
        drawn = np.asarray(initializer(value.shape, dtype=str(value.dtype)))
    except (TypeError, ValueError):
        return False
    return np.array_equal(drawn, value)


# --- all other members ------------------------------------------------------


def _drawn(build, rest, plans, wanted, built):
    """Return the values of all members; two of them are built."""
    first, second = plans
    members = [[plan.made for plan in part] for part in plans]
    _compare(first, members[1])
    if [plan.sources for plan in first] != [plan.sources for plan in second]:
        raise _NotKnown("two models whose variables come about differently")
    for setting in rest:
        members.append(_stand_ins(build, setting, first, wanted))
        _compare(first, members[-1])
    found, number = [], 0
    for n, plan in enumerate(first):
        same = [member[n] for member in members]
        for source in plan.sources:
            pair = [values[number] for values in built]
            values = _values_of(plan, same, source, pair)
            if not all(map(np.array_equal, values[:2], pair)):
                raise _NotKnown("a variable that is not what its initializer draws")
            found.append(values)
            number += 1
    return found


def _stand_ins(build, setting, plans, wanted):
    """Run ``build`` with stand-ins; return what its layers would be made with.

    The model reads an input such as ``wanted``.
    """
    new = keras.layers.Layer.__new__
    draws = iter([plan.draws for plan in sorted(plans, key=lambda p: p.made.number)])

    def stand_in(cls, *args, **kwargs):
        if cls is keras.layers.InputLayer:
            return new(cls, *args, **kwargs)
        made = _Made(cls, _arguments(cls, args, kwargs))
        # as Keras's make_default_seed does
        made.seeds = [random.randint(1, int(1e9)) for _ in range(next(draws, 0))]
        return _StandIn(made)

    def sequential(cls, layers=None, trainable=True, name=None):
        if cls is not keras.Sequential or not trainable:
            raise _NotKnown("no plain Sequential")
        return _StandIn(list(layers or ()))

    with (
        _replaced(keras.layers.Layer, "__new__", staticmethod(stand_in)),
        _replaced(keras.Sequential, "__new__", staticmethod(sequential)),
    ):
        try:
            model = build(setting)
        except Exception as error:
            raise _NotKnown("the build function needs real layers") from error
    if not isinstance(model, _StandIn) or not isinstance(model.made, list):
        raise _NotKnown("no Sequential")
    given, *parts = model.made or [None]
    given = given.output if isinstance(given, keras.layers.InputLayer) else given
    if isinstance(given, _StandIn) or not hasattr(given, "shape"):
        raise _NotKnown("no keras.Input")
    if (tuple(given.shape), given.dtype) != (tuple(wanted.shape), wanted.dtype):
        raise _NotKnown("another input")
    if not all(isinstance(part, _StandIn) for part in parts):
        raise _NotKnown("something else than a layer")
    return [part.made for part in parts]


def _compare(plans, members):
    """Raise _NotKnown unless layers are made alike but for their initializers."""
    if len(plans) != len(members):
        raise _NotKnown("another number of layers")
    for plan, other in zip(plans, members, strict=True):
        made = plan.made
        same = other.kind is made.kind and other.arguments is not None
        if not same or other.arguments.keys() != made.arguments.keys():
            raise _NotKnown("another layer")
        for name, value in made.arguments.items():
            own = other.arguments[name]
            free = name == "name" or name.endswith("initializer")
            if not free and not _equal(value, own):
                raise _NotKnown(f"another {name}")


def _equal(one, other):
    if type(one) is not type(other):
        return False
    if hasattr(one, "get_config") and not isinstance(one, type):
        return one.get_config() == other.get_config()
    return one is other or bool(np.all(one == other))


def _values_of(plan, same, source, pair):
    """Return the values of one variable in all members; of two they are known."""
    name, position = source
    maker = plan.makers.get(name)
    shape, dtype = pair[0].shape, pair[0].dtype
    if maker is None:
        _equal_makers(plan, same)
        return np.broadcast_to(pair[0], (len(same), *shape)).copy()
    if _is_generator(maker):
        seeds = [[made.seeds[position], 0] for made in same]
        return np.array(seeds, dtype)
    values = np.empty((len(same), *shape), dtype)
    groups = defaultdict(list)
    for n, made in enumerate(same):
        own = made.arguments.get(name)
        seed = None if position is None else made.seeds[position]
        if not isinstance(own, keras.initializers.Initializer):
            # a name, or the default: that of the first model
            if own != plan.made.arguments.get(name):
                raise _NotKnown(f"another {name}")
            own = maker
        seed = _seed(own) if seed is None else seed
        config = {k: v for k, v in own.get_config().items() if k != "seed"}
        groups[type(own), repr(config)].append((n, seed, config))
    for (kind, _), found in groups.items():
        members, seeds, configs = zip(*found, strict=True)
        values[list(members)] = _draw(kind, configs[0], seeds, shape, str(dtype))
    return values


def _equal_makers(plan, same):
    """Raise _NotKnown unless initializers without a seed are those of the first."""
    for made in same:
        for name, own in made.arguments.items():
            if name.endswith("initializer") and _seed(own) is None:
                if not _equal(own, plan.made.arguments[name]):
                    raise _NotKnown(f"another {name}")


class _Given(keras.random.SeedGenerator):
    """Hands on a seed that is a tensor."""

    def __init__(self, value):
        self.value = value

    def next(self, ordered=True):
        return self.value


def _draw(kind, config, seeds, shape, dtype):
    """Return what initializers that differ in their seed draw, (seeds, *shape)."""
    if seeds[0] is None:
        return np.asarray(kind.from_config(config)(shape, dtype=dtype))
    if len(seeds) <= ONE_BY_ONE:
        makers = [kind.from_config({**config, "seed": seed}) for seed in seeds]
        return np.stack([np.asarray(make(shape, dtype=dtype)) for make in makers])
    return _traced(kind, repr(config), shape, dtype, config)(
        tf.constant(np.array(seeds, "int64"))
    ).numpy()


_TRACED = {}


def _traced(kind, key, shape, dtype, config):
    """Return a function of seeds, traced once for all variables of a kind."""
    key = kind, key, shape, dtype
    if key not in _TRACED:
        maker = kind.from_config({**config, "seed": 0})
        of_a_seed = keras.random.SeedGenerator(0).state.dtype

        def one(seed):
            maker.seed = _Given(tf.cast(tf.stack([seed, 0]), of_a_seed))
            return maker(shape, dtype=dtype)

        signature = [tf.TensorSpec([None], "int64")]

        @tf.function(input_signature=signature, autograph=False)
        def draw(seeds):
            return tf.map_fn(one, seeds, fn_output_signature=dtype)

        _TRACED[key] = draw
    return _TRACED[key]
