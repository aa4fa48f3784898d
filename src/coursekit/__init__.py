"""Helpers of the course on vanishing and exploding gradients.

``import coursekit`` is cheap: TensorFlow, Keras, scikit-learn and matplotlib
are imported when a name that needs them is first used.
"""

from coursekit._lazy import attach
from coursekit._quiet import silence_retracing

silence_retracing()

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ProbeReport": "probing",
        "probe": "probing",
        "slope": "probing",
        "Ensemble": "ensemble",
        "delta_sweep": "sweep",
        "digits": "data",
        "digit_rows": "data",
        "digit_pixels": "data",
        "mlp": "models",
        "rnn": "models",
        "largest_curvature": "curvature",
        "mean_sd": "seeds",
        "probe_seeds": "seeds",
        "reproducible": "seeds",
        "GradientMonitor": "clinic",
        "diagnose": "clinic",
        "try_remedies": "clinic",
    },
    modules={
        "answers": "answers",
        "data": "data",
        "models": "models",
        "plots": "plots",
        "theory": "theory",
        "trace_plots": "clinic.trace_plots",
    },
)
