"""Write a trace to files that other tools read."""

import csv
import json
import math
from pathlib import Path

import numpy as np


def to_json(trace, path):
    """Write one object of lists; NaN and infinity, which JSON lacks, as null."""
    content = {
        "layers": list(trace.layers),
        "learning_rate": trace.learning_rate,
        "first_bad_step": trace.first_bad_step,
        "notes": list(trace.notes),
    }
    for name in ("steps", "loss", "skipped", "total_gradient", "gradient"):
        content[name] = getattr(trace, name).tolist()
    for name in ("update_steps", "update", "weight"):
        content[name] = getattr(trace, name).tolist()
    content["probes"] = [{"step": s, **_plain(report)} for s, report in trace.probes]
    Path(path).write_text(json.dumps(_nulls(content)), encoding="utf-8")


def to_csv(trace, path):
    """Write a header and a line a step."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss", "total_gradient", *trace.layers])
        columns = [trace.steps, trace.loss, trace.total_gradient, *trace.gradient.T]
        writer.writerows(zip(*[c.tolist() for c in columns], strict=True))


def to_tensorboard(trace, folder):
    """Write the scalars loss, gradient/<layer> and update_ratio/<layer>."""
    import tensorflow as tf

    # what tf.summary.scalar writes, without the package tensorboard
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data={"plugin_name": "scalars"}, data_class="DATA_CLASS_SCALAR"
    )
    writer = tf.summary.create_file_writer(str(folder))

    def write(tag, value, step):
        value = tf.constant(value, tf.float32)
        tf.summary.write(tag, value, step=int(step), metadata=metadata)

    with writer.as_default():
        for n, step in enumerate(trace.steps):
            write("loss", trace.loss[n], step)
            for name, value in zip(trace.layers, trace.gradient[n], strict=True):
                write(f"gradient/{name}", value, step)
        for n, step in enumerate(trace.update_steps):
            ratios = trace.update_ratio[n]
            for name, value in zip(trace.layers, ratios, strict=True):
                write(f"update_ratio/{name}", value, step)
    writer.close()


def _plain(report):
    fields = {k: v for k, v in vars(report).items() if k != "time_norm"}
    lists = {k: np.asarray(v).tolist() for k, v in fields.items()}
    return lists | {"time_norm": {k: v.tolist() for k, v in report.time_norm.items()}}


def _nulls(value):
    if isinstance(value, dict):
        return {k: _nulls(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_nulls(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
