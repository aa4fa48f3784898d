"""One function a figure: data in, Axes out; nothing is trained or shown here."""

from importlib import resources

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator, ScalarFormatter

__all__ = [
    "use_style",
    "depth_profile",
    "seed_band",
    "seed_bars",
    "layer_change",
    "history",
]

#: The text colour of course.mplstyle: on the book's pages it follows the theme.
INK = "#1a1b1c"
#: What stands below an axis of layers.
LAYER = "layer (1 is next to the input)"
#: What an SVG shall not say of its making.
UNSIGNED = {"Date": None, "Creator": None}
#: What is expected: one colour, which no measurement has, and dashes.
THEORY = {"color": "#d55e00", "linestyle": "--", "linewidth": 1.4, "marker": ""}


def use_style():
    """Apply the course's style, and draw figures in notebooks as SVG."""
    plt.style.use(str(resources.files("coursekit") / "course.mplstyle"))
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        # no date and no version: the same figure gives the same bytes
        set_matplotlib_formats("svg", metadata=UNSIGNED)


def depth_profile(norms, theory=None, ax=None, ylabel="norm", every=1):
    """Draw norms against the layer, theory over them.

    Parameters
    ----------
    norms : dict of str to array_like of shape (seeds, layers)
        A label and the norms of each seed, from the input to the output. The
        line is their geometric mean, the band reaches from the smallest to
        the largest. Zeros cannot stand on a log axis and are left out.
    theory : dict of str to array_like of shape (layers,), optional
        Predictions, dashed, under the labels of ``norms``.
    ax : matplotlib.axes.Axes, optional
    ylabel : str
    every : int
        A marker at every such layer.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_or_new(ax)
    for label, values in norms.items():
        values = np.atleast_2d(np.asarray(values, dtype="float64"))
        values = np.where(values > 0, values, np.nan)
        layer = np.arange(1, values.shape[1] + 1)
        middle = np.exp(np.log(values).mean(axis=0))
        (line,) = ax.plot(layer, middle, label=label, markevery=every)
        _fill(ax, layer, values.min(axis=0), values.max(axis=0), line.get_color())
    for number, values in enumerate((theory or {}).values()):
        label = "theory" if number == 0 else None
        ax.plot(np.arange(1, len(values) + 1), values, label=label, **THEORY)
    ax.set(yscale="log", xlabel=LAYER, ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def seed_band(profiles, centre, sd, ax=None):
    """Draw one line a seed over the band that theory predicts for them.

    Parameters
    ----------
    profiles : array_like of shape (seeds, layers)
        log10 of a norm relative to the top layer's.
    centre, sd : array_like of shape (layers,)
        As ``theory.finite_width_band`` returns them.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_or_new(ax)
    layer = np.arange(1, len(centre) + 1)
    for number, profile in enumerate(profiles):
        label = "measured, a line a seed" if number == 0 else None
        ax.plot(layer, profile, color="C0", marker="", linewidth=1, label=label)
    for width, alpha in ((2, 0.15), (1, 0.25)):
        low, high = centre - width * sd, centre + width * sd
        label = f"theory, {width} sd"
        _fill(ax, layer, low, high, THEORY["color"], alpha, label)
    ax.plot(layer, centre, label="theory, mean", **THEORY)
    ax.set(xlabel=LAYER, ylabel="decades above the top")
    ax.legend()
    return ax


def seed_bars(x, values, ax=None, **style):
    """Draw a mark at each mean over the seeds, a bar from smallest to largest.

    Parameters
    ----------
    x : array_like of shape (settings,)
    values : array_like of shape (settings, seeds)
    ax : matplotlib.axes.Axes, optional
    **style
        As ``Axes.errorbar`` takes it: ``label``, ``marker``, ``color``.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_or_new(ax)
    values = np.asarray(values)
    mean = values.mean(axis=1)
    bars = [mean - values.min(axis=1), values.max(axis=1) - mean]
    ax.errorbar(x, mean, bars, capsize=3, **style)
    return ax


def layer_change(changes, ax=None):
    """Draw how far each layer has moved, one dot a seed, zeros at the bottom.

    Parameters
    ----------
    changes : dict of str to array_like of shape (seeds, layers)
        ``||W_end - W_0|| / ||W_0||`` of each layer, from the input to the output.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_or_new(ax)
    positive = np.concatenate([np.ravel(v) for v in changes.values()])
    floor = positive[positive > 0].min(initial=1.0) / 10
    for number, (label, values) in enumerate(changes.items()):
        values = np.maximum(np.asarray(values), floor)
        layer = np.arange(1, values.shape[1] + 1)
        style = {"color": f"C{number}", "alpha": 0.5}
        ax.plot(layer, values.T, linestyle="", **style)
        middle = np.exp(np.log(values).mean(axis=0))
        ax.plot(layer, middle, color=f"C{number}", label=label)
    ax.set(yscale="log", xlabel=LAYER, ylabel="relative change of the kernel")
    ax.set_xticks(layer)
    ax.legend()
    return ax


def history(
    values, theory=None, ax=None, xlabel="step", ylabel="value", band=False, first=0
):
    """Draw values over training steps, one thin line a seed, theory dashed.

    Parameters
    ----------
    values : dict of str to array_like of shape (seeds, steps)
    theory : array_like of shape (steps,), optional
    ax : matplotlib.axes.Axes, optional
    xlabel, ylabel : str
    band : bool
        In place of a line a seed draw their median, in a band from the
        smallest to the largest.
    first : int
        The number of the first step: 0 where it is the state before the training.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes_or_new(ax)
    for number, (label, lines) in enumerate(values.items()):
        lines = np.atleast_2d(lines)
        steps = np.arange(first, first + lines.shape[1])
        if band:
            _fill(ax, steps, lines.min(axis=0), lines.max(axis=0), f"C{number}")
            lines = np.median(lines, axis=0, keepdims=True)
        style = {"color": f"C{number}", "markevery": max(1, lines.shape[1] // 8)}
        marks = ax.plot(steps, lines.T, **style)
        for mark in marks:
            mark.set_marker("os^Dv"[number % 5])
        marks[0].set_label(label)
    if theory is not None:
        steps = np.arange(first, first + len(theory))
        ax.plot(steps, theory, label="theory", **THEORY)
    ax.set(yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = ax.get_ylim()
    if high < 10 * low:
        # within a decade there is no power of ten to name
        ax.yaxis.set_major_formatter(ScalarFormatter())
        ax.yaxis.set_minor_formatter(ScalarFormatter())
    ax.legend()
    return ax


def _fill(ax, x, low, high, color, alpha=0.25, label=None):
    ax.fill_between(x, low, high, color=color, alpha=alpha, linewidth=0, label=label)


def axes_or_new(ax):
    return plt.subplots()[1] if ax is None else ax
