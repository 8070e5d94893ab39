// The pitch of a recording, estimated in the browser before anything is sent: enough to draw it beside the voices.

import { summary } from "./pitch.js";

export const RATE_HZ = 8000;
const WINDOW = 512, STEP_S = 0.08, LONGEST_S = 60, MOST_BYTES = 60e6;
const LOW_HZ = 65, HIGH_HZ = 900, PERIODIC = 0.75, SILENT = 1e-3;

/** {seconds, pitch} of a file; pitch is null where none is found. null where this browser cannot read the file. */
export async function estimate(file) {
  if (file.size > MOST_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, RATE_HZ);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    return { seconds: audio.duration, pitch: summary(track(audio.getChannelData(0))) };
  } catch {
    return null; // The server may read it nevertheless.
  }
}

/** Frames of the first minute → Hz, 0 where unvoiced: the first high peak of the normalised autocorrelation. */
export function track(samples) {
  const f0 = [];
  const last = Math.min(samples.length, LONGEST_S * RATE_HZ) - 2 * WINDOW;
  for (let start = 0; start < last; start += Math.round(STEP_S * RATE_HZ)) f0.push(frame(samples, start));
  return f0;
}

function frame(samples, start) {
  let energy = 0;
  for (let i = 0; i < WINDOW; i++) energy += samples[start + i] ** 2;
  if (energy / WINDOW < SILENT ** 2) return 0;
  const shortest = Math.floor(RATE_HZ / HIGH_HZ), longest = Math.min(WINDOW, Math.ceil(RATE_HZ / LOW_HZ));
  const alike = [];
  let best = 0;
  for (let lag = shortest - 1; lag <= longest + 1; lag++) {
    let product = 0, shifted = 0;
    for (let i = 0; i < WINDOW; i++) {
      const other = samples[start + i + lag];
      product += samples[start + i] * other;
      shifted += other * other;
    }
    alike.push(product / Math.sqrt(energy * shifted + 1e-12));
    if (lag >= shortest && lag <= longest) best = Math.max(best, alike.at(-1));
  }
  if (best < PERIODIC) return 0;
  for (let i = 1; i < alike.length - 1; i++) {
    const peak = alike[i] > alike[i - 1] && alike[i] >= alike[i + 1];
    if (peak && alike[i] > 0.9 * best) return RATE_HZ / (shortest - 1 + i + vertex(alike, i));
  }
  return 0;
}

/** Where a parabola through three values peaks, from the middle one. */
function vertex(values, i) {
  const [before, here, after] = [values[i - 1], values[i], values[i + 1]];
  const bend = before - 2 * here + after;
  return bend ? (before - after) / (2 * bend) : 0;
}
