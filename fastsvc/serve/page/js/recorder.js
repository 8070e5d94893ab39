// Recording with the microphone, into a WAV file beside the chosen ones.

import { find } from "./dom.js";
import { levelOf, openMicrophone } from "./microphone.js";
import { alertUser } from "./notice.js";
import { state } from "./state.js";
import { clock, t } from "./text.js";
import { wav } from "./wav.js";

const BLOCK_SAMPLES = 2048;
let stop = null;

/** `take(File)` gets what was recorded. */
export function startRecorder(take) {
  find("record").addEventListener("click", () => record(take).catch(alertUser));
  find("record-stop").addEventListener("click", () => stop?.());
}

async function record(take) {
  const context = new AudioContext();
  const blocks = [];
  let microphone;
  try {
    microphone = await openMicrophone(context, BLOCK_SAMPLES, add);
  } catch (error) {
    await context.close();
    throw error;
  }
  show(true);
  find("record-stop").focus();
  stop = async () => {
    stop = null;
    microphone.close();
    await context.close();
    show(false);
    find("record").focus();
    if (blocks.length) take(new File([wav(blocks, context.sampleRate)], name(), { type: "audio/wav" }));
  };

  function add(block) {
    blocks.push(block);
    const seconds = (blocks.length * BLOCK_SAMPLES) / context.sampleRate;
    find("record-time").textContent = clock(seconds);
    find("record-level").style.setProperty("width", `${100 + (100 / 60) * levelOf(block)}%`);
    if (seconds >= (state.limits?.max_seconds ?? 3600)) stop?.();
  }
}

function show(recording) {
  find("recorder").hidden = !recording;
  find("drop").hidden = recording;
  find("record-time").textContent = clock(0);
}

/** "recording 14.05.23.wav": names need no date, as the list keeps its order. */
function name() {
  const time = new Date().toTimeString().slice(0, 8).replaceAll(":", ".");
  return `${t("input.recording")} ${time}.wav`;
}
