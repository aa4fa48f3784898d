"""One function a figure: data in, Axes out; nothing is trained or shown here."""

from importlib import resources

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.scale import LogScale, register_scale
from matplotlib.text import Text
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator
from matplotlib.transforms import Bbox

__all__ = [
    "use_style",
    "depth_profile",
    "seed_band",
    "seed_bars",
    "layer_change",
    "history",
    "legend",
    "name_lines",
]

#: The text colour of course.mplstyle: on the book's pages it follows the theme.
INK = "#1a1b1c"
#: What stands below an axis of layers.
LAYER = "layer (1 is next to the input)"
#: What an SVG shall not say of its making.
UNSIGNED = {"Date": None, "Creator": None}
#: What is expected: one colour, which no measurement has, and dashes.
THEORY = {"color": "#d55e00", "linestyle": "--", "linewidth": 1.4, "marker": ""}
#: A sign for each thing measured, where its colour is not enough.
MARKS = "os^Dv"
#: Where a legend may stand in its axes, most wished for first.
CORNERS = {
    "upper right": "NE",
    "upper left": "NW",
    "lower left": "SW",
    "lower right": "SE",
    "center left": "W",
    "center right": "E",
    "upper center": "N",
    "lower center": "S",
}
#: Where a name may stand at a point of its line: steps to the right and up.
SIDES = ((0, 1), (0, -1), (-1, 1), (1, -1), (1, 1), (-1, -1))


class _Powers(LogFormatterSciNotation):
    """Write 0.01 and 6 where a whole axis can be written so, else powers of ten."""

    def __call__(self, x, pos=None):
        low, high = self.axis.get_view_interval()
        plain = low > 5e-3 and high < 2e3
        with plt.rc_context({"axes.formatter.min_exponent": 4 if plain else 1}):
            return super().__call__(x, pos)


class _Log(LogScale):
    """The scale "log", with the course's numbers beside its ticks."""

    def __init__(self, *args, **options):
        # Matplotlib hands the axis on until 3.10, and from 3.11 on no more
        super().__init__(*args, **options)

    def set_default_locators_and_formatters(self, axis):
        super().set_default_locators_and_formatters(axis)
        axis.set_major_formatter(_Powers(self.base))
        decades = self.subs is not None
        axis.set_minor_formatter(_Powers(self.base, labelOnlyBase=decades))


def use_style():
    """Apply the course's style, and draw figures in notebooks as SVG."""
    register_scale(_Log)
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
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    legend(ax)
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
    legend(ax)
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
        style = {"color": f"C{number}", "marker": MARKS[number % 5]}
        ax.plot(layer, values.T, linestyle="", alpha=0.5, **style)
        middle = np.exp(np.log(values).mean(axis=0))
        ax.plot(layer, middle, label=label, **style)
    ax.set(yscale="log", xlabel=LAYER, ylabel="relative change of the kernel")
    ax.set_xticks(layer)
    legend(ax)
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
            mark.set_marker(MARKS[number % 5])
        marks[0].set_label(label)
    if theory is not None:
        steps = np.arange(first, first + len(theory))
        ax.plot(steps, theory, label="theory", **THEORY)
    ax.set(yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    legend(ax)
    return ax


def legend(ax, **options):
    """Write a legend that hides nothing drawn: inside of the axes, or else above them.

    Call it when all is drawn.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    **options
        As ``Axes.legend`` takes them: ``title``, ``ncols``.

    Returns
    -------
    matplotlib.legend.Legend
    """
    box = ax.legend(loc="upper right", **options)
    ax.figure.draw_without_rendering()
    place, room = box.get_window_extent(), ax.bbox.padded(-0.03 * ax.bbox.height)
    shapes = _shapes(ax)
    for loc, corner in CORNERS.items():
        if not _hides(place.anchored(corner, room), shapes):
            box.set_loc(loc)
            return box
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    for columns in range(len(box.get_texts()), 0, -1):
        box = ax.legend(**{**options, **above, "ncols": columns})
        # or the axes would give way to it
        box.set_in_layout(False)
        ax.figure.draw_without_rendering()
        if box.get_window_extent().width <= ax.bbox.width:
            break
    box.set_in_layout(True)
    return box


def name_lines(ax):
    """Write each line's name beside it, in its colour, in place of a legend.

    A name touches nothing, and no other line is as near to it as its own. Where that
    cannot be, there is a legend. Theory has no name. Call it when all is drawn.

    Parameters
    ----------
    ax : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax.get_legend() is not None:
        ax.get_legend().remove()
    ax.figure.draw_without_rendering()
    lines = [line for line in ax.get_lines() if line.get_color() != THEORY["color"]]
    named = [line for line in lines if not line.get_label().startswith("_")]
    written = [
        _named(ax, line, [other for other in lines if other != line]) for line in named
    ]
    if None in written:
        for text in filter(None, written):
            text.remove()
        legend(ax)
    return ax


def _named(ax, line, others):
    """Write a line's name where it is free, near its middle; None if nowhere is."""
    others, drawn = _shapes(ax, others), _shapes(ax)
    points = line.get_xydata()
    text = ax.annotate(
        line.get_label(),
        points[0],
        (0, 0),
        textcoords="offset points",
        color=line.get_color(),
    )
    width, height = text.get_window_extent().size
    pixel = ax.figure.dpi / 72
    for k in sorted(range(len(points)), key=lambda k: abs(2 * k - len(points))):
        at = ax.transData.transform(points[k])
        for right, up in SIDES:
            left = at[0] + 5 * pixel * right - (0.5, 0, 1)[right] * width
            low = at[1] + 5 * pixel * up - (0 if up > 0 else height)
            place = Bbox.from_bounds(left, low, width, height)
            if (
                ax.bbox.contains(*place.min)
                and ax.bbox.contains(*place.max)
                and not _hides(place.padded(3 * pixel), drawn)
                and not _hides(place.padded(12 * pixel), others)
            ):
                text.xy, text.xyann = points[k], (5 * right, 5 * up)
                text.set(
                    ha=("center", "left", "right")[right],
                    va="bottom" if up > 0 else "top",
                )
                return text
    text.remove()
    return None


def _shapes(ax, artists=None):
    """Return what a reader must see in some axes, as paths in pixels.

    Each path comes with whether its points are joined, and whether it is filled.
    """
    found = []
    everything = *ax.lines, *ax.patches, *ax.collections, *ax.texts
    for artist in everything if artists is None else artists:
        if isinstance(artist, Text):
            if artist.get_text():
                box = artist.get_window_extent()
                found.append((Path(box.corners()[[0, 1, 3, 2]]), True, True))
            continue
        paths = (
            artist.get_paths() if hasattr(artist, "get_paths") else [artist.get_path()]
        )
        line = isinstance(artist, Line2D)
        joined = not line or artist.get_linestyle() != "None"
        to_pixels = artist.get_transform()
        for path in paths:
            path = to_pixels.transform_path(path).cleaned(remove_nans=True)
            found.append((path, joined, not line))
    return found


def _hides(place, shapes):
    """Tell whether one of the shapes lies in a place of the figure."""
    return any(
        place.count_contains(path.vertices)
        or (joined and path.intersects_bbox(place, filled=filled))
        for path, joined, filled in shapes
    )


def _fill(ax, x, low, high, color, alpha=0.25, label=None):
    ax.fill_between(x, low, high, color=color, alpha=alpha, linewidth=0, label=label)


def axes_or_new(ax):
    return plt.subplots()[1] if ax is None else ax
