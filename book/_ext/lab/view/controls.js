/**
 * The controls and the question: plain form elements with labels.
 */
import { FIELDS, sliderPosition, valueAt } from "./settings.js";

/**
 * Make an element.
 *
 * @param {string} tag
 * @param {object} [properties] set on the element; `data-` and `aria-` names and
 *   "for", "role" and "class" are set as attributes
 * @param {...(Node | string)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(data-|aria-|for$|role$|class$)/.test(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

let made = 0;

/**
 * The controls of a lab.
 *
 * @param {object} config changed in place
 * @param {string[]} keys of the fields that are shown
 * @param {(key: string) => void} changed called after a change
 * @param {Record<string, string>} [labels] other words for some fields
 * @returns {{form: HTMLFormElement, show: () => void}} `show` brings the form up to
 *   date with the configuration
 */
export function controls(config, keys, changed, labels = {}) {
  const form = make("form", { class: "lab-controls", "aria-label": "Settings of the network" });
  form.addEventListener("submit", (event) => event.preventDefault());
  const shown = FIELDS.filter(({ key }) => keys.includes(key));
  const fields = shown.map((field) => ({ ...field, label: labels[field.key] ?? field.label }));
  const rows = fields.map((field) => row(field, config, changed, () => show()));
  form.append(...rows.map(({ element }) => element));
  const show = () => rows.forEach((each) => each.show());
  show();
  return { form, show };
}

/** One control with its label. */
function row(field, config, changed, showAll) {
  const id = `lab-field-${++made}`;
  const input = inputFor(field, id);
  // the slider's own text says it: once is enough
  const output = make("output", { for: id, "aria-live": "off" });
  const label = make("label", { for: id }, field.label);
  const element = make("div", { class: "lab-field", "data-key": field.key }, label, input);
  if (field.range) element.insertBefore(output, input);
  input.addEventListener("input", () => {
    if (field.range) config[field.key] = valueAt(field, input.value);
    else if (field.choices) config[field.key] = input.value;
    else config[field.key] = input.checked;
    showAll();
    changed(field.key);
  });
  const show = () => {
    element.hidden = field.when ? !field.when(config) : false;
    const value = config[field.key];
    if (field.range) {
      output.textContent = value;
      input.setAttribute("aria-valuetext", value);
      // not while it is moved: rounding would pull it back
      if (valueAt(field, input.value) !== value) input.value = sliderPosition(field, value);
    } else if (field.choices) input.value = value;
    else input.checked = value;
  };
  return { element, show };
}

function inputFor(field, id) {
  if (field.range) {
    const [min, max, step] = field.range;
    // a step of its own, or arrow keys would move it by a whole decade in Firefox
    return make("input", { type: "range", id, min, max, step });
  }
  if (!field.choices) return make("input", { type: "checkbox", id });
  const entries = Object.entries(field.choices);
  return make("select", { id }, ...entries.map(([value, text]) => make("option", { value }, text)));
}

/**
 * A question that is answered before anything is shown.
 *
 * @param {{question: string, choices: string[], answer: number, because: string}} preset
 * @param {() => void} revealed called when the reader has answered
 * @returns {HTMLFormElement}
 */
export function question(preset, revealed) {
  const name = `lab-guess-${++made}`;
  const choices = preset.choices.map((text, index) =>
    make("label", {}, make("input", { type: "radio", name, value: index, required: true }), ` ${text}`),
  );
  const legend = make("legend", {}, make("strong", {}, "Predict. "), preset.question);
  const button = make("button", { type: "submit", class: "lab-button lab-first" }, "Show me");
  const answer = make("p", { class: "lab-answer", role: "status" });
  const form = make("form", { class: "lab-predict" }, make("fieldset", {}, legend, ...choices), button, answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const guess = Number(new FormData(form).get(name));
    const verdict = guess === preset.answer ? "Yes." : `No: ${preset.choices[preset.answer]}.`;
    answer.textContent = `${verdict} ${preset.because}`;
    button.hidden = true;
    for (const input of form.elements) if (input.name === name) input.disabled = true;
    answer.tabIndex = -1;
    revealed();
    answer.focus({ preventScroll: true });
    // what has appeared above may have pushed it off a small screen
    answer.scrollIntoView({ block: "nearest" });
  });
  return form;
}
