// A spectrogram with its pitch on a canvas: the part of it that the view shows, and the playhead.

import { palette } from "./colours.js";

const PITCH = "#7ef5e4", PITCH_EDGE = "rgba(0, 0, 0, 0.75)", HEAD = "#ffffff";
const colours = palette();

export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.picture = this.image = null;
  }

  /** `picture` as the API gives it, or null. */
  show(picture) {
    this.picture = picture;
    this.image = picture && picture.frames ? imageOf(picture) : null;
  }

  /** `view`: {start, end} seconds; `head`: seconds. */
  draw(view, head) {
    const { canvas } = this, scale = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#0a0a14";
    pen.fillRect(0, 0, width, height);
    const x = (seconds) => ((seconds - view.start) / (view.end - view.start)) * width;
    if (this.image) {
      const [from, to] = [x(0), x(this.picture.frames * this.picture.frame_s)];
      pen.imageSmoothingQuality = "high";
      pen.drawImage(this.image, from, 0, to - from, height);
      this.drawPitch(pen, x, height, scale, view);
    }
    pen.fillStyle = HEAD;
    pen.fillRect(Math.round(x(head)) - scale / 2, 0, Math.max(1, 1.5 * scale), height);
  }

  drawPitch(pen, x, height, scale, view) {
    const { f0_hz: f0, frame_s: step, low_hz: low, high_hz: high, scale: kind } = this.picture;
    const map = axis(kind), [bottom, top] = [map(low), map(high)];
    const y = (hz) => height * (1 - (map(hz) - bottom) / (top - bottom));
    const first = Math.max(0, Math.floor(view.start / step) - 1), last = Math.min(f0.length, Math.ceil(view.end / step) + 1);
    const line = new Path2D();
    let drawing = false;
    for (let i = first; i < last; i++) {
      if (!f0[i]) drawing = false;
      else {
        line[drawing ? "lineTo" : "moveTo"](x((i + 0.5) * step), y(f0[i]));
        drawing = true;
      }
    }
    pen.lineJoin = pen.lineCap = "round";
    for (const [colour, thickness] of [[PITCH_EDGE, 4], [PITCH, 1.8]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thickness * scale;
      pen.stroke(line);
    }
  }
}

/** Frequency → height, up to a linear map. Bins are spaced as the server says: log, mel or linear. */
function axis(kind) {
  if (kind === "linear") return (hz) => hz;
  if (kind === "mel") return (hz) => Math.log(1 + hz / 700);
  return (hz) => Math.log(hz);
}

/** frames × bins bytes → a canvas of frames × bins pixels, low frequencies at the bottom. */
function imageOf({ data, frames, bins }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: frames, height: bins });
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(frames, bins);
  const words = new Uint32Array(pixels.data.buffer), table = new Uint32Array(colours.buffer);
  for (let frame = 0; frame < frames; frame++) {
    for (let bin = 0; bin < bins; bin++) words[(bins - 1 - bin) * frames + frame] = table[bytes[frame * bins + bin]];
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}
