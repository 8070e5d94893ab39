// The engines that the server has, and the choice of one.

import { ask } from "./api.js";
import { find, setChoices } from "./dom.js";
import { alertUser } from "./notice.js";
import { keep, kept } from "./storage.js";
import { on, state, tell } from "./state.js";
import { t } from "./text.js";

const LOOK_AGAIN_MS = 1500;
let timer = 0;

export function startEngines() {
  find("engine").addEventListener("change", (event) => choose(event.target.value));
  document.addEventListener("textchange", write);
  on("engine", write);
}

/** Asks for the engines anew; the chosen one stays chosen. Looks again while one is being loaded. */
export async function loadEngines() {
  clearTimeout(timer);
  try {
    state.engines = (await ask("engines")).engines;
  } catch (error) {
    alertUser(error);
    return;
  }
  const wanted = state.engine?.id ?? kept("engine", "");
  const usable = state.engines.filter((engine) => engine.state !== "broken");
  const found = state.engines.find((engine) => engine.id === wanted) ?? usable[0] ?? state.engines[0] ?? null;
  const changed = found?.id !== state.engine?.id;
  state.engine = found;
  setChoices(find("engine"), state.engines.map((engine) => [engine.id, engine.name]), found?.id);
  tell("engines");
  if (changed) tell("engine");
  else write();
  if (state.engines.some((engine) => engine.state === "loading")) timer = setTimeout(loadEngines, LOOK_AGAIN_MS);
}

function choose(id) {
  state.engine = state.engines.find((engine) => engine.id === id) ?? null;
  keep("engine", id);
  tell("engine");
}

/** A line about the chosen engine where there is something to know. */
function write() {
  const note = find("engine-note"), engine = state.engine;
  let text = "";
  if (!engine) text = t("engine.missing");
  else if (engine.state === "broken") text = t("engine.broken", { why: reason(engine.error) });
  else if (engine.state === "loading") text = t("engine.loading");
  note.textContent = text;
  note.hidden = !text;
}

export const reason = (error) => (typeof error === "string" ? error : [error?.what, error?.why].filter(Boolean).join(": "));
