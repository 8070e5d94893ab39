"""PESTO over recordings of any length: audio at 16 kHz -> constant-Q magnitudes -> pitch and voicing, every 10 ms.

Frames are independent but for one number, the recording's level, which a first pass measures. Blocks change only
rounding.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from fastsvc.features.f0 import networks, neural
from fastsvc.features.f0.external import onto_frames
from fastsvc.model import pesto

HALF = 1064  # samples to each side of a frame's middle: the longest window has 2123
FRAMES = 512  # at once: about 100 MB
# The network takes soft singing for unvoiced: with peaks at −4 dBFS it errs in 15 % of the choir's frames, 20 dB softer
# in 64 %. So the recording's loud frames are brought to LEVEL for its judgement, where it errs in 4 % with a bound of
# 0.5. Noise alone is as loud as a voice then: frames as flat as FLATTEST are unvoiced (as 0.2 % of sung frames are).
LEVEL, CONFIDENT, FLATTEST = 18.0, 0.5, 0.15


def frames_of(audio, rate_hz, hop_samples, frames, low_hz, high_hz):
    """audio [samples] (torch) -> (f0_hz [frames], voiced [frames]) in the middle of our frames."""
    audio = networks.at_16k(audio, rate_hz)
    if not len(audio):
        return np.zeros(frames), np.zeros(frames, dtype=bool)
    f0_hz, confidence = track(audio)
    voiced = (confidence > CONFIDENT) & (neural.level(audio, pesto.HOP) >= neural.SILENCE)
    voiced &= (f0_hz >= low_hz) & (f0_hz <= high_hz)
    return onto_frames(np.where(voiced, f0_hz, 0), neural.STEP_S, rate_hz, hop_samples, frames)


@torch.inference_mode()
def track(audio: torch.Tensor, block: int = FRAMES):
    """audio [samples] at 16 kHz (torch) -> (f0_hz [n], confidence [n]), n = samples // HOP + 1, float64."""
    network = networks.network("pesto", audio.device)
    gain = LEVEL / max(loudness(audio, block), pesto.LEAST)
    tracked = []
    with networks.convolutions(audio.device):
        for magnitudes in spectrum(audio, block):
            f0_hz, scaled = best_hz(network.pitches(magnitudes)), magnitudes * gain
            is_flat = pesto.flatness(scaled.clamp(min=pesto.LEAST).square()) >= FLATTEST
            tracked.append(torch.stack((f0_hz, network.voicing(scaled).masked_fill(is_flat, 0).double())))
    return tuple(torch.cat(tracked, 1).cpu().numpy())


def best_hz(probabilities: torch.Tensor) -> torch.Tensor:
    """[N, PITCHES] -> f0 [N] in Hz, float64: the top of the parabola through the logarithms of the best three.

    One bin has nearly all the probability, so that the package's average over five bins moves in steps of 33 cents:
    vibrato would come out as a staircase. On a glide its error is 9.9 cents RMS, and 5.6 by the parabola.
    """
    best = probabilities.argmax(1).clamp(1, pesto.PITCHES - 2)
    near = best[:, None] + torch.arange(-1, 2, device=best.device)
    below, top, above = probabilities.gather(1, near).double().clamp(min=1e-30).log().unbind(1)
    curve = (below - 2 * top + above).clamp(max=-1e-9)
    notes = (best + (0.5 * (below - above) / curve).clamp(-0.5, 0.5)) / pesto.PER_SEMITONE
    return 440 * 2 ** ((notes - 69) / 12)


def loudness(audio: torch.Tensor, block: int = FRAMES) -> float:
    """The root of the frames' mean power, weighted with that power: the loud frames' level; rests do not count."""
    squares, fourths = 0.0, 0.0
    for magnitudes in spectrum(audio, block):
        power = magnitudes.double().square().sum(1)
        squares, fourths = squares + float(power.sum()), fourths + float(power.square().sum())
    return (fourths / squares) ** 0.5 if squares > 0 else 0.0


def spectrum(audio: torch.Tensor, block: int = FRAMES) -> Iterator[torch.Tensor]:
    """Magnitudes [t, BINS] of audio [samples]: samples // HOP + 1 frames, i at sample i · HOP.

    The recording is reflected at both ends, and silent beyond that.
    """
    frames, known = len(audio) // pesto.HOP + 1, min(HALF, len(audio) - 1)
    audio = F.pad(F.pad(audio[None], (known, known), mode="reflect")[0], (HALF - known, HALF - known))
    waves = kernels().to(audio.device)
    for first in range(0, frames, block):
        count = min(block, frames - first)
        samples = audio[first * pesto.HOP : (first + count - 1) * pesto.HOP + 2 * HALF]
        yield (samples.unfold(0, 2 * HALF, pesto.HOP) @ waves).unflatten(1, (2, -1)).square().sum(1).sqrt()


@functools.lru_cache(maxsize=1)
def kernels() -> torch.Tensor:
    """[2 · HALF, 2 · BINS] float32: cosines, then sines, under periodic Hann windows whose sum is 1, times the square
    root of the window's length."""
    alpha = 2 ** (1 / (12 * pesto.PER_SEMITONE)) - 1
    hz = pesto.FIRST_HZ * 2 ** (np.arange(pesto.BINS) / (12 * pesto.PER_SEMITONE))
    lengths = np.ceil(pesto.RATE_HZ / alpha / (hz + pesto.GAMMA / alpha)).astype(int)
    waves = np.zeros((2 * HALF, 2, pesto.BINS))
    for k, length in enumerate(lengths):
        start = HALF - (length + 1) // 2
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        phase = 2 * np.pi * hz[k] / pesto.RATE_HZ * np.arange(length)
        wave = window * np.stack((np.cos(phase), np.sin(phase)))
        waves[start : start + length, :, k] = wave.T * length**0.5 / window.sum()
    return torch.from_numpy(waves.reshape(2 * HALF, -1)).float()
