/**
 * The verdict on a run: the rules of `coursekit.diagnose`, in the same order.
 *
 * The thresholds, and the sentences, are exported from Python when the book is
 * built; this file has none of its own. A test runs one table of traces through both.
 */
import { RULES, SENTENCES } from "../constants.js";

/**
 * As `coursekit.clinic.Trace`, but for `zeros`, which stands for its gradients.
 *
 * @typedef {object} Trace
 * @property {number[]} loss of each step, before its update
 * @property {number[]} zeros for each layer, for how many steps up to the last its
 *   kernel gradient has been exactly 0
 * @property {{step: number, rows: import("./measure.js").Row[], loss: number}[]} probes
 *   at the start and, after a step, now
 * @property {{step: number, loss: number, constantLoss: number}[]} checks of the same
 *   steps; `constantLoss` is that of the best constant output
 */

/**
 * @typedef {object} Judgement
 * @property {string} verdict
 * @property {number | null} layer
 * @property {number | null} step when its evidence first holds, from 1; 0 is the start
 */

/**
 * @param {Trace} trace
 * @returns {Judgement & {text: string}}
 */
export function diagnose(trace) {
  const rules = [
    notFinite, diverged, silent, deadLayer, vanishing, disconnected, growing, empty, notMeasured,
    notLearning, early,
  ];
  for (const rule of rules) {
    const found = rule(trace);
    if (found) return { ...found, text: `${SENTENCES[found.sentence ?? found.verdict]}. ${found.why}.` };
  }
  return { verdict: "healthy", layer: null, step: null, text: unfound(trace) };
}

/**
 * What to say when no rule holds: three different things, and one of them is health.
 *
 * @param {Trace} trace
 */
function unfound(trace) {
  const ratio = profile(now(trace));
  const lowest = ratio.indexOf(Math.min(...ratio));
  const smallest = `layer ${lowest + 1} has the smallest delta, ${short(ratio[lowest])} of the output's`;
  if (!steps(trace)) return `${SENTENCES.healthy}. At the start, ${smallest}.`;
  const loss = ofGuessing(trace);
  if (!learns(trace)) return `${SENTENCES.healthy}, but it has hardly learned: ${loss}.`;
  if (ratio[lowest] <= RULES.VANISHED) return `It learns, but not in all layers: ${loss}, and ${smallest}.`;
  return `${SENTENCES.healthy}. ${loss[0].toUpperCase()}${loss.slice(1)}.`;
}

function ofGuessing(trace) {
  const { loss, constantLoss } = trace.checks.at(-1);
  return `the loss is ${short((100 * loss) / constantLoss)} % of that of guessing`;
}

/** Two significant digits. */
export function short(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const plain = Math.abs(value) >= 0.001 && Math.abs(value) < 1e4;
  return plain ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace("e+", "e");
}

const steps = (trace) => trace.loss.length;
const start = (trace) => trace.probes[0].rows;
const now = (trace) => trace.probes.at(-1).rows;

/** delta of the hidden layers over that of the output. */
function profile(rows) {
  const output = rows.at(-1).delta;
  return rows.slice(0, -1).map((row) => row.delta / output);
}

/** Share of the constant output's loss that training has taken away; NaN: not known. */
function skill({ checks }) {
  const [first, last] = [checks[0], checks.at(-1)];
  if (last.step === 0 || !Number.isFinite(last.loss)) return NaN;
  return last.constantLoss > RULES.EMPTY * first.loss ? 1 - last.loss / last.constantLoss : NaN;
}

const learns = (trace) => skill(trace) >= RULES.SKILL;
const learnedNothing = (trace) => steps(trace) >= RULES.PATIENCE && skill(trace) < RULES.LEARNED;

/** The step since which a layer's, or every layer's, gradient is 0 for long, or 0. */
function silentSince(trace, count) {
  return count >= RULES.LASTING ? steps(trace) - count + 1 : 0;
}

const isFinite = ({ rows, loss }) =>
  Number.isFinite(loss) &&
  rows.every((row) => [row.delta, row.kernel, row.activation].every(Number.isFinite));

function notFinite(trace) {
  const bad = trace.loss.findIndex((loss) => !Number.isFinite(loss));
  const broken = trace.probes.find((probe) => !isFinite(probe));
  if (bad < 0 && !broken) return null;
  const step = broken?.step === 0 || bad < 0 ? broken.step : bad + 1;
  const layer = start(trace).findIndex((row) => !Number.isFinite(row.activation));
  return {
    verdict: "exploding",
    layer: layer < 0 ? null : layer,
    step,
    why: `Numbers are no longer finite from step ${step} on`,
  };
}

function diverged(trace) {
  const { loss, checks } = trace;
  const reference = Math.max(loss[0] ?? 0, checks[0].constantLoss);
  const above = loss.map((value) => value > RULES.DIVERGED * reference);
  const first = above.indexOf(true);
  if (first < 0) return null;
  const recent = above.slice(-RULES.LASTING);
  const stays = loss.length >= RULES.LASTING && recent.filter(Boolean).length > recent.length / 2;
  if (!stays && !killedSince(trace, first + 1)) return null;
  const most = loss.reduce((a, b) => Math.max(a, b)) / reference;
  return {
    verdict: "exploding",
    layer: null,
    step: first + 1,
    why: `At step ${first + 1} the loss passed ${RULES.DIVERGED} times the loss of guessing, or the first; it went up to ${short(most)} times`,
  };
}

/** Whether all gradients, or since that step the units of a layer, are 0. */
function killedSince(trace, step) {
  const dead = deadLayer(trace);
  return silentSince(trace, Math.min(...trace.zeros)) > 0 || (dead !== null && dead.step >= step);
}

/** Hidden layers whose every unit is 0 for every sample. */
const deadLayers = (rows) =>
  rows.slice(0, -1).flatMap((row, l) => (row.dead >= RULES.DEAD ? [l] : []));

function silent(trace) {
  const blind = trace.probes.every(({ rows }) => rows.at(-1).delta === 0);
  const since = silentSince(trace, Math.min(...trace.zeros));
  if (!blind && (!since || deadLayers(now(trace)).length)) return null;
  if (!blind && since > 1 && learns(trace)) return null;
  const layer = now(trace).length - 1;
  return { verdict: "no_gradient", layer, step: blind ? 0 : since, why: "The gradient of every kernel is exactly 0" };
}

function deadLayer(trace) {
  if (learns(trace)) return null;
  for (const layer of deadLayers(now(trace))) {
    const since = silentSince(trace, trace.zeros[layer]);
    if (steps(trace) && !since) continue;
    const step = start(trace)[layer].dead >= RULES.DEAD ? 0 : since;
    return { verdict: "dead_units", layer, step, why: `It is layer ${layer + 1}` };
  }
  return null;
}

function vanishing(trace) {
  if (learns(trace)) return null;
  const [first, last] = [profile(start(trace)), profile(now(trace))];
  const below = (ratio, limit) => ratio.some((r) => r <= limit);
  let limit = RULES.VANISHED;
  if (!below(first, limit) || !below(last, limit)) {
    if (!learnedNothing(trace) || !(-trendOf(first) >= RULES.FALLEN)) return null;
    limit = RULES.SHRUNK;
  }
  // exact zeros alone mean that nothing arrives, not that it shrinks
  if (!first.some((r) => r > 0 && r <= limit) || !below(last, limit)) return null;
  const lowest = first.indexOf(Math.min(...first));
  return {
    verdict: "vanishing",
    layer: first.findLastIndex((r) => r <= limit),
    step: 0,
    why: `At the start, delta of layer ${lowest + 1} is ${short(first[lowest])} of the output's; below ${limit} a network counts as vanishing`,
  };
}

function disconnected(trace) {
  if (learns(trace) || deadLayers(now(trace)).length) return null;
  const [first, last] = [profile(start(trace)), profile(now(trace))];
  const layer = first.findLastIndex((r, l) => r === 0 && last[l] === 0);
  if (layer < 0) return null;
  return { verdict: "no_gradient", layer, step: 0, why: `delta of layer ${layer + 1} is exactly 0` };
}

/** Mean growth of log delta a layer going down, in standard errors; NaN: no trend. */
function trendOf(profile) {
  const ratio = [...profile, 1];
  if (ratio.length < 4 || !ratio.every((r) => r > 0 && Number.isFinite(r))) return NaN;
  const growth = ratio.slice(1).map((r, l) => Math.log10(ratio[l] / r));
  const mean = growth.reduce((a, b) => a + b) / growth.length;
  const variance = growth.reduce((a, b) => a + (b - mean) ** 2, 0) / (growth.length - 1);
  return (mean * Math.sqrt(growth.length)) / Math.max(Math.sqrt(variance), 1e-12);
}

function growing(trace) {
  if (steps(trace) > 0 && (learns(trace) || steps(trace) < RULES.PATIENCE)) return null;
  const ratio = profile(start(trace));
  if (!(trendOf(ratio) >= RULES.TREND) || ratio[0] < RULES.GROWN) return null;
  return {
    verdict: "exploding",
    layer: ratio.findLastIndex((r) => r >= RULES.GROWN),
    step: 0,
    why: `At the start, delta of layer 1 is ${short(ratio[0])} times the output's, more than ${RULES.GROWN} times`,
  };
}

/** Whether the loss fell by half, or by more than it scatters. */
function falls({ loss }) {
  if (loss.length < 2 * RULES.LASTING) return false;
  const few = Math.max(RULES.LASTING, Math.floor(loss.length / 5));
  const mean = (values) => values.reduce((a, b) => a + b) / values.length;
  const variance = (values) => mean(values.map((v) => (v - mean(values)) ** 2));
  const [early, late] = [loss.slice(0, few), loss.slice(-few)];
  const scatter = Math.sqrt((variance(early) + variance(late)) / few);
  if (mean(late) < RULES.HALVED * mean(loss.slice(0, RULES.LASTING))) return true;
  return mean(early) - mean(late) > RULES.SCATTER * scatter;
}

function empty(trace) {
  if (steps(trace) < RULES.PATIENCE || learns(trace)) return null;
  const { constantLoss } = trace.checks.at(-1);
  if (!(Math.abs(constantLoss) <= RULES.EMPTY * Math.abs(trace.checks[0].loss))) return null;
  const why = `Its loss is ${short(constantLoss)}`;
  return { verdict: "not_measured", sentence: "empty", layer: null, step: null, why };
}

function notMeasured(trace) {
  if (steps(trace) < RULES.PATIENCE || !Number.isNaN(skill(trace)) || falls(trace)) return null;
  const why = "The loss of a constant output is not known, so that there is nothing to compare with";
  return { verdict: "not_measured", layer: null, step: null, why };
}

function notLearning(trace) {
  if (!learnedNothing(trace)) return null;
  const loss = ofGuessing(trace);
  return { verdict: "not_learning", layer: null, step: steps(trace), why: loss[0].toUpperCase() + loss.slice(1) };
}

/** Rules about the profile wait, for a network may still begin to learn. */
function early(trace) {
  if (!steps(trace) || steps(trace) >= RULES.PATIENCE || learns(trace)) return null;
  const why = `A network has ${RULES.PATIENCE} steps to begin to learn. So far ${ofGuessing(trace)}`;
  return { verdict: "not_measured", sentence: "early", layer: null, step: null, why };
}
