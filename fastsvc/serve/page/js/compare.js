// Before and after of one job: heard in one player, seen as two pictures.

import { address, ask } from "./api.js";
import { find, setIcon, setLabel } from "./dom.js";
import { alertUser } from "./notice.js";
import { Player } from "./player.js";
import { interval, summary } from "./pitch.js";
import { drawRuler } from "./ruler.js";
import { Spectrogram } from "./spectrogram.js";
import { on, state, tell } from "./state.js";
import { clock, moment, number, signed, t } from "./text.js";
import { moveBy, View } from "./view.js";

const SIDES = ["before", "after"], PICTURES = ["input", "result"];
const player = new Player(write), view = new View(redraw);
let pictures = [], shown = null, loading = null, frame = 0;

export function startCompare() {
  pictures = SIDES.map((side) => new Spectrogram(find(`picture-${side}`)));
  for (const { canvas } of pictures) moveBy(canvas, view, (seconds) => player.seek(seconds));
  find("play").addEventListener("click", () => player.toggle());
  SIDES.forEach((side, i) => find(`side-${side}`).addEventListener("click", () => player.choose(i)));
  find("swap").addEventListener("click", swapSides);
  find("position").addEventListener("input", (event) => player.seek(Number(event.target.value)));
  find("matched").addEventListener("change", (event) => player.match(event.target.checked));
  find("zoom-in").addEventListener("click", () => zoomBy(1));
  find("zoom-out").addEventListener("click", () => zoomBy(-1));
  find("zoom-fit").addEventListener("click", zoomFit);
  new ResizeObserver(redraw).observe(find("compare"));
  on("open", open);
  on("removed", (job) => job.id === shown?.id && close());
  document.addEventListener("textchange", write);
}

export const isOpen = () => find("compare").dataset.state === "ready";
export const playPause = () => player.toggle();
export const swapSides = () => player.choose(1 - player.side);
export const seekBy = (seconds) => player.seek(player.now + seconds);
export const zoomBy = (direction) => view.step(direction, within(player.now));
export const zoomFit = () => view.set(0, view.total);
const within = (seconds) => (seconds >= view.start && seconds <= view.end ? seconds : undefined);

async function open(job) {
  loading?.abort();
  const { signal } = (loading = new AbortController());
  shown = job;
  find("compare").dataset.state = "loading";
  find("download").href = address(`jobs/${job.id}/result`);
  for (const picture of pictures) picture.show(null);
  write();
  if (matchMedia("(max-width: 60rem)").matches) find("compare").scrollIntoView({ block: "start", behavior: "smooth" });
  try {
    // Pictures may come later than sound, or not at all: they hold nothing up.
    PICTURES.forEach((which, i) => loadPicture(job, which, pictures[i], signal));
    await player.load(job, signal);
    find("compare").dataset.state = "ready";
    view.reset(player.duration);
  } catch (error) {
    if (error.name === "AbortError") return;
    close();
    alertUser(error);
  }
  write();
}

function close() {
  loading?.abort();
  player.empty();
  shown = null;
  find("compare").dataset.state = "empty";
  write();
}

async function loadPicture(job, which, spectrogram, signal) {
  try {
    const picture = await ask(`jobs/${job.id}/picture/${which}`, { signal });
    if (signal.aborted) return;
    spectrogram.show(picture);
    if (which === "input" && !state.input) {
      state.input = summary(picture.f0_hz);
      tell("input");
    }
    write();
  } catch (error) {
    if (error.name !== "AbortError") find("compare-note").textContent = t("compare.nopicture");
  }
}

/** All that the player's state shows in. */
function write() {
  const title = shown ? t("compare.of", { name: shown.name, voice: shown.speaker_name ?? "" }) : t("compare.title");
  find("compare-title").textContent = title;
  setIcon(find("play"), player.playing ? "pause" : "play");
  setLabel(find("play"), t(player.playing ? "compare.pause" : "compare.play"));
  SIDES.forEach((side, i) => {
    find(`side-${side}`).setAttribute("aria-pressed", String(player.side === i));
    find(`picture-${side}`).classList.toggle("heard", player.side === i);
  });
  find("position").max = player.duration;
  find("matched-gain").textContent = player.buffers && player.matched ? gainText() : "";
  find("compare-note").textContent = note();
  tick();
}

function gainText() {
  const side = player.matchedDb.findIndex((db) => db < -0.05);
  if (side < 0) return "";
  return t(`compare.gain.${SIDES[side]}`, { db: signed(player.matchedDb[side]) });
}

/** What the result was made with, and how long the server keeps it. */
function note() {
  if (!shown?.options) return "";
  const { transpose, steps } = shown.options, parts = [];
  const semitones = typeof transpose === "number" ? transpose : moved();
  if (semitones) parts.push(t("compare.transposed", { semitones: signed(semitones) }));
  if (steps) parts.push(t("compare.steps", { steps }));
  if (shown.seed !== null && shown.seed !== undefined) parts.push(t("compare.seed", { seed: shown.seed }));
  if (shown.result?.rate_hz) parts.push(`${number(shown.result.rate_hz / 1000, 1)} kHz`);
  if (shown.result?.expires) parts.push(t("compare.kept", { time: moment(shown.result.expires) }));
  return parts.join(" · ");
}

/** By how many semitones the result lies above the original, from the pictures; 0 where they do not say. */
function moved() {
  const [before, after] = pictures.map(({ picture }) => picture?.f0_hz);
  const semitones = before && after ? interval(before, after) : null;
  return semitones === null ? 0 : Math.round(semitones);
}

function tick() {
  cancelAnimationFrame(frame);
  const now = player.now;
  find("position").value = now;
  const text = `${clock(now)} / ${clock(player.duration)}`;
  find("time").textContent = text;
  find("position").setAttribute("aria-valuetext", text);
  if (player.playing) view.keepInSight(now);
  redraw();
  if (player.playing) frame = requestAnimationFrame(tick);
}

function redraw() {
  if (find("compare").dataset.state !== "ready") return;
  for (const picture of pictures) picture.draw(view, player.now);
  drawRuler(find("ruler"), view);
}
