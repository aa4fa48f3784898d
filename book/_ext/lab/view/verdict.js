/**
 * What the lab says of a run, and when it begins to say something else.
 *
 * The rules answer for the weights as they are. In a run that answer may change many
 * times a second near a threshold, so another one has to last before it is told; until
 * then the one from before stays, also that of before the run. Who pauses sees the
 * report as it is.
 */
import { PATIENCE } from "../constants.js";

/** Milliseconds that another answer must last as well: a fast run is still read. */
const LASTS = 1000;

/** The statement without its numbers. */
const statement = (text) => text.replace(/\d[\d.e-]*/g, "#");

/** Before training the rules tell what threatens, and from what they know it. */
function beforehand({ verdict, text }) {
  const why = text.slice(text.indexOf(". ") + 2);
  return `Before training: ${verdict.replace("_", " ")}. ${why}`;
}

/** The verdict in the page. */
export class Verdict {
  constructor() {
    this.text = "";
  }

  /**
   * @param {import("../worker/worker.js").State} state
   * @param {number} [now] milliseconds
   * @returns {string} what to show
   */
  say({ report, step, running }, now = performance.now()) {
    const said = statement(report.text);
    if (!running || said === this.said) return this.tell(report, step, said);
    if (said !== this.next) Object.assign(this, { next: said, step, since: now });
    const lasts = step - this.step >= PATIENCE && now - this.since >= LASTS;
    return lasts ? this.tell(report, step, said) : this.text;
  }

  tell(report, step, said) {
    this.said = said;
    this.next = null;
    this.text = step ? report.text : beforehand(report);
    return this.text;
  }
}
