// The chosen recordings: dropped, picked or recorded; each can be heard and removed.

import { acceptFiles } from "./drop.js";
import { find, iconButton, make, setIcon } from "./dom.js";
import { estimate } from "./estimate.js";
import { alertUser, say } from "./notice.js";
import { startRecorder } from "./recorder.js";
import { on, state, tell } from "./state.js";
import { clock, number, size, t } from "./text.js";

let inputs = []; // {file, seconds, pitch}
let converted = false; // these were sent; what is chosen next starts a new list
let playing = null;
let estimating = Promise.resolve(); // one file at a time: each is decoded whole

export function startInputs() {
  acceptFiles(find("panel-convert"), find("choose"), find("files"), add); // Who drops beside the frame means it too.
  startRecorder((file) => add([file]));
  find("preview").addEventListener("ended", stopPreview);
  on("limits", draw);
  document.addEventListener("textchange", draw);
}

export const chosenFiles = () => inputs.map((input) => input.file);

/** From now on the list counts as done with: it stays for another voice, and gives way to other files. */
export function inputsSent() {
  converted = true;
}

function add(files) {
  const limits = state.limits;
  const fits = files.filter((file) => !limits || file.size <= limits.max_bytes);
  const big = files.find((file) => !fits.includes(file));
  if (big) alertUser({ what: t("input.big", { name: big.name, size: size(big.size) }), remedy: t("input.big.remedy", { size: size(limits.max_bytes) }) });
  if (!fits.length) return;
  if (converted) inputs = [];
  converted = false;
  const most = limits?.max_files ?? Infinity;
  if (inputs.length + fits.length > most) alertUser({ what: t("input.many", { count: number(most) }), remedy: t("input.many.remedy") });
  for (const file of fits.slice(0, Math.max(0, most - inputs.length))) {
    const input = { file, seconds: null, pitch: null };
    inputs.push(input);
    estimating = estimating.then(() => listen(input));
  }
  say(t("input.count", { count: inputs.length }));
  draw();
}

/** Learns the length and the pitch of a recording that is still in the list. */
async function listen(input) {
  if (!inputs.includes(input)) return;
  Object.assign(input, await estimate(input.file));
  draw();
}

function remove(input) {
  stopPreview();
  inputs = inputs.filter((one) => one !== input);
  draw();
  (find("input-list").querySelector("button") ?? find("choose")).focus();
}

function draw() {
  const limits = state.limits;
  find("input-list").replaceChildren(...inputs.map(row));
  find("drop").classList.toggle("small", inputs.length > 0);
  find("input-limits").textContent = limits
    ? t("input.limits", { formats: wellKnown(limits.formats), size: size(limits.max_bytes), time: clock(limits.max_seconds) })
    : "";
  const heard = inputs.find((input) => input.pitch)?.pitch ?? null;
  if (heard?.median_hz !== state.input?.median_hz) {
    state.input = heard;
    tell("input");
  }
  tell("inputs");
}

/** Those of the server's formats that people look for. */
function wellKnown(formats) {
  const names = formats.map((name) => name.replace(".", "").toUpperCase());
  return ["WAV", "MP3", "FLAC", "M4A", "OGG", "MP4"].filter((name) => names.includes(name)).join(", ");
}

function row(input) {
  const { file, seconds } = input;
  const play = iconButton("play", t("input.play", { name: file.name }), "input-play", () => preview(input, play));
  const text = [seconds ? clock(seconds) : null, size(file.size)].filter(Boolean).join(" · ");
  const drop = iconButton("close", t("input.remove", { name: file.name }), "input-remove", () => remove(input));
  return make("li", {}, play, make("span", { class: "name", text: file.name, title: file.name }), make("span", { class: "hint", text }), drop);
}

function preview(input, button) {
  const same = playing?.input === input;
  stopPreview();
  if (same) return;
  const sound = find("preview");
  sound.src = URL.createObjectURL(input.file);
  sound.play().catch(stopPreview);
  playing = { input, button };
  setIcon(button, "pause");
}

function stopPreview() {
  if (!playing) return;
  const sound = find("preview");
  sound.pause();
  URL.revokeObjectURL(sound.src);
  setIcon(playing.button, "play");
  playing = null;
}
