"""Helpers of the course on vanishing and exploding gradients.

``import coursekit`` is cheap: TensorFlow, Keras, scikit-learn and matplotlib
are imported when a name that needs them is first used.
"""

from importlib import import_module

from coursekit._quiet import silence_retracing

# The module and its function share a name. Binding the function here, after
# the submodule was imported, makes ``coursekit.probe(model, x, y)`` work next
# to ``from coursekit.probe import probe``.
from coursekit.probe import ProbeReport, probe, slope

silence_retracing()

__version__ = "0.1.0"

_MODULE_OF = {
    "Ensemble": "ensemble",
    "delta_sweep": "sweep",
    "digits": "data",
    "digit_rows": "data",
    "digit_pixels": "data",
    "mlp": "models",
    "rnn": "models",
    "largest_curvature": "curvature",
    "mean_sd": "summary",
    "reproducible": "reproducibility",
    "GradientMonitor": "monitor",
    "diagnose": "diagnosis",
}
_MODULES = ("data", "models", "plots", "theory", "trace_plots")

__all__ = ["ProbeReport", "probe", "slope", *_MODULE_OF, *_MODULES]


def __getattr__(name):
    """Import the module that holds ``name`` when it is first asked for."""
    if name in _MODULES:
        return import_module(f"coursekit.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"coursekit.{_MODULE_OF[name]}"), name)
    raise AttributeError(
        f"coursekit has no attribute {name!r}; it offers {', '.join(__all__)}"
    )


def __dir__():
    return sorted([*globals(), *_MODULE_OF, *_MODULES])
