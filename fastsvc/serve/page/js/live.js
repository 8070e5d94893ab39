// The live tab: start and stop, what is changed while it runs, and what it tells.

import { find, setChoices, setIcon } from "./dom.js";
import { listDevices, startDevices } from "./devices.js";
import { alertUser, clearAlert } from "./notice.js";
import { note } from "./pitch.js";
import { on, state } from "./state.js";
import { keep, kept } from "./storage.js";
import { Stream } from "./stream.js";
import { number, signed, t } from "./text.js";

const LOOKAHEAD_MS = 160;
let sung_hz = null; // the singer's median pitch
let stream = null, phase = "off", delay = null, compute = null, waiting_ms = 0;

export function startLive() {
  startDevices();
  find("live-start").addEventListener("click", () => (stream ? stop() : start()));
  find("live-voice").addEventListener("change", () => change({ speaker: find("live-voice").value }));
  find("live-transpose").addEventListener("input", () => change({ transpose: Number(find("live-transpose").value) }));
  find("live-match").addEventListener("click", match);
  find("live-gain").addEventListener("input", () => change({ gain: gain() }));
  find("live-engine").addEventListener("change", () => (listVoices(), again()));
  for (const id of ["live-microphone", "live-output", "live-delay", "live-formant"]) find(id).addEventListener("change", again);
  find("live-formant").addEventListener("input", write);
  on("engines", listEngines);
  on("tab", (name) => name === "live" && listDevices());
  document.addEventListener("textchange", () => (listEngines(), write()));
  restore();
  write();
}

const gain = () => 10 ** (Number(find("live-gain").value) / 20);
const engine = () => state.engines.find((one) => one.id === find("live-engine").value);

function listEngines() {
  const able = state.engines.filter((one) => one.options.live && one.state !== "broken");
  setChoices(find("live-engine"), able.map((one) => [one.id, one.name]), find("live-engine").value || kept("engine", ""));
  listVoices();
}

function listVoices() {
  const pitch = (hz) => (hz ? ` · ${note(hz)}` : "");
  const speakers = engine()?.speakers ?? [];
  const known = [find("live-voice").value, kept("live", {}).voice, engine()?.default_speaker].map(String);
  const chosen = known.find((id) => speakers.some((one) => String(one.id) === id));
  setChoices(find("live-voice"), speakers.map((one) => [one.id, one.name + pitch(one.f0_median_hz)]), chosen);
  find("field-live-formant").hidden = !engine()?.options.formant;
  find("live-start").disabled = !engine() || state.limits?.live === false;
  write();
}

async function start() {
  clearAlert();
  stream = new Stream({ ready, level, sung, stats, buffer, over });
  phase = "starting";
  write();
  const request = {
    engine: engine().id, speaker: find("live-voice").value, block_ms: Number(find("live-delay").value),
    lookahead_ms: LOOKAHEAD_MS, transpose: Number(find("live-transpose").value), gain: gain(), seed: 0,
  };
  if (engine().options.formant) request.formant = Number(find("live-formant").value);
  try {
    await stream.start(request, find("live-microphone").value, find("live-output").value);
    listDevices();
  } catch (error) {
    alertUser(error);
  }
}

const stop = () => stream?.stop();

/** What cannot be changed while it runs is changed by starting anew. */
function again() {
  remember();
  if (!stream) return write();
  stop();
  start();
}

function change(values) {
  stream?.set(values);
  remember();
  write();
}

function ready(latency) {
  [phase, delay, compute] = ["on", latency, null];
  for (const id of ["live-late", "live-dropped", "live-gaps"]) find(id).textContent = "0";
  write();
}

function sung(median_hz) {
  sung_hz = median_hz;
  write();
}

const voice = () => engine()?.speakers.find((one) => String(one.id) === find("live-voice").value);

/** Moves the melody from the singer's range to the voice's. */
function match() {
  const slider = find("live-transpose");
  slider.value = Math.round(12 * Math.log2(voice().f0_median_hz / sung_hz));
  slider.dispatchEvent(new Event("input"));
}

function stats(message) {
  compute = message.compute_ms;
  find("live-late").textContent = number(message.late);
  find("live-dropped").textContent = String(Math.round(message.dropped_ms));
  write();
}

function buffer(told) {
  waiting_ms = told.waiting_ms;
  find("live-gaps").textContent = number(told.gaps);
  meter("meter-out", told.db);
  write();
}

function over(error) {
  stream = null;
  [phase, delay, compute] = ["off", null, null];
  meter("meter-in", -60);
  meter("meter-out", -60);
  if (error) alertUser(error);
  write();
}

let loudest = -60, drawn = 0;

/** The input's level, at most 20 times a second. */
function level(db) {
  loudest = Math.max(loudest, db);
  if (performance.now() - drawn < 50) return;
  meter("meter-in", loudest);
  [loudest, drawn] = [-60, performance.now()];
}

function meter(id, db) {
  const element = find(id);
  element.setAttribute("aria-valuenow", Math.round(db));
  element.classList.toggle("hot", db > -1);
  element.firstElementChild.style.setProperty("width", `${100 + (100 / 60) * db}%`);
}

function write() {
  const running = phase !== "off";
  find("live-start").setAttribute("aria-pressed", String(running));
  setIcon(find("live-start"), running ? "stop" : "microphone");
  find("live-start-text").textContent = t(running ? "live.stop" : "live.start");
  const slow = phase === "on" && compute?.p50 > delay.block_ms;
  const text = state.limits?.live === false ? t("live.unavailable") : slow ? t("live.slow") : t(`live.state.${phase}`);
  if (find("live-state").textContent !== text) find("live-state").textContent = text;
  find("live-transpose-value").textContent = t("live.semitones", { semitones: signed(Number(find("live-transpose").value)) });
  const target_hz = voice()?.f0_median_hz;
  find("live-pitch").hidden = !sung_hz || !target_hz;
  if (sung_hz && target_hz) {
    find("live-pitch-text").textContent = t("live.pitch", { sung: note(sung_hz), voice: note(target_hz) });
  }
  find("live-gain-value").textContent = `${signed(Number(find("live-gain").value))} dB`;
  find("live-formant-value").textContent = signed(Number(find("live-formant").value));
  const ms = (value) => `${number(value)} ms`;
  const device_ms = stream?.device_ms ?? 0;
  const sum = delay ? delay.total_ms + (compute?.p50 ?? 0) + waiting_ms + device_ms : null;
  find("live-latency").textContent = sum === null ? "–" : ms(sum);
  find("live-compute").textContent = compute ? `${number(compute.p50)} / ${ms(compute.p95)}` : "–";
  find("live-parts").textContent = delay
    ? t("live.parts", { block: number(delay.block_ms), lookahead: number(delay.lookahead_ms), resampling: number(delay.resampling_ms), buffer: number(waiting_ms), device: number(device_ms) })
    : "";
}

const REMEMBERED = ["live-transpose", "live-gain", "live-delay", "live-formant"];

function remember() {
  const values = Object.fromEntries(REMEMBERED.map((id) => [id, find(id).value]));
  keep("live", { ...values, voice: find("live-voice").value });
}

function restore() {
  for (const [id, value] of Object.entries(kept("live", {}))) if (REMEMBERED.includes(id)) find(id).value = value;
}
