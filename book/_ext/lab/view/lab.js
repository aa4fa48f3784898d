/**
 * The lab: finds its places in the page, and connects controls, worker and charts.
 *
 * The page works without this script: what stands in the place, a sentence or a
 * figure, stays there when it does not run, and in print.
 */
import { layerChart, lossChart } from "./charts.js";
import { controls, make, question } from "./controls.js";
import { arrival, markGoal } from "./goal.js";
import { kerasCode } from "./keras_code.js";
import { PRESETS, WORKER } from "../constants.js";
import { DEFAULTS, FIELDS, LIVE, fromFragment, toFragment } from "./settings.js";
import { Verdict } from "./verdict.js";

/** Milliseconds between two pictures of a run; slower for those who want less motion. */
const EVERY = 100;
const EVERY_CALM = 1000;
/** A change is read out when the reader has paused for so many milliseconds. */
const SETTLED = 700;

/** Title and legend of each chart; the words for a mark have its colour. */
const CHARTS = {
  gradient: ["Gradient of each layer"],
  activation: ["Activation of each layer", "Root mean square."],
  loss: ["Loss", "Dashed: guessing. Grey: your last run."],
};
const CIRCLES = "Circles: kernel gradient.";

/** The legend of the first chart, with the two accents. */
function legend({ goal, kernel = !goal }) {
  const measured = make("span", { class: "measured" }, goal ? "Bars: measured, here and now." : "Bars: δ, the error signal.");
  const theory = make("span", { class: "theory" }, goal ? "Dashed: theory." : "Dashed: theory for δ, at the start.");
  return [measured, kernel ? ` ${CIRCLES} ` : " ", theory];
}

/** Two or three digits. */
function digits(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 0.01 && Math.abs(value) < 1000
    ? String(Number(value.toPrecision(3)))
    : value.toExponential(1).replace("e+", "e");
}

/** One lab in the page. */
class Lab {
  /** @param {HTMLElement} place the section that the directive wrote */
  constructor(place) {
    this.place = place;
    this.full = place.dataset.preset === "full";
    this.preset = PRESETS[place.dataset.preset];
    this.config = { ...DEFAULTS, ...this.preset.values };
    this.losses = [];
    this.ghost = [];
    this.setup = 0;
    this.said = new Verdict();
    this.build();
    place.classList.add("lab-live");
    if (this.full) this.restore();
    if (this.preset.question) this.ask(this.preset);
    else this.startWhenSeen();
  }

  build() {
    const { preset, full } = this;
    const keys = preset.controls ?? FIELDS.map(({ key }) => key);
    this.controls = controls(this.config, keys, (key) => this.changed(key), preset.labels);
    this.run = make("button", { type: "button", class: "lab-button lab-first", onclick: () => this.toggle() }, "Run");
    const step = make("button", { type: "button", class: "lab-button", onclick: () => this.post({ type: "step" }) }, "One step");
    const reset = make("button", { type: "button", class: "lab-button", onclick: () => this.reset() }, "Start again");
    const buttons = make("div", { class: "lab-buttons" }, this.run, step, reset);
    this.verdict = make("p", { class: "lab-verdict" });
    this.numbers = make("p", { class: "lab-numbers" });
    this.spoken = make("p", { class: "lab-spoken", role: "status" });
    this.figures = {};
    const shown = preset.charts ?? Object.keys(CHARTS);
    const figures = shown.map((name) => {
      const [title, text] = CHARTS[name];
      const words = text ? [text] : legend(preset);
      this.figures[name] = make("div", { class: `lab-chart lab-chart-${name}` });
      const heading = make("strong", {}, preset.goal ? "The signal at each layer" : title);
      return make("figure", {}, make("figcaption", {}, heading, " ", ...words), this.figures[name]);
    });
    const parts = preset.goal ? [this.verdict] : [buttons, this.verdict, this.numbers];
    const head = make("div", { class: "lab-head" }, ...parts, this.spoken);
    const left = make("div", { class: "lab-left" }, ...(full ? [this.experiments()] : []), this.controls.form);
    // of a lab with a goal, the way to the full one is enough
    const more = this.more().slice(preset.goal ? -1 : 0);
    const rest = make("div", { class: "lab-rest" }, ...figures.slice(1), ...more);
    // A few controls fit above the chart on a phone. The many of the full lab stand
    // below it, and it stays in sight while the reader moves them.
    const play = make("div", { class: "lab-play" }, ...(full ? [figures[0], left] : [left, head, figures[0]]));
    this.body = make("div", { class: "lab-body" }, ...(full ? [head] : []), play, rest);
    this.place.append(this.body);
    if (preset.goal) {
      const field = FIELDS.find(({ key }) => key === preset.goal.key);
      markGoal(field, this.body.querySelector(`[data-key=${field.key}]`), preset.goal);
    }
  }

  /** Table, code and link. */
  more() {
    this.table = make("tbody");
    const heads = ["Layer", "δ", "Kernel gradient", "Activation", "Dead", "Saturated", "All zero"];
    const head = make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text))));
    const table = make("div", { class: "lab-scroll", tabIndex: 0, role: "region", "aria-label": "The numbers of each layer" },
      make("table", {}, head, this.table));
    this.tableBox = make("details", { ontoggle: () => this.state && this.fillTable() }, make("summary", {}, "The numbers"), table);
    this.code = make("pre", { tabIndex: 0, role: "region", "aria-label": "Keras code" });
    const copied = make("span", { role: "status" });
    const copy = make("button", { type: "button", class: "lab-button", onclick: () => this.copy(copied) }, "Copy");
    this.codeBox = make("details", {}, make("summary", {}, "The same network in Keras"), this.code, copy, copied);
    this.link = make("a", {}, this.full ? "Link to this setting" : "Open this setting in the full lab");
    return [this.tableBox, this.codeBox, make("p", {}, this.link)];
  }

  /** The choice of prepared experiments, in the full lab. */
  experiments() {
    const names = Object.keys(PRESETS).filter((name) => PRESETS[name].question);
    const options = names.map((value) => make("option", { value }, PRESETS[value].title));
    const select = this.experiment = make("select", { id: "lab-experiment" }, make("option", { value: "" }, "your own"), ...options);
    select.addEventListener("change", () => {
      const preset = PRESETS[select.value];
      this.leave();
      if (!preset) return this.reset();
      this.post({ type: "pause" });
      Object.assign(this.config, DEFAULTS, preset.values);
      this.controls.show();
      this.ask(preset);
    });
    return make("div", { class: "lab-field" }, make("label", { for: "lab-experiment" }, "Experiment"), select);
  }

  /** Take a question away, answered or not. */
  leave() {
    this.predict?.remove();
    this.body.classList.remove("lab-hidden");
  }

  /** Hide the answer until the reader has guessed. */
  ask(preset) {
    this.body.classList.add("lab-hidden");
    this.predict = question(preset, () => {
      this.body.classList.remove("lab-hidden");
      this.reset();
    });
    // the choice of the experiment stays above its question
    const first = this.full ? this.body.querySelector(".lab-left .lab-field") : null;
    if (first) first.after(this.predict);
    else this.place.insertBefore(this.predict, this.body);
  }

  startWhenSeen() {
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        this.reset();
      },
      { rootMargin: "300px" },
    );
    observer.observe(this.place);
  }

  /** The worker, made when it is needed first. */
  post(message) {
    if (!this.worker) {
      const source = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
      this.worker = new Worker(source);
      this.worker.onmessage = ({ data }) => this.receive(data);
      this.worker.onerror = () => {
        this.verdict.textContent = "The lab cannot run in this browser.";
        this.busy = false;
      };
      if (message.type !== "setup") this.reset();
    }
    this.worker.postMessage(message);
  }

  changed(key) {
    if (!LIVE.includes(key)) return this.reset();
    const { rate, clip, limit } = this.config;
    this.showCode();
    if (this.worker) this.post({ type: "live", rate, clip, limit });
  }

  /** Draw new weights; while the worker is busy only the last wish is kept. */
  reset() {
    this.showCode();
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    if (this.losses.length > 2) this.ghost = this.losses;
    this.losses = [];
    this.setup += 1;
    this.post({ type: "setup", config: { ...this.config }, number: this.setup });
  }

  toggle() {
    if (this.running) return this.post({ type: "pause" });
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.state?.step && this.state.ended) this.reset();
    this.post({ type: "run", every: calm ? EVERY_CALM : EVERY });
  }

  /** @param {import("../worker/worker.js").State} state */
  receive(state) {
    if (state.setup !== this.setup) return;
    this.busy = false;
    if (this.again) {
      this.again = false;
      this.reset();
      return;
    }
    this.state = state;
    this.losses = state.losses;
    this.running = state.running;
    this.run.textContent = state.running ? "Pause" : "Run";
    this.draw();
    clearTimeout(this.speaking);
    if (!state.running) this.speaking = setTimeout(() => this.speak(), SETTLED);
  }

  speak() {
    const step = this.preset.goal ? "" : `Step ${this.state.step}. `;
    const text = `${step}${this.verdict.textContent}`;
    if (this.spoken.textContent !== text) this.spoken.textContent = text;
  }

  draw() {
    const { rows, line, losses, guess, step, report, ms } = this.state;
    const hidden = rows.slice(0, -1);
    const zeros = rows.filter((row) => row.zero).length;
    const pick = (name) => hidden.map((row) => row[name]);
    const { goal, kernel = !goal } = this.preset;
    const said = goal ? arrival(pick("delta"), this.config[goal.key], goal) : this.said.say(this.state);
    if (this.verdict.textContent !== said) this.verdict.textContent = said;
    this.verdict.dataset.verdict = report.verdict;
    this.place.dataset.step = step;
    const time = ms ? `, ${ms.toFixed(1)} ms a step` : "";
    this.numbers.textContent =
      `Step ${step}. Loss ${digits(losses.at(-1))}, guessing ${digits(guess)}. ` +
      `Kernel gradients that are exactly 0: ${zeros} of ${rows.length} layers${time}.`;
    const ends = (name) => `${digits(hidden[0][name])} in layer 1, ${digits(hidden.at(-1)[name])} in layer ${hidden.length}`;
    const charts = {
      gradient: (width) => layerChart({
        width, height: this.figures.gradient.clientHeight, bars: pick("delta"), dots: kernel ? pick("kernel") : [], line, level: Boolean(goal),
        description: `Log axis. Delta: ${ends("delta")}.${kernel ? ` Kernel gradient: ${ends("kernel")}.` : ""}`,
      }),
      activation: (width) => layerChart({
        width, bars: pick("activation"),
        description: `Log axis. Root mean square activation: ${ends("activation")}.`,
      }),
      loss: (width) => lossChart({
        width, losses, ghost: this.ghost, guess,
        description: `Log axis. Loss ${digits(losses.at(-1))} after ${step} steps; guessing has ${digits(guess)}.`,
      }),
    };
    for (const [name, box] of Object.entries(this.figures)) {
      if (box.clientWidth) box.innerHTML = charts[name](box.clientWidth);
    }
    if (this.tableBox.open) this.fillTable();
  }

  fillTable() {
    const percent = (share) => `${Math.round(100 * share)} %`;
    const { rows } = this.state;
    this.table.replaceChildren(
      ...rows.map((row, l) => {
        const name = l === rows.length - 1 ? "output" : l + 1;
        const cells = [
          digits(row.delta), digits(row.kernel), digits(row.activation),
          percent(row.dead), percent(row.saturated), row.zero ? "yes" : "no",
        ];
        return make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((text) => make("td", {}, text)));
      }),
    );
  }

  showCode() {
    this.code.textContent = kerasCode(this.config);
    const page = this.full ? "" : this.place.dataset.full;
    this.link.href = page + toFragment(this.config);
  }

  async copy(told) {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      told.textContent = " Copied.";
    } catch {
      getSelection().selectAllChildren(this.code);
      told.textContent = " Selected: copy it with the keyboard.";
    }
  }

  /** Take the setting of the address, now and when it changes. */
  restore() {
    const take = () => {
      const values = fromFragment(location.hash);
      const wished = { ...DEFAULTS, ...values };
      const known = FIELDS.every(({ key }) => wished[key] === this.config[key]);
      if (!values || (known && !this.predict?.isConnected)) return;
      this.leave();
      this.experiment.value = "";
      Object.assign(this.config, wished);
      this.controls.show();
      if (this.worker) this.reset();
    };
    take();
    addEventListener("hashchange", take);
  }
}

/** Start all labs of the page. */
export function start() {
  const labs = [...document.querySelectorAll(".lab[data-preset]")].map((place) => new Lab(place));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) labs.filter((lab) => lab.running).forEach((lab) => lab.post({ type: "pause" }));
  });
  let resizing;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => labs.filter((lab) => lab.state).forEach((lab) => lab.draw()), 100);
  });
}
