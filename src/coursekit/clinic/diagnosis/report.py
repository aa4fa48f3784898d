"""Name the gradient problem of a model: verdict, place, evidence, cure."""

import html
import math
from dataclasses import dataclass

import keras
import numpy as np

from coursekit.clinic._checkup import bad_parts, checkup
from coursekit.clinic._facts import facts_of
from coursekit.clinic._heads import heads
from coursekit.clinic._saved import save
from coursekit.clinic.diagnosis import findings, remedies
from coursekit.clinic.diagnosis.rules import SENTENCES, judge
from coursekit.clinic.trace import Trace, trace_of
from coursekit.probing import one_batch

__all__ = ["Report", "UnhealthyError", "diagnose"]

#: A panel draws bars of so many layers at most, each of so many pixels.
BARS, ROW = 24, 18


@dataclass(frozen=True)
class Report:
    """The answer of :func:`diagnose`.

    Attributes
    ----------
    verdict : str
        One of ``coursekit.clinic.diagnosis.rules.VERDICTS``.
    layer : str or None
        Where the evidence first holds, coming from the loss for vanishing and
        growing gradients, from the input for dead units and what is not finite.
    step : int or None
        When it first holds; 0 is initialization, before the first update. Of what
        shows at the end alone, such as not learning, the last step.
    evidence : tuple of Evidence
        Named measurements, each with its threshold. Of a healthy model how much it has
        learned and, where ``fit`` had validation data, whether that holds there.
    findings : tuple of Finding
        Observations that do not make a verdict.
    remedies : tuple of Remedy
        What to do, the first to try first.
    trace : Trace
        The recorded arrays, for figures.
    sentence : str
        The key of the verdict's sentence among ``rules.SENTENCES``: by default the
        verdict itself.
    """

    verdict: str
    layer: str | None
    step: int | None
    evidence: tuple
    findings: tuple
    remedies: tuple
    trace: Trace
    sentence: str = ""

    def __str__(self):
        """Return the one-paragraph answer."""
        parts = [self.summary]
        parts += [f"{item}" for item in self.evidence]
        if self.remedies:
            parts.append(f"Try first: {self.remedies[0]}")
        if self.findings:
            parts.append("Also seen: " + "; ".join(map(str, self.findings)))
        return ". ".join(parts) + "."

    __repr__ = __str__

    @property
    def summary(self):
        """The verdict in a sentence: what, since when, where."""
        return SENTENCES[self.sentence or self.verdict] + self._place()

    def check(self):
        """Do nothing if the verdict is healthy, else raise: for scripts.

        Raises
        ------
        UnhealthyError
            For every other verdict. *Not measured* is one of them: what nobody has
            seen passes no check.
        """
        if self.verdict != "healthy":
            raise UnhealthyError(self)

    def save(self, path):
        """Write trace and verdict as JSON; ``coursekit.clinic.load_trace`` reads it.

        NaN becomes null, an infinity the text "inf" or "-inf".
        """
        save(self, path)

    def _place(self):
        if self.layer is None:
            steps = self.trace.last_step
            return f" in {steps} steps" if steps else self._before()
        when = "from initialization on" if self.step == 0 else f"from step {self.step}"
        return f", {when}, first seen at layer {self.layer}"

    def _before(self):
        return " at initialization" if self.trace.probes else ": no step was recorded"

    def _repr_html_(self):
        """Return the panel that a notebook shows."""
        answer = html.escape(self.summary)
        rows = [("Evidence", self.evidence), ("To try, in order", self.remedies)]
        rows.append(("Also seen", self.findings))
        lists = "".join(
            f'<p style="margin:.75em 0 0"><strong>{title}</strong></p><ul>'
            + "".join(f"<li>{_item(item)}</li>" for item in items)
            + "</ul>"
            for title, items in rows
            if items
        )
        return (
            # without a colour of its own a border has the text's, on any page
            '<div style="border-left:4px solid;padding:0 1em;margin:1em 0">'
            f"<p><strong>{answer}.</strong></p>{_bars(self.trace)}{lists}</div>"
        )


class UnhealthyError(Exception):
    """A check that failed: the verdict, and the first thing to try.

    Attributes
    ----------
    report : Report
    """

    @property
    def report(self):
        """The whole answer."""
        return self.args[0]

    def __str__(self):
        """Return the verdict and the first remedy, else the first finding."""
        report = self.report
        first = [f"Try first: {remedy}" for remedy in report.remedies]
        first += [f"{found}" for found in report.findings]
        return ". ".join([report.summary, *first[:1]]) + "."


def diagnose(subject, x=None, y=None, loss=None, sample_weight=None):
    """Say whether a model's gradients are healthy, and if not, what is wrong.

    ``diagnose(monitor)`` judges a training that a GradientMonitor has recorded.
    ``diagnose(model, x, y)`` judges a model before training from one batch: it
    sees what initialization decides, and cannot see what training will do.
    ``diagnose(trace)`` judges what ``coursekit.clinic.load_trace`` has read.

    Parameters
    ----------
    subject : GradientMonitor, keras.Model, Trace or Report
    x, y : arrays, or lists or dicts of them
        For a model: one batch, as :func:`coursekit.probe` takes it.
    loss, sample_weight
        For a model: as :func:`coursekit.probe` takes them.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If ``subject`` is none of them.
    ValueError
        If the monitor has watched nothing, a batch or a loss is given beside what was
        recorded, or the batch does not fit the model.
    """
    if isinstance(subject, keras.Model):
        return answer(_untrained(subject, x, y, loss, sample_weight))
    trace = trace_of(subject)
    if trace is not None:
        if any(part is not None for part in (x, y, loss, sample_weight)):
            raise ValueError(
                "what was recorded is judged as it was, without a batch or a loss; "
                "GradientMonitor(batch=(x, y), loss=loss) takes them"
            )
        return answer(trace)
    raise TypeError(
        f"cannot diagnose a {type(subject).__name__}: give a GradientMonitor that "
        "has seen a training, or a keras.Model with a batch"
    )


def answer(trace):
    """Judge a trace.

    Returns
    -------
    Report
    """
    judgement = judge(trace)
    return Report(
        judgement.verdict,
        judgement.layer,
        judgement.step,
        judgement.evidence,
        findings.findings(trace),
        remedies.remedies(judgement, trace),
        trace,
        judgement.sentence,
    )


def _untrained(model, x, y, loss, sample_weight):
    """Probe a model that was not trained."""
    if x is None:
        raise ValueError(
            "diagnose(model, x, y) needs one batch; to judge a training, pass the "
            "GradientMonitor instead of the model"
        )
    x, y, sample_weight = one_batch(model, x, y, sample_weight)
    found, check = checkup(model, x, y, loss, sample_weight)
    facts = facts_of(model, x, y, loss, called=found.layers)
    bad = bad_parts(x, y, sample_weight)
    return Trace.untrained(found, check, heads(model, found.layers), facts, bad)


def _item(item):
    """Return a point of the panel's lists; a remedy's lines are set as code."""
    if not isinstance(item, remedies.Remedy):
        return html.escape(str(item))
    return (
        f"{html.escape(item.text)}{item.where}"
        '<pre style="margin:.25em 0;overflow-x:auto"><code>'
        f"{html.escape(item.code)}</code></pre>"
    )


def _bars(trace):
    """Return bars of the gradient norm by layer, first and last, on a log scale."""
    if trace.probes:
        names = trace.probes[0][1].layers
        values = [found.delta_norm for _, found in trace.probes]
        title = "Size of delta by layer"
    elif len(trace.gradient):
        names = trace.layers
        values = [trace.gradient[0], trace.gradient[-1]]
        title = "Size of the kernel gradient by layer"
    else:
        return ""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(np.array(values, dtype="float64"))
    finite = logs[np.isfinite(logs)]
    if not len(finite):
        return f'<p style="margin:.5em 0">{title}: all are 0 or not finite.</p>'
    low, high = finite.min(), finite.max()
    chosen = np.unique(np.linspace(0, len(names) - 1, BARS).round().astype(int))
    rows = [_bar(k, names[n], logs[:, n], low, high) for k, n in enumerate(chosen)]
    bars = ": upper bar (grey) at the start, lower bar at the end"
    bars = bars if len(logs) > 1 else ""
    some = f" {len(chosen)} of {len(names)} layers." if len(chosen) < len(names) else ""
    # narrow enough for a phone
    height = ROW * len(chosen)
    return (
        f'<p style="margin:.5em 0">{title}{bars}. Log scale, '
        f"{10**low:.1e} to {10**high:.1e}.{some}</p>"
        f'<svg role="img" aria-label="{title}" viewBox="0 0 280 {height}" '
        f'width="280" height="{height}" style="max-width:100%" '
        f'font-size="12" fill="currentColor">{"".join(rows)}</svg>'
    )


def _bar(place, name, logs, low, high):
    """Return the name and the bars of one layer, as SVG."""
    # names of layers differ at their ends
    label = html.escape(name if len(name) <= 16 else "\u2026" + name[-15:])
    top, span = ROW * place, max(high - low, 1.0)
    parts = [f'<text x="106" y="{top + 12}" text-anchor="end">{label}</text>']
    for k, value in enumerate(logs):
        width = 160 * (value - low) / span + 4 if math.isfinite(value) else 0
        # the last bar has the text's colour; this grey is 3:1 or more on any page
        grey = "" if k else ' fill="#868686"'
        where = f'x="112" y="{top + 2 + 7 * k}" height="5"'
        parts.append(f'<rect {where} width="{width:.0f}"{grey}/>')
    return "".join(parts)
