// Microphones and outputs to choose from.

import { find, setChoices } from "./dom.js";
import { t } from "./text.js";

export function startDevices() {
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
  document.addEventListener("textchange", listDevices);
}

/** Fills both lists. Browsers tell the names only once the page has had a microphone. */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  fill("live-microphone", all.filter((device) => device.kind === "audioinput"), (number) => t("live.microphone.nth", { number }));
  fill("live-output", all.filter((device) => device.kind === "audiooutput"), (number) => t("live.output.nth", { number }));
  // Elsewhere the system's own settings choose the output.
  find("live-output").closest(".field").hidden = !("setSinkId" in AudioContext.prototype);
}

function fill(id, devices, unnamed) {
  const named = devices.filter((device) => device.deviceId && device.deviceId !== "default");
  const pairs = named.map((device, i) => [device.deviceId, device.label || unnamed(i + 1)]);
  setChoices(find(id), [["", t("live.default")], ...pairs]);
}
