"""The first mel of DDSP-SVC 6 on a CPU: source, control network and synthesiser in blocks with exact halos."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fastsvc.audio.slicing import blocks
from fastsvc.config.ddsp import DdspConfig
from fastsvc.engine.cpu.ddsp.control import CpuControl, GroupNorm
from fastsvc.engine.cpu.ddsp.synthesis import Span, Synthesis
from fastsvc.engine.cpu.sampler import Features
from fastsvc.model import noise
from fastsvc.model.ddsp import source

BLOCK = 512  # frames
SOURCE_STREAM = 4  # of fastsvc.model.noise: the synthesiser's noise
SourceNoise = Callable[[int, int], Tensor]  # (first, last frame) → [(last − first) · hop]


def seeded(seed: int, hop: int) -> SourceNoise:
    """Counter-based noise by frame: the same however a recording is cut."""
    return lambda first, last: noise.gaussian(seed, 0, first, last - first, hop, stream=SOURCE_STREAM).flatten()


class FirstMel:
    """Features of a recording → its first mel, block by block."""

    def __init__(self, config: DdspConfig, control: CpuControl, features: Features, voice: Tensor, draw: SourceNoise):
        self.config, self.control, self.features, self.voice, self.draw = config, control, features, voice, draw
        self.frames, self.hop = len(features.f0_hz), config.mel.hop_samples
        f0_hz = features.f0_hz[None]
        self.phase = source.frame_phase(f0_hz, config.mel.rate_hz, self.hop)
        self.step, self.slope = source.steps(f0_hz, config.mel.rate_hz)
        self.synthesis = Synthesis(config, self.frames)
        self.norm = self._group_norm() if config.version == "6.0" else None

    def blocks(self, block: int | None = None) -> Iterator[tuple[int, int, Tensor]]:
        """(first, last, log-mel [last − first, M]) of every block."""
        for first, last, _, _ in blocks(self.frames, block or BLOCK, 0):
            yield first, last, self.part(Span(first, last))

    def part(self, span: Span) -> Tensor:
        """The log-mel of some frames."""
        audio = self.synthesis.audio_of(span)
        return self.synthesis.mel(span, self.audio(audio))

    def audio(self, span: Span) -> Tensor:
        """The synthesiser's audio of some frames, [frames · hop]."""
        stft = self.synthesis.stft_of(span)
        control, excitation = self.synthesis.control_of(stft), self.synthesis.excitation_of(stft)
        window = control.widened(self.config.control_halo_frames, self.frames)
        wide = Span(min(window.first, excitation.first), max(window.last, excitation.last))
        signal, phase = self.excitation(wide)

        def samples(part: Span) -> Tensor:
            return signal[(part.first - wide.first) * self.hop : (part.last - wide.first) * self.hop]

        found = self.control(
            self._units(window),
            self.features.f0_hz[window.first : window.last],
            self.features.volume[window.first : window.last],
            phase[window.first - wide.first : window.last - wide.first],
            samples(window),
            self.voice,
            self.norm,
        )
        own = found[control.first - window.first : control.last - window.first]
        return self.synthesis.audio(span, own, samples(excitation))

    def excitation(self, span: Span) -> tuple[Tensor, Tensor]:
        """(comb tooth and noise [frames · hop, 2], phase of each frame's first sample [frames])."""
        inside = slice(span.first, span.last)
        tooth, phase = source.comb_tooth(self.step[:, inside], self.slope[:, inside], self.phase[:, inside], self.hop)
        return torch.stack((tooth[0].float(), self.draw(*span)), dim=1), phase[0].float()

    def _units(self, span: Span) -> Tensor:
        return self.features.units[self.features.unit_indices[span.first : span.last]].float()

    def _group_norm(self) -> GroupNorm:
        """Version 6.0 normalises over the whole recording, so its units are read twice."""
        total: Tensor | float = 0.0
        for first, last, begin, end in blocks(self.frames, 2048, 1):
            total = total + self.control.sums(self._units(Span(begin, end)), first - begin, last - begin)
        assert isinstance(total, Tensor)
        return self.control.group_norm(total, self.frames)
