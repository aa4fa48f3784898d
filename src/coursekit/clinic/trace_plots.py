"""Figures of one watched training, or of several side by side: Axes out.

Every function takes a Trace, or whatever has one: a GradientMonitor, a Report. A
ProbeReport will do where no training step is drawn.
"""

import matplotlib.pyplot as plt
import numpy as np

from coursekit._tables import as_text, share
from coursekit.clinic.trace import Trace, reached, trace_of
from coursekit.plots import LAYER, MARKS, THEORY, axes_or_new, legend
from coursekit.probing import ProbeReport

__all__ = [
    "gradient_map",
    "update_map",
    "delta_profile",
    "time_profile",
    "side_by_side",
    "table",
]

# A tick label of more letters is shortened in the middle.
LETTERS = 24


def gradient_map(trace, ax=None):
    """Draw the kernel gradient of every layer over time, as colours.

    Where there is no room for all names, every second or third layer has one.

    Parameters
    ----------
    trace : coursekit.clinic.Trace, GradientMonitor or Report
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        log10 of the norms; left empty where a norm is 0 or not finite.

    Raises
    ------
    TypeError
        If ``trace`` has none.
    ValueError
        If the trace holds no training step.
    """
    trace = _trace_of(trace)
    return _map(trace.steps, trace.gradient, trace.layers, "kernel gradient", ax)


def update_map(trace, ax=None):
    """Draw the update ratio of every layer over time, as colours.

    The ratio is the norm of a step's real change of the kernels over the norm of
    the kernels.

    Parameters, Returns, Raises: as :func:`gradient_map`.
    """
    trace = _trace_of(trace)
    ratio = trace.update_ratio
    return _map(trace.update_steps, ratio, trace.layers, "update over weight", ax)


def delta_profile(trace, theory=None, ax=None):
    """Draw the size of delta against the layer, at the start and at the end.

    Parameters
    ----------
    trace : coursekit.clinic.Trace, GradientMonitor, Report or ProbeReport
    theory : array_like of shape (layers,), optional
        A prediction for the start, relative to its last entry; for instance
        ``coursekit.theory.delta_profile`` where a network has the same width and
        activation in all of these layers. Drawn through the last of them.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the trace holds no probe, or theory has more layers than it.
    """
    trace = _trace_of(trace)
    if not trace.probes:
        why = "; ".join(trace.notes) or "no batch was kept"
        raise ValueError(f"the trace holds no probe of delta: {why}")
    ends = trace.probes[:1] + trace.probes[1:][-1:]
    first = ends[0][1].delta_norm
    theory = None if theory is None else np.asarray(theory, dtype="float64")
    if theory is not None and len(theory) > len(first):
        raise ValueError(
            f"theory has {len(theory)} layers, the model {len(first)}: give one "
            "number a layer, from the input on"
        )
    ax = axes_or_new(ax)
    for (step, probed), mark in zip(ends, MARKS, strict=False):
        norms = np.where(probed.delta_norm > 0, probed.delta_norm, np.nan)
        label = "at initialization" if step == 0 else f"after step {step}"
        ax.plot(np.arange(1, len(norms) + 1), norms, marker=mark, label=label)
    if theory is not None:
        scaled = theory / theory[-1] * first[len(theory) - 1]
        ax.plot(np.arange(1, len(theory) + 1), scaled, label="theory", **THEORY)
    ax.set(yscale="log", xlabel=LAYER, ylabel="size of delta")
    legend(ax)
    return ax


def time_profile(trace, ax=None):
    """Draw ``||dL/dh_t||`` of every recurrent layer against the time step.

    It is drawn relative to the last time step that a gradient reaches, from the
    last probe: steps that every sample masks have none. The legend gives the mean
    factor a step, going back.

    Parameters
    ----------
    trace : coursekit.clinic.Trace, GradientMonitor, Report or ProbeReport
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the model has no recurrent layer, or was not probed.
    """
    trace = _trace_of(trace)
    norms = trace.probes[-1][1].time_norm if trace.probes else {}
    if not norms:
        raise ValueError("the trace holds no recurrent layer that was probed")
    ax = axes_or_new(ax)
    for (name, values), mark in zip(norms.items(), MARKS * len(norms), strict=False):
        span = reached(values) if values.any() else values[-1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(values > 0, values / span[-1], np.nan)
            factor = (span[0] / span[-1]) ** (1 / max(1, len(span) - 1))
        ax.plot(
            np.arange(1, len(values) + 1),
            relative,
            marker=mark,
            markevery=max(1, len(values) // 8),
            label=f"{name}: {factor:.2f} a step",
        )
    ax.set(
        yscale="log", xlabel="time step", ylabel="size of dL/dh, relative to the last"
    )
    legend(ax)
    return ax


def side_by_side(runs, draw=gradient_map, **options):
    """Draw several runs next to each other, on the same scales.

    Parameters
    ----------
    runs : dict
        A label and what ``draw`` takes, such as a Trace, for each run.
    draw : callable
        A function of this module.
    **options
        Handed on to ``draw``.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes, shape (runs,)

    Raises
    ------
    ValueError
        If there is no run.
    """
    if not runs:
        raise ValueError("runs is empty: give one entry a run")
    width, height = plt.rcParams["figure.figsize"]
    figure, axes = plt.subplots(
        1,
        len(runs),
        figsize=(width * len(runs), height),
        sharey=draw in (delta_profile, time_profile),
        squeeze=False,
        layout="constrained",
    )
    for (label, run), ax in zip(runs.items(), axes[0], strict=True):
        draw(run, ax=ax, **options)
        ax.set_title(label)
    images = [image for ax in axes[0] for image in ax.collections if image.colorbar]
    scales = [image.get_array().compressed() for image in images]
    if any(len(scale) for scale in scales):
        everything = np.concatenate(scales)
        for image in images:
            image.set_clim(everything.min(), everything.max())
    return axes[0]


def table(trace):
    """Return a table of a trace, a line a layer, as ``Model.summary`` makes one.

    The kernel gradient at the first and the last step, the median of update over
    weight, and the size of delta and the share of dead units in the last probe; a
    dash where it was not measured.

    Parameters
    ----------
    trace : coursekit.clinic.Trace, GradientMonitor, Report or ProbeReport

    Returns
    -------
    str
    """
    trace = _trace_of(trace)
    _, probed = trace.probes[-1] if trace.probes else (0, None)
    places = {name: n for n, name in enumerate(probed.layers)} if probed else {}
    rows = [("layer", "first |dW|", "last |dW|", "update", "|delta|", "dead")]
    for n, name in enumerate(trace.layers):
        update = trace.update_ratio[:, n]
        update = update[np.isfinite(update)]
        row = ["-"] * 5
        if len(trace.gradient):
            row[:2] = (f"{norm:.1e}" for norm in trace.gradient[[0, -1], n])
        if len(update):
            row[2] = f"{np.median(update):.1e}"
        if name in places:
            row[3] = f"{probed.delta_norm[places[name]]:.1e}"
            row[4] = share(probed.dead_fraction[places[name]])
        rows.append((name, *row))
    return as_text(rows)


def _trace_of(source):
    """Return the trace of a monitor, a report or a probe."""
    if isinstance(source, ProbeReport):
        return Trace.untrained(source, None, [])
    found = trace_of(source)
    if found is None:
        raise TypeError(
            f"trace is a {type(source).__name__}: give monitor.trace(), report.trace, "
            "or the monitor or report itself"
        )
    return found


def _map(steps, values, layers, label, ax):
    if not len(steps):
        raise ValueError("the trace holds no training step: nothing to draw over time")
    ax = axes_or_new(ax)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log10(np.asarray(values, dtype="float64").T)
    logs = np.ma.masked_invalid(logs)
    image = ax.pcolormesh(
        steps, np.arange(1, len(layers) + 1), logs, cmap="viridis", shading="nearest"
    )
    plt.colorbar(image, ax=ax, label=f"log10 of {label}")
    ax.grid(False)
    _label_layers(ax, layers)
    ax.set(xlabel="step")
    return ax


def _label_layers(ax, layers):
    """Name the layers at the left, as many of them as there is room for."""
    axes = ax.figure.dpi_scale_trans.inverted()
    points = 72 * ax.get_window_extent().transformed(axes).height
    labels = ax.get_yticklabels()
    size = labels[0].get_size() if labels else plt.rcParams["font.size"]
    every = int(np.ceil(1.3 * size * len(layers) / points))
    shown = range(0, len(layers), max(1, every))
    names = shortened(layers)
    ax.set_yticks([n + 1 for n in shown], [names[n] for n in shown])


def shortened(names):
    """Return names cut in the middle to a number of letters, all of them distinct.

    Where two would be the same, all keep their whole length.
    """
    half = LETTERS // 2
    short = [
        name if len(name) <= LETTERS else f"{name[: half - 1]}\u2026{name[-half:]}"
        for name in names
    ]
    return short if len(set(short)) == len(set(names)) else list(names)
