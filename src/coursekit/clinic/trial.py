"""Try remedies on copies of a model, beside a copy to which nothing was done."""

import html
import math
import random
import time
from dataclasses import dataclass, replace

import keras
import numpy as np

from coursekit._progress import progress
from coursekit._tables import as_html, as_text
from coursekit.clinic._copies import CHUNK, LATE, Copies
from coursekit.clinic._facts import facts_of
from coursekit.clinic.diagnosis import rules
from coursekit.clinic.diagnosis.remedies import EVERY, Remedy, Signs, advice

__all__ = ["Attempt", "Trial", "try_remedies"]

#: A remedy must take away so much more of a constant output's loss than the control.
#: Margin: controls that learn nothing differ by .03 and less from seed to seed.
BETTER = 0.1
#: Of remedies as good as the best but for so much, the one nearest to the cause counts.
ALIKE = 0.05
# After fewer steps a copy tells nothing.
_FEWEST = 20
# Rather so many steps for each remedy than more remedies, but for the first ones.
_ENOUGH, _LEAST = 60, 4
PLANNED = "the time would not have been enough"
# So many remedies are tried again with other seeds.
_LEADERS = 5


@dataclass(frozen=True)
class Attempt:
    """What came of one remedy, or of none.

    Attributes
    ----------
    remedy : Remedy or None
        None is the control.
    shares : tuple of float
        For each seed the share of the best constant output's loss that the model
        takes away, of samples that were held back; 0 or less: nothing was learned,
        NaN: the loss is not finite.
    steps : int
        The fewest that a seed was trained for.
    verdict : str
        "control", "trains", "better" than the control but a share below .2,
        "no better", "by heart" (what was learned holds for the samples of the training
        alone), "control, by heart", "not finite", or "fails" with the reason.
    """

    remedy: Remedy | None
    shares: tuple
    steps: int
    verdict: str

    @property
    def changed(self):
        """What was done, in a few words."""
        return _short(self.remedy) if self.remedy else "nothing (the control)"

    @property
    def learned(self):
        """The mean share, and its range over seeds."""
        if not all(map(math.isfinite, self.shares)):
            return "-" if self.verdict.startswith("fails") else "not finite"
        low, high = map(_readable, (min(self.shares), max(self.shares)))
        ends = f" ({low} to {high})" if low != high else ""
        return f"{_readable(np.mean(self.shares))}{ends}"


@dataclass(frozen=True, repr=False)
class Trial:
    """Remedies that were tried; print it.

    Attributes
    ----------
    attempts : tuple of Attempt
        The control first, then the remedies in the order of causes.
    best : Remedy or None
        The one that learned most, if any beats the control: ``best.code`` are the
        lines to write.
    skipped : tuple of (str, str)
        What could not be tried, and why.
    notes : tuple of str
        How the copies differ from a training by ``fit``.
    ended : str
        After how many steps the time was over; empty if there was time for all.
    """

    attempts: tuple
    best: Remedy | None
    skipped: tuple = ()
    notes: tuple = ()
    ended: str = ""

    def _rows(self):
        # few columns: the table is read on phones
        yield "what was changed", "share learned", "steps x seeds", "verdict"
        for a in self.attempts:
            yield a.changed, a.learned, f"{a.steps} x {len(a.shares)}", a.verdict

    def _tail(self):
        yield from (f"Not tried: {what}: {why}." for what, why in self.skipped)
        yield from self.notes
        yield from filter(None, (self.ended, self._answer()))

    def _answer(self):
        so_far = " so far" if self.ended else ""
        if self.best:
            return f"Best{so_far}: {self.best.text}."
        if len(self.attempts) == 1:
            return "No remedy was tried."
        nothing = f"Nothing beats the control{so_far}."
        control, *others = self.attempts
        if control.verdict.endswith("by heart"):
            nothing += (
                " It learns its samples by heart: see whether each target is that of "
                "its input; if so, take more samples, or a smaller model."
            )
        # one seed that passes is a hint; after a few steps half of that is
        beaten = _known_best(control.shares) + (ALIKE if self.ended else BETTER)
        hints = [a for a in others if _known_best(a.shares) > beaten]
        if not hints:
            return nothing
        most = max(hints, key=lambda a: np.nan_to_num(np.mean(a.shares), nan=-np.inf))
        return f"{nothing} Best, but not sure: {most.changed}, share {most.learned}."

    def __str__(self):
        """Return the table as text."""
        code = self.best.code.splitlines() if self.best else []
        table = as_text(list(self._rows()), left=range(4))
        return "\n".join([table, *self._tail(), *(f"    {line}" for line in code)])

    __repr__ = __str__

    def _repr_html_(self):
        """Return the table that a notebook shows."""
        tail = "".join(f"<p>{html.escape(text)}</p>" for text in self._tail())
        code = html.escape(self.best.code) if self.best else ""
        code = code and f'<pre style="overflow-x:auto">{code}</pre>'
        return f"{as_html(self._rows())}{tail}{code}"


def try_remedies(
    model, x, y=None, *, steps=200, seeds=2, seconds=45.0, batch_size=32, verbose="auto"
):
    """Try what fits a model's trouble, and say what works on this model.

    Copies of the model are trained, each with one remedy, and one, the control,
    with none. They begin with the model's own weights; where it was trained, or a
    function builds it, their weights are drawn anew. A seed is another order of the
    samples, and another draw of what is drawn. Every remedy is tried with one seed,
    those near the cause first; then those that lead, and the control, with the
    others. A remedy counts if its worst seed beats the control's best, and a constant
    output, by .1. If none trains, the first is tried with other learning rates. From
    256 samples on the shares are of a quarter that is held back. The model and the
    random state of Python and NumPy are left as they were; a subclassed model that has
    no weights yet gets them.

    Parameters
    ----------
    model : keras.Model, or function of no arguments that returns one
        Compiled, with one input and one output. A subclassed model cannot be
        rebuilt: give a function, or only optimizer, loss and data are changed.
    x, y : numpy.ndarray
        Inputs and targets, samples first.
    steps : int
        At most so many a copy, in tens; fewer where ``seconds`` are not enough.
    seeds : int
    seconds : float
        When to stop. What runs then, some steps or a compilation, is finished.
    batch_size : int
    verbose : {"auto", True, False}
        Whether to show a progress bar.

    Returns
    -------
    Trial

    Raises
    ------
    TypeError
        If ``model`` is neither, or the function returns something else.
    ValueError
        If the model is not compiled or does not take x, or x and y are not two
        arrays of as many samples.
    """
    until, asked = time.monotonic() + seconds, max(CHUNK, steps // CHUNK * CHUNK)
    x, y = _arrays(x, y)
    if not isinstance(model, keras.Model) and not callable(model):
        raise TypeError(f"model is a {type(model).__name__}: give a keras.Model")
    # initializers and dropout draw their seeds from these
    kept = random.getstate(), np.random.get_state()
    try:
        copies = Copies(model, x, y, batch_size, until)
        remedies, number, steps = _plan(copies, steps)
        trial = _tried(copies, remedies, steps, seeds, verbose, number)
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
    over = time.monotonic() > until or any(why == LATE for _, why in trial.skipped)
    cut = over or steps < asked or number < len(remedies)
    return _ended(trial, seconds, asked, over) if cut else trial


def _arrays(x, y):
    for name, array in (("x", x), ("y", y)):
        if isinstance(array, dict | list | tuple):
            raise ValueError(
                f"{name} is a {type(array).__name__}: give one array of inputs and one "
                "of targets; models of several inputs or outputs are not tried"
            )
        if array is not None and not hasattr(array, "shape"):
            raise ValueError(
                f"{name} is a {type(array).__name__}: give arrays, such as those of "
                "some batches, x, y = map(np.concatenate, zip(*batches))"
            )
    if x is None or y is None:
        raise ValueError("give both inputs and targets: try_remedies(model, x, y)")
    x, y = np.asarray(x), np.asarray(y)
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(x):
        raise ValueError(
            f"x and y have the shapes {x.shape} and {y.shape}: give as many samples "
            "of both, 1 or more"
        )
    if y.dtype.kind not in "biuf":
        raise ValueError(f"y holds {y.dtype}: give numbers, as model.fit takes them")
    return x, y


def _plan(copies, steps):
    """Return the remedies that fit, for how many there is time, and for which steps."""
    start = time.monotonic()
    copies.run(None, 0, CHUNK)
    compiled = time.monotonic()
    control = copies.run(None, 0, _FEWEST)
    # a run is so many steps, and what is measured after them
    step = getattr(control, "seconds", 0.0) / _FEWEST
    beside = time.monotonic() - compiled - _FEWEST * step
    facts = facts_of(copies.model, copies.x, copies.y)
    place = " in time" if facts.sequence >= _FEWEST else ""
    verdict = "vanishing" if place else "not_learning"
    verdict = verdict if _finite(control) else "exploding"
    remedies = advice(facts, Signs(place=place, norm=copies.norm), verdict, EVERY)
    remedies = tuple(remedy for remedy in remedies if remedy.changes)
    compilations = sum(bool(r.layers) or "compile(" in r.code for r in remedies)
    left = copies.until - compiled - compilations * (compiled - start)
    # a third of the time is for the other seeds
    possible = 0.65 * left
    # rather a few long enough, those near the cause, than all of them too short
    one = max(1e-6, beside + _ENOUGH * step)
    number = min(len(remedies), max(_LEAST, int(possible / one) - 1))
    each = (possible / (number + 1) - beside) / max(1e-9, step)
    steps = min(steps, max(_FEWEST, each))
    # another length of the last chunk would be compiled anew
    return remedies, number, max(CHUNK, int(steps) // CHUNK * CHUNK)


def _ended(trial, seconds, asked, over):
    """Return the trial with a sentence about its end."""
    taken = max(attempt.steps for attempt in trial.attempts)
    what = "were over after" if over else "were planned for"
    text = f"The {seconds:g} s {what} {taken} of {asked} steps a copy"
    return replace(trial, ended=f"{text}: give more for a surer answer.")


def _finite(run):
    return not isinstance(run, str) and math.isfinite(run.share)


def _tried(copies, remedies, steps, seeds, verbose, number=None):
    runs = {}
    skipped = [(_short(r), PLANNED) for r in remedies[len(remedies[:number]) :]]
    remedies = remedies[:number]

    def first_seed(remedy):
        run = copies.run(remedy, 0, steps)
        if isinstance(run, str):
            skipped.append((_short(remedy), run))
        else:
            runs[remedy] = [run]
        bar.update(1)

    def other_seeds():
        """Try those that lead, and the control, with seeds that they have not had."""
        leaders = [r for r in runs if r and _above(runs[r], control)]
        leaders = sorted(leaders, key=lambda r: -runs[r][0].share)[:_LEADERS]
        for seed in range(1, seeds):
            for remedy in (None, *leaders):
                if len(runs[remedy]) == seed:
                    run = copies.run(remedy, seed, steps)
                    runs[remedy] += [] if isinstance(run, str) else [run]

    with progress(len(remedies) + 1, verbose) as bar:
        for remedy in (None, *remedies):
            first_seed(remedy)
        control = runs[None]
        other_seeds()
        if remedies and not any(_trains(found, control) for found in runs.values()):
            for remedy in _pairs(remedies):
                first_seed(remedy)
            other_seeds()
    attempts = tuple(_attempt(r, found, control) for r, found in runs.items())
    return Trial(attempts, _best(attempts), tuple(skipped), tuple(copies.notes))


def _readable(share):
    # of a copy that diverges the size says nothing
    text = "below -10" if share < -10 else f"{share:.2f}"
    return "0.00" if text == "-0.00" else text


def _short(remedy):
    return remedy.text.split(":")[0]


def _pairs(remedies):
    """Return the likeliest remedy together with each other learning rate.

    What was mended may need another rate than the fault did.
    """
    first, *others = remedies
    for rate in others:
        if rate.code.startswith("model.optimizer.learning_rate"):
            yield first.plus(rate)


def _above(runs, control):
    """Tell whether all runs beat the control's best, and a constant output."""
    best = _known_best(r.share for r in control)
    return min(r.share for r in runs) > best + BETTER


def _known_best(shares):
    """Return the best share that is known, 0 or more: a constant output has that."""
    return max([0.0, *(s for s in shares if math.isfinite(s))])


def _trains(runs, control):
    return _above(runs, control) and min(r.share for r in runs) >= rules.SKILL


def _by_heart(run):
    """Tell whether what was learned holds for the samples of the training alone."""
    return run.seen >= rules.SKILL and run.apart < rules.HELD


def _attempt(remedy, runs, control):
    shares = tuple(run.share for run in runs)
    failure = next((run.failure for run in runs if run.failure), None)
    verdict = "no better"
    by_heart = all(map(_by_heart, runs))
    if remedy is None:
        verdict = "control, by heart" if by_heart else "control"
    elif not all(map(math.isfinite, shares)):
        verdict = "not finite"
    elif _above(runs, control):
        verdict = "trains" if _trains(runs, control) else "better"
    elif by_heart:
        verdict = "by heart"
    verdict = f"fails: {failure}" if failure else verdict
    return Attempt(remedy, shares, min(run.steps for run in runs), verdict)


def _best(attempts):
    good = [a for a in attempts if a.verdict in ("trains", "better")]
    # what only one seed was tried with is less certain
    most = max((len(a.shares) for a in good), default=0)
    good = [a for a in good if len(a.shares) == most]
    top = max((np.mean(a.shares) for a in good), default=0.0)
    return next((a.remedy for a in good if np.mean(a.shares) >= top - ALIKE), None)
