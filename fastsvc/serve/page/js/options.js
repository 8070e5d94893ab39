// How to convert: the controls under the voice, and the options that the API takes.

import { find, make, setChoices } from "./dom.js";
import { normalised } from "./mixture.js";
import { keep, kept } from "./storage.js";
import { on, speakerOf, state } from "./state.js";
import { number, signed, t } from "./text.js";

// Kept from visit to visit; the number of steps is each engine's own matter.
const START = { transpose: "octaves", semitones: 0, formant: 0, index_rate: 0.75, protect: 0.33, seed: 0, format: "wav", f0: "" };
const SLIDERS = { formant: "formant", "index-rate": "index_rate", protect: "protect" };
const RANDOM_SEEDS = 1e6;
let values = { ...START, ...kept("options", {}) };
let steps = null;

export function startOptions() {
  for (const radio of kinds()) radio.addEventListener("change", () => set("transpose", radio.value));
  find("transpose").addEventListener("input", (event) => set("semitones", Number(event.target.value) || 0));
  for (const [id, name] of Object.entries(SLIDERS)) {
    find(id).addEventListener("input", (event) => set(name, Number(event.target.value)));
  }
  find("seed").addEventListener("input", (event) => set("seed", Math.max(0, Math.floor(Number(event.target.value) || 0))));
  find("seed-dice").addEventListener("click", () => {
    set("seed", Math.floor(Math.random() * RANDOM_SEEDS));
    find("seed").value = values.seed;
  });
  find("format").addEventListener("change", (event) => set("format", event.target.value));
  find("f0").addEventListener("change", (event) => set("f0", event.target.value));
  find("options-reset").addEventListener("click", reset);
  for (const topic of ["limits", "engine", "shares"]) on(topic, write);
  document.addEventListener("textchange", write);
}

const kinds = () => find("transpose-kind").querySelectorAll("input");

function set(name, value) {
  values = { ...values, [name]: value };
  keep("options", values);
  write();
}

function reset() {
  values = { ...START };
  steps = null;
  keep("options", values);
  write();
}

/** Whether the pitch of every chosen voice is known, so that a transposition can follow it. */
const pitchKnown = () => state.shares.size > 0 && [...state.shares.keys()].every((id) => speakerOf(id)?.f0_median_hz);

/** The options of POST /jobs. What an engine does not have is left out. */
export function options() {
  const engine = state.engine, has = engine.options, shares = normalised();
  const chosen = [...shares.keys()];
  const result = {
    engine: engine.id,
    speaker: chosen.length > 1 ? Object.fromEntries(shares) : chosen[0],
    steps: steps ?? engine.default_steps,
    transpose: kind() === "number" ? values.semitones : kind(),
    seed: values.seed,
    format: values.format,
  };
  if (has.formant && values.formant) result.formant = values.formant;
  if (has.index_rate) result.index_rate = values.index_rate;
  if (has.protect) result.protect = values.protect;
  if (values.f0) result.f0 = values.f0;
  if (has.transpose === false) result.transpose = 0;
  return result;
}

/** The kind of transposition that is possible with this voice. */
const kind = () => (pitchKnown() ? values.transpose : "number");

function write() {
  for (const radio of kinds()) {
    radio.checked = radio.value === kind();
    radio.disabled = radio.value !== "number" && !pitchKnown();
  }
  const semitones = find("transpose");
  semitones.hidden = kind() !== "number";
  if (document.activeElement !== semitones) semitones.value = values.semitones;
  find("transpose-hint").textContent = pitchKnown() || !state.engine ? t(`transpose.hint.${kind()}`) : t("transpose.unknown");
  const has = state.engine?.options ?? {};
  find("field-transpose").hidden = has.transpose === false; // trained without pitch
  find("field-formant").hidden = !has.formant;
  find("field-index-rate").hidden = !has.index_rate;
  find("field-protect").hidden = !has.protect;
  for (const [id, name] of Object.entries(SLIDERS)) find(id).value = values[name];
  find("formant-value").textContent = signed(values.formant);
  find("index-rate-value").textContent = number(values.index_rate, 2);
  find("protect-value").textContent = number(values.protect, 2);
  if (document.activeElement !== find("seed")) find("seed").value = values.seed;
  if (state.limits) {
    setChoices(find("format"), state.limits.output_formats.map((name) => [name, name.toUpperCase()]), values.format);
    setChoices(find("f0"), [["", t("options.f0.own")], ...state.limits.f0_methods.map((name) => [name, name])], values.f0);
  }
  writeSteps();
}

function writeSteps() {
  const offered = state.engine?.steps ?? [];
  if (!offered.includes(steps)) steps = null;
  const chosen = steps ?? state.engine?.default_steps;
  const group = find("steps");
  group.closest(".field").hidden = offered.length < 2;
  if (group.dataset.offered !== offered.join()) {
    group.dataset.offered = offered.join();
    group.replaceChildren(...offered.map((count) => {
      const radio = make("input", { type: "radio", name: "steps", value: count, on: { change: () => (steps = count) } });
      return make("label", {}, radio, make("span", { text: String(count) }));
    }));
  }
  for (const radio of group.querySelectorAll("input")) radio.checked = Number(radio.value) === chosen;
}
