// The seconds under the pictures.

import { clock, number } from "./text.js";

const STEPS_S = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600], APART_PX = 64;

export function drawRuler(canvas, view) {
  const scale = window.devicePixelRatio || 1, length = view.end - view.start;
  const width = Math.round(canvas.clientWidth * scale), height = Math.round(canvas.clientHeight * scale);
  if (!width) return;
  Object.assign(canvas, { width, height }); // This also clears it.
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(canvas).color;
  pen.font = `${11 * scale}px system-ui, sans-serif`;
  pen.textBaseline = "bottom";
  const step = STEPS_S.find((one) => (one / length) * canvas.clientWidth >= APART_PX) ?? STEPS_S.at(-1);
  for (let i = Math.ceil(view.start / step); i * step <= view.end; i++) {
    const x = ((i * step - view.start) / length) * width;
    pen.fillRect(Math.round(x), 0, scale, 4 * scale);
    const text = step < 1 ? `${number(i * step, 2)} s` : clock(i * step);
    const wide = pen.measureText(text).width;
    pen.fillText(text, Math.min(width - wide, Math.max(0, x - wide / 2)), height);
  }
}
