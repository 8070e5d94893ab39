"""The self-check's small input for RVC's voices, and the quantities whose fingerprints an engine stores.

They are the mean and the log of the deviation of the latent, the draw from these, and the flow's output for speaker 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config import RvcConfig
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.cuda.selfcheck import FRAMES, draws, fingerprint


def features(config: RvcConfig) -> Features:
    """FRAMES frames, the first two of them unvoiced; units by frame."""
    f0_hz = torch.full((FRAMES,), 220.0)
    f0_hz[:2] = 0
    units = draws(FRAMES, config.unit_channels, 0)
    return Features(units, torch.arange(FRAMES), f0_hz, f0_hz > 0, torch.zeros(FRAMES))


def layers(sampler, level: float) -> list[tuple[str, Tensor]]:
    """(name, values [T, C]) of a sampler with ``encoding``, ``drawn``, ``flow`` and ``condition``, as those of
    fastsvc.engine.cpu.rvc.RvcSampler."""
    config = sampler.config
    prior = sampler.encoding(features(config))(0, FRAMES)
    z_p = sampler.drawn(prior, draws(FRAMES, config.mel.bins, 1).to(prior.device), level)
    mean, log_deviation = prior.chunk(2, dim=-1)
    z = sampler.flow(z_p, sampler.condition.speaker({0: 1.0}))
    return [("mean", mean), ("log of the deviation", log_deviation), ("draw", z_p), ("flow", z)]


def expected_layers(sampler, level: float) -> dict:
    """The fingerprints that the compiler stores, of a CPU's sampler."""
    return {"level": level, "layers": [[name, fingerprint(value)] for name, value in layers(sampler, level)]}


def traced(sampler, level: float) -> list[tuple[str, str, Tensor]]:
    """As :func:`selfcheck.check` takes them: which part computed a quantity, and by what."""
    return [(name, "acoustic part (PyTorch)", value) for name, value in layers(sampler, level)]
