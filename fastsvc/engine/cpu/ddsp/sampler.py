"""Features → log-mel for voices of DDSP-SVC 6 on a CPU; the interface of a sampler of mels.

The first mel is computed in blocks (fastsvc/engine/cpu/ddsp/first_mel.py). The flow keeps the state of the whole
recording, and each evaluation of the velocity network goes over it in blocks: their halo is that of one evaluation, not
of all twenty.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.artifact.manifest import Sampling
from fastsvc.audio.slicing import blocks
from fastsvc.config.ddsp import DdspConfig
from fastsvc.engine.cpu.ddsp import first_mel
from fastsvc.engine.cpu.ddsp.control import CpuControl
from fastsvc.engine.cpu.ddsp.first_mel import FirstMel, SourceNoise
from fastsvc.engine.cpu.ddsp.velocity import CpuVelocity
from fastsvc.engine.cpu.sampler import Features, Noise, OneByOne, Progress, SeededNoise
from fastsvc.model.ddsp import flow

FLOW_BLOCK = 1024  # frames
FIRST_SHARE = 0.2  # for the progress bar alone


class DdspSpeakers:
    """The speakers' table and the key shift. ``speaker`` has the interface of CpuCondition's."""

    def __init__(self, table: Tensor, key_shift: Tensor | None):
        self.table, self.key_shift = table, key_shift

    def speaker(self, weights: dict[int, float], key_shift: float = 0.0) -> Tensor:
        """A voice [H]: the weighted sum of speakers' rows; weights sum to 1. key_shift in semitones."""
        voice = sum((weight * self.table[row] for row, weight in weights.items()), self.table.new_zeros(()))
        return voice if self.key_shift is None or not key_shift else voice + key_shift * self.key_shift


class DdspSampler(OneByOne):
    """Synthesiser and flow → log-mel [T, M]."""

    computes = "fp32"
    config: DdspConfig

    def __init__(self, tensors: dict[str, Tensor], config: DdspConfig, sampling: Sampling):
        self.config, self.method, self.depth, self.schedules = config, sampling.method, None, sampling.schedules
        shift = tensors.get("control.key_shift")
        self.condition = DdspSpeakers(tensors["control.speakers"].float(), None if shift is None else shift.float())
        self.control = CpuControl(tensors, config)
        self.velocity = CpuVelocity(tensors, config, sampling.levels)

    def __call__(
        self,
        features: Features,
        speaker: Tensor,
        steps: int,
        noise: Noise,
        block: int | None = None,
        progress: Progress | None = None,
        mel: Tensor | None = None,
        source_noise: SourceNoise | None = None,
    ) -> Tensor:
        """Log-mel [T, M] for the voice ``speaker``; ``block``: frames of all blocks. ``mel`` is not used.

        ``source_noise``: of the synthesiser, by default from the seed of ``noise``; its scale does not change it.
        """
        first, frames = self.first_mel(features, speaker, noise, source_noise), len(features.f0_hz)
        found = torch.empty(frames, self.config.mel.bins)
        for begin, end, rows in first.blocks(block):
            found[begin:end] = rows
            if progress:
                progress(FIRST_SHARE * end / frames)
        return self.refined(found, steps, noise, block, progress)

    def first_mel(
        self, features: Features, speaker: Tensor, noise: Noise, source_noise: SourceNoise | None = None
    ) -> FirstMel:
        """The synthesiser over one recording."""
        if source_noise is None:
            seed = noise.seed if isinstance(noise, SeededNoise) else 0
            source_noise = first_mel.seeded(seed, self.config.mel.hop_samples)
        return FirstMel(self.config, self.control, features, speaker, source_noise)

    def refined(
        self, found: Tensor, steps: int, noise: Noise, block: int | None = None, progress: Progress | None = None
    ) -> Tensor:
        """The first mel [T, M] → the mel [T, M], along the flow."""
        row = self.schedules[steps]
        done, total = 0, max(1, flow.evaluations(self.method, row))

        def velocity(x: Tensor, level: float) -> Tensor:
            nonlocal done
            result = self._velocity(x, level, found, block)
            done += 1
            if progress:
                progress(FIRST_SHARE + (1 - FIRST_SHARE) * done / total)
            return result

        x = flow.start(found, noise(0, 0, len(found)), row[0])
        x = flow.solved(self.method, velocity, row, x, lambda step: noise(step, 0, len(found)))
        return flow.denormalised(x)

    def _velocity(self, x: Tensor, level: float, found: Tensor, block: int | None) -> Tensor:
        result = torch.empty_like(x)
        for first, last, begin, end in blocks(len(x), block or FLOW_BLOCK, self.velocity.halo_frames):
            rows = self.velocity(x[begin:end], level, found[begin:end])
            result[first:last] = rows[first - begin : last - begin]
        return result

    def timed_stages(self, features: Features, speaker: Tensor, steps: int, noise: Noise) -> dict[str, Callable]:
        """For measuring: the first mel and the flow of the whole recording, each as a call."""
        first = self.first_mel(features, speaker, noise)
        found = torch.cat([rows for _, _, rows in first.blocks()])
        return {
            "first mel": lambda: [rows for _, _, rows in first.blocks()],
            "flow": lambda: self.refined(found, steps, noise),
        }
