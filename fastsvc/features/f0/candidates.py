"""Pitch candidates of every frame: minima of YIN's difference function, taken under a window.

With a symmetric window w around the middle of the frame,

    d(lag) = sum_j w[j] w[j+lag] (x[j] - x[j+lag])^2 / sum_j w[j] w[j+lag] (x[j]^2 + x[j+lag]^2)

is 0 for a perfect period and about 1 for noise. It is the difference function of YIN (de Cheveigné & Kawahara 2002,
eq. 6) with the normalisation of McLeod & Wyvill (2005), tapered as in Boersma (1993): the taper keeps every lag
centred on the same instant, which a rectangular frame does not, and so follows vibrato without a delay.
Both sums are correlations, hence a few FFTs per frame.

A window long enough for the lowest voices is too long for glides of higher ones. So each frame is analysed in several
windows, the shorter ones for the higher pitches alone, and their candidates are pooled.

Lags beyond the requested range cost nothing more: with ``beyond`` they are searched in the same windows, and their
clear minima are candidates too. Inside the range this changes nothing, because the search there is the same.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

ANALYSIS_RATE_HZ = 10500  # lowest rate after decimation; a parabola through half samples is right to 2 cents at 2100 Hz
SAMPLES_A_PERIOD = 4.7  # of the highest pitch in the range, at least
PERIODS = 2.5  # window length in periods of the window's lowest pitch
SHORTER = 2.5  # ratio of the lengths of the windows
WINDOWS = 2
CLEAR_ABOVE, CLEAR_BELOW = 0.1, 0.2  # d of a pitch outside the range proper, at most: breath through a formant has 0.12
LONGEST = 1.32  # such a pitch may be this factor below the window's lowest one: two periods still fit
NOISE_FLOOR = 1e-3  # RMS of a noise assumed below every recording (-60 dBFS): silence then has no period
OVERSAMPLE = 2  # lags are half samples, so that a parabola through three of them is exact enough
BLOCK_FRAMES = 256  # bounds memory: about 10 MB a block, which the caches of a CPU like better than 40
DEVICE_BLOCK_FRAMES = 8192  # on a GPU, where calls are expensive: about 320 MB
BLOCK_SAMPLES = 1 << 20  # likewise, where the rate is lowered


def decimate(audio: torch.Tensor, factor: int, taps: torch.Tensor | None = None) -> torch.Tensor:
    """Keep every ``factor``-th sample of [B, samples] after a windowed-sinc low pass; sample i stays at i * factor.

    ``taps``: the low pass, where the caller keeps it."""
    if factor == 1:
        return audio
    half, taps = 8 * factor, _low_pass(factor, audio.device) if taps is None else taps
    out = audio.new_empty(audio.shape[0], -(-audio.shape[1] // factor))
    for first in range(0, out.shape[1], BLOCK_SAMPLES):  # a convolution's own scratch is many times its input
        last = min(first + BLOCK_SAMPLES, out.shape[1])
        start, end = first * factor - half, (last - 1) * factor + half + 1
        block = audio[:, max(start, 0) : end]
        block = torch.nn.functional.pad(block, (max(-start, 0), end - max(start, 0) - block.shape[1]))
        if audio.device.type != "cpu":  # cuDNN might round to TF32
            out[:, first:last] = block.unfold(1, len(taps), factor) @ taps
        else:
            out[:, first:last] = _filtered(block, taps, factor, last - first)
    return out


def _filtered(block: torch.Tensor, taps: torch.Tensor, factor: int, count: int) -> torch.Tensor:
    """[B, count] outputs, each the same whatever the block's length is: a library's convolution chooses by it."""
    rows = torch.nn.functional.pad(block, (0, -block.shape[1] % factor)).unflatten(1, (-1, factor)).mT.contiguous()
    out = taps[0] * rows[:, 0, :count]
    for i, tap in enumerate(taps.tolist()[1:], start=1):
        out.add_(rows[:, i % factor, i // factor : i // factor + count], alpha=tap)
    return out


@functools.lru_cache(maxsize=8)
def _low_pass(factor: int, device) -> torch.Tensor:
    half = 8 * factor
    with torch.inference_mode(False):
        time = torch.arange(-half, half + 1, device=device, dtype=torch.float32)
        taps = torch.sinc(0.85 * time / factor) * torch.hann_window(2 * half + 3, periodic=False, device=device)[1:-1]
        return taps / taps.sum()


class Analysis:
    """Candidate search in one window, for audio at ``rate_hz``; ``find`` does the frames of one block."""

    def __init__(
        self,
        rate_hz: float,
        low_hz: float,
        high_hz: float,
        count: int,
        octave_cost: float,
        device,
        floor_hz: float,
        proper: tuple[float, float],
    ):
        """``floor_hz``: the lowest pitch of the window; ``proper``: outside this range only clear minima count."""
        self.rate_hz = rate_hz
        self.count = count
        self.half = math.ceil(PERIODS * rate_hz / floor_hz / 2)
        window = torch.hann_window(2 * self.half + 3, periodic=False, device=device)[1:-1]
        longest = math.ceil(rate_hz / low_hz) + 2
        self.fft = 2 ** math.ceil(math.log2(2 * self.half + 1 + longest))
        self.window = window
        self.window_spectrum = torch.fft.rfft(window, self.fft)
        self.floor = 2 * NOISE_FLOOR**2 * torch.fft.irfft(self.window_spectrum.abs().square(), self.fft)[0]
        # Lags in steps of 1 / OVERSAMPLE samples, with one more at each end for the parabola.
        self.first = max(1, math.floor(OVERSAMPLE * rate_hz / high_hz) - 1)
        self.last = math.ceil(OVERSAMPLE * rate_hz / low_hz) + 1
        lags = torch.arange(self.first, self.last + 1, device=device, dtype=torch.float32)
        self.bias = octave_cost * torch.log2(lags / (OVERSAMPLE * rate_hz / high_hz))
        # Of the lags between the ends, those before `above` and from `below` on are outside, by more than one.
        shortest, longest = (OVERSAMPLE * rate_hz / hz for hz in (proper[1], proper[0]))
        inner = range(self.first + 1, self.last)
        self.above = sum(lag < shortest - 1 for lag in inner)
        self.below = sum(lag <= longest + 1 for lag in inner)

    def difference(self, frames: torch.Tensor) -> torch.Tensor:
        """d(lag) of frames [F, 2 * half + 1] at lags first..last -> [F, lags]."""
        frames = frames - frames.mean(-1, keepdim=True)
        weighted = frames * self.window
        signal = torch.fft.rfft(weighted, self.fft)
        power = torch.fft.rfft(weighted * frames, self.fft)
        energy = 2 * (power.real * self.window_spectrum.real + power.imag * self.window_spectrum.imag)
        both = torch.stack((signal.real.square() + signal.imag.square(), energy))
        repeat, energy = OVERSAMPLE * torch.fft.irfft(both, OVERSAMPLE * self.fft)[..., self.first : self.last + 1]
        return repeat.mul_(-2).div_(energy.clamp_min_(0).add_(self.floor)).add_(1)  # in place: they are large

    def find(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The best ``count`` minima of each frame [F, 2 * half + 1]: (f0_hz [F, count], d [F, count]).

        Where a frame has fewer minima, d is infinite for the missing ones.
        """
        depth = self.difference(frames)
        inner = depth[:, 1:-1]
        minimum = (inner < depth[:, :-2]) & (inner <= depth[:, 2:])
        minimum[:, : self.above] &= inner[:, : self.above] < CLEAR_ABOVE
        minimum[:, self.below :] &= inner[:, self.below :] < CLEAR_BELOW
        score = (inner + self.bias[1:-1]).masked_fill_(~minimum, torch.inf)
        index = score.topk(min(self.count, score.shape[-1]), dim=-1, largest=False, sorted=False).indices
        before, here, after = (depth.gather(1, index + i) for i in range(3))
        shift = (0.5 * (before - after) / (before - 2 * here + after).clamp_min(1e-12)).clamp(-0.5, 0.5)
        vertex = here - 0.25 * (before - after) * shift
        lag = (index + 1 + self.first + shift) / OVERSAMPLE
        return self.rate_hz / lag, vertex.masked_fill_(~minimum.gather(1, index), torch.inf)


@functools.lru_cache(maxsize=8)
def _analysis(*arguments) -> Analysis:
    """An Analysis, cached because its tables take a dozen small calls."""
    with torch.inference_mode(False):
        return Analysis(*arguments)


@dataclass(frozen=True)
class Tables:
    """What :func:`candidates` reads besides the audio: a graph that has captured it must keep them alive."""

    factor: int  # of the decimation
    taps: torch.Tensor | None  # of its low pass; None where nothing is decimated
    analyses: tuple[Analysis, ...]


def tables(rate_hz, low_hz, high_hz, device, *, count=7, octave_cost=0.04, beyond=None) -> Tables:
    """The tables for these ranges on a device; the last few are cached."""
    lowest, highest = outermost(low_hz, high_hz, beyond)
    factor = decimation(rate_hz, highest)
    floors = [min(low_hz, LONGEST * lowest) * SHORTER**i for i in range(WINDOWS)]
    floors = [floor for floor in floors if floor * SHORTER**0.5 < high_hz or floor == floors[0]]
    ends = {floors[0]: lowest}, {floors[-1]: highest}
    analyses = [
        _analysis(
            rate_hz / factor,
            ends[0].get(floor, floor),
            ends[1].get(floor, high_hz),
            count,
            octave_cost,
            device,
            floor,
            (low_hz, high_hz),
        )
        for floor in floors
    ]
    return Tables(factor, _low_pass(factor, device) if factor > 1 else None, tuple(analyses))


def candidates(
    audio,
    rate_hz,
    hop_samples,
    frames,
    low_hz,
    high_hz,
    *,
    count=7,
    octave_cost=0.04,
    samples=None,
    beyond=None,
    prepared: Tables | None = None,
):
    """Candidates of a batch [B, samples], ``count`` from each window: (f0_hz [B, frames, K], cost [B, frames, K]).

    The cost is d, plus ``octave_cost`` per octave that a candidate lies below the frame's best one, because two
    periods repeat as well as one does; it is infinite where a frame has fewer candidates. ``samples``: the length of
    the recording before the padding; may be a tensor, so that one graph serves all lengths.
    ``beyond``: (lowest, highest) Hz of candidates outside low_hz … high_hz, which must be clear.
    ``prepared``: :func:`tables` of the same ranges, where the caller keeps them.
    """
    if prepared is None:
        ranges = rate_hz, low_hz, high_hz, audio.device
        prepared = tables(*ranges, count=count, octave_cost=octave_cost, beyond=beyond)
    factor = prepared.factor
    samples = -(-(audio.shape[1] if samples is None else samples) // factor)
    audio = decimate(audio, factor, prepared.taps)
    middles = (torch.arange(frames, device=audio.device, dtype=torch.float64) + 0.5) * hop_samples / factor
    middles = middles.round().long()
    by_window = [_through(analysis, audio, middles, samples) for analysis in prepared.analyses]
    f0_hz, depth = (torch.cat(parts, -1) for parts in zip(*by_window))
    # The bias ranks the candidates of a frame; it must not make low voices less voiced than high ones.
    bias = octave_cost * torch.log2(high_hz / f0_hz)
    best = (depth + bias).argmin(-1, keepdim=True)
    return f0_hz, depth + bias - bias.gather(-1, best)


def decimation(rate_hz: float, highest_hz: float) -> int:
    return max(1, int(rate_hz // max(ANALYSIS_RATE_HZ, SAMPLES_A_PERIOD * highest_hz)))


def reach_samples(rate_hz: float, low_hz: float, high_hz: float, beyond: tuple[float, float] | None) -> int:
    """How far from the middle of its frame, at most, audio has to do with a frame's candidates."""
    lowest, highest = outermost(low_hz, high_hz, beyond)
    factor = decimation(rate_hz, highest)
    longest = math.ceil(PERIODS * rate_hz / factor / min(low_hz, LONGEST * lowest) / 2)
    return factor * (longest + 8 + 1)  # the window, the low pass, the rounding of the middle


def outermost(low_hz: float, high_hz: float, beyond: tuple[float, float] | None) -> tuple[float, float]:
    """The range together with what lies beyond it."""
    return (low_hz, high_hz) if beyond is None else (min(low_hz, beyond[0]), max(high_hz, beyond[1]))


def _through(analysis: Analysis, audio: torch.Tensor, middles: torch.Tensor, samples) -> tuple[torch.Tensor, ...]:
    """Candidates of all frames through one window, in blocks. At the ends of the recording the window stays within."""
    half, least = analysis.half, samples // 2
    if isinstance(samples, torch.Tensor):
        middles = middles.clamp(least.clamp(max=half), torch.maximum(samples - 1 - half, least))
    else:
        middles = middles.clamp(min(half, least), max(samples - 1 - half, least))
    audio = torch.nn.functional.pad(audio, (half, half))
    offsets = torch.arange(2 * half + 1, device=audio.device)
    block_frames = DEVICE_BLOCK_FRAMES if audio.is_cuda else BLOCK_FRAMES
    blocks = [analysis.find(row[block[:, None] + offsets]) for row in audio for block in middles.split(block_frames)]
    return tuple(torch.cat(parts).view(audio.shape[0], len(middles), -1) for parts in zip(*blocks))
