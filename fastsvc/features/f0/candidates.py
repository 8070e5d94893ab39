"""Pitch candidates of every frame: minima of YIN's difference function, taken under a window.

With a symmetric window w around the middle of the frame,

    d(lag) = sum_j w[j] w[j+lag] (x[j] - x[j+lag])^2 / sum_j w[j] w[j+lag] (x[j]^2 + x[j+lag]^2)

is 0 for a perfect period and about 1 for noise. It is the difference function of YIN (de Cheveigné & Kawahara 2002,
eq. 6) with the normalisation of McLeod & Wyvill (2005), tapered as in Boersma (1993): the taper keeps every lag
centred on the same instant, which a rectangular frame does not, and so follows vibrato without a delay.
Both sums are correlations, hence a few FFTs per frame.
"""

from __future__ import annotations

import math

import torch

ANALYSIS_RATE_HZ = 10500  # lowest rate after decimation: nine samples a period at 1100 Hz, doubled by interpolation
PERIODS = 3.0  # window length in periods of the lowest pitch
NOISE_FLOOR = 1e-3  # RMS of a noise assumed below every recording (-60 dBFS): silence then has no period
OVERSAMPLE = 2  # lags are half samples, so that a parabola through three of them is exact enough
BLOCK_FRAMES = 1024  # bounds memory: about 40 MB a block


def decimate(audio: torch.Tensor, factor: int) -> torch.Tensor:
    """Keep every ``factor``-th sample of [B, samples] after a windowed-sinc low pass; sample i stays at i * factor."""
    if factor == 1:
        return audio
    half = 8 * factor
    time = torch.arange(-half, half + 1, device=audio.device, dtype=torch.float32)
    taps = torch.sinc(0.85 * time / factor) * torch.hann_window(2 * half + 3, periodic=False, device=audio.device)[1:-1]
    taps = taps / taps.sum()
    return torch.nn.functional.conv1d(audio[:, None], taps[None, None], stride=factor, padding=half)[:, 0]


class Analysis:
    """Candidate search for one sampling rate and pitch range; ``find`` does the frames of one block.

    The cost of a candidate is d, plus ``octave_cost`` per octave that it lies below the frame's best one, because
    two periods repeat as well as one does.
    """

    def __init__(self, rate_hz: int, low_hz: float, high_hz: float, count: int, octave_cost: float, device):
        self.factor = max(1, rate_hz // ANALYSIS_RATE_HZ)
        self.rate_hz = rate_hz / self.factor
        self.count = count
        self.half = math.ceil(PERIODS * self.rate_hz / low_hz / 2)
        window = torch.hann_window(2 * self.half + 3, periodic=False, device=device)[1:-1]
        longest = math.ceil(self.rate_hz / low_hz) + 2
        self.fft = 2 ** math.ceil(math.log2(2 * self.half + 1 + longest))
        self.window = window
        self.window_spectrum = torch.fft.rfft(window, self.fft)
        self.floor = 2 * NOISE_FLOOR**2 * torch.fft.irfft(self.window_spectrum.abs().square(), self.fft)[0]
        # Lags in steps of 1 / OVERSAMPLE samples, with one more at each end for the parabola.
        self.first = max(1, math.floor(OVERSAMPLE * self.rate_hz / high_hz) - 1)
        self.last = math.ceil(OVERSAMPLE * self.rate_hz / low_hz) + 1
        lags = torch.arange(self.first, self.last + 1, device=device, dtype=torch.float32)
        self.bias = octave_cost * torch.log2(lags / (OVERSAMPLE * self.rate_hz / high_hz))

    def centres(self, frames: int, hop_samples: int, samples: int, device) -> torch.Tensor:
        """Middle of each frame in decimated samples, moved inwards where the window would leave the recording."""
        middle = (torch.arange(frames, device=device, dtype=torch.float64) + 0.5) * hop_samples / self.factor
        return middle.round().long().clamp(min(self.half, samples // 2), max(samples - 1 - self.half, samples // 2))

    def difference(self, frames: torch.Tensor) -> torch.Tensor:
        """d(lag) of frames [F, 2 * half + 1] at lags first..last -> [F, lags]."""
        frames = frames - frames.mean(-1, keepdim=True)
        weighted = frames * self.window
        signal = torch.fft.rfft(weighted, self.fft)
        power = torch.fft.rfft(weighted * frames, self.fft)
        energy = 2 * (power.real * self.window_spectrum.real + power.imag * self.window_spectrum.imag)
        both = torch.stack((signal.real.square() + signal.imag.square(), energy))
        repeat, energy = OVERSAMPLE * torch.fft.irfft(both, OVERSAMPLE * self.fft)[..., self.first : self.last + 1]
        return 1 - 2 * repeat / (energy.clamp_min(0) + self.floor)

    def find(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The best ``count`` minima of each frame [F, 2 * half + 1]: (f0_hz [F, count], cost [F, count]).

        Where a frame has fewer, the rest costs infinity.
        """
        depth = self.difference(frames)
        inner = depth[:, 1:-1]
        minimum = (inner < depth[:, :-2]) & (inner <= depth[:, 2:])
        score = torch.where(minimum, inner + self.bias[1:-1], torch.inf)
        cost, index = score.topk(min(self.count, score.shape[-1]), dim=-1, largest=False, sorted=False)
        before, here, after = (depth.gather(1, index + i) for i in range(3))
        curve = (before - 2 * here + after).clamp_min(1e-12)
        shift = (0.5 * (before - after) / curve).clamp(-0.5, 0.5)
        cost = cost - 0.25 * (before - after) * shift  # value at the vertex
        # The bias ranks the candidates of a frame; it must not make low voices less voiced than high ones.
        best = cost.argmin(-1, keepdim=True)
        cost = cost - self.bias[1:-1][index.gather(1, best)]
        lag = (index + 1 + self.first + shift) / OVERSAMPLE
        return self.rate_hz / lag, torch.where(minimum.gather(1, index), cost, torch.inf)


def candidates(audio, rate_hz, hop_samples, frames, low_hz, high_hz, *, count=10, octave_cost=0.04):
    """Candidates of a batch [B, samples], in blocks of frames: (f0_hz [B, frames, count], cost [B, frames, count])."""
    analysis = Analysis(rate_hz, low_hz, high_hz, count, octave_cost, audio.device)
    audio = decimate(audio, analysis.factor)
    centres = analysis.centres(frames, hop_samples, audio.shape[-1], audio.device)
    audio = torch.nn.functional.pad(audio, (analysis.half, analysis.half))
    offsets = torch.arange(2 * analysis.half + 1, device=audio.device)
    f0_hz, cost = [], []
    for row in audio:
        for block in centres.split(BLOCK_FRAMES):
            found = analysis.find(row[block[:, None] + offsets])
            f0_hz.append(found[0])
            cost.append(found[1])
    shape = (audio.shape[0], frames, -1)
    return torch.cat(f0_hz).view(shape), torch.cat(cost).view(shape)
