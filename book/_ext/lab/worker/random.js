/**
 * Random numbers with a seed, and Keras's kernel initializers.
 *
 * The generator is mulberry32 (32 bits of state), enough for pictures and small
 * enough to be written again in Python: `tests/lab/reference.py` draws the same
 * kernels and gives them to TensorFlow.
 */

/** Standard deviation of a standard normal that is cut at two. */
const CUT_SD = 0.8796256610342398;

/** Variance of each scaled family: a function of fan_in and fan_out. */
const FAMILIES = {
  glorot: (fanIn, fanOut) => 2 / (fanIn + fanOut),
  he: (fanIn) => 2 / fanIn,
  lecun: (fanIn) => 1 / fanIn,
};

/**
 * @param {number} seed an integer
 * @returns {() => number} draws uniformly from [0, 1)
 */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * @param {() => number} draw from {@link uniform}
 * @returns {number} a standard normal (Box and Muller)
 */
export function normal(draw) {
  const radius = Math.sqrt(-2 * Math.log(1 - draw()));
  return radius * Math.cos(2 * Math.PI * draw());
}

/** A standard normal, drawn again while it is outside of two deviations. */
function cutNormal(draw) {
  let z = normal(draw);
  while (Math.abs(z) > 2) z = normal(draw);
  return z;
}

/**
 * The variance that an initializer gives its entries, as in
 * `coursekit.theory.initializer_variance`.
 *
 * @param {string} name a Keras name, such as "he_normal" or "random_normal"
 * @param {number} fanIn
 * @param {number} fanOut
 * @param {number} stddev for "random_normal" and "truncated_normal"
 */
export function initializerVariance(name, fanIn, fanOut, stddev) {
  if (name === "random_normal") return stddev ** 2;
  if (name === "truncated_normal") return (stddev * CUT_SD) ** 2;
  return FAMILIES[name.split("_")[0]](fanIn, fanOut);
}

/**
 * Fill a kernel in row order.
 *
 * Keras cuts the scaled normals at two deviations and widens them so that the
 * variance holds; its TruncatedNormal is cut and not widened.
 *
 * @param {Float32Array} kernel of fanIn * fanOut entries
 * @param {() => number} draw
 */
export function drawKernel(kernel, name, fanIn, fanOut, stddev, draw) {
  const sd = Math.sqrt(initializerVariance(name, fanIn, fanOut, stddev));
  let next = () => (sd / CUT_SD) * cutNormal(draw);
  if (name.endsWith("uniform")) next = () => sd * Math.sqrt(3) * (2 * draw() - 1);
  if (name === "random_normal") next = () => sd * normal(draw);
  for (let i = 0; i < kernel.length; i++) kernel[i] = next();
}
