"""Write a trace to files that other tools read."""

import csv


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
