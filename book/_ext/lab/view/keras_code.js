/**
 * The network of the lab as Keras code, ready to copy.
 */

const CLIPPING = { value: "clipvalue", norm: "clipnorm", global: "global_clipnorm" };
const INSTANCES = { random_normal: "RandomNormal", truncated_normal: "TruncatedNormal" };

/**
 * @param {import("../worker/engine.js").Config} config
 * @returns {string} Python
 */
export function kerasCode(config) {
  const [inputs, classes] = config.data === "digits" ? [64, 10] : [2, 2];
  const name = INSTANCES[config.initializer];
  const kernel = name
    ? `keras.initializers.${name}(stddev=${config.stddev})`
    : `"${config.initializer}"`;
  const clip = config.clip === "none" ? "" : `, ${CLIPPING[config.clip]}=${config.limit}`;
  const branch = config.scale === 1 ? "h" : `${config.scale} * h`;
  const lines = [
    "import keras",
    "",
    "",
    "def dense(units, **options):",
    "    # a new initializer a layer: one instance draws the same values each time",
    `    kernel = ${kernel}`,
    "    return keras.layers.Dense(units, kernel_initializer=kernel, **options)",
    "",
    "",
    `x = inputs = keras.Input((${inputs},))`,
    `for layer in range(${config.depth}):`,
    `    h = dense(${config.width}${config.batchnorm ? ", use_bias=False" : ""})(x)`,
    ...(config.batchnorm ? ["    h = keras.layers.BatchNormalization(momentum=0.9)(h)"] : []),
    `    h = keras.layers.Activation("${config.activation}")(h)`,
    config.skip ? `    x = h if layer == 0 else x + ${branch}` : "    x = h",
    `model = keras.Model(inputs, dense(${classes})(x))`,
    "model.compile(",
    `    keras.optimizers.SGD(${config.rate}${clip}),`,
    "    keras.losses.SparseCategoricalCrossentropy(from_logits=True),",
    ")",
  ];
  return lines.join("\n");
}
