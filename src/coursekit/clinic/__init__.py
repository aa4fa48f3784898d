"""The instrument: record a training, probe a model, and say what is wrong with it."""

from coursekit._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "GradientMonitor": "monitor.callback",
        "diagnose": "diagnosis.report",
        "Report": "diagnosis.report",
        "UnhealthyError": "diagnosis.report",
        "Trace": "trace",
        "Check": "trace",
        "load_trace": "_saved",
        "Evidence": "diagnosis.rules",
        "Finding": "diagnosis.findings",
        "Remedy": "diagnosis.remedies",
        "try_remedies": "trial",
        "Trial": "trial",
    },
)
