"""Write a trace and its verdict as JSON, and read the trace back.

JSON has neither NaN nor infinity: they become null, and the texts "inf" and "-inf".
"""

import json
import math
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from coursekit.clinic._facts import Facts, Part
from coursekit.clinic.trace import Check, Trace
from coursekit.probing import ProbeReport

_ROWS = ("loss", "total_gradient", "gradient", "update", "weight")
_WHOLE = ("steps", "update_steps", "skipped")


def save(report, path):
    """Write the trace of a report, and in words what it answers."""
    trace = report.trace
    words = {name: getattr(report, name) for name in ("verdict", "layer", "step")}
    content = vars(trace) | {
        "report": words | {"text": str(report)},
        "probes": [{"step": step, **vars(found)} for step, found in trace.probes],
        "checks": [vars(check) for check in trace.checks],
        "facts": trace.facts and asdict(trace.facts),
    }
    text = json.dumps(_plain(content), default=str)
    Path(path).write_text(text, encoding="utf-8")


def load_trace(path):
    """Read a trace that ``monitor.to_json`` or ``report.save`` has written.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    Trace
        ``diagnose(trace)`` judges it anew.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no trace.
    """
    text = Path(path).read_bytes()
    try:
        return _trace(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} holds no trace: give a file that monitor.to_json(path) or "
            f"report.save(path) has written ({type(error).__name__}: {error})"
        ) from error


def _trace(content):
    size = len(content["layers"])
    found = {name: np.array(content[name], dtype="int64") for name in _WHOLE}
    found["skipped"] = found["skipped"].astype(bool)
    for name in _ROWS:
        found[name] = np.array(_numbers(content[name]), dtype="float64")
    # an empty list does not tell how many columns it has
    for name, rows in (("gradient", "steps"), ("update", "update_steps")):
        found[name] = found[name].reshape(len(found[rows]), size)
    found["weight"] = found["weight"].reshape(found["update"].shape)
    for name in ("loss", "total_gradient", "skipped"):
        if found[name].shape != found["steps"].shape:
            raise ValueError(f"{name} and steps differ in length")
    return Trace(
        **found,
        **{n: content[n] for n in ("layers", "heads", "notes", "first_bad_step")},
        **{n: _numbers(content[n]) for n in ("learning_rate", "constant_loss")},
        # a file of an earlier version has none of these
        **{n: _numbers(content.get(n)) for n in ("held", "seen")},
        probes=[(p.pop("step"), _probed(p)) for p in map(dict, content["probes"])],
        checks=[Check(**_numbers(check)) for check in content["checks"]],
        facts=_facts(content["facts"]),
        bad_parts={int(n): parts for n, parts in content.get("bad_parts", {}).items()},
    )


def _probed(content):
    whole = np.array(content.pop("zero_gradients"), dtype="int64")
    layers, loss = content.pop("layers"), _numbers(content.pop("loss"))
    times = content.pop("time_norm")
    arrays = {k: np.array(_numbers(v), "float64") for k, v in content.items()}
    times = {k: np.array(_numbers(v), "float64") for k, v in times.items()}
    return ProbeReport(
        layers, zero_gradients=whole, loss=loss, time_norm=times, **arrays
    )


def _facts(content):
    if content is None:
        return None
    numbers = {f.name for f in fields(Facts) if isinstance(f.default, float)}
    read = {True: _numbers, False: _restored}
    found = {k: read[k in numbers](v) for k, v in content.items()}
    # a file of an earlier version has no layers that drop units
    for name in {"hidden", "dropout"} & content.keys():
        found[name] = tuple(map(_part, content[name]["tuple"]))
    for name in ("head", "optimizer"):
        found[name] = content[name] and _part(content[name])
    return Facts(**found)


def _part(content):
    return Part(**{k: _restored(v) for k, v in content.items()})


def _plain(value):
    """Return a value as JSON can hold it; a tuple says that it was one."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return {"tuple": [_plain(v) for v in value]}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _numbers(value):
    """Return the numbers that :func:`_plain` has written."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    if value is None:
        return math.nan
    return float(value) if isinstance(value, str) else value


def _restored(value):
    """Return what a constructor takes, as :func:`_plain` has found it."""
    if isinstance(value, dict):
        if value.keys() == {"tuple"}:
            return tuple(map(_restored, value["tuple"]))
        return {k: _restored(v) for k, v in value.items()}
    return list(map(_restored, value)) if isinstance(value, list) else value
