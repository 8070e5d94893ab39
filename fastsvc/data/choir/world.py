"""Speech programs' voices put on a melody with WORLD (Morise et al. 2016, package pyworld).

The program's speech is analysed into envelope and aperiodicity, each phone is stretched to the performance's times,
and the voice is synthesized from them with the performance's f0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter1d

from fastsvc.data.choir.performance import F0_HOP_S, Performance
from fastsvc.data.choir.phones import TABLE
from fastsvc.data.choir.programs import Phones, speak
from fastsvc.data.choir.singer import Singer

_FRAME_MS = 1000.0 * F0_HOP_S
_FFT = 1024


@dataclass(frozen=True)
class AnalysedPhrase:
    """An analysed phrase: phones with times, log power [frames, bins] and aperiodicity on the output's bins."""

    phones: Phones
    log_power: np.ndarray
    aperiodicity: np.ndarray


def _world():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld 0.3.5 asks setuptools for its version
        import pyworld
    return pyworld


def _speech_f0(audio: np.ndarray, rate_hz: int, phones: Phones) -> tuple[np.ndarray, np.ndarray]:
    """(f0, times): f0 at every frame of a voiced phone, interpolated where the tracker finds none, and 0 elsewhere."""
    world = _world()
    f0_hz, times = world.dio(audio, rate_hz, f0_floor=60.0, f0_ceil=450.0, frame_period=_FRAME_MS)
    f0_hz = world.stonemask(audio, f0_hz, times, rate_hz)
    tracked = f0_hz > 0
    if not tracked.any():
        return np.full(len(times), 120.0), times
    everywhere = np.interp(times, times[tracked], f0_hz[tracked])
    in_voiced_phone = np.zeros(len(times), bool)
    for symbol, start, end in phones:
        if TABLE[symbol].voiced:
            in_voiced_phone |= (times >= start - 0.012) & (times <= end + 0.012)
    return np.where(in_voiced_phone, everywhere, 0.0), times


def _onto_bins(values: np.ndarray, rate_hz: int, out_hz: int, slope: float, limit: float | None) -> np.ndarray:
    """Spectra at rate_hz on the bins of out_hz; above the band the upper edge continues with a slope per kHz."""
    bins_hz = np.linspace(0.0, rate_hz / 2, values.shape[1])
    out_bins_hz = np.linspace(0.0, out_hz / 2, _FFT // 2 + 1)
    edge = min(0.44 * rate_hz, out_bins_hz[-1])
    position = np.minimum(out_bins_hz, edge) / bins_hz[1]
    low = np.minimum(position.astype(int), values.shape[1] - 2)
    out = values[:, low] + (values[:, low + 1] - values[:, low]) * (position - low)
    beyond = out_bins_hz > edge
    if beyond.any():
        top = values[:, (bins_hz > 0.40 * rate_hz) & (bins_hz <= edge)].mean(axis=1)
        out[:, beyond] = top[:, None] + slope * (out_bins_hz[beyond] - edge) / 1000.0
    return out if limit is None else np.minimum(out, limit)


@lru_cache(maxsize=128)
def _analysed(program: str, voice: str, symbols: tuple[str, ...], out_hz: int) -> AnalysedPhrase:
    world = _world()
    audio, rate_hz, phones = speak(program, voice, symbols)
    audio = audio + 1e-5 * np.random.default_rng(0).standard_normal(len(audio))  # digital silence has no envelope
    f0_hz, times = _speech_f0(audio, rate_hz, phones)
    power = world.cheaptrick(audio, f0_hz, times, rate_hz, fft_size=_FFT)
    aperiodicity = world.d4c(audio, f0_hz, times, rate_hz, threshold=0.0, fft_size=_FFT)
    # Voices of 16 kHz get an invented top: noise that falls by about 2 dB a kHz.
    log_power = _onto_bins(np.log(power + 1e-16), rate_hz, out_hz, slope=-0.45, limit=None)
    aperiodicity = _onto_bins(aperiodicity, rate_hz, out_hz, slope=0.2, limit=0.999)
    return AnalysedPhrase(phones, log_power.astype(np.float32), aperiodicity.astype(np.float32))


def _stretch(symbol: str, spoken: tuple[float, float], sung: tuple[float, float]) -> list[tuple[float, float]]:
    """(seconds sung, seconds spoken) knots: edges keep their speed, the middle is stretched; of a stop the closure."""
    (a, b), (s, e) = spoken, sung
    phone, length, room = TABLE[symbol], b - a, e - s
    edge = min(0.040, 0.35 * length, 0.35 * room)
    if phone.kind in ("stop", "affricate"):
        tail = min(0.055 if phone.kind == "stop" else 0.09, 0.6 * length, 0.6 * room)
        return [(s, a), (e - tail, b - tail)]
    tail = min(0.55 * length, 0.45 * room) if len(phone.formants_hz) > 1 else edge
    return [(s, a), (s + edge, a + edge), (e - tail, b - tail)]


def _even_out(phrase: AnalysedPhrase, log_power: np.ndarray, f0_free: np.ndarray) -> np.ndarray:
    """Bring the phrase's vowels to unit power and halve their differences; other phones move with them."""
    level = np.log(np.exp(log_power).sum(axis=1) + 1e-12)
    if not f0_free.any():
        return log_power - level.max()
    mean = np.log(np.exp(level[f0_free]).mean())
    slow = np.interp(np.arange(len(level)), np.flatnonzero(f0_free), level[f0_free])
    slow = gaussian_filter1d(slow, 8.0, mode="nearest")
    return log_power - (mean + 0.5 * np.clip(slow - mean, -3.0, 3.0))[:, None]


def _phrase(singer: Singer, phones: Phones, times: np.ndarray, out_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """(log power, aperiodicity) [frames, bins] of one phrase at those times."""
    phrase = _analysed(singer.kind, singer.voice, tuple(symbol for symbol, _, _ in phones), out_hz)
    knots = []
    for (symbol, start, end), (_, a, b) in zip(phones, phrase.phones[1:-1]):
        knots += _stretch(symbol, (a, b), (start, end))
    knots.append((phones[-1][2], phrase.phones[-2][2]))
    sung_times, spoken_times = (np.asarray(column) for column in zip(*knots))
    position = np.clip(np.interp(times, sung_times, spoken_times) / F0_HOP_S, 0.0, len(phrase.log_power) - 1.001)
    low = position.astype(int)
    part = (position - low)[:, None].astype(np.float32)
    log_power, aperiodicity = (
        values[low] + (values[low + 1] - values[low]) * part for values in (phrase.log_power, phrase.aperiodicity)
    )
    vowel = np.zeros(len(times), bool)
    for symbol, start, end in phones:
        if TABLE[symbol].kind == "vowel":
            vowel |= (times >= start + 0.02) & (times <= end - 0.02)
    return _even_out(phrase, log_power, vowel), aperiodicity


def _phrases(phones: Phones) -> list[Phones]:
    """The performance cut at its pauses."""
    groups: list[list] = [[]]
    for phone in phones:
        if phone[0] == "pau":
            groups.append([])
        else:
            groups[-1].append(phone)
    return [tuple(group) for group in groups if group]


def synthesize(singer: Singer, performance: Performance, rate_hz: int) -> np.ndarray:
    """The dry voice, float64 [round(seconds * rate_hz)]. Raises VoiceError when the program is missing."""
    samples, f0_hz = round(performance.seconds * rate_hz), performance.f0_hz.copy()
    times = np.arange(len(f0_hz)) * F0_HOP_S
    bins = np.linspace(0.0, rate_hz / 2, _FFT // 2 + 1)
    log_power = np.full((len(times), len(bins)), -25.0, np.float32)
    aperiodicity = np.full((len(times), len(bins)), 0.999, np.float32)
    # Breaths between phrases: wide noise about the neutral tract's formants.
    breath = -0.5 * ((np.log2(np.maximum(bins, 20.0)) - np.log2(1800.0)) / 1.1) ** 2
    pause = np.ones(len(times), bool)
    for phones in _phrases(performance.phones):
        inside = (times >= phones[0][1]) & (times < phones[-1][2])
        if not inside.any():
            continue
        log_power[inside], aperiodicity[inside] = _phrase(singer, phones, times[inside], rate_hz)
        pause[inside] = False
    log_power[pause] = breath - np.log(np.exp(breath).sum()) - 1.8
    whispered = np.zeros(len(times), bool)
    for symbol, start, end in performance.phones:
        if TABLE[symbol].voiced:
            whispered |= (times >= start) & (times < end) & (f0_hz == 0)
    # A whisper lacks the voice's bass.
    log_power[whispered] += 1.5 * np.log(np.clip(bins / 900.0, 0.03, 4.0)).astype(np.float32) - 1.2
    loud = 2.0 * np.log(np.maximum(performance.loudness, 1e-6))
    power = np.exp((log_power + loud[:, None]).astype(np.float64))
    voice = _world().synthesize(f0_hz, power, aperiodicity.astype(np.float64), rate_hz, _FRAME_MS)
    return np.pad(voice, (0, max(0, samples - len(voice))))[:samples]
