"""The self-check's small input for voices of DDSP-SVC 6, and the quantities whose fingerprints an engine stores.

They are the first mel of the first speaker and the velocity at one level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config import DdspConfig
from fastsvc.engine.cpu.ddsp.synthesis import Span
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.cuda.selfcheck import FRAMES, SEED, draws, fingerprint

MEL = -5.0  # about the mean of log-mels


def features(config: DdspConfig) -> Features:
    """FRAMES frames of a note; units by frame."""
    f0_hz = torch.full((FRAMES,), 220.0)
    return Features(draws(FRAMES, config.unit_channels, 0), torch.arange(FRAMES), f0_hz, f0_hz > 0, 0.1 * f0_hz / 220)


def layers(sampler, level: float) -> list[tuple[str, Tensor]]:
    """(name, values [T, C]) of a sampler as fastsvc.engine.cpu.ddsp.DdspSampler."""
    config = sampler.config
    voice = sampler.condition.speaker({0: 1.0})
    first = sampler.first_mel(features(config), voice, SeededNoise(SEED, config.mel.bins))
    x = draws(FRAMES, config.mel.bins, 1)
    return [("first mel", first.part(Span(0, FRAMES))), ("velocity", sampler.velocity(x, level, x + MEL))]


def expected_layers(sampler, level: float) -> dict:
    """The fingerprints that the compiler stores, of a CPU's sampler."""
    return {"level": level, "layers": [[name, fingerprint(value)] for name, value in layers(sampler, level)]}
