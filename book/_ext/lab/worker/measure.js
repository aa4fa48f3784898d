/**
 * What each layer sends up and gets back: the rows of `coursekit.probe`.
 */
import { saturated } from "./activations.js";
import { norm } from "./engine.js";

/**
 * @typedef {object} Row one layer
 * @property {number} delta root mean square over the batch of ||dL/dz|| per sample
 * @property {number} kernel ||dL/dW||, L the mean loss
 * @property {number} activation root mean square of the activation
 * @property {number} dead share of units that are 0 for every sample
 * @property {number} saturated share of activations at an end of their range
 * @property {boolean} zero every entry of dL/dW is 0 (not a norm that underflows)
 */

/**
 * @param {import("./engine.js").Network} network after `backward`
 * @returns {Row[]} from the input to the output; the last row is the output layer
 */
export function measure(network) {
  return network.layers.map((layer) => {
    // z of a normalized layer holds the normalized values, dz the gradient before
    const f = layer.hidden ? layer.f : layer.z;
    return {
      delta: Math.sqrt(network.rows) * norm(layer.dz),
      kernel: norm(layer.dW),
      activation: norm(f) / Math.sqrt(f.length),
      dead: deadShare(f, layer.fanOut),
      saturated: layer.hidden ? saturatedShare(f, network.config.activation) : 0,
      zero: layer.dW.every((g) => g === 0),
    };
  });
}

function deadShare(f, units) {
  let dead = 0;
  for (let j = 0; j < units; j++) {
    let alive = false;
    for (let i = j; i < f.length && !alive; i += units) alive = f[i] !== 0;
    dead += alive ? 0 : 1;
  }
  return dead / units;
}

function saturatedShare(f, activation) {
  let count = 0;
  for (const h of f) count += saturated(activation, h) ? 1 : 0;
  return count / f.length;
}
