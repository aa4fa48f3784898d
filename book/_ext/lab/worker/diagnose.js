/**
 * The verdict on a run: the rules of `coursekit.diagnose`, in the same order.
 *
 * The thresholds, and the sentences, are exported from Python when the book is
 * built; this file has none of its own.
 */
import { RULES, SENTENCES } from "../constants.js";

/**
 * @typedef {object} Trace
 * @property {import("./measure.js").Row[]} first rows before training
 * @property {import("./measure.js").Row[]} last rows now
 * @property {number[]} losses one a step, the last of the weights as they are
 * @property {number} guess loss of the best constant output
 * @property {number[]} zeros for each layer, for how many steps up to now its
 *   kernel gradient has been exactly 0
 */

/**
 * @param {Trace} trace
 * @returns {{verdict: string, text: string, layer: number | null}}
 */
export function diagnose(trace) {
  const rules = [notFinite, diverged, noGradient, deadLayer, vanishing, disconnected, growing];
  for (const rule of rules) {
    const found = rule(trace);
    if (found) return { ...found, text: `${SENTENCES[found.verdict]}. ${found.why}.` };
  }
  return { verdict: "healthy", layer: null, text: unfound(trace) };
}

/**
 * What to say when no rule holds: three different things, and one of them is health.
 *
 * @param {Trace} trace
 */
function unfound(trace) {
  const { losses, guess } = trace;
  const steps = losses.length - 1;
  const [first, last] = [profile(trace.first), profile(trace.last)];
  const lowest = (ratio) => ratio.indexOf(Math.min(...ratio));
  const smallest = (ratio) => `layer ${lowest(ratio) + 1} has the smallest delta, ${short(ratio[lowest(ratio)])} of the output's`;
  if (!steps) return `${SENTENCES.healthy}. At the start, ${smallest(first)}.`;
  const loss = `the loss is ${short((100 * losses.at(-1)) / guess)} % of that of guessing`;
  if (!learns(trace)) {
    // rules about the profile wait, for a network may still begin to learn
    const wait = `Too early to tell: a network has ${RULES.PATIENCE} steps to begin to learn. So far ${loss}.`;
    return steps < RULES.PATIENCE ? wait : `${SENTENCES.healthy}, but it has not learned: ${loss}.`;
  }
  if (Math.min(...last) <= RULES.VANISHED) return `It learns, but not in all layers: ${loss}, and ${smallest(last)}.`;
  return `${SENTENCES.healthy}. ${loss[0].toUpperCase()}${loss.slice(1)}.`;
}

/** Two significant digits. */
export function short(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const plain = Math.abs(value) >= 0.001 && Math.abs(value) < 1e4;
  return plain ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace("e+", "e");
}

/** delta of the hidden layers over that of the output. */
function profile(rows) {
  const output = rows.at(-1).delta;
  return rows.slice(0, -1).map((row) => row.delta / output);
}

/** Share of the constant output's loss that training has taken away. */
function skill({ losses, guess }) {
  return losses.length > 1 ? 1 - losses.at(-1) / guess : NaN;
}

const learns = (trace) => skill(trace) >= RULES.SKILL;

const isFinite = (rows) =>
  rows.every((row) => [row.delta, row.kernel, row.activation].every(Number.isFinite));

function notFinite({ first, last, losses }) {
  const step = losses.findIndex((loss) => !Number.isFinite(loss));
  if (step < 0 && isFinite(first) && isFinite(last)) return null;
  const when = step < 0 || !isFinite(first) ? (isFinite(first) ? losses.length - 1 : 0) : step;
  const layer = first.findIndex((row) => !Number.isFinite(row.activation));
  return {
    verdict: "exploding",
    layer: layer < 0 ? null : layer,
    why: `Numbers are no longer finite from step ${when} on`,
  };
}

function diverged(trace) {
  const { losses, guess, zeros } = trace;
  const reference = Math.max(losses[0], guess);
  const above = losses.map((loss) => loss > RULES.DIVERGED * reference);
  const step = above.indexOf(true);
  if (step < 0) return null;
  const recent = above.slice(-RULES.LASTING);
  const stays = losses.length >= RULES.LASTING && recent.filter(Boolean).length > recent.length / 2;
  if (!stays && !zeros.some((count) => count >= RULES.LASTING)) return null;
  const most = losses.reduce((a, b) => Math.max(a, b)) / reference;
  return {
    verdict: "exploding",
    layer: null,
    why: `At step ${step} the loss passed ${RULES.DIVERGED} times the loss of guessing, or the first; it went up to ${short(most)} times`,
  };
}

/** Hidden layers whose every unit is 0 for every sample. */
const deadLayers = (rows) =>
  rows.slice(0, -1).flatMap((row, l) => (row.dead >= RULES.DEAD ? [l] : []));

function noGradient(trace) {
  const { first, last, zeros, losses } = trace;
  const blind = last.at(-1).delta === 0 && first.at(-1).delta === 0;
  const silent = Math.min(...zeros) >= RULES.LASTING;
  if (!blind && !silent) return null;
  if (last.at(-1).delta !== 0 && deadLayers(last).length) return null;
  if (!blind && losses.length > Math.min(...zeros) && learns(trace)) return null;
  return { verdict: "no_gradient", layer: null, why: "The gradient of every kernel is exactly 0" };
}

function deadLayer(trace) {
  if (learns(trace)) return null;
  const trained = trace.losses.length > 1;
  const layer = deadLayers(trace.last).find(
    (l) => !trained || trace.zeros[l] >= Math.min(RULES.LASTING, trace.losses.length),
  );
  if (layer === undefined) return null;
  return { verdict: "dead_units", layer, why: `It is layer ${layer + 1}` };
}

function vanishing(trace) {
  if (learns(trace)) return null;
  const [first, last] = [profile(trace.first), profile(trace.last)];
  // exact zeros alone mean that nothing arrives, not that it shrinks
  const shrinks = first.some((r) => r > 0 && r <= RULES.VANISHED);
  if (!shrinks || !last.some((r) => r <= RULES.VANISHED)) return null;
  const lowest = first.indexOf(Math.min(...first));
  return {
    verdict: "vanishing",
    layer: first.findLastIndex((r) => r <= RULES.VANISHED),
    why: `At the start, delta of layer ${lowest + 1} is ${short(first[lowest])} of the output's; below ${RULES.VANISHED} a layer hardly learns`,
  };
}

function disconnected(trace) {
  if (learns(trace) || deadLayers(trace.last).length) return null;
  const [first, last] = [profile(trace.first), profile(trace.last)];
  const layer = first.findLastIndex((r, l) => r === 0 && last[l] === 0);
  if (layer < 0) return null;
  return { verdict: "no_gradient", layer, why: `delta of layer ${layer + 1} is exactly 0` };
}

function growing(trace) {
  const steps = trace.losses.length - 1;
  if (steps > 0 && (learns(trace) || steps < RULES.PATIENCE)) return null;
  const ratio = [...profile(trace.first), 1];
  if (ratio.length < 4 || !ratio.every((r) => r > 0 && Number.isFinite(r))) return null;
  const growth = ratio.slice(1).map((r, l) => Math.log10(ratio[l] / r));
  const mean = growth.reduce((a, b) => a + b) / growth.length;
  const variance = growth.reduce((a, b) => a + (b - mean) ** 2, 0) / (growth.length - 1);
  const trend = (mean * Math.sqrt(growth.length)) / Math.max(Math.sqrt(variance), 1e-12);
  if (ratio[0] < RULES.GROWN || trend < RULES.TREND) return null;
  return {
    verdict: "exploding",
    layer: ratio.slice(0, -1).findLastIndex((r) => r >= RULES.GROWN),
    why: `At the start, delta of layer 1 is ${short(ratio[0])} times the output's, more than ${RULES.GROWN} times`,
  };
}
