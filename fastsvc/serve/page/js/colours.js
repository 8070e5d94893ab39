// Levels as colours: from near black over violet and orange to pale yellow, brighter all the way, so that it also reads
// in grey and to the colour-blind. Quiet levels stay dark, as they are mostly noise.

const STOPS = [[10, 10, 20], [44, 20, 84], [105, 32, 122], [175, 52, 104], [228, 94, 66], [250, 160, 60], [252, 236, 176]];
const QUIET_DARKER = 1.4;

/** 256 × RGBA, as ImageData stores it. */
export function palette() {
  const table = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level++) {
    const at = (level / 255) ** QUIET_DARKER * (STOPS.length - 1);
    const low = Math.min(STOPS.length - 2, Math.floor(at)), share = at - low;
    for (let channel = 0; channel < 3; channel++) {
      table[4 * level + channel] = STOPS[low][channel] + share * (STOPS[low + 1][channel] - STOPS[low][channel]);
    }
    table[4 * level + 3] = 255;
  }
  return table;
}
