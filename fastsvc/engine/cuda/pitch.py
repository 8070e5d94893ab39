"""YIN on a GPU as one graph for every prepared length, instead of some 200 calls of small kernels.

Frames past the end of a recording are unvoiced and cost nothing, so they change neither the path nor the filling.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig
from fastsvc.engine.buckets import FRAMES, Buckets
from fastsvc.engine.cuda.programs import Programs
from fastsvc.features import f0
from fastsvc.features.f0 import device_yin
from fastsvc.features.f0.candidates import tables

LONGEST = 4096  # frames; longer recordings outweigh the cost of the calls


class Yin:
    """f0 of audio at the mel's rate in the model's own range, for models whose pitch YIN tracks on our own frames."""

    def __init__(self, config: AcousticConfig, device):
        self.hop_samples, self.device = config.mel.hop_samples, torch.device(device)
        mel, spec = config.mel, config.features
        self.ranges = f0.ranges(spec.f0_low_hz, spec.f0_high_hz, mel.rate_hz)
        self.programs = Programs(lambda frames: YinProgram(config, frames, self.device), self.device, "YIN")

    def fits(self, method: str, style: str, audio: Tensor, frames: int, model_range, widest) -> bool:
        """Whether :meth:`__call__` can track this recording in these ranges (fastsvc.features.f0.ranges)."""
        prepared = self.tracks(method, style) and (model_range, widest) == self.ranges
        return prepared and 0 < frames <= LONGEST and audio.shape == (frames * self.hop_samples,)

    @staticmethod
    def tracks(method: str, style: str) -> bool:
        """Whether a model with this f0 method and style can use these graphs."""
        return method == "yin" and style == "fastsvc"

    def __call__(self, audio: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """audio [frames · hop] -> (f0_hz [frames] filled, voiced [frames]), on the device."""
        return self.programs.within_memory(lambda: self._track(audio, frames))

    def _track(self, audio: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        program, replay = self.programs.prepared(Buckets().bucket(frames))
        program.audio[: len(audio)].copy_(audio, non_blocking=True)
        program.audio[len(audio) :].zero_()
        program.valid_frames.fill_(frames)
        replay()
        return program.f0_hz[:frames].clone(), program.voiced[:frames].clone()

    def warm_up(self, frames: Iterable[int] | None = None) -> None:
        """Make the graphs for recordings of these numbers of frames, longest first; None: for every prepared length."""
        shapes = {Buckets().bucket(n) for n in (FRAMES if frames is None else frames) if n <= LONGEST}
        for shape in sorted(shapes, reverse=True):
            self.programs.within_memory(lambda shape=shape: self.programs.prepared(shape))


class YinProgram:
    """One prepared length: buffers for audio, f0 and voicing."""

    def __init__(self, config: AcousticConfig, frames: int, device: torch.device):
        mel, spec = config.mel, config.features
        self.audio = torch.zeros(frames * mel.hop_samples, device=device)
        self.valid_frames = torch.ones((), dtype=torch.int64, device=device)
        self.f0_hz = torch.zeros(frames, device=device)
        self.voiced = torch.zeros(frames, dtype=torch.bool, device=device)
        model_range, self.widest = f0.ranges(spec.f0_low_hz, spec.f0_high_hz, mel.rate_hz)
        assert model_range is not None, "the model's range is inside the widest one"
        self.grid = mel.rate_hz, mel.hop_samples, frames, *model_range
        # The graph reads them at every replay; the cache that they come from forgets them after a few other ranges.
        self.tables = tables(mel.rate_hz, *model_range, device, beyond=self.widest)

    def run(self) -> None:
        audio = torch.nan_to_num(self.audio, nan=0.0, posinf=0.0, neginf=0.0)
        ends = {"samples": self.valid_frames * self.grid[1], "valid_frames": self.valid_frames}
        f0_hz, voiced = device_yin.extract(audio, *self.grid, **ends, beyond=self.widest, prepared=self.tables)
        self.f0_hz.copy_(f0_hz)
        self.voiced.copy_(voiced)
