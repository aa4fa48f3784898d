/**
 * What a reader can set: names, ranges and words of the controls, in one table.
 *
 * A setting in a link is checked against the same table; what does not fit is
 * left out.
 */

/** @type {import("../worker/engine.js").Config} */
export const DEFAULTS = {
  data: "digits", depth: 20, width: 64, activation: "tanh",
  initializer: "random_normal", stddev: 0.125, rate: 0.1,
  clip: "none", limit: 1, batchnorm: false, skip: false, scale: 1, seed: 1,
};

/** Changes of these do not start the run anew. */
export const LIVE = ["rate", "clip", "limit"];

/** Initializers that take a standard deviation. */
const takesStddev = (config) => /^(random|truncated)_/.test(config.initializer);

/**
 * @typedef {object} Field
 * @property {string} key in the configuration
 * @property {string} label
 * @property {number[]} [range] least, most and step
 * @property {boolean} [log] the range is that of log10
 * @property {Record<string, string>} [choices] value and words
 * @property {(config: object) => boolean} [when] shown only then
 */

/** Values that are their own words. */
const plain = (...names) => Object.fromEntries(names.map((name) => [name, name]));

/** @type {Field[]} */
export const FIELDS = [
  { key: "depth", label: "Hidden layers", range: [2, 50, 1] },
  { key: "width", label: "Units a layer", range: [8, 64, 8] },
  {
    key: "activation", label: "Activation",
    choices: plain("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "linear"),
  },
  {
    key: "initializer", label: "Kernel initializer",
    choices: plain(
      "glorot_uniform", "glorot_normal", "he_uniform", "he_normal",
      "lecun_uniform", "lecun_normal", "random_normal", "truncated_normal",
    ),
  },
  { key: "stddev", label: "Standard deviation", range: [-2.5, 0.5, 0.02], log: true, when: takesStddev },
  { key: "rate", label: "Learning rate", range: [-4, 1, 0.1], log: true },
  {
    key: "clip", label: "Clipping",
    choices: {
      none: "none", value: "by value (clipvalue)",
      norm: "by norm (clipnorm)", global: "by global norm (global_clipnorm)",
    },
  },
  {
    key: "limit", label: "Clip at", range: [-3, 2, 0.1], log: true,
    when: (config) => config.clip !== "none",
  },
  { key: "batchnorm", label: "BatchNorm before the activation" },
  { key: "skip", label: "Skip connections" },
  { key: "scale", label: "Scale of a branch", range: [0.05, 1, 0.05], when: (config) => config.skip },
  {
    key: "data", label: "Data",
    choices: { digits: "handwritten digits", circles: "circles", moons: "moons", spirals: "spirals" },
  },
  { key: "seed", label: "Seed", range: [1, 20, 1] },
];

/**
 * The value at a position of a field's slider.
 *
 * On a logarithmic one it is the roundest number that is less than half a step away:
 * .12, .125, .13 rather than .1202, .1259, .1318.
 */
export function valueAt(field, position) {
  const place = Number(position);
  if (!field.log) return Number(place.toPrecision(3));
  const exact = 10 ** place;
  const near = (value) => Math.abs(Math.log10(value) - place) < field.range[2] / 2;
  const halves = Number((2 * exact).toPrecision(2)) / 2;
  const round = [Number(exact.toPrecision(1)), Number(exact.toPrecision(2)), halves];
  return Number((round.find(near) ?? exact).toPrecision(3));
}

/** The position of a field's slider for a value. */
export function sliderPosition(field, value) {
  return field.log ? Math.log10(value) : value;
}

/** Turn text into a field's value; undefined if it does not fit. */
function parse(field, text) {
  if (field.choices) return Object.hasOwn(field.choices, text) ? text : undefined;
  if (!field.range) return text === "true" || (text === "false" ? false : undefined);
  const position = sliderPosition(field, Number(text));
  const [least, most, step] = field.range;
  const inside = position >= least - 1e-9 && position <= most + 1e-9;
  const onGrid = field.log || Math.abs((position - least) / step - Math.round((position - least) / step)) < 1e-6;
  return inside && onGrid ? (field.log ? Number(text) : valueAt(field, position)) : undefined;
}

/** @returns {string} the part of an address that restores a setting */
export function toFragment(config) {
  const changed = FIELDS.filter(({ key }) => config[key] !== DEFAULTS[key]);
  return `#lab?${changed.map(({ key }) => `${key}=${config[key]}`).join("&")}`;
}

/** @returns {object | null} the values that a fragment sets, or null */
export function fromFragment(fragment) {
  if (!fragment.startsWith("#lab?")) return null;
  const found = {};
  const parameters = new URLSearchParams(fragment.slice(5));
  for (const field of FIELDS) {
    const value = parameters.has(field.key) ? parse(field, parameters.get(field.key)) : undefined;
    if (value !== undefined) found[field.key] = value;
  }
  return found;
}
