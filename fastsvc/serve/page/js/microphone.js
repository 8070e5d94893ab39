// The microphone: opened without what phones do to speech, its samples handed on in blocks.

import { ApiError } from "./api.js";
import { t } from "./text.js";

const CAPTURE = new URL("../worklets/capture.js", import.meta.url);
// Cancelling of echoes, noise suppression and automatic gain are made for calls: they chew up singing.
const PLAIN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };

/** Whether the browser gives this page a microphone at all: only https, or this very machine. */
export const microphoneAllowed = () => Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);

/** {stream, source, close}: `take(Float32Array)` gets blocks of `blockSamples`. Raises ApiError. */
export async function openMicrophone(context, blockSamples, take, deviceId = "") {
  if (!microphoneAllowed()) throw new ApiError(0, { what: t("microphone.insecure"), remedy: t("microphone.insecure.remedy") });
  let stream;
  try {
    const audio = deviceId ? { ...PLAIN, deviceId: { exact: deviceId } } : PLAIN;
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const refused = error.name === "NotAllowedError";
    const what = refused ? t("microphone.refused") : t("microphone.missing");
    throw new ApiError(0, { what, remedy: t(refused ? "microphone.refused.remedy" : "microphone.missing.remedy") });
  }
  await context.audioWorklet.addModule(CAPTURE);
  const source = context.createMediaStreamSource(stream);
  const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 1, processorOptions: { blockSamples } });
  node.port.onmessage = (event) => take(event.data);
  source.connect(node);
  node.connect(context.destination); // It is silent; a node that leads nowhere may not be run.
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    source.disconnect();
    node.disconnect();
    node.port.onmessage = null;
  };
  return { stream, source, close };
}

/** The level of samples in dB of full scale, at least -60. */
export function levelOf(samples) {
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return Math.max(-60, 20 * Math.log10(peak + 1e-9));
}
