/**
 * The lab of the first page: one question, a goal, and words that need no glossary.
 *
 * A preset with a `goal` is such a lab: a value of its slider at which the line is
 * level. It has neither buttons nor numbers, and never trains.
 */
import { make } from "./controls.js";
import { sliderPosition } from "./settings.js";

/** The line is level when the ends differ by less than this, in powers of ten. */
const LEVEL = 1;
/** At the goal, in powers of ten: as near as the slider's steps come. */
const NEAR = 0.01;

const NAMES = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"], [1e3, "thousand"]];

/** A factor in words: 800 million. */
function words(factor) {
  if (factor >= 1e15) return "more than a thousand trillion";
  const [unit, name] = NAMES.find(([least]) => factor >= least) ?? [1, ""];
  const number = Number((factor / unit).toPrecision(1));
  return `${number === 1 && name ? "a" : number} ${name}`.trim();
}

/**
 * Say what is left of the signal.
 *
 * @param {number[]} deltas from layer 1 to the top
 * @param {number} value of the slider
 * @param {{value: number, reached: string}} goal of the preset
 */
export function arrival(deltas, value, goal) {
  const [bottom, top, layers] = [deltas[0], deltas.at(-1), deltas.length];
  const gets = "Layer 1 gets";
  if (!Number.isFinite(bottom)) return `${gets} a number that the computer cannot hold. The signal explodes.`;
  if (bottom === 0) return `${gets} nothing at all: the number is too small to be written. The signal vanishes.`;
  const ratio = bottom / top;
  if (Math.abs(Math.log10(ratio)) < LEVEL) {
    const near = Math.abs(Math.log10(value / goal.value)) < NEAR;
    return near ? `Level: the signal arrives. ${goal.reached}` : "Nearly level: the signal arrives.";
  }
  return ratio < 1
    ? `${gets} a signal ${words(1 / ratio)} times smaller than layer ${layers}. It vanishes.`
    : `${gets} a signal ${words(ratio)} times larger than layer ${layers}. It explodes.`;
}

/** Mark the goal under a slider: `field` as in settings.js, `place` the row of it. */
export function markGoal(field, place, goal) {
  const [least, most] = field.range;
  const at = (sliderPosition(field, goal.value) - least) / (most - least);
  const mark = make("p", { class: "lab-goal" }, `level at ${goal.value}`);
  mark.style.setProperty("--at", at.toFixed(4));
  place.append(mark);
}
