"""Wrap the methods of one Keras model that every kind of training calls.

``optimizer.apply`` is wrapped on the instance, so that ``fit``, ``train_on_batch`` and
custom loops all pass, ``model.compute_loss`` is, for the loss and some samples,
``model.train_step``, for samples that it does not hand on, and ``model.test_step``, for
some of the validation data. Nothing is subclassed; the last listener that leaves takes
everything off.
"""

import inspect
from contextlib import ExitStack

import keras

from coursekit import _taps

# What Keras compiles, and may hold the hooks.
_FUNCTIONS = "train_function", "test_function"
# The order of the arguments of Keras's compute_loss.
_OF_LOSS = "x", "y", "y_pred", "sample_weight", "training"


class Site:
    """The wrapped methods of one model and optimizer, and who listens."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
        self.recorders = []
        self._undo = ExitStack()
        self._testing = False
        # the functions that know nothing of the hooks
        self.plain = _functions(model)
        inner = getattr(optimizer, "inner_optimizer", None)
        self._wrap(inner or optimizer, "apply", self._apply(inner is not None))
        if inner is not None:
            self._wrap(optimizer, "apply", self._outer_apply)
        self._wrap(model, "compute_loss", self._compute_loss)
        self._wrap(model, "train_step", self._train_step)
        self._wrap(model, "test_step", self._test_step)
        _taps.replace(self._undo, model, "_coursekit_site", self)

    def close(self):
        """Give the methods and the functions back."""
        self._undo.close()
        for name in _functions(self.model):
            # what was compiled anew meanwhile has none, and its old one is not its own
            if getattr(self.model, name) is not None:
                setattr(self.model, name, self.plain.get(name))

    def key(self):
        """Return what a traced train function depends on."""
        model = self.model
        return (
            *(r.key() for r in self.recorders),
            id(self.optimizer),
            *map(id, model.trainable_variables),
            *(
                getattr(model, name, None)
                for name in ("_compile_loss", "_run_eagerly", "_jit_compile")
            ),
            getattr(model, "steps_per_execution", None),
        )

    def _wrap(self, thing, name, make):
        wrapper = make(getattr(thing, name))
        # what stands on the instance; None where the class has the only one
        wrapper.below, wrapper.done = vars(thing).get(name), False
        # past Keras's own, which would track it as a part of the model
        object.__setattr__(thing, name, wrapper)
        self._undo.callback(_unwrap, thing, name, wrapper)

    def _apply(self, scaled):
        optimizer = self.optimizer.inner_optimizer if scaled else self.optimizer

        def make(original):
            def apply(grads, trainable_variables=None):
                grads = list(grads)
                variables = trainable_variables
                if variables is None:
                    variables = optimizer._trainable_variables
                variables = list(variables)
                # a loss scale has been taken off by now, a constant factor has not
                divisor = None if scaled else optimizer.loss_scale_factor
                for recorder in self.recorders:
                    recorder.on_gradients(grads, variables, divisor, begin=not scaled)
                result = original(grads, variables)
                for recorder in self.recorders:
                    recorder.on_updated()
                return result

            return apply

        return make

    def _outer_apply(self, original):
        def apply(grads, trainable_variables=None):
            for recorder in self.recorders:
                recorder.on_begin()
            return original(grads, trainable_variables)

        return apply

    def _compute_loss(self, original):
        own = inspect.signature(original).parameters.values()
        names = [one.name for one in own if one.kind is one.POSITIONAL_OR_KEYWORD]
        # what takes all arguments as they come has Keras's
        names += _OF_LOSS[len(names) :]

        def compute_loss(*args, **kwargs):
            loss = original(*args, **kwargs)
            given = dict(zip(names, args, strict=False)) | kwargs
            if given.get("training", True) and not self._testing:
                batch = [given.get(name) for name in ("x", "y", "sample_weight")]
                for recorder in self.recorders:
                    recorder.on_loss(loss, *batch)
            return loss

        return compute_loss

    def _train_step(self, original):
        if getattr(original, "__func__", None) is keras.Model.train_step:
            _build_optimizer(self.model)

        def train_step(*args, **kwargs):
            for recorder in self.recorders:
                recorder.on_train_step(args[0] if args else kwargs.get("data"))
            result = original(*args, **kwargs)
            for recorder in self.recorders:
                recorder.on_train_step_end()
            return result

        return train_step

    def _test_step(self, original):
        def test_step(*args, **kwargs):
            for recorder in self.recorders:
                recorder.on_test_step(args[0] if args else kwargs.get("data"))
            # a compute_loss of one's own need not know what it is called for
            self._testing = True
            try:
                return original(*args, **kwargs)
            finally:
                self._testing = False

        return test_step


def _functions(model):
    """Return the compiled functions of a model that may hold the hooks, by name."""
    return {name: getattr(model, name) for name in _FUNCTIONS if hasattr(model, name)}


def _build_optimizer(model):
    """Make what Adam and its like keep: made in the first step, it is traced twice."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and model.built and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _unwrap(thing, name, wrapper):
    """Take a wrapper off as soon as none that is in use stands above it.

    Two models may share an optimizer, and be closed in any order.
    """
    wrapper.done = True
    while getattr(top := vars(thing).get(name), "done", False):
        if top.below is None:
            object.__delattr__(thing, name)
        else:
            object.__setattr__(thing, name, top.below)


def listens(model, recorder):
    """Tell whether ``recorder`` hears the training of ``model``."""
    site = vars(model).get("_coursekit_site")
    return site is not None and recorder in site.recorders


def attach(model, optimizer, recorder):
    """Let ``recorder`` hear the training of ``model`` from now on.

    Recorders that still listen from a training that was cut off are sent away.
    """
    site = vars(model).get("_coursekit_site")
    if site is not None:
        stale = [r for r in site.recorders if r.running and r is not recorder]
        for other in stale:
            site.recorders.remove(other)
            other.running = False
        if site.optimizer is not optimizer or not site.recorders:
            site.close()
            site = None
    if site is None:
        site = Site(model, optimizer)
    if recorder not in site.recorders:
        site.recorders.append(recorder)
    key, traced = recorder.traced or (None, {})
    for name in _functions(model):
        setattr(model, name, traced.get(name) if key == site.key() else None)


def detach(model, recorder):
    """Stop listening; the last listener takes the hooks off."""
    recorder.running = False
    if not listens(model, recorder):
        return
    site = vars(model)["_coursekit_site"]
    alone = site.recorders == [recorder]
    if alone and getattr(model, "train_function", None) is not None:
        # a second fit with the same monitor need not trace again
        recorder.traced = (site.key(), _functions(model))
    site.recorders.remove(recorder)
    if alone:
        site.close()
        return
    for name in _functions(model):
        setattr(model, name, None)
