// The voice picker: a list with search, and each voice's pitch as a bar beside the recording's.

import { find, make } from "./dom.js";
import { note, place } from "./pitch.js";
import { keep, kept } from "./storage.js";
import { on, speakerOf, state, tell } from "./state.js";
import { number, t } from "./text.js";

let shown = []; // the speakers that pass the search, in the list's order
let active = null; // the id under the keyboard's mark

export function startVoices() {
  const list = find("voice-list"), search = find("voice-search"), sort = find("voice-sort");
  sort.value = kept("sort", "name");
  sort.addEventListener("change", () => (keep("sort", sort.value), draw()));
  search.addEventListener("input", draw);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      if (shown.length) pick(shown[0].id);
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      list.focus();
    }
  });
  list.addEventListener("keydown", onKey);
  list.addEventListener("click", (event) => {
    const row = event.target.closest("[data-voice]");
    if (row) pick(row.dataset.voice);
  });
  find("mix").addEventListener("click", () => setMixing(!state.mixing));
  on("engine", choosePrevious);
  on("engines", draw);
  on("input", draw);
  on("shares", mark);
  document.addEventListener("textchange", draw);
}

/** The voice that was used with this engine last, else its own default, else the first. */
function choosePrevious() {
  state.shares.clear();
  const speakers = state.engine?.speakers ?? [];
  const wanted = [kept("voices", {})[state.engine?.id], state.engine?.default_speaker];
  const known = (id) => id !== undefined && id !== null && speakers.find((one) => [String(one.id), one.name].includes(String(id)));
  const found = known(wanted[0]) || known(wanted[1]) || speakers[0];
  if (found) state.shares.set(String(found.id), 1);
  active = found ? String(found.id) : null;
  find("voice-search").value = "";
  find("mix").hidden = !state.engine?.options.mixture || speakers.length < 2;
  find("voice-search").closest(".search").hidden = speakers.length < 2;
  state.mixing = false;
  draw();
  tell("shares");
  list().querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
}

const list = () => find("voice-list");

function setMixing(mixing) {
  state.mixing = mixing;
  if (!mixing) state.shares = new Map([...state.shares].slice(0, 1));
  tell("shares");
}

function pick(id) {
  active = String(id);
  if (!state.mixing) state.shares = new Map([[active, 1]]);
  else if (!state.shares.has(active)) state.shares.set(active, 1);
  else if (state.shares.size > 1) state.shares.delete(active);
  keep("voices", { ...kept("voices", {}), [state.engine.id]: [...state.shares.keys()][0] });
  tell("shares");
}

function onKey(event) {
  const at = shown.findIndex((speaker) => String(speaker.id) === active);
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1, PageDown: at + 8, PageUp: at - 8 };
  if (event.key in moves && shown.length) {
    event.preventDefault();
    active = String(shown[Math.min(shown.length - 1, Math.max(0, moves[event.key]))].id);
    if (state.mixing) mark();
    else pick(active);
    document.getElementById(rowId(active))?.scrollIntoView({ block: "nearest" });
  } else if ((event.key === " " || event.key === "Enter") && !event.ctrlKey && active !== null) {
    event.preventDefault();
    pick(active);
  }
}

function sought() {
  const words = find("voice-search").value.trim().toLocaleLowerCase();
  const speakers = (state.engine?.speakers ?? []).filter((speaker) => speaker.name.toLocaleLowerCase().includes(words));
  const byName = (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true });
  const byPitch = (a, b) => (a.f0_median_hz ?? 1e9) - (b.f0_median_hz ?? 1e9) || byName(a, b);
  return speakers.sort(find("voice-sort").value === "pitch" ? byPitch : byName);
}

function draw() {
  shown = sought();
  find("voice-none").hidden = shown.length > 0 || !state.engine;
  list().hidden = !shown.length;
  list().classList.toggle("one", state.engine?.speakers.length === 1);
  list().replaceChildren(...shown.map(row));
  const input = state.input, legend = find("input-pitch");
  legend.hidden = !input;
  if (input) legend.textContent = t("voice.input", { note: note(input.median_hz), hz: number(input.median_hz) });
  mark();
}

const rowId = (id) => `voice-${id}`;

function row(speaker) {
  const median = speaker.f0_median_hz;
  const name = make("span", { class: "name", text: speaker.name });
  const text = make("span", { class: "pitch", text: median ? `${note(median)} · ${number(median)} Hz` : "" });
  const id = String(speaker.id);
  const parts = median ? [name, bar(speaker), text] : [name];
  return make("div", { role: "option", id: rowId(id), class: median ? "voice" : "voice plain", data: { voice: id } }, ...parts);
}

/** The voice's range as a bar, its median as a mark, and the recording's median as a line across all rows. */
function bar(speaker) {
  const [low, median, high] = [speaker.f0_low_hz, speaker.f0_median_hz, speaker.f0_high_hz];
  const parts = [];
  const span = (from, to, kind) =>
    make("i", { class: kind, style: { left: `${100 * place(from)}%`, width: `${100 * (place(to) - place(from))}%` } });
  const line = (hz, kind) => make("i", { class: kind, style: { left: `${100 * place(hz)}%` } });
  if (state.input) parts.push(span(state.input.low_hz, state.input.high_hz, "sung"), line(state.input.median_hz, "heard"));
  if (low && high) parts.push(span(low, high, "range"));
  if (median) parts.push(line(median, "median"));
  return make("span", { class: "bar", "aria-hidden": "true" }, ...parts);
}

/** Shows which rows are chosen, without drawing them anew. */
function mark() {
  list().setAttribute("aria-multiselectable", String(state.mixing));
  for (const element of list().children) {
    element.setAttribute("aria-selected", String(state.shares.has(element.dataset.voice)));
    element.classList.toggle("active", element.dataset.voice === active);
  }
  const inList = shown.some((speaker) => String(speaker.id) === active);
  if (inList) list().setAttribute("aria-activedescendant", rowId(active));
  else list().removeAttribute("aria-activedescendant");
  find("mix").setAttribute("aria-pressed", String(state.mixing));
}

/** The names of the chosen voices, for people. */
export const chosenNames = () => [...state.shares.keys()].map((id) => speakerOf(id)?.name ?? id);
