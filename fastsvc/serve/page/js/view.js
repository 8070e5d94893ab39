// Which part of the recording is shown, and how it is moved: wheel, keys, two fingers, dragging.

const SHORTEST_S = 0.25, WHEEL = 0.0015, STEP = 1.5, CLICK_PX = 4;

export class View {
  constructor(changed) {
    Object.assign(this, { total: 1, start: 0, end: 1, changed });
  }

  get whole() {
    return this.start <= 0 && this.end >= this.total;
  }

  reset(total) {
    this.total = Math.max(total, SHORTEST_S);
    this.set(0, this.total);
  }

  set(start, end) {
    const length = Math.min(this.total, Math.max(SHORTEST_S, end - start));
    this.start = Math.min(Math.max(0, start), this.total - length);
    this.end = this.start + length;
    this.changed();
  }

  /** factor > 1 shows less; the second `at` stays where it is. */
  zoom(factor, at = (this.start + this.end) / 2) {
    const length = Math.min(this.total, Math.max(SHORTEST_S, (this.end - this.start) / factor));
    const share = (at - this.start) / (this.end - this.start);
    this.set(at - share * length, at - share * length + length);
  }

  step(direction, at) {
    this.zoom(direction > 0 ? STEP : 1 / STEP, at);
  }

  pan(seconds) {
    this.set(this.start + seconds, this.end + seconds);
  }

  /** While playing: turn the page when the playhead leaves it. */
  keepInSight(seconds) {
    const length = this.end - this.start;
    if (seconds < this.start || seconds > this.end) this.set(seconds - 0.05 * length, seconds + 0.95 * length);
  }
}

/** Lets `canvas` move the view; a click gives its second to `seek`. */
export function moveBy(canvas, view, seek) {
  const fingers = new Map(); // pointer → x
  let moved = 0;
  const at = (x) => view.start + ((x - canvas.getBoundingClientRect().left) / canvas.clientWidth) * (view.end - view.start);
  const perPixel = () => (view.end - view.start) / canvas.clientWidth;

  canvas.addEventListener("wheel", (event) => {
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      if (view.whole) return;
      event.preventDefault();
      return view.pan((event.deltaX || event.deltaY) * perPixel());
    }
    if (event.deltaY > 0 && view.whole) return; // The page may scroll on.
    event.preventDefault();
    view.zoom(Math.exp(-event.deltaY * WHEEL), at(event.clientX));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (!fingers.size) moved = 0;
    fingers.set(event.pointerId, event.clientX);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, event.clientX);
    const after = [...fingers.values()];
    moved += Math.abs(event.clientX - before[after.findIndex((x, i) => x !== before[i])] || 0);
    if (after.length === 1 && moved > CLICK_PX) view.pan((before[0] - after[0]) * perPixel());
    else if (after.length === 2) pinch(before, after);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      const alone = fingers.size === 1 && fingers.delete(event.pointerId);
      fingers.delete(event.pointerId);
      if (name === "pointerup" && alone && moved <= CLICK_PX) seek(at(event.clientX));
    });
  }

  function pinch(before, after) {
    const span = ([a, b]) => Math.max(8, Math.abs(a - b));
    const middle = ([a, b]) => (a + b) / 2;
    view.zoom(span(after) / span(before), at(middle(after)));
    view.pan((middle(before) - middle(after)) * perPixel());
    moved += 2 * CLICK_PX; // Two fingers never click.
  }
}
