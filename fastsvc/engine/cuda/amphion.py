"""Amphion's condition on a GPU: the specification's module itself, on the device, before the kernels begin.

It reaches over the whole recording, and noise is drawn about it, so schedules are stepped from the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fastsvc.artifact.lowered import AMPHION
from fastsvc.config import AcousticConfig
from fastsvc.engine import ranges
from fastsvc.engine.buckets import Shape
from fastsvc.engine.cpu.amphion import CpuAmphionCondition
from fastsvc.engine.cpu.sampler import Features

ZERO_CHANNELS = 64  # channels of units that are all zeros: the fewest that the kernels take


class CudaAmphionCondition:
    """As :class:`fastsvc.engine.cuda.condition.CudaCondition`."""

    in_graphs = False

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig, device):
        self.device = torch.device(device)
        self.module = CpuAmphionCondition(
            {n: t.to(self.device) for n, t in tensors.items() if n.startswith(AMPHION)}, config
        )
        self.speaker = self.module.speaker

    @staticmethod
    def packable(tensors: dict[str, Tensor], config: AcousticConfig) -> dict[str, Tensor]:
        """``tensors`` with zeros for the linear maps that Amphion's condition does not have."""
        hidden = config.denoiser.cond_channels
        zeros = {name: torch.zeros(hidden) for name in ("condition.f0", "condition.volume")}
        return {**tensors, **zeros, "condition.units": torch.zeros(ZERO_CHANNELS, hidden)}

    @staticmethod
    def unit_channels(config: AcousticConfig) -> int:
        return ZERO_CHANNELS

    def inputs(self, features: Features, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return (
            torch.zeros(1, ZERO_CHANNELS),
            torch.zeros_like(features.unit_indices),
            self.of_recording(features, speaker),
        )

    def of_recording(self, features: Features, speaker: Tensor) -> Tensor:
        """cond [T, H] of a recording, on the device."""
        with ranges.stage("condition"):
            units, unit_indices, f0_hz, voiced, volume = (
                part.to(self.device)
                for part in (features.units, features.unit_indices, features.f0_hz, features.voiced, features.volume)
            )
            here = Features(units, unit_indices, f0_hz, voiced, volume)
            return self.module.of_recording(here, speaker.to(self.device))

    def fill(self, network, program, conds: Sequence[Tensor | None]) -> None:
        program.net.cond.zero_()
        for row, cond in enumerate(conds):
            assert cond is not None, "inputs() gives it"
            program.net.cond[row, : len(cond), : cond.shape[1]] = cond

    def prepare(self, network, shape: Shape) -> None:
        """Nothing needs capturing."""

    def alone(self, network, shape: Shape, features: Features, speaker: Tensor) -> Callable[[], object]:
        return lambda: self.of_recording(features, speaker)
