// The pitch of who sings into the microphone: the median of the last seconds.

import { RATE_HZ, track } from "./estimate.js";
import { summary } from "./pitch.js";

const KEPT_S = 6, EVERY_S = 1;

export class Sung {
  /** `heard(median_hz)`: about once a second, once there is something voiced. */
  constructor(rateHz, heard) {
    Object.assign(this, { step: rateHz / RATE_HZ, heard, samples: [], f0: [], sum: 0, count: 0, next: rateHz / RATE_HZ });
  }

  /** Samples at the microphone's rate: means over as many as make one at RATE_HZ, as tracking needs no more. */
  add(block) {
    for (const sample of block) {
      this.sum += sample;
      this.count++;
      if (this.count < this.next) continue;
      this.samples.push(this.sum / this.count);
      this.next += this.step - this.count; // Steps are no whole numbers: what is left over is carried on.
      this.sum = this.count = 0;
    }
    if (this.samples.length >= EVERY_S * RATE_HZ) this.look();
  }

  look() {
    const found = track(Float32Array.from(this.samples));
    this.samples = [];
    this.f0 = [...this.f0, ...found].slice(-(KEPT_S / EVERY_S) * found.length);
    const pitch = summary(this.f0);
    if (pitch) this.heard(pitch.median_hz);
  }
}
