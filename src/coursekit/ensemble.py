"""Train the same Keras model for many seeds or settings at once.

Your own function builds a model for a setting; where it is a Sequential of Keras's
layers, two are built and the values of all others are drawn. The variables are stacked
along an axis of members, and one compiled step trains them all: the forward and
backward pass of the first model, mapped over that axis, then a plain Keras
optimizer, whose arithmetic is entry by entry. A member equals what ``fit``
makes of it alone, up to rounding.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from coursekit._backend import check_backend
from coursekit._members import values_of
from coursekit._progress import progress

check_backend()

# Their update of an entry depends on that entry alone. Lamb, Muon and
# Adafactor look at whole variables and would mix the members.
_ELEMENTWISE = (
    keras.optimizers.SGD,
    keras.optimizers.RMSprop,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.Adamax,
    keras.optimizers.Nadam,
    keras.optimizers.Adagrad,
    keras.optimizers.Adadelta,
    keras.optimizers.Ftrl,
    keras.optimizers.Lion,
)
_CLIPPING = ("clipvalue", "clipnorm", "global_clipnorm")


@dataclass(frozen=True)
class EnsembleHistory:
    """What every member did in every step; arrays of shape (members, steps).

    Attributes
    ----------
    loss : numpy.ndarray
        Of each step's batch, before the update, penalties included.
    accuracy : numpy.ndarray or None
        Of each step's batch. None unless the labels are classes: integers for
        outputs of two columns or more, 0 and 1 for one output and a binary
        cross-entropy.
    global_norm : numpy.ndarray
        Of the gradient of all variables, before clipping.
    clipped : numpy.ndarray of bool
        Whether clipping changed any entry.
    steps_per_epoch : int
    """

    loss: np.ndarray
    accuracy: np.ndarray | None
    global_norm: np.ndarray
    clipped: np.ndarray
    steps_per_epoch: int

    @property
    def first_nan_step(self):
        """Return for each member the first step, from 1, that is not finite.

        A step is finite if its loss and its gradient are. None if all are.
        """
        broken = ~(np.isfinite(self.loss) & np.isfinite(self.global_norm))
        return [int(np.argmax(row)) + 1 if row.any() else None for row in broken]

    def per_epoch(self, values):
        """Return the mean over each epoch, of shape (members, epochs)."""
        return values.reshape(len(values), -1, self.steps_per_epoch).mean(axis=2)

    def __str__(self):
        """Return one line a member."""
        lines = ["member  steps  first loss   last loss  first NaN step"]
        for number, (row, nan) in enumerate(
            zip(self.loss, self.first_nan_step, strict=True)
        ):
            lines.append(
                f"{number:6}  {row.size:5}  {row[0]:10.4g}  {row[-1]:10.4g}"
                f"  {nan if nan else '-':>14}"
            )
        return "\n".join(lines)

    __repr__ = __str__


class Ensemble:
    """One Keras architecture, many members, trained together.

    Parameters
    ----------
    build : callable
        ``build(setting)`` returns a built ``keras.Model``. Members may differ
        in the values of their variables, never in their architecture.
    settings : iterable
        One member each: seeds, standard deviations, pairs of them.

    Attributes
    ----------
    settings : list
    weights : list of numpy.ndarray of shape (members, ...)
        In the order of ``model.weights``.

    Raises
    ------
    TypeError
        If ``build`` is a model or returns none, or ``settings`` is no sequence.
    ValueError
        If there is no setting, or members differ in architecture, or a layer
        draws random numbers while it runs.
    """

    def __init__(self, build, settings):
        if isinstance(build, keras.Model) or not callable(build):
            raise TypeError(
                f"build is a {type(build).__name__}: give a function that returns a "
                "new model for a setting, such as lambda seed: models.mlp(5, seed=seed)"
            )
        if not hasattr(settings, "__iter__"):
            raise TypeError(
                f"settings={settings!r}: give a sequence, one entry a member, such "
                "as range(3)"
            )
        self.settings = list(settings)
        if not self.settings:
            raise ValueError("settings is empty: give one entry a member")
        self._model, values = values_of(build, self.settings, self._check)
        values = dict(zip(map(id, self._model.variables), values, strict=True))
        self._initial = [values[id(v)] for v in self._model.trainable_variables]
        self._trainable = _Stacks(self._model.trainable_variables, values)
        self._other = _Stacks(self._model.non_trainable_variables, values)
        self._optimizer = self._loss = None
        self._epochs = 0

    def __len__(self):
        """Return the number of members."""
        return len(self.settings)

    def __repr__(self):
        """Return what is trained, in one line."""
        compiled = "not compiled"
        if self._optimizer is not None:
            compiled = f"{type(self._optimizer).__name__}, epochs={self._epochs}"
        return (
            f"Ensemble({self._model.name!r}: {len(self)} members of "
            f"{self._model.count_params()} parameters, {compiled})"
        )

    @property
    def weights(self):
        """Return all weights, stacked, in the order of ``model.weights``."""
        model, found = self._model, {}
        pairs = (
            (model.trainable_variables, self._trainable),
            (model.non_trainable_variables, self._other),
        )
        for own, stacks in pairs:
            found |= dict(zip(map(id, own), stacks.arrays(), strict=True))
        return [found[id(v)] for v in model.weights]

    def model(self, member):
        """Return the Keras model with the weights of one member.

        It is one and the same model at each call: use it before you ask for
        the next.
        """
        self._model.set_weights([w[member] for w in self.weights])
        return self._model

    def kernel_change(self):
        """Return ``||W_end - W_0|| / ||W_0||``, of shape (members, kernels).

        A kernel is a trainable variable of two or more axes.
        """
        return np.stack(
            [
                _norm(now - start) / _norm(start)
                for now, start in zip(
                    self._trainable.arrays(), self._initial, strict=True
                )
                if start.ndim > 2
            ],
            axis=1,
        )

    def compile(
        self, optimizer, loss, learning_rates=None, clipping=None, jit_compile=False
    ):
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or keras.optimizers.Optimizer
            One that works entry by entry. Its ``clipvalue``, ``clipnorm`` or
            ``global_clipnorm`` is applied to each member by itself.
        loss : str, callable or keras.losses.Loss
        learning_rates : sequence of float, optional
            One a member, in place of the optimizer's own; SGD only, because
            its update is proportional to the gradient.
        clipping : sequence of dict, optional
            One a member, in place of the optimizer's: ``{}`` for none, or one of
            ``{"clipvalue": c}``, ``{"clipnorm": c}``, ``{"global_clipnorm": c}``.
        jit_compile : bool
            Compile the step with XLA. A step takes about half the time then, and
            the first step of each batch size some seconds more: worth it from
            about a thousand steps on.

        Raises
        ------
        ValueError
            If members would be mixed or the rates cannot be honoured.

        Notes
        -----
        A recurrent layer is a chain of small products, and on a CPU TensorFlow's
        threads wait for each other in each of them. Where ``TF_NUM_INTRAOP_THREADS``
        is 1 in ``os.environ`` before TensorFlow is imported, none waits: ten SimpleRNNs
        over 64 steps take two thirds of the time then, on two cores.
        """
        optimizer = _checked_optimizer(optimizer)
        config = optimizer.get_config()
        if not self._initial:
            raise ValueError(f"model {self._model.name!r} has no trainable weights")
        own = {k: config.pop(k) for k in _CLIPPING if k in config}
        own = {k: v for k, v in own.items() if v is not None}
        limits, rates = _limits(own, clipping, len(self)), None
        if limits and config.get("gradient_accumulation_steps"):
            raise ValueError(
                "fit clips what gradient_accumulation_steps have gathered, an ensemble "
                "would clip each step: choose one of both, or train with fit"
            )
        # fit multiplies the loss by it, and the optimizer divides by it
        config["loss_scale_factor"] = None
        if learning_rates is not None:
            rates = self._checked_rates(optimizer, learning_rates)
            config["learning_rate"] = 1.0
        loss = _as_in_fit(keras.losses.get(loss))
        # nothing is changed before all was checked
        self._limits, self._rates, self._loss = limits, rates, loss
        self._optimizer = type(optimizer).from_config(config)
        self._optimizer.build(self._trainable.variables)
        self._jit_compile = bool(jit_compile)
        self._runs = {}

    def fit(
        self,
        x,
        y=None,
        batch_size=32,
        epochs=1,
        shuffle=True,
        order=None,
        verbose="auto",
    ):
        """Train all members.

        Parameters
        ----------
        x, y : arrays
            As ``model.fit`` takes them; the same for all members.
        batch_size, epochs : int
        shuffle : bool
            False: batches in the order of the data, as ``model.fit`` with
            ``shuffle=False``. True: a new order every epoch; a second ``fit`` goes
            on where the first one ended.
        order : sequence of int, optional
            One seed a member for its orders, by default 0, 1, 2, ... Members
            with the same seed see the same batches: a paired comparison.
        verbose : {"auto", True, False}
            A progress bar; by default for long runs that somebody watches.

        Returns
        -------
        EnsembleHistory

        Raises
        ------
        ValueError
            If nothing was compiled, or data, labels or sizes do not fit.
        """
        if self._optimizer is None:
            raise ValueError("compile the ensemble before fit: optimizer and loss")
        x, y = _arrays(x, y)
        _check_data(self._model, x, y, batch_size, epochs)
        classes = _kind_of_labels(y, tuple(self._model.output_shape), self._loss)
        if classes == "one-hot":
            classes = None
            if "sparse" in _loss_name(self._loss):
                raise ValueError(
                    f"y of shape {y.shape} has a column for each class: give integer "
                    "labels, or categorical_crossentropy as the loss"
                )
        steps, records = -(-len(x) // batch_size), []
        with progress(steps * epochs, verbose) as bar:
            data = tf.constant(x), tf.constant(y)
            for epoch in self._orders(len(x), epochs, shuffle, order):
                for block in _blocks(epoch, batch_size):
                    run = self._compiled(x, y, block.shape[2], classes)
                    records.append([a.numpy() for a in run(*data, block)])
                    bar.update(len(block))
        loss, accuracy, *rest = (
            np.concatenate(parts).T for parts in zip(*records, strict=True)
        )
        return EnsembleHistory(loss, accuracy if classes else None, *rest, steps)

    def _orders(self, samples, epochs, shuffle, order):
        """Yield the order of the samples of each epoch, (members, samples)."""
        seeds = list(range(len(self)) if order is None else order)
        if len(seeds) != len(self):
            raise ValueError(f"order has {len(seeds)} seeds for {len(self)} members")
        for _ in range(epochs):
            # members of one seed share one draw
            drawn = {
                seed: np.random.default_rng((seed, self._epochs)).permutation(samples)
                if shuffle
                else np.arange(samples)
                for seed in set(seeds)
            }
            self._epochs += 1
            yield np.stack([drawn[seed] for seed in seeds]).astype("int32")

    def predict(self, x, training=False):
        """Return every member's outputs, of shape (members, samples, ...).

        ``training=True`` uses the batch statistics of ``x``; moving averages
        stay as they are.
        """
        x = tf.constant(np.asarray(x))

        def one(variables):
            return self._model.stateless_call(*variables, x, training=training)[0]

        values = self._trainable.tensors(), self._other.tensors()
        return tf.function(tf.vectorized_map)(one, values).numpy()

    def accuracy(self, x, y, training=False):
        """Return the share of right answers of every member; NaN if one is NaN.

        Parameters
        ----------
        x : array
        y : array of shape (samples,)
            Classes: whole numbers from 0, for one output 0 and 1.
        training : bool
            As in :meth:`predict`.

        Returns
        -------
        numpy.ndarray of shape (members,)

        Raises
        ------
        ValueError
            If ``y`` holds no classes.
        """
        y, shape = np.asarray(y), tuple(self._model.output_shape)
        kind = _kind_of_labels(y, shape, self._loss)
        if kind == "one-hot":
            raise ValueError(
                f"y of shape {y.shape} has a column for each class: give integer "
                "labels, such as np.argmax(y, axis=-1)"
            )
        if kind is None and np.array_equal(y, np.round(y)):
            kind = _kind_of_labels(y.astype("int64"), shape, self._loss)
        if kind is None:
            raise ValueError(
                f"y of {y.dtype} and shape {y.shape} holds no classes for outputs "
                f"of shape {shape}: give integer labels; for one output "
                "0 and 1, with a binary cross-entropy"
            )
        outputs = self.predict(x, training)
        labels = np.reshape(y, outputs.shape[1:-1])
        right = _answers(np, outputs, kind) == labels
        axes = tuple(range(1, outputs.ndim))
        finite = np.isfinite(outputs).all(axis=axes)
        return np.where(finite, right.mean(axis=axes[:-1]), np.nan)

    def _check(self, first, model, setting):
        """Raise unless ``model`` has the architecture of the first."""
        if model is first:
            _check_model(model)
            self._architecture = _architecture(model)
        elif not isinstance(model, keras.Model):
            _check_model(model)
        elif _architecture(model) != self._architecture:
            raise ValueError(
                f"the model of setting {setting!r} differs from that of "
                f"{self.settings[0]!r} in more than the values of its variables: make "
                "one ensemble an architecture"
            )

    def _checked_rates(self, optimizer, rates):
        # as the optimizer would hold it, whatever the dtype of the model
        rates = np.asarray(rates, dtype="float32")
        if rates.shape != (len(self),):
            raise ValueError(
                f"learning_rates of shape {rates.shape}: one a member, ({len(self)},)"
            )
        if type(optimizer) is not keras.optimizers.SGD or optimizer.weight_decay:
            raise ValueError(
                "learning_rates scale the gradients, which is a learning rate for SGD "
                "without weight_decay only: make one ensemble a rate"
            )
        return rates

    def _compiled(self, x, y, batch_size, classes):
        """Return the function that trains over a block of batches of one size.

        Known sizes make the tracing up to twice as fast.
        """
        key = x.shape[1:], y.shape[1:], y.dtype, batch_size, classes
        if key in self._runs:
            return self._runs[key]
        kind = self._trainable.variables[0].dtype

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, *x.shape[1:]], x.dtype),
                tf.TensorSpec([None, *y.shape[1:]], y.dtype),
                tf.TensorSpec([None, len(self), batch_size], "int32"),
            ],
            autograph=False,
            jit_compile=self._jit_compile,
        )
        def run(x, y, block):
            count = tf.shape(block)[0]
            kinds = kind, "float32", kind, "bool"

            def body(i, arrays):
                record = self._step(x, y, block[i], classes)
                pairs = zip(arrays, record, strict=True)
                return i + 1, [array.write(i, value) for array, value in pairs]

            _, arrays = tf.while_loop(
                lambda i, _: i < count,
                body,
                (0, [tf.TensorArray(kind, count) for kind in kinds]),
                parallel_iterations=1,
            )
            return [a.stack() for a in arrays]

        self._runs[key] = run
        return run

    def _step(self, x, y, rows, classes):
        """Train all members on one batch each; return what they did."""
        trainable, other = self._trainable.tensors(), self._other.tensors()

        def member(values):
            return self._member(*values, classes)

        values = trainable, other, tf.gather(x, rows), tf.gather(y, rows)
        gradients, (loss, other, right) = self._differentiated(member, values)
        gradients = self._trainable.stacked(gradients)
        norm = _global_norm(gradients)
        gradients, clipped = _clip(gradients, self._limits)
        if self._rates is not None:
            gradients = [_scaled(g, self._rates) for g in gradients]
        self._optimizer.apply(gradients, self._trainable.variables)
        values = self._other.stacked(other)
        for variable, value in zip(self._other.variables, values, strict=True):
            variable.assign(value)
        return tf.cast(loss, norm.dtype), right, norm, clipped

    def _differentiated(self, member, values):
        """Return the gradients of all members, and what ``member`` returns for each.

        The sum of the losses of all has each member's gradient, and its graph is
        half as long as a map of single gradients. XLA needs the map: it cannot
        differentiate the loop in place of an operation that has no map. So does a
        gradient of somebody's own (tf.custom_gradient): a map of the forward pass
        loses it.
        """
        own = []

        def noted(one):
            found = member(one)
            graph = tf.compat.v1.get_default_graph().as_graph_def()
            own.append(b"_gradient_op_type" in graph.SerializeToString())
            return found

        def together(values):
            return tf.vectorized_map(noted, values)

        def gradients(found_by, values):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(values[0])
                found = found_by(values)
            dense = tape.gradient(found[0], values[0], unconnected_gradients="zero")
            return [tf.convert_to_tensor(g) for g in dense], found

        if not self._jit_compile:
            found = gradients(together, values)
            if not any(own):
                return found
        return tf.vectorized_map(lambda one: gradients(member, one), values)

    def _member(self, trainable, other, x, y, classes):
        """Return one member's loss, its other variables, and its share of hits."""
        own = self._model.trainable_variables, self._model.non_trainable_variables
        pairs = [*zip(own[0], trainable, strict=True), *zip(own[1], other, strict=True)]
        # as fit calls it: stateless_call forgets all but the last of what a layer
        # that is called twice has to add to the loss
        scope = keras.StatelessScope(pairs, collect_losses=True)
        with scope, _products_of_sequences(self._model):
            outputs = self._model(x, training=True)
            losses = self._model.losses
        other = [scope.get_current_value(variable) for variable in own[1]]
        loss = tf.reduce_mean(self._loss(y, outputs))
        loss = tf.add_n([loss, *[tf.cast(part, loss.dtype) for part in losses]])
        right = tf.constant(0.0)
        if classes:
            answers = _answers(tf, outputs, classes)
            hit = answers == tf.cast(tf.reshape(y, tf.shape(answers)), answers.dtype)
            right = tf.reduce_mean(tf.cast(hit, "float32"))
        return loss, other, right


@contextmanager
def _products_of_sequences(model):
    """Let a recurrent layer multiply its kernel with a sequence, not with each step.

    An unrolled layer takes its input apart, and its cell multiplies the kernel with
    one time step after the other and adds the bias. None of it needs the step before.
    One product of all, taken apart, is half the graph of a simple cell: it is traced
    sooner, and a step waits less for threads that share small products. Keras takes
    both operations from ``tf``, where they are replaced while the model is called.
    """
    if not any(isinstance(part, keras.layers.RNN) for part in model._flatten_layers()):
        yield
        return
    made, first, originals = {}, {}, (tf.matmul, tf.nn.bias_add)

    def of_all(function):
        def of_one(*arguments, **options):
            step = arguments[0] if len(arguments) == 2 else None
            whole = step.op if tf.is_symbolic_tensor(step) else None
            if whole is None or whole.type != "Unpack" or step.shape.rank != 2:
                return function(*arguments, **options)
            plain = all(value in (None, "NHWC") for value in options.values())
            if not plain or whole.get_attr("axis") != 0:
                return function(*arguments, **options)
            other = tf.convert_to_tensor(arguments[1])
            key, place = (function, whole, other.ref()), step.value_index
            # a kernel that each step makes anew is multiplied with that step alone
            if first.setdefault((function, whole), place) == place and key not in made:
                rows = tf.reshape(whole.inputs[0], [-1, step.shape[1]])
                found = function(rows, other)
                shape = [whole.get_attr("num"), -1, found.shape[1]]
                made[key] = tf.unstack(tf.reshape(found, shape))
            return made[key][place] if key in made else function(step, other)

        return of_one

    tf.matmul, tf.nn.bias_add = map(of_all, originals)
    try:
        yield
    finally:
        tf.matmul, tf.nn.bias_add = originals


class _Function(keras.losses.Loss):
    """A function as ``fit`` takes it: with masks, dtypes, and targets of (samples,)."""

    def __init__(self, function):
        name = getattr(function, "__name__", "")
        super().__init__(name=name if name.isidentifier() else None)
        self._function = function

    def call(self, y_true, y_pred):
        """Return the function's values of targets and outputs of one rank."""
        if len(y_pred.shape) == len(y_true.shape) + 1 and y_pred.shape[-1] == 1:
            if len(y_true.shape) == 1:
                y_true = y_true[:, None]
            else:
                y_pred = y_pred[..., 0]
        return self._function(y_true, y_pred)


def _as_in_fit(loss):
    return loss if isinstance(loss, keras.losses.Loss) else _Function(loss)


def _loss_name(loss):
    name = getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return f"{name} {type(loss).__name__}".lower().replace("_", "")


def _kind_of_labels(y, output_shape, loss):
    """Tell how labels are compared with outputs of shape (batch, ..., columns).

    Returns
    -------
    "columns", ("threshold", number), "one-hot" or None
        The index of the largest of several columns; whether one output is above
        a number; a column of labels for each of outputs; no classes.
    """
    columns = output_shape[-1]
    single = y.ndim == len(output_shape) - 1 or y.shape[-1] == 1
    whole = np.issubdtype(y.dtype, np.integer) or y.dtype == bool
    if columns > 1 and single:
        return "columns" if whole else None
    if columns > 1:
        hot = y.shape[-1] == columns and np.isin(y, (0, 1)).all()
        return "one-hot" if hot and (y.sum(axis=-1) == 1).all() else None
    if "binary" in _loss_name(loss) and np.isin(y, (0, 1)).all():
        config = loss.get_config() if hasattr(loss, "get_config") else {}
        return "threshold", 0.0 if config.get("from_logits") else 0.5
    return None


def _answers(numbers, outputs, kind):
    """Return the class that each output stands for; ``numbers`` is np or tf."""
    if kind == "columns":
        return numbers.argmax(outputs, -1)
    above = outputs[..., 0] > kind[1]
    return numbers.where(above, 1, 0)


def _checked_optimizer(optimizer):
    """Return an optimizer that can train stacked members, or raise."""
    if isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"optimizer={optimizer!r}: give a Keras optimizer")
    if type(optimizer) not in _ELEMENTWISE:
        names = ", ".join(kind.__name__ for kind in _ELEMENTWISE)
        raise ValueError(
            f"{type(optimizer).__name__} looks at whole variables and would mix "
            f"the members: use one of {names}"
        )
    # its configuration, of which the members' optimizer is made, has no word of it
    left_out = "_exclude_from_weight_decay"
    if any(getattr(optimizer, left_out + end, None) for end in ("", "_pattern")):
        raise ValueError(
            "exclude_from_weight_decay cannot be followed here: train with fit"
        )
    if optimizer.get_config().get("use_ema"):
        raise ValueError(
            "use_ema: fit puts the averages into the weights when it ends, which "
            "cannot be followed here: train with fit"
        )
    return optimizer


class _Stacks:
    """The variables of all members, those of one shape in one: (n, members, ...).

    Twenty kernels of one shape are then read, summed and updated by a few operations,
    and a step is traced sooner.
    """

    def __init__(self, variables, values):
        alike = defaultdict(list)
        for place, variable in enumerate(variables):
            alike[tuple(variable.shape), variable.dtype].append(place)
        self._places = list(alike.values())
        self.variables = []
        for places in self._places:
            first = variables[places[0]]
            value = np.stack([values[id(variables[place])] for place in places])
            self.variables.append(
                keras.Variable(value, trainable=first.trainable, dtype=first.dtype)
            )

    def stacked(self, tensors):
        """Return tensors, one a variable of the model, in these stacks."""
        return [tf.stack([tensors[p] for p in places]) for places in self._places]

    def tensors(self):
        """Return the values, one tensor a variable of the model."""
        return self._apart([tf.unstack(v.value) for v in self.variables])

    def arrays(self):
        """Return the values as arrays."""
        return self._apart([v.numpy() for v in self.variables])

    def _apart(self, stacks):
        found = {}
        for places, stack in zip(self._places, stacks, strict=True):
            found |= dict(zip(places, stack, strict=True))
        return [found[place] for place in range(len(found))]


def _blocks(orders, batch_size):
    """Cut (members, samples) into (steps, members, batch); the rest is a block."""
    full = orders.shape[1] // batch_size * batch_size
    if full:
        head = orders[:, :full].reshape(len(orders), -1, batch_size)
        yield head.transpose(1, 0, 2)
    if full < orders.shape[1]:
        yield orders[None, :, full:]


def _global_norm(gradients):
    """Return the norm of each member's gradients, of shape (members,)."""
    return tf.sqrt(tf.reduce_sum(tf.concat([_squares(g) for g in gradients], 0), 0))


def _squares(stack):
    """Return the sum of squares of each gradient of a stack, (n, members)."""
    return tf.reduce_sum(stack * stack, _inner(stack))


def _inner(stack):
    return list(range(2, len(stack.shape)))


def _limits(own, clipping, members):
    """Return for each kind of clipping in use one limit a member, inf for none."""
    if clipping is None:
        clipping = [own] * members
    elif own:
        raise ValueError(
            f"the optimizer has {next(iter(own))}, and clipping= is given: choose one"
        )
    if len(clipping) != members:
        raise ValueError(f"clipping has {len(clipping)} entries for {members} members")
    for entry in clipping:
        if len(entry) > 1 or not set(entry) <= set(_CLIPPING):
            raise ValueError(
                f"clipping={entry!r}: give one of {', '.join(_CLIPPING)}, or {{}}"
            )
        if any(not limit > 0 for limit in entry.values()):
            raise ValueError(f"clipping={entry!r}: give a limit above 0")
    used = {kind for entry in clipping for kind in entry}
    return {kind: [e.get(kind, np.inf) for e in clipping] for kind in sorted(used)}


def _clip(gradients, limits):
    """Clip each member's gradients as Keras does; tell for which any changed."""
    if not limits:
        return gradients, tf.zeros(gradients[0].shape[1:2], "bool")
    limits = {k: tf.constant(v, gradients[0].dtype) for k, v in limits.items()}
    after = gradients
    if "clipvalue" in limits:
        after = [_clipped(g, limits["clipvalue"]) for g in after]
    if "clipnorm" in limits:
        after = [
            _scaled(g, _factor(tf.sqrt(_squares(g)), limits["clipnorm"])) for g in after
        ]
    if "global_clipnorm" in limits:
        factor = _factor(_global_norm(after), limits["global_clipnorm"])
        after = [_scaled(g, factor) for g in after]
    changed = [
        tf.reduce_any(a != g, _inner(g)) for a, g in zip(after, gradients, strict=True)
    ]
    return after, tf.reduce_any(tf.concat(changed, 0), 0)


def _clipped(gradient, limits):
    limits = _column(limits, gradient)
    return tf.clip_by_value(gradient, -limits, limits)


def _factor(norm, limits):
    """Return what brings a norm down to its limit; a NaN stays one."""
    return tf.where(norm <= limits, tf.ones_like(norm), limits / norm)


def _scaled(gradient, factors):
    return gradient * _column(factors, gradient)


def _column(numbers, like):
    """Return numbers that end in one a member, to be multiplied with a stack."""
    shape = [*numbers.shape, *[1] * (len(like.shape) - 2)]
    return tf.reshape(tf.cast(numbers, like.dtype), shape)


def _norm(stacked):
    flat = stacked.reshape(len(stacked), -1).astype("float64")
    return np.linalg.norm(flat, axis=1)


def _check_model(model):
    """Raise unless a model is one that an ensemble can train."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"build returned a {type(model).__name__}: no keras.Model")
    if not model.built:
        raise ValueError(
            f"model {model.name!r} has no weights yet: start it with keras.Input"
        )
    ends = [getattr(model, name, None) or [0] for name in ("inputs", "outputs")]
    if max(map(len, ends)) > 1:
        raise ValueError(
            f"model {model.name!r} has several inputs or outputs: an ensemble takes "
            "one of each"
        )
    if _draws(model):
        raise ValueError(
            "a layer draws random numbers while it runs (dropout, noise): members "
            "would share them; take it out or train with fit"
        )
    held = [v.path for v in model.trainable_variables if v.constraint is not None]
    if held:
        raise ValueError(
            f"{held[0]} has a constraint, which looks at the whole variable and would "
            "mix the members: take it out or train with fit"
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ValueError(
                f"layer {layer.name!r} loops over time: build it with unroll=True"
            )
        if isinstance(layer, keras.layers.SpectralNormalization):
            raise ValueError(
                f"layer {layer.name!r} sets its kernel while it runs, which an "
                "ensemble would lose: take it out or train with fit"
            )


def _draws(model):
    """Tell whether a forward pass moves the state of a random generator."""
    # a recurrent layer without dropout holds a generator, too, and draws nothing:
    # a pass through its unrolled steps, one by one, takes half a second
    idle = {
        id(getattr(getattr(layer, "seed_generator", None), "state", None))
        for layer in model._flatten_layers()
        if getattr(layer, "dropout", 1) == getattr(layer, "recurrent_dropout", 1) == 0
    }
    states = model.non_trainable_variables
    seeds = [i for i, v in enumerate(states) if "seed_generator" in v.path]
    seeds = [i for i in seeds if id(states[i]) not in idle]
    if not seeds:
        return False
    x = tf.zeros([2, *model.input_shape[1:]], model.inputs[0].dtype)
    after = model.stateless_call(model.trainable_variables, states, x, training=True)[1]
    return any(np.any(after[i] != states[i].numpy()) for i in seeds)


def _architecture(model):
    """Return what makes the computation, without names and initial values."""
    shapes = [(tuple(v.shape), v.dtype, v.trainable) for v in model.variables]
    try:
        return shapes, _plain(model.get_config())
    except NotImplementedError:  # a subclassed model need not tell
        return shapes, [type(layer).__name__ for layer in model._flatten_layers()]


# Where a functional model's configuration says which layer a tensor comes from.
_WIRES = ("keras_history", "input_layers", "output_layers")


def _plain(config, numbers=None, wire=False):
    """Return a configuration without names, and with layers by their number."""
    if isinstance(config, dict):
        layers = config.get("layers")
        if isinstance(layers, list) and layers and isinstance(layers[0], dict):
            # each functional model names its own layers
            numbers = {entry.get("name"): n for n, entry in enumerate(layers)}
        return {
            key: _plain(value, numbers, wire or key in _WIRES)
            for key, value in config.items()
            if not key.endswith("initializer") and key not in ("name", "build_config")
        }
    if isinstance(config, (list, tuple)):
        return [_plain(value, numbers, wire) for value in config]
    if wire and isinstance(config, str) and config in (numbers or {}):
        return numbers[config]
    return config if isinstance(config, (int, float, bool, type(None))) else str(config)


def _arrays(x, y):
    """Return arrays, or say what a dataset has to be made into."""
    for name, data in (("x", x), ("y", y)):
        kinds = tf.data.Dataset, keras.utils.PyDataset, Iterator
        if isinstance(data, kinds):
            raise ValueError(
                f"{name} is a {type(data).__name__}: an ensemble trains on arrays, "
                "x and y, of which each member draws its own batches"
            )
    if y is None:
        raise ValueError("y is missing: give arrays x and y")
    return np.asarray(x), np.asarray(y)


def _check_data(model, x, y, batch_size, epochs):
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} samples and y {len(y)}: give the same number")
    if tuple(x.shape[1:]) != tuple(model.input_shape[1:]):
        raise ValueError(
            f"x has samples of shape {x.shape[1:]}, the model reads "
            f"{tuple(model.input_shape[1:])}"
        )
    for name, value in (("batch_size", batch_size), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"{name}={value}: give 1 or more")
    if batch_size > len(x):
        raise ValueError(f"batch_size={batch_size} is above the {len(x)} samples of x")
