// One live conversion: microphone → WebSocket → jitter buffer → loudspeaker.

import { ApiError, socketAddress } from "./api.js";
import { levelOf, openMicrophone } from "./microphone.js";
import { Sung } from "./sung.js";
import { t } from "./text.js";

const PLAYBACK = new URL("../worklets/playback.js", import.meta.url);
const SENT_S = 0.01, MARGIN_S = 0.02, MOST_UNSENT_S = 0.5, CHANGES_MS = 80;

export class Stream {
  /** `events`: ready(latency), level(db), sung(median_hz), stats(stats), buffer({waiting_ms, gaps, skipped_ms, db}), over(error | null). */
  constructor(events) {
    this.events = events;
    this.context = this.microphone = this.socket = null;
    this.changes = this.timer = null;
    this.unsent = 0; // samples that the network was too slow for
    this.ended = false;
  }

  /** Raises ApiError. `request` is the first message, without its rate. */
  async start(request, microphoneId, outputId) {
    this.context = new AudioContext({ latencyHint: "interactive" });
    const { context } = this, rate = context.sampleRate;
    try {
      if (outputId && context.setSinkId) await context.setSinkId(outputId);
      await context.resume();
      this.sung = new Sung(rate, this.events.sung);
      const blockSamples = Math.round(SENT_S * rate);
      this.microphone = await openMicrophone(context, blockSamples, (block) => this.heard(block), microphoneId);
      await context.audioWorklet.addModule(PLAYBACK);
      if (this.ended) return this.microphone.close(); // It was stopped while the browser asked the user.
      const processorOptions = { block: Math.round((request.block_ms / 1000) * rate), margin: Math.round(MARGIN_S * rate) };
      this.player = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [2], processorOptions });
      this.player.connect(context.destination);
      this.player.port.onmessage = (event) => this.played(event.data);
      await this.connect({ ...request, rate_hz: rate });
    } catch (error) {
      if (this.ended) return;
      this.end(null);
      throw error;
    }
  }

  /** Resolved when the server is ready. */
  connect(first) {
    const socket = (this.socket = new WebSocket(socketAddress("stream")));
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      let opened = false;
      socket.onopen = () => ((opened = true), socket.send(JSON.stringify(first)));
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") return this.arrived(new Float32Array(data));
        const message = JSON.parse(data);
        if (message.type === "ready") {
          this.ready = true;
          this.events.ready(message.latency);
          resolve();
        } else if (message.type === "stats") this.events.stats({ ...message, dropped_ms: (1000 / first.rate_hz) * (message.dropped + this.unsent) });
        else if (message.type === "error") this.failure = new ApiError(0, message);
      };
      socket.onclose = () => {
        const lost = { what: t(opened ? "live.lost" : "live.refused"), remedy: t("live.lost.remedy") };
        const error = this.failure ?? new ApiError(0, lost);
        if (!this.ready) reject(error);
        else this.end(error);
      };
    });
  }

  heard(block) {
    this.events.level(levelOf(block));
    this.sung.add(block);
    const { socket } = this;
    if (!this.ready || socket?.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > 4 * MOST_UNSENT_S * this.context.sampleRate) this.unsent += block.length;
    else socket.send(block);
  }

  arrived(samples) {
    if (samples.length) this.player.port.postMessage(samples, [samples.buffer]);
  }

  played({ waiting, gaps, skipped, peak }) {
    const ms = 1000 / this.context.sampleRate;
    this.events.buffer({ waiting_ms: waiting * ms, gaps, skipped_ms: skipped * ms, db: levelOf([peak]) });
  }

  /** What the sound card adds, in ms, as far as the browser knows. */
  get device_ms() {
    return 1000 * ((this.context?.baseLatency ?? 0) + (this.context?.outputLatency ?? 0));
  }

  /** Changes voice, transposition or gain from the next block on. A slider's many changes are sent together. */
  set(change) {
    if (!this.ready) return;
    this.changes = { ...this.changes, ...change };
    this.timer ??= setTimeout(() => {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ set: this.changes }));
      this.timer = this.changes = null;
    }, CHANGES_MS);
  }

  stop() {
    this.end(null);
  }

  end(error) {
    if (this.ended) return;
    this.ended = true;
    this.microphone?.close();
    if (this.socket) this.socket.onclose = this.socket.onmessage = null;
    this.socket?.close();
    this.context?.close();
    this.events.over(error);
  }
}
