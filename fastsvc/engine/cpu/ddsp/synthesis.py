"""The synthesiser of DDSP-SVC 6 on a CPU, for any frames of a recording exactly as over the whole of it.

An STFT frame is centred on the first sample of a mel frame, so some frames of audio need the STFT frames whose windows
reach them, and some frames of the mel need the audio that their windows reach. Reflections at the recording's ends are
by absolute sample, and the sum of squared windows that the inverse STFT divides by is that of the frames that exist.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.mel import log_mel_of_padded
from fastsvc.config.ddsp import DdspConfig
from fastsvc.model.ddsp.control import filters
from fastsvc.model.ddsp.synthesis import NOISE_DIVISOR, mel_padding


class Span(NamedTuple):
    """Frames first … last − 1."""

    first: int
    last: int

    def widened(self, frames: int, total: int) -> Span:
        return Span(max(0, self.first - frames), min(total, self.last + frames))


class Synthesis:
    """Which frames depend on which, and the computation, for recordings of ``frames`` frames."""

    def __init__(self, config: DdspConfig, frames: int):
        self.config, self.frames = config, frames
        self.hop, self.window = config.mel.hop_samples, torch.hann_window(config.window_samples)
        self.samples, self.half = frames * self.hop, config.window_samples // 2
        self.before, self.after = mel_padding(config.mel)

    def audio_of(self, mel: Span) -> Span:
        """The frames of audio that some frames of the mel depend on, reflections included."""
        reach = max(self.before, self.after)
        return mel.widened(-(-reach // self.hop) + 1, self.frames)

    def stft_of(self, audio: Span) -> Span:
        """The STFT frames, of T + 1, whose windows reach some frames of audio."""
        reach = -(-self.half // self.hop)
        return Span(max(0, audio.first - reach), min(self.frames, audio.last + reach) + 1)

    def control_of(self, stft: Span) -> Span:
        """The frames whose filters these STFT frames take: the last frame's serves twice."""
        return Span(min(stft.first, self.frames - 1), min(stft.last, self.frames))

    def excitation_of(self, stft: Span) -> Span:
        """The frames of excitation that these STFT frames' windows reach, reflections included."""
        reach = -(-self.half // self.hop)
        return Span(max(0, stft.first - reach), min(self.frames, stft.last + reach))

    def audio(self, span: Span, control: Tensor, excitation: Tensor) -> Tensor:
        """control [frames of control_of, 4F] and excitation [frames of excitation_of · hop, 2] → audio of ``span``,
        [frames · hop]."""
        stft = self.stft_of(span)
        begin = self.excitation_of(stft).first * self.hop
        first, last = stft.first * self.hop - self.half, (stft.last - 1) * self.hop + self.half
        padded = self._continued(excitation, begin, first, last, self.half)
        pieces = padded.T.unfold(1, len(self.window), self.hop)  # [2, J, window]
        spectra = torch.fft.rfft(pieces * self.window)
        chosen = torch.arange(stft.first, stft.last).clamp_(max=self.frames - 1) - self.control_of(stft).first
        each = filters(control)[chosen]  # [J, 2, F]
        summed = spectra[0] * each[:, 0] + spectra[1] * each[:, 1] / NOISE_DIVISOR
        return self._overlapped(torch.fft.irfft(summed, len(self.window)), stft, span)

    def mel(self, span: Span, audio: Tensor) -> Tensor:
        """Audio [frames of audio_of · hop] → log-mel of ``span``, [frames, M]."""
        begin = self.audio_of(span).first * self.hop
        first, last = span.first * self.hop - self.before, span.last * self.hop + self.after
        padded = self._continued(audio[:, None], begin, first, last, max(self.before, self.after))
        return log_mel_of_padded(padded.T, self.config.mel)[0]

    def _overlapped(self, pieces: Tensor, stft: Span, span: Span) -> Tensor:
        """Time signals [J, window] of STFT frames → audio of ``span``."""

        def added(rows: Tensor) -> Tensor:
            length = (len(rows) - 1) * self.hop + len(self.window)
            return F.fold(rows.T[None], (1, length), (1, len(self.window)), stride=(1, self.hop)).flatten()

        weight = added(self.window.square().expand(len(pieces), -1))
        start = span.first * self.hop - (stft.first * self.hop - self.half)
        own = slice(start, start + (span.last - span.first) * self.hop)
        return added(pieces * self.window)[own] / weight[own]

    def _continued(self, values: Tensor, begin: int, first: int, last: int, reach: int) -> Tensor:
        """values [n, C], of which row 0 is sample ``begin`` → samples first … last − 1, reflected beyond the
        recording's ends, or 0 there where it has no more than ``reach`` samples."""
        places = torch.arange(first, last)
        if self.samples <= reach:
            inside = (places >= 0) & (places < self.samples)
            return values[(places - begin).clamp_(0, len(values) - 1)] * inside[:, None]
        places = places.abs()
        places = torch.where(places < self.samples, places, 2 * (self.samples - 1) - places)
        return values[places - begin]
