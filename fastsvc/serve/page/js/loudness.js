// As loud as each other: which sounds better is not to be a matter of which is louder.

const QUIETEST = 1e-4, MOST_DB = 18, GATE_DB = -30;

/** RMS over the blocks of 50 ms that are not pauses, over all channels. */
export function loudness(audio) {
  const block = Math.max(1, Math.round(0.05 * audio.sampleRate));
  const energies = [];
  for (let start = 0; start < audio.length; start += block) energies.push(0);
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    const samples = audio.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) energies[Math.floor(i / block)] += samples[i] ** 2;
  }
  const per = block * audio.numberOfChannels;
  const gate = energies.reduce((most, energy) => Math.max(most, energy), 0) * 10 ** (GATE_DB / 10);
  const loud = energies.filter((energy) => energy >= gate);
  return loud.length ? Math.sqrt(loud.reduce((sum, energy) => sum + energy, 0) / loud.length / per) : 0;
}

/** Factors for [before, after]: the louder one is turned down, as turning up could clip. */
export function matchingGains(before, after) {
  const levels = [loudness(before), loudness(after)];
  if (Math.min(...levels) < QUIETEST) return [1, 1];
  const limit = 10 ** (MOST_DB / 20), target = Math.max(Math.min(...levels), Math.max(...levels) / limit);
  return levels.map((level) => Math.min(1, target / level));
}

export const decibels = (factor) => 20 * Math.log10(factor);
