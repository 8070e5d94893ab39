// Before and after in one player: both run all the time, at the same position, and one is heard.

import { address, ApiError } from "./api.js";
import { decibels, matchingGains } from "./loudness.js";
import { t } from "./text.js";

const FADE_S = 0.012, SAMPLES = 60e6, LOWEST_HZ = 8000;

export class Player {
  constructor(changed) {
    this.changed = changed; // called after play, pause, seek and side
    this.context = null;
    this.buffers = null;
    this.side = 1; // 0 before, 1 after
    this.matched = true;
    this.gains = [1, 1];
    this.position = 0; // seconds, where it stands or where it was started
    this.started = null; // the context's time at that position while it plays
  }

  /** Fetches and decodes both recordings of a job. Raises ApiError, or AbortError. */
  async load(job, signal) {
    this.empty();
    this.context ??= new AudioContext();
    this.context.onstatechange = () => this.changed();
    const rate = Math.min(this.context.sampleRate, Math.max(LOWEST_HZ, SAMPLES / Math.max(1, job.seconds ?? 1)));
    const decoder = new OfflineAudioContext(1, 1, Math.round(rate)); // Long recordings at a lower rate, for memory.
    const paths = [`jobs/${job.id}/input`, `jobs/${job.id}/result`];
    const buffers = await Promise.all(paths.map((path) => decoded(path, decoder, signal)));
    this.gains = matchingGains(...buffers);
    this.position = 0;
    this.buffers = buffers;
    this.changed();
  }

  get duration() {
    return this.buffers ? Math.max(...this.buffers.map((buffer) => buffer.duration)) : 0;
  }

  get playing() {
    return this.started !== null;
  }

  get now() {
    if (!this.playing) return this.position;
    return Math.min(this.duration, this.position + Math.max(0, this.context.currentTime - this.started));
  }

  async play() {
    if (!this.buffers || this.playing) return;
    await this.context.resume();
    if (!this.buffers || this.playing) return; // It was started, or emptied, meanwhile.
    if (this.position >= this.duration - 0.02) this.position = 0;
    this.volumes = this.buffers.map((buffer, side) => new GainNode(this.context, { gain: this.gainOf(side) }));
    this.sources = this.buffers.map((buffer, side) => {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      source.connect(this.volumes[side]).connect(this.context.destination);
      return source;
    });
    this.started = this.context.currentTime + 0.02; // Both start at this very sample.
    for (const source of this.sources) source.start(this.started, Math.min(this.position, source.buffer.duration));
    const longest = this.buffers[0].duration >= this.buffers[1].duration ? 0 : 1;
    this.sources[longest].onended = () => (this.pause(), (this.position = 0), this.changed());
    this.changed();
  }

  pause() {
    this.position = this.now;
    this.stop();
    this.changed();
  }

  stop() {
    for (const source of this.sources ?? []) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.sources = this.volumes = null;
    this.started = null;
  }

  empty() {
    this.stop();
    this.buffers = null;
    this.position = 0;
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  seek(seconds) {
    const playing = this.playing;
    this.stop();
    this.position = Math.min(this.duration, Math.max(0, seconds));
    if (playing) this.play();
    this.changed();
  }

  choose(side) {
    this.side = side;
    this.applyGains();
    this.changed();
  }

  match(matched) {
    this.matched = matched;
    this.applyGains();
    this.changed();
  }

  /** How much each side is turned down for the match, in dB. */
  get matchedDb() {
    return this.gains.map(decibels);
  }

  gainOf(side) {
    return side === this.side ? (this.matched ? this.gains[side] : 1) : 0;
  }

  applyGains() {
    this.volumes?.forEach((volume, side) => {
      volume.gain.cancelScheduledValues(0);
      volume.gain.setTargetAtTime(this.gainOf(side), this.context.currentTime, FADE_S / 3);
    });
  }
}

async function decoded(path, decoder, signal) {
  const answer = await fetch(address(path), { signal });
  if (!answer.ok) throw new ApiError(answer.status, { what: t("compare.gone"), remedy: t("compare.gone.remedy") });
  try {
    return await decoder.decodeAudioData(await answer.arrayBuffer());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { what: t("compare.undecoded"), remedy: t("compare.undecoded.remedy") });
  }
}
