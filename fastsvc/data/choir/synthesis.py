"""Source-filter singing: glottal pulses, breath and friction through a moving tract.

The excitation is cut into overlapping 10 ms windows, each multiplied in the frequency domain by the response
of the tract in that moment (a cascade of digital resonators, Klatt 1980) and added up again.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from fastsvc.data.choir import glottis
from fastsvc.data.choir.articulation import Articulation, articulate
from fastsvc.data.choir.performance import F0_HOP_S, Performance
from fastsvc.data.choir.phones import NOISE_PEAKS, NOISES
from fastsvc.data.choir.room import record
from fastsvc.data.choir.singer import Singer, Tract

_BLOCK = 128  # frames whose responses are held at a time


def _resonators(hz: np.ndarray, width_hz: np.ndarray, bins: np.ndarray, rate_hz: int) -> np.ndarray:
    """1 / response of cascaded resonators with unit gain at 0 Hz: hz, width_hz [F, n] -> [F, bins]."""
    product = None
    for formant, width in zip(hz.T, width_hz.T):
        radius = np.exp(-np.pi * width / rate_hz).astype(np.float32)
        first = (-2.0 * radius * np.cos(2 * np.pi * np.minimum(formant, 0.48 * rate_hz) / rate_hz)).astype(np.float32)
        second = radius**2
        norm = 1.0 / (1.0 + first + second)
        term = norm[:, None] + (first * norm)[:, None] * bins + (second * norm)[:, None] * bins**2
        product = term if product is None else product * term
    return product


def _fixed_gain(tract: Tract, hz: np.ndarray, bins: np.ndarray, rate_hz: int) -> np.ndarray:
    """The constant part of the tract's response, [bins]: formants above the fifth, tilt, the singer's formant."""
    upper = np.arange(5.5, 0.45 * rate_hz * tract.length / 1000.0, 1.0) * 1000.0 / tract.length
    gain = np.ones(len(hz), np.complex64)
    if len(upper):
        gain = 1.0 / _resonators(upper[None], (0.08 * upper * tract.bandwidth)[None], bins, rate_hz)[0]
    octaves = np.log2(np.maximum(hz, 1.0))
    level_db = tract.tilt_db * np.maximum(octaves - np.log2(1000.0), 0.0)
    level_db += tract.ring_db * np.exp(-0.5 * ((octaves - np.log2(tract.ring_hz)) / 0.22) ** 2)
    return (gain * 10.0 ** (level_db / 20.0)).astype(np.complex64)


def _noise_colours(tract: Tract, hz: np.ndarray) -> np.ndarray:
    """Magnitudes [noises, bins] of unit power for white noise; mouths scale less than whole tracts."""
    octaves = np.log2(np.maximum(hz, 1.0)) + 0.6 * np.log2(tract.length)
    colours = []
    for name in NOISES:
        bumps = sum(10 ** (db / 10) * np.exp(-((octaves - np.log2(c)) ** 2) / w**2) for c, w, db in NOISE_PEAKS[name])
        colours.append(np.sqrt(bumps / np.mean(bumps)))
    return np.asarray(colours, np.float32)


def _response(art: Articulation, part: slice, fixed, source_power, hz, bins, rate_hz: int) -> np.ndarray:
    """The tract's complex response in those frames, [F, bins]; open vowels get about unit gain of power."""
    tract = fixed / _resonators(art.formants_hz[part], art.bandwidths_hz[part], bins, rate_hz)
    zero, open_ = art.zero_hz[part, None], art.nasal[part, None]
    wide = np.full_like(zero, 160.0)
    tract *= _resonators(zero, wide, bins, rate_hz) / _resonators(zero * (1.0 + 0.3 * open_), wide, bins, rate_hz)
    power = (np.abs(tract) ** 2) @ source_power
    # Most of the difference between vowels' levels is removed, as singers and their distance to the microphone do.
    tract *= (power**-0.40 * np.float32(4.0) ** -0.10)[:, None]
    tract *= (1.0 + (hz / 450.0) ** 2) ** (-art.closed[part, None]).astype(np.float32)
    return tract


def _excitation(singer: Singer, performance: Performance, art: Articulation, samples: int, rate_hz: int, rng):
    """(excitation of the throat, through the tract; of the mouth, beside it), float32 [samples] each."""
    tract, times = singer.tract, np.arange(samples) / rate_hz
    points = np.arange(len(performance.f0_hz)) * F0_HOP_S
    has_f0 = performance.f0_hz > 0
    if has_f0.any():
        f0_hz = np.interp(times, points[has_f0], performance.f0_hz[has_f0])
        voiced = np.interp(times, points, has_f0.astype(np.float64))
    else:
        f0_hz, voiced = np.full(samples, singer.f0_hz), np.zeros(samples)
    loud = np.interp(times, points, performance.loudness)
    effort = np.clip((20.0 * np.log10(loud + 1e-4) + 14.0) / 16.0, 0.0, 1.0)
    pulses, phase = glottis.voice_source(
        f0_hz, effort, tract.rd_soft, tract.rd_firm, tract.jitter, tract.shimmer, rate_hz, rng
    )
    noise = lfilter([0.62], [1.0, -0.38], rng.standard_normal(samples))  # breath loses treble
    breath = 10.0 ** (tract.breath_db / 20.0) * glottis.breath_modulation(phase) * (1.25 - 0.6 * effort)
    whisper = 10.0 ** (-11.0 / 20.0)
    throat = art.voice * (voiced * (pulses + breath * noise) + (1.0 - voiced) * whisper * noise)
    throat = loud * (throat + art.aspiration * noise)
    # Voiced friction comes in puffs, too.
    puffs = 1.0 - 0.4 * voiced * (1.0 - glottis.breath_modulation(phase))
    mouth = loud * puffs * art.friction * rng.standard_normal(samples)
    return throat.astype(np.float32), mouth.astype(np.float32)


def synthesize(singer: Singer, performance: Performance, rate_hz: int) -> np.ndarray:
    """The dry voice, float64 [round(seconds * rate_hz)]."""
    samples, hop = round(performance.seconds * rate_hz), round(F0_HOP_S * rate_hz)
    frames, fft = samples // hop + 2, 1 << int(np.ceil(np.log2(0.040 * rate_hz)))
    rng = np.random.default_rng([singer.tract.seed, performance.seed])
    art = articulate(performance, singer.tract, frames, samples, rate_hz)
    sources = _excitation(singer, performance, art, samples, rate_hz, rng)
    throat, mouth = (np.pad(source, (hop, 2 * hop)) for source in sources)
    hz = np.fft.rfftfreq(fft, 1.0 / rate_hz).astype(np.float32)
    bins = np.exp(-2j * np.pi * hz / rate_hz).astype(np.complex64)
    fixed, colours = _fixed_gain(singer.tract, hz, bins, rate_hz), _noise_colours(singer.tract, hz)
    source_power = (1.0 / (1.0 + (np.maximum(hz, 80.0) / 220.0) ** 2) * (hz > 60)).astype(np.float32)
    source_power /= source_power.sum()
    window = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32)
    out = np.zeros((frames + 1) * hop + fft)
    for first in range(0, frames, _BLOCK):
        part = slice(first, min(first + _BLOCK, frames))
        indices = np.arange(part.start, part.stop)[:, None] * hop + np.arange(2 * hop)
        indices = np.minimum(indices, len(throat) - 1)
        spectrum = np.fft.rfft(throat[indices] * window, fft).astype(np.complex64)
        spectrum *= _response(art, part, fixed, source_power, hz, bins, rate_hz)
        if art.friction[max(first * hop - hop, 0) : part.stop * hop + hop].any():
            spectrum += np.fft.rfft(mouth[indices] * window, fft) * (art.colours[part] @ colours)
        pieces = np.fft.irfft(spectrum, fft)
        for row, piece in enumerate(pieces, part.start):
            out[row * hop : row * hop + fft] += piece
    return out[hop : hop + samples]


def render(singer: Singer, performance: Performance, rate_hz: int = 24000) -> np.ndarray:
    """Any performance in any singer's voice: float32 [round(seconds * rate_hz)].

    Timing, f0 and loudness come from the performance, the timbre from the singer. So render(target,
    performance.transposed(k)) is the true target of converting render(source, performance) by k semitones.
    Raises MissingPackageError or VoiceError when the singer's program is not installed.
    """
    if singer.kind == "source-filter":
        voice = synthesize(singer, performance, rate_hz)
    else:
        from fastsvc.data.choir import world

        voice = world.synthesize(singer, performance, rate_hz)
    return record(voice, singer.room, rate_hz, [singer.tract.seed, performance.seed])
