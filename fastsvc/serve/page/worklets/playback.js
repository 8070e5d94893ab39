// In the audio thread: a jitter buffer. Blocks come in bursts; playing begins `margin` after the first one. Running dry is
// a gap: silence, and from then on a wider margin. When much more waits than that, the oldest samples are dropped, so that
// delay does not pile up.

const REPORT_S = 0.25, FADE_SAMPLES = 64, WIDER = 1.5, WIDEST_S = 0.25;

class Playback extends AudioWorkletProcessor {
  constructor(options) {
    super();
    Object.assign(this, options.processorOptions); // block, margin: samples
    this.blocks = [];
    this.offset = this.waiting = this.gaps = this.skipped = this.since = this.peak = 0;
    this.running = false;
    this.hold = this.margin;
    this.gain = 0; // rises and falls over FADE_SAMPLES, so that gaps do not click
    this.port.onmessage = (event) => this.take(event.data);
  }

  take(samples) {
    this.blocks.push(samples);
    this.waiting += samples.length;
    if (this.waiting <= 2 * (this.block + this.margin)) return;
    while (this.waiting > this.block + this.margin && this.blocks.length > 1) {
      const dropped = this.blocks.shift().length - this.offset;
      this.offset = 0;
      this.waiting -= dropped;
      this.skipped += dropped;
    }
  }

  /** The next sample; silence before the margin has passed, and in gaps. */
  next() {
    if (!this.running) {
      if (!this.waiting || this.hold-- > 0) return 0;
      this.running = true;
    }
    if (!this.waiting) {
      this.gaps++;
      this.margin = Math.min(WIDEST_S * sampleRate, WIDER * this.margin);
      this.hold = this.margin;
      this.running = false;
      this.gain = 0;
      return 0;
    }
    const change = this.waiting < FADE_SAMPLES ? -1 : 1;
    this.gain = Math.min(1, Math.max(0, this.gain + change / FADE_SAMPLES));
    const sample = this.gain * this.blocks[0][this.offset++];
    this.waiting--;
    if (this.offset === this.blocks[0].length) {
      this.blocks.shift();
      this.offset = 0;
    }
    return sample;
  }

  process(inputs, outputs) {
    const [first, ...others] = outputs[0];
    for (let i = 0; i < first.length; i++) {
      first[i] = this.next();
      this.peak = Math.max(this.peak, Math.abs(first[i]));
    }
    for (const channel of others) channel.set(first);
    this.since += first.length;
    if (this.since >= REPORT_S * sampleRate) {
      const { waiting, gaps, skipped, peak } = this;
      this.port.postMessage({ waiting, gaps, skipped, peak });
      this.since = this.peak = 0;
    }
    return true;
  }
}

registerProcessor("playback", Playback);
