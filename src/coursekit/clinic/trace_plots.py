"""Figures of one watched training, or one probe: a trace in, Axes out."""

import matplotlib.pyplot as plt
import numpy as np

from coursekit.plots import THEORY, axes_or_new

__all__ = ["gradient_map", "update_map", "delta_profile", "time_profile"]


def gradient_map(trace, ax=None):
    """Draw the kernel gradient of every layer over time, as colours.

    Parameters
    ----------
    trace : coursekit.clinic.Trace
        ``monitor.trace()`` or ``report.trace``.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        log10 of the norms; left empty where a norm is 0 or not finite.

    Raises
    ------
    ValueError
        If the trace holds no training step.
    """
    return _map(trace.steps, trace.gradient, trace.layers, "kernel gradient", ax)


def update_map(trace, ax=None):
    """Draw the update ratio of every layer over time, as colours.

    The ratio is the norm of a step's real change of the kernels over the norm of
    the kernels.

    Parameters, Returns, Raises: as :func:`gradient_map`.
    """
    ratio = trace.update_ratio
    return _map(trace.update_steps, ratio, trace.layers, "update over weight", ax)


def delta_profile(trace, theory=None, ax=None):
    """Draw the size of delta against the layer, at the start and at the end.

    Parameters
    ----------
    trace : coursekit.clinic.Trace
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
    if not trace.probes:
        why = "; ".join(trace.notes) or "no batch was kept"
        raise ValueError(f"the trace holds no probe of delta: {why}")
    ax = axes_or_new(ax)
    ends = trace.probes[:1] + trace.probes[1:][-1:]
    for (step, report), mark in zip(ends, "os", strict=False):
        norms = np.where(report.delta_norm > 0, report.delta_norm, np.nan)
        label = "at initialization" if step == 0 else f"after step {step}"
        ax.plot(np.arange(1, len(norms) + 1), norms, marker=mark, label=label)
    if theory is not None:
        theory = np.asarray(theory, dtype="float64")
        first = ends[0][1].delta_norm
        if len(theory) > len(first):
            raise ValueError(
                f"theory has {len(theory)} layers, the model {len(first)}: give one "
                "number a layer, from the input on"
            )
        scaled = theory / theory[-1] * first[len(theory) - 1]
        ax.plot(np.arange(1, len(theory) + 1), scaled, label="theory", **THEORY)
    ax.set(
        yscale="log", xlabel="layer (1 is next to the input)", ylabel="size of delta"
    )
    ax.legend()
    return ax


def time_profile(trace, ax=None):
    """Draw ``||dL/dh_t||`` of every recurrent layer against the time step.

    It is drawn relative to the last time step, from the last probe. The legend
    gives the mean factor a step, going back.

    Parameters
    ----------
    trace : coursekit.clinic.Trace
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the model has no recurrent layer, or was not probed.
    """
    norms = trace.probes[-1][1].time_norm if trace.probes else {}
    if not norms:
        raise ValueError("the trace holds no recurrent layer that was probed")
    ax = axes_or_new(ax)
    for (name, values), mark in zip(norms.items(), "os^Dv" * len(norms), strict=False):
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(values > 0, values / values[-1], np.nan)
            factor = (values[0] / values[-1]) ** (1 / max(1, len(values) - 1))
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
    ax.legend()
    return ax


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
    ax.set_yticks(np.arange(1, len(layers) + 1), layers)
    ax.set(xlabel="step")
    return ax
