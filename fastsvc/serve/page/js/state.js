// What the parts of the page share, and how they hear of changes.

const bus = new EventTarget();

/** limits, engines: the server's answers. engine: the chosen one. shares: Map speaker id → weight of the chosen voices.
 * mixing: several voices at once. input: {low_hz, median_hz, high_hz} of the chosen recording, or null. */
export const state = { limits: null, engines: [], engine: null, shares: new Map(), mixing: false, input: null };

/** Topics: limits, engines, engine, shares, input, inputs, tab, job (it changed), open (show that job), removed. */
export function on(topic, run) {
  bus.addEventListener(topic, (event) => run(event.detail));
}

export function tell(topic, detail = null) {
  bus.dispatchEvent(new CustomEvent(topic, { detail }));
}

export const speakerOf = (id) => state.engine?.speakers.find((speaker) => String(speaker.id) === String(id));
