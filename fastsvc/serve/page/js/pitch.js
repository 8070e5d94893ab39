// Pitch: on a scale from LOW_HZ to HIGH_HZ, by name, and of a recording as three numbers.

const LOW_HZ = 60, HIGH_HZ = 1000;
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

/** Where a pitch lies on the scale of the voices' bars, 0 … 1, by octaves. */
export function place(hz) {
  const share = Math.log(hz / LOW_HZ) / Math.log(HIGH_HZ / LOW_HZ);
  return Math.min(1, Math.max(0, share));
}

/** The note nearest to a pitch: "A3". */
export function note(hz) {
  const key = Math.round(69 + 12 * Math.log2(hz / 440));
  return `${NAMES[((key % 12) + 12) % 12]}${Math.floor(key / 12) - 1}`;
}

/** How many semitones one pitch lies above another: the median over the frames where both are voiced, or null. */
export function interval(before, after) {
  const steps = [];
  for (let i = 0; i < Math.min(before.length, after.length); i++) {
    if (before[i] > 0 && after[i] > 0) steps.push(12 * Math.log2(after[i] / before[i]));
  }
  return steps.length < 3 ? null : steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)];
}

/** {low_hz, median_hz, high_hz} of the voiced frames: 5th, 50th and 95th of a hundred. null where nothing is voiced. */
export function summary(f0) {
  const voiced = f0.filter((hz) => hz > 0).sort((a, b) => a - b);
  if (voiced.length < 3) return null;
  const at = (share) => voiced[Math.min(voiced.length - 1, Math.floor(share * voiced.length))];
  return { low_hz: at(0.05), median_hz: at(0.5), high_hz: at(0.95) };
}
