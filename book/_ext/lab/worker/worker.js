/**
 * The network runs here, off the page's own thread, so that the page stays quick.
 *
 * Messages in: {type: "setup", config}, {type: "live", rate, clip, limit},
 * {type: "run", every}, {type: "step"}, {type: "pause"}. Messages out: a
 * {@link State}, after every message and, in a run, every so many milliseconds.
 */
import { batch } from "./data.js";
import { diagnose } from "./diagnose.js";
import { Network } from "./engine.js";
import { Arena } from "./gemm.js";
import { measure } from "./measure.js";
import { deltaLine } from "./theory.js";

/** A run ends here by itself. */
const LAST_STEP = 2000;

/**
 * @typedef {object} State
 * @property {number} setup number of the setup that it belongs to
 * @property {number} step
 * @property {boolean} running
 * @property {number[]} losses
 * @property {number} guess
 * @property {import("./measure.js").Row[]} rows
 * @property {number[] | null} line theory's, at step 0 only
 * @property {import("./diagnose.js").Judgement & {text: string}} report
 * @property {number} ms a step, the mean of the run
 * @property {boolean} ended nothing more will happen
 */

/** One network and what was recorded of it. */
export class Session {
  /** @param {import("./engine.js").Config} config */
  constructor(config, arena = new Arena()) {
    this.data = batch(config.data);
    this.network = new Network(config, this.data, arena);
    this.losses = [this.network.backward()];
    this.first = measure(this.network);
    this.zeros = this.first.map((row) => (row.zero ? 1 : 0));
    this.line = deltaLine(config, this.data);
    this.spent = 0;
  }

  get step() {
    return this.losses.length - 1;
  }

  get ended() {
    return this.step >= LAST_STEP || !Number.isFinite(this.losses.at(-1));
  }

  advance() {
    if (this.ended) return;
    const start = performance.now();
    this.network.update();
    this.losses.push(this.network.backward());
    this.spent += performance.now() - start;
    this.network.layers.forEach((layer, l) => {
      this.zeros[l] = layer.dW.every((g) => g === 0) ? this.zeros[l] + 1 : 0;
    });
  }

  /** @returns {State} */
  state() {
    const { losses, step } = this;
    const trace = this.trace();
    return {
      step, losses, rows: trace.probes.at(-1).rows, guess: this.data.guess,
      // the mean: the clock of some browsers knows whole milliseconds only
      ms: step ? this.spent / step : 0, ended: this.ended,
      line: step ? null : this.line,
      report: diagnose(trace),
    };
  }

  /** @returns {import("./diagnose.js").Trace} */
  trace() {
    const { first, losses, step } = this;
    const ends = [{ step: 0, rows: first, loss: losses[0] }];
    if (step) ends.push({ step, rows: measure(this.network), loss: losses.at(-1) });
    return {
      loss: losses.slice(0, -1),
      // the last gradient is that of a step that was not taken yet
      zeros: this.zeros.map((count) => Math.max(0, count - 1)),
      probes: ends,
      checks: ends.map((end) => ({ step: end.step, loss: end.loss, constantLoss: this.data.guess })),
    };
  }
}

/** Answer the page. @param {DedicatedWorkerGlobalScope} scope */
export function serve(scope) {
  const arena = new Arena();
  let session;
  let running = false;
  let every = 100;
  let setup = 0;
  let timer;

  let sent = 0;
  const send = () => {
    scope.postMessage({ ...session.state(), running, setup });
    sent = performance.now();
  };
  const loop = () => {
    if (!running) return;
    const until = performance.now() + Math.min(every, 100);
    while (!session.ended && performance.now() < until) session.advance();
    running = !session.ended;
    if (!running || performance.now() - sent >= every) send();
    // gives messages from the page their turn
    timer = setTimeout(loop, 0);
  };
  const answers = {
    setup({ config, number }) {
      running = false;
      setup = number;
      session = new Session(config, arena);
    },
    live({ rate, clip, limit }) {
      Object.assign(session.network.config, { rate, clip, limit });
    },
    run(message) {
      every = message.every;
      running = !session.ended;
      clearTimeout(timer);
      timer = setTimeout(loop, 0);
    },
    step() {
      running = false;
      session.advance();
    },
    pause() {
      running = false;
    },
  };
  scope.onmessage = ({ data }) => {
    answers[data.type](data);
    send();
  };
}
