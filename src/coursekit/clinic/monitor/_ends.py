"""Probe a model at the two ends of its training, when somebody asks.

Each with the weights that were kept of it: a callback may have put better ones back.
"""

import math
import re
import warnings
from contextlib import contextmanager

import keras

from coursekit import _taps
from coursekit.clinic._checkup import (
    HELD_SAMPLES,
    bad_parts,
    checkup,
    constant_loss,
    told_apart,
)
from coursekit.clinic._facts import facts_of
from coursekit.clinic.monitor import _rows
from coursekit.clinic.monitor._device import values

# Of an error's message this much tells its cause.
SHORT = 200


class Ends:
    """The probes of one training.

    Attributes
    ----------
    batch, loss
        To probe with, if a person has given them.
    probes, checks : list
        As :class:`coursekit.clinic.Trace` holds them.
    notes : list of str
        What could not be probed, and why.
    constant_loss : float
        Of the best constant output, over the targets of the first batches.
    held, seen : float
        As :class:`coursekit.clinic.Trace` holds them.
    bad_parts : list of str or None
        Which parts of the batch that the start was probed with are not finite.
    """

    def __init__(self, model, recorder):
        self._model, self._recorder = model, recorder
        self.batch = self.loss = None
        self.probes, self.checks, self.notes = [], [], []
        self._end = None
        self.constant_loss = self.held = self.seen = math.nan
        self.bad_parts = None

    @property
    def called(self):
        """The rows of a probe, in the order of calls; none before the first."""
        return list(self.probes[0][1].layers) if self.probes else []

    def begin(self):
        """Forget where an earlier training ended: it goes on."""
        self._end = None

    def facts(self, optimizer):
        """Return what a remedy must know of the model and its data, or None."""
        x, y, *_ = self._batch() or (None, None)
        if self.batch is None and self._recorder.targets is not None:
            y = self._recorder.targets
        try:
            loss = self._given_loss()
            return facts_of(self._model, x, y, loss, optimizer, self.called)
        except Exception:  # layers or data that nobody has met: no advice about them
            return None

    def _batch(self):
        return self._recorder.batch() if self.batch is None else self.batch

    def _given_loss(self):
        return None if getattr(self._model, "loss", None) is not None else self.loss

    def ended(self, step):
        """Remember the weights that training ended with."""
        weights = self._model.weights
        self._end = (step, list(zip(weights, values(weights), strict=True)))

    def look(self):
        """Probe what was not probed yet: the start, and the end of training."""
        self.look_at_start()
        step, weights = self._end or (0, None)
        if not step:
            return
        self._end = None
        kept = 1 if self.probes and self.probes[0][0] == 0 else 0
        del self.probes[kept:], self.checks[kept:]
        with _put_back(weights):
            self._probe(step)
            self._tell_apart()

    def _tell_apart(self):
        """Ask whether targets are told apart: of validation data, and below 0."""
        if not self.checks:
            return
        kept, loss = self._recorder.held(), self._given_loss()
        why = "the loss is the same with the targets of others"
        below = math.isnan(self.checks[-1].skill)
        self._recorder.paused = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                own = (*self._batch(), None)[:3] if below else None
                self.held, self.seen = (
                    told_apart(self._model, batch, loss) if batch else math.nan
                    for batch in (kept, own)
                )
        except Exception as error:  # it knows one size of a batch, or other keys
            self.held, self.seen, why = math.nan, math.nan, _cause(error)
        finally:
            self._recorder.paused = False
        if kept and math.isnan(self.held):
            if (size := _samples(kept[0])) < HELD_SAMPLES:
                why = f"{size} of them were kept, {HELD_SAMPLES} are needed"
            self._note(
                f"whether what was learned holds on validation data is not known: {why}"
            )

    def look_at_start(self):
        """Probe the start, unless that was done or cannot be."""
        start, self._recorder.start = self._recorder.start, None
        if start is not None:
            with _put_back(start):
                self._probe(0)

    def norms_at_start(self, names):
        """Return the norms of a row at initialization, or None."""
        known = self.probes and self.probes[0][0] == 0
        return _rows.norms_of(self.probes[0][1], names) if known else None

    def last_norms(self, names):
        """Return the norms of a row as the last probe found them, or None."""
        return _rows.norms_of(self.probes[-1][1], names) if self.probes else None

    def _probe(self, step):
        """Probe the model; a probe that fails is noted and ends nothing."""
        batch, loss = self._batch(), self._given_loss()
        what = "batch" if batch is None else "target"
        if batch is None or batch[1] is None:
            self._note(
                f"no {what} could be kept for the probe: pass batch=(x, y), and loss= "
                "if the model is compiled without one; y is x for an autoencoder"
            )
            return
        if not step:
            self.bad_parts = bad_parts(*batch)
        if self._recorder.batch_size == 1 and _normalizes_over_samples(self._model):
            self._note(
                "the training has one sample a batch, and a BatchNormalization makes 0 "
                "of it whatever it is: take larger batches"
            )
        self._recorder.paused = True
        try:
            with warnings.catch_warnings():
                # a diverged model overflows, and that is what is measured
                warnings.simplefilter("ignore")
                x, y, *weight = batch
                weight = weight[0] if weight else None
                if step and weight is None and self.batch is None:
                    self._compare(x, loss)
                few = self._recorder.probed if self.batch is None else None
                probed, check = checkup(self._model, x, y, loss, weight, step, few)
            self.probes.append((step, probed))
            self.checks.append(check)
        except Exception as error:  # training goes on without the probe
            self._note(f"the probe failed: {_cause(error)}; {self._cure(loss)}")
        finally:
            self._recorder.paused = False

    def _compare(self, x, loss):
        """Measure what a constant output reaches on the targets of many batches."""
        targets = self._recorder.targets
        if targets is not None and _samples(targets) >= _samples(x):
            self.constant_loss = constant_loss(
                self._model, x, targets, loss, self.called
            )

    def _cure(self, loss):
        if loss is None and getattr(self._model, "loss", None) is None:
            return "the model is compiled without a loss: pass loss="
        return "another batch may do: pass batch=(x, y)"

    def _note(self, text):
        if text not in self.notes:
            self.notes.append(text)


@contextmanager
def _put_back(weights):
    """Give weights their values of before for a moment: pairs of both."""
    now = [(weight, weight.numpy()) for weight, _ in weights]
    for weight, value in weights:
        weight.assign(value)
    try:
        yield
    finally:
        for weight, value in now:
            weight.assign(value)


def _samples(tree):
    return max(len(leaf) for leaf in keras.tree.flatten(tree) if leaf is not None)


def _normalizes_over_samples(model):
    """Tell whether a layer normalizes over nothing but the samples of a batch."""
    return any(
        isinstance(layer, keras.layers.BatchNormalization)
        and layer.built
        and layer.input_spec.ndim == 2
        for layer in _taps.leaves(model)
    )


def _cause(error):
    """Return the first line of an error's message, without codes for terminals."""
    text = re.sub(r"\x1b\[[0-9;]*m|{{function_node .*?}}", "", str(error)).strip()
    text = text or type(error).__name__
    line = " ".join(text.split("\n\n")[0].split())
    return line if len(line) <= SHORT else line[:SHORT].rsplit(" ", 1)[0] + " ..."
