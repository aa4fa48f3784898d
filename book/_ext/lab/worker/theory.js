/**
 * The line that theory draws for delta at initialization, before any training.
 *
 * Wide layers, zero biases: Poole et al. (2016), Schoenholz et al. (2017); with
 * batch normalization Yang et al. (2019). The same formulas as
 * `coursekit.theory`, and tested against it.
 */
import { ACTIVATIONS } from "./activations.js";
import { initializerVariance } from "./random.js";

/** Strips on each side of a cut; the error of a mean is below 1e-4. */
const STRIPS = 200;
const FAR = 8;

/**
 * E[g(z)], z ~ N(0, q). The integral is cut at 0, where activations have their
 * kinks, and near it, where they change fast if q is large.
 */
export function gaussianMean(g, q) {
  const sd = Math.sqrt(q);
  const near = Math.min(1, 4 / sd);
  const edges = [-FAR, -near, 0, near, FAR];
  let sum = 0;
  for (let piece = 0; piece < edges.length - 1; piece++) {
    const width = (edges[piece + 1] - edges[piece]) / STRIPS;
    for (let strip = 0; strip < STRIPS; strip++) {
      const z = edges[piece] + (strip + 0.5) * width;
      sum += width * g(sd * z) * Math.exp((-z * z) / 2);
    }
  }
  return sum / Math.sqrt(2 * Math.PI);
}

/**
 * @param {import("./engine.js").Config} config
 * @param {{inputs: number, meanSquare: number}} data
 * @returns {number[] | null} log10 of each hidden layer's delta over the top
 *   hidden layer's; null where there is no such theory (skip connections)
 */
export function deltaLine(config, data) {
  const { activation, initializer, stddev, depth, width } = config;
  if (config.skip) return null;
  const phi = ACTIVATIONS[activation];
  const square = (g) => (z) => g(z) ** 2;
  const slope = (z) => phi.slope(z, phi.value(z));
  const variance = (fanIn) => initializerVariance(initializer, fanIn, width, stddev);
  const gainSquared = width * variance(width);

  let chi;
  let q = variance(data.inputs) * data.meanSquare;
  if (config.batchnorm) {
    const mean = gaussianMean(phi.value, 1);
    const spread = gaussianMean(square(phi.value), 1) - mean ** 2;
    const factor = gaussianMean(square(slope), 1) / spread;
    chi = () => factor;
  } else {
    chi = () => gainSquared * gaussianMean(square(slope), q);
  }
  const slopes = [];
  for (let l = 1; l < depth; l++) {
    slopes.push(Math.log10(chi()) / 2);
    q = gainSquared * gaussianMean(square(phi.value), q);
  }
  const line = [0];
  for (const step of slopes.reverse()) line.unshift(line[0] + step);
  return line;
}
