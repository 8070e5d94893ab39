// Starts the page: its words first, then its parts, then what the server says.

import { ask } from "./api.js";
import { startAppearance } from "./appearance.js";
import { startCompare } from "./compare.js";
import { startConvert } from "./convert.js";
import { startDialogs } from "./dialogs.js";
import { ignoreDropsElsewhere } from "./drop.js";
import { loadEngines, startEngines } from "./engines.js";
import { startInputs } from "./inputs.js";
import { loadHistory, startJobs } from "./jobs.js";
import { startKeys } from "./keys.js";
import { startLibrary } from "./library.js";
import { startLive } from "./live.js";
import { startMixture } from "./mixture.js";
import { alertUser } from "./notice.js";
import { startOptions } from "./options.js";
import { state, tell } from "./state.js";
import { startTabs } from "./tabs.js";
import { loadText } from "./text.js";
import { startToken } from "./token.js";
import { startVoices } from "./voices.js";

const PARTS = [
  startAppearance, startDialogs, startToken, startEngines, startVoices, startMixture, startOptions, startInputs, startConvert,
  startJobs, startCompare, startLive, startLibrary, startKeys, startTabs, ignoreDropsElsewhere,
];

async function start() {
  await loadText();
  for (const part of PARTS) part();
  document.body.classList.remove("waiting");
  try {
    state.limits = await ask("limits");
    tell("limits");
  } catch (error) {
    alertUser(error);
  }
  await loadEngines();
  await loadHistory();
}

start();
