/**
 * One batch to train on: digits, or points in the plane.
 *
 * The digits are the first training images of `coursekit.data.digits()`, exported
 * when the book is built; the points are drawn here.
 */
import { BATCH, DIGITS } from "../constants.js";
import { normal, uniform } from "./random.js";

/** The seed of the points: the same at every visit. */
const POINTS_SEED = 7;

/** Points of class c in {0, 1}; t is uniform in [0, 1). */
const SHAPES = {
  circles: (c, t) => {
    const radius = c ? 0.7 : 1.6;
    return [radius * Math.cos(2 * Math.PI * t), radius * Math.sin(2 * Math.PI * t)];
  },
  moons: (c, t) => {
    const [x, y] = [Math.cos(Math.PI * t), Math.sin(Math.PI * t)];
    return c ? [1.4 * (0.5 - x), 1.8 * (0.25 - y)] : [1.4 * (x - 0.5), 1.8 * (y - 0.25)];
  },
  spirals: (c, t) => {
    const [radius, angle] = [1.6 * (0.15 + t), 3 * Math.PI * t + c * Math.PI];
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  },
};

function points(shape) {
  const draw = uniform(POINTS_SEED);
  const x = new Float32Array(2 * BATCH);
  const y = new Uint8Array(BATCH);
  for (let i = 0; i < BATCH; i++) {
    y[i] = i % 2;
    const point = SHAPES[shape](y[i], draw());
    for (let axis = 0; axis < 2; axis++) x[2 * i + axis] = point[axis] + 0.1 * normal(draw);
  }
  return { x, y, inputs: 2, classes: 2 };
}

function digits() {
  // One letter a pixel, "a" for white; standardised as in Python.
  const ink = Float64Array.from(DIGITS.ink, (letter) => letter.charCodeAt(0) - 97);
  const x = Float32Array.from(ink, (v, i) => (v - DIGITS.mean[i % 64]) / DIGITS.sd[i % 64]);
  const y = Uint8Array.from(DIGITS.labels, Number);
  return { x, y, inputs: 64, classes: 10 };
}

/**
 * @param {string} name "digits", "circles", "moons" or "spirals"
 * @returns {{x: Float32Array, y: Uint8Array, inputs: number, classes: number,
 *   guess: number, meanSquare: number}} x of BATCH rows; `guess` is the loss of the
 *   best constant output, `meanSquare` the mean of ||x||^2
 */
export function batch(name) {
  const found = name === "digits" ? digits() : points(name);
  const counts = new Array(found.classes).fill(0);
  for (const label of found.y) counts[label]++;
  const shares = counts.filter(Boolean).map((count) => count / BATCH);
  const guess = shares.reduce((sum, share) => sum - share * Math.log(share), 0);
  const meanSquare = found.x.reduce((sum, v) => sum + v * v, 0) / BATCH;
  return { ...found, guess, meanSquare };
}
