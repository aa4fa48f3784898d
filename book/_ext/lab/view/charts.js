/**
 * The charts, as SVG text drawn at the width that they have on the page, so that
 * their letters keep their size on a phone.
 */

const LEFT = 44;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 36;
/** Nothing a 32-bit float can hold is smaller. */
const SMALLEST = -46;

const log = (value) => (value > 0 && Number.isFinite(value) ? Math.log10(value) : null);
const at = (value) => value.toFixed(1);

/** Whole powers of ten around some logarithms, at least two decades. */
function decades(logs) {
  const known = logs.filter((value) => value !== null);
  if (!known.length) return [-2, 0];
  const low = Math.max(SMALLEST, Math.floor(Math.min(...known)));
  const high = Math.max(low, Math.ceil(Math.max(...known)));
  return high - low < 2 ? [low - 1, high + 1 - (high - low)] : [low, high];
}

/** A power of ten, as the book's figures write it: plain where all of an axis can be. */
const power10 = (power, plain) =>
  plain || power === 0 ? String(Number(`1e${power}`)) : `10<tspan dy="-5" font-size="9">${power}</tspan>`;

/** A frame with a log axis at the left: its text, and the places of values. */
function frame(width, height, [low, high], xLabel) {
  const bottom = height - BOTTOM;
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - TOP);
  const step = Math.max(1, Math.ceil((high - low) / 6));
  let text = "";
  const plain = low > -3 && high < 4;
  for (let power = low; power <= high; power += step) {
    const place = at(y(power));
    text += `<line class="lab-grid" x1="${LEFT}" x2="${width - RIGHT}" y1="${place}" y2="${place}"/>`;
    text += `<text x="${LEFT - 6}" y="${at(y(power) + 4)}" text-anchor="end">${power10(power, plain)}</text>`;
  }
  const middle = (LEFT + width - RIGHT) / 2;
  text += `<text x="${middle}" y="${height - 4}" text-anchor="middle">${xLabel}</text>`;
  return { text, y, bottom, span: width - RIGHT - LEFT };
}

function svg(width, height, description, body) {
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${description}">${body}</svg>`;
}

const tick = (x, y, text, anchor = "middle") =>
  `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${text}</text>`;

const points = (pairs) => pairs.map(([x, y]) => `${at(x)},${at(y)}`).join(" ");

/**
 * Draw values of each hidden layer on a log axis.
 *
 * @param {object} chart
 * @param {number} chart.width in pixels
 * @param {string} chart.description for screen readers
 * @param {number[]} chart.bars
 * @param {number[]} [chart.dots]
 * @param {number[] | null} [chart.line] log10 of the bars that theory expects, over
 *   the last
 * @param {boolean} [chart.level] draw where all bars are as high as the last
 * @param {number} [chart.height] in pixels
 */
export function layerChart({ width, description, bars, dots = [], line, level = false, height = 220 }) {
  const [tops, rings] = [bars.map(log), dots.map(log)];
  const last = tops.at(-1);
  const expected = line && last !== null ? line.map((value) => value + last) : [];
  const { text, y, bottom, span } = frame(
    width, height, decades([...tops, ...rings, ...expected]), "hidden layer, 1 reads the input",
  );
  const x = (layer) => LEFT + ((layer + 0.5) / bars.length) * span;
  const thick = Math.max(2, (span / bars.length) * 0.6);
  let body = text;
  tops.forEach((value, l) => {
    if (value === null) {
      body += tick(x(l), bottom - 3, bars[l] === 0 ? "0" : Number.isNaN(bars[l]) ? "?" : "∞");
      return;
    }
    const top = Math.min(bottom, y(value));
    body += `<rect class="lab-bar" x="${at(x(l) - thick / 2)}" y="${at(top)}" width="${at(thick)}" height="${at(Math.max(1, bottom - top))}"/>`;
  });
  rings.forEach((value, l) => {
    if (value !== null && y(value) <= bottom) {
      body += `<circle class="lab-dot" cx="${at(x(l))}" cy="${at(y(value))}" r="3"/>`;
    }
  });
  if (level && last !== null) {
    const place = at(y(last));
    body += `<line class="lab-level" x1="${LEFT}" x2="${width - RIGHT}" y1="${place}" y2="${place}"/>`;
    body += `<text class="lab-level-word" x="${LEFT + 4}" y="${at(Math.max(y(last) - 5, 11))}">level</text>`;
  }
  if (expected.length) {
    const clamp = (place) => Math.min(bottom, Math.max(TOP, place));
    body += `<polyline class="lab-theory" points="${points(expected.map((value, l) => [x(l), clamp(y(value))]))}"/>`;
  }
  for (const l of new Set([0, Math.floor((bars.length - 1) / 2), bars.length - 1])) {
    body += tick(x(l), bottom + 15, l + 1);
  }
  return svg(width, height, description, body);
}

/**
 * Draw the loss of this run, of the last one, and that of guessing.
 *
 * @param {{width: number, description: string, losses: number[], ghost: number[],
 *   guess: number}} chart
 */
export function lossChart({ width, description, losses, ghost, guess }) {
  const height = 200;
  const length = Math.max(losses.length, ghost.length, 100) - 1;
  const all = [...losses, ...ghost, guess].map(log);
  const { text, y, bottom, span } = frame(width, height, decades(all), "step");
  const x = (step) => LEFT + (step / length) * span;
  const run = (values, name) => {
    // more points than pixels would be wasted
    const every = Math.max(1, Math.floor(values.length / span));
    const pairs = [];
    values.forEach((value, step) => {
      const place = log(value);
      const wanted = step % every === 0 || step === values.length - 1;
      if (place !== null && wanted) pairs.push([x(step), Math.min(bottom, y(place))]);
    });
    return `<polyline class="${name}" points="${points(pairs)}"/>`;
  };
  const place = at(y(log(guess)));
  let body = text;
  body += `<line class="lab-guess" x1="${LEFT}" x2="${width - RIGHT}" y1="${place}" y2="${place}"/>`;
  body += run(ghost, "lab-ghost") + run(losses, "lab-line");
  body += tick(x(0), bottom + 15, 0) + tick(x(length), bottom + 15, length, "end");
  return svg(width, height, description, body);
}
