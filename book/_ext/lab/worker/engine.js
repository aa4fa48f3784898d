/**
 * A deep network of dense layers in 32-bit floats: forward, backward, update.
 *
 * Layer l computes z = x W + b, or z = x W and batch normalization, then
 * f = phi(z), and puts out h = f, or h = x + scale * f with a skip connection. The
 * first layer has none: its input has another width. Logits and softmax
 * cross-entropy follow. Order and formulas are Keras's; `tests/lab/test_worker.py`
 * compares the gradients with TensorFlow's.
 */
import { ACTIVATIONS } from "./activations.js";
import { transpose } from "./gemm.js";
import { drawKernel, uniform } from "./random.js";

/** Keras's default. */
const EPSILON = 1e-3;

/**
 * @typedef {object} Config
 * @property {string} data
 * @property {number} depth hidden layers
 * @property {number} width units of each
 * @property {string} activation
 * @property {string} initializer of all kernels
 * @property {number} stddev for the initializers that take one
 * @property {number} rate learning rate
 * @property {"none"|"value"|"norm"|"global"} clip
 * @property {number} limit of the clipping
 * @property {boolean} batchnorm
 * @property {boolean} skip
 * @property {number} scale of the branch beside a skip connection
 * @property {number} seed
 */

/** @returns {number} the Euclidean norm, summed in 64 bits: it does not underflow */
export function norm(array) {
  let sum = 0;
  for (let i = 0; i < array.length; i++) sum += array[i] * array[i];
  return Math.sqrt(sum);
}

export class Network {
  /**
   * @param {Config} config read at every step, so rate and clipping may change
   * @param {{x: Float32Array, y: Uint8Array, inputs: number, classes: number}} data
   * @param {import("./gemm.js").Arena} arena reset, and used for all arrays
   */
  constructor(config, data, arena) {
    arena.reset();
    this.config = config;
    this.arena = arena;
    this.labels = data.y;
    this.rows = data.y.length;
    this.phi = ACTIVATIONS[config.activation];
    this.input = arena.array(data.x.length);
    this.input.set(data.x);
    /** A bias that is none. */
    this.none = arena.array(Math.max(config.width, data.inputs, data.classes));
    /** Four rows of ones: times dz they are the sums of its columns. */
    this.ones = arena.array(4 * this.rows).fill(1);
    const sizes = [data.inputs, ...new Array(config.depth).fill(config.width), data.classes];
    const draw = uniform(config.seed);
    this.layers = sizes.slice(1).map((size, l) => this.#layer(l, sizes[l], size, draw));
    /** Pairs of a variable and its gradient. */
    this.variables = this.layers.flatMap((layer) =>
      layer.gamma
        ? [[layer.W, layer.dW], [layer.gamma, layer.dgamma], [layer.b, layer.db]]
        : [[layer.W, layer.dW], [layer.b, layer.db]],
    );
  }

  #layer(l, fanIn, fanOut, draw) {
    const { config, arena, rows } = this;
    const hidden = l < config.depth;
    const layer = { fanIn, fanOut, hidden, skip: hidden && l > 0 && config.skip };
    const shapes = {
      W: fanIn * fanOut, dW: fanIn * fanOut, WT: fanIn * fanOut, xT: rows * fanIn,
      // with batch normalization, b and db are its shift beta
      b: fanOut, db: fanOut, sums: 4 * fanOut,
      z: rows * fanOut, f: rows * fanOut, h: rows * fanOut,
      dz: rows * fanOut, dh: rows * fanOut,
    };
    if (hidden && config.batchnorm) {
      Object.assign(shapes, { gamma: fanOut, dgamma: fanOut, inverse: fanOut });
      shapes.normal = rows * fanOut;
    }
    for (const [name, size] of Object.entries(shapes)) layer[name] = arena.array(size);
    layer.gamma?.fill(1);
    drawKernel(layer.W, config.initializer, fanIn, fanOut, config.stddev, draw);
    return layer;
  }

  /** Compute all activations. @returns {Float32Array} the logits, row by row */
  forward() {
    let x = this.input;
    for (const layer of this.layers) {
      layer.x = x;
      const bias = layer.gamma ? this.none : layer.b;
      this.arena.gemm(layer.z, x, layer.W, bias, this.rows, layer.fanIn, layer.fanOut);
      if (layer.gamma) this.#normalize(layer);
      if (!layer.hidden) return layer.z;
      const { z, f, h } = layer;
      const value = this.phi.value;
      const size = z.length;
      for (let i = 0; i < size; i++) f[i] = value(z[i]);
      if (layer.skip) {
        const scale = this.config.scale;
        for (let i = 0; i < h.length; i++) h[i] = x[i] + scale * f[i];
      }
      x = layer.skip ? h : f;
    }
  }

  /** Replace z by its normalized values, scaled and shifted. */
  #normalize({ z, normal, inverse, gamma, b, fanOut }) {
    const rows = this.rows;
    for (let j = 0; j < fanOut; j++) {
      let [mean, variance] = [0, 0];
      for (let i = j; i < z.length; i += fanOut) mean += z[i] / rows;
      for (let i = j; i < z.length; i += fanOut) variance += (z[i] - mean) ** 2 / rows;
      inverse[j] = 1 / Math.sqrt(variance + EPSILON);
      for (let i = j; i < z.length; i += fanOut) {
        normal[i] = (z[i] - mean) * inverse[j];
        z[i] = gamma[j] * normal[i] + b[j];
      }
    }
  }

  /**
   * Compute all gradients of the mean loss.
   *
   * @returns {number} the loss
   */
  backward() {
    const { layers, rows, arena, config } = this;
    const loss = this.#lossAndItsGradient(this.forward());
    for (let l = layers.length - 1; l >= 0; l--) {
      const layer = layers[l];
      const { z, f, dz, dh, fanIn, fanOut } = layer;
      if (layer.hidden) {
        const slope = this.phi.slope;
        const scale = layer.skip ? config.scale : 1;
        const size = dz.length;
        for (let i = 0; i < size; i++) dz[i] = scale * dh[i] * slope(z[i], f[i]);
      }
      arena.gemm(layer.sums, this.ones, dz, this.none, 4, rows, fanOut);
      layer.db.set(layer.sums.subarray(0, fanOut));
      if (layer.gamma) this.#normalizeBack(layer);
      transpose(layer.xT, layer.x, rows, fanIn);
      arena.gemm(layer.dW, layer.xT, dz, this.none, fanIn, rows, fanOut);
      if (l === 0) continue;
      const below = layers[l - 1].dh;
      transpose(layer.WT, layer.W, fanIn, fanOut);
      arena.gemm(below, dz, layer.WT, this.none, rows, fanOut, fanIn);
      if (layer.skip) for (let i = 0; i < below.length; i++) below[i] += dh[i];
    }
    return loss;
  }

  /** Replace the gradient after the normalization by the one before it. */
  #normalizeBack({ dz, normal, inverse, gamma, dgamma, db, fanOut }) {
    const rows = this.rows;
    for (let j = 0; j < fanOut; j++) {
      let along = 0;
      for (let i = j; i < dz.length; i += fanOut) along += dz[i] * normal[i];
      dgamma[j] = along;
      const factor = gamma[j] * inverse[j];
      for (let i = j; i < dz.length; i += fanOut) {
        dz[i] = factor * (dz[i] - db[j] / rows - (normal[i] * along) / rows);
      }
    }
  }

  /** Softmax cross-entropy; puts its gradient into the last layer. */
  #lossAndItsGradient(logits) {
    const { dz, fanOut } = this.layers.at(-1);
    let loss = 0;
    for (let i = 0; i < this.rows; i++) {
      const row = logits.subarray(i * fanOut, (i + 1) * fanOut);
      const largest = row.reduce((a, b) => (b > a || b !== b ? b : a));
      let total = 0;
      for (const logit of row) total += Math.exp(logit - largest);
      const label = this.labels[i];
      loss += (Math.log(total) + largest - row[label]) / this.rows;
      for (let j = 0; j < fanOut; j++) {
        const share = Math.exp(row[j] - largest) / total;
        dz[i * fanOut + j] = (share - (j === label ? 1 : 0)) / this.rows;
      }
    }
    return loss;
  }

  /** One step of gradient descent with the gradients of the last `backward`. */
  update() {
    const { clip, limit, rate } = this.config;
    let all = 1;
    if (clip === "global") {
      all = shrink(Math.hypot(...this.variables.map(([, gradient]) => norm(gradient))), limit);
    }
    for (const [variable, gradient] of this.variables) {
      const factor = clip === "norm" ? shrink(norm(gradient), limit) : all;
      if (clip === "value") stepClipped(variable, gradient, rate, limit);
      else this.arena.axpy(variable, gradient, -rate * factor);
    }
  }
}

/** The factor that brings a norm down to a limit. */
function shrink(size, limit) {
  return size > limit ? limit / size : 1;
}

/** A step along the gradient with each entry cut to [-limit, limit]. */
function stepClipped(variable, gradient, rate, limit) {
  for (let i = 0; i < variable.length; i++) {
    const g = gradient[i];
    variable[i] -= rate * (g > limit ? limit : g < -limit ? -limit : g);
  }
}
