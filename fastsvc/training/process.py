"""What the few-step objectives ask of a family of acoustic models: its levels, its start, its own loss, its parts.

Everywhere σ is noise per unit of mel: a state is x = x0 + σ z. Consistency distillation and distribution matching need
nothing else, so they train a diffusion model and a rectified flow (fastsvc/training/flow/process.py) alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fastsvc.config import AcousticConfig
from fastsvc.training import adversary, diffusion, distribution, simulate
from fastsvc.training.adversary import Head
from fastsvc.training.diffusion import Denoise
from fastsvc.training.fake import FakeScore


class Process(Protocol):
    """The interface of a family; models are those of its trainings."""

    sigma_min: float  # where D(x, σ) = x
    reference: tuple[int, str]  # steps and sampler that stand for a teacher's own distribution

    def grid(self, points: int) -> Tensor:
        """[points] rising levels of consistency distillation, from sigma_min on."""
        ...

    def path(self, x0: Tensor, cond: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """The mel under the noise of a state at σ [B], from the recordings' own x0 [B, T, M]."""
        ...

    def matching_levels(self, count: int, generator: torch.Generator) -> Tensor:
        """[count] levels at which scores are compared."""
        ...

    def schedules(self, steps: Sequence[int], below: Sequence[Sequence[float]]) -> list[list[float]]:
        """The falling levels of each number of steps. Raises ConfigError for a number without any."""
        ...

    def origin(self, cond: Tensor) -> Tensor | None:
        """What the first level's noise is added to, [B, T, M]; None: nothing, the level hides everything."""
        ...

    def denoising_loss(self, denoise: Denoise, x: Tensor, sigma: Tensor, z: Tensor, valid: Tensor) -> Tensor:
        """The family's own objective on the mels x, which get no gradient."""
        ...

    def features(self, net: Any, x: Tensor, sigma: Tensor, z: Tensor, cond: Tensor, valid: Tensor) -> list[Tensor]:
        """The states of a network's layers at x + σz, for a discriminator; gradients only if x requires one."""
        ...

    def freeze_condition(self, model: Any) -> None:
        """Leave only the network of the denoiser to be trained."""
        ...

    def few_step(self, config: Any, schedules: Sequence[Sequence[float]]) -> Any:
        """The configuration of a student of these schedules; without any, that of a model as trained before."""
        ...

    def fake(self, teacher: Any, schedules: Sequence[Sequence[float]]) -> FakeScore:
        """A fake score that starts from the teacher."""
        ...

    def head(self, teacher: Any, channels: int) -> nn.Module:
        """A discriminator of the states of the teacher's network."""
        ...


class EdmProcess:
    """A diffusion model by EDM (arXiv 2206.00364)."""

    reference = (9, "heun")

    def __init__(self, config: AcousticConfig):
        self.config, self.edm = config, config.edm
        self.sigma_min = config.edm.sigma_min

    def grid(self, points: int) -> Tensor:
        return diffusion.grid(self.edm, points)

    def path(self, x0: Tensor, cond: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        return x0

    def matching_levels(self, count: int, generator: torch.Generator) -> Tensor:
        return distribution.levels(count, self.edm, generator)

    def schedules(self, steps: Sequence[int], below: Sequence[Sequence[float]]) -> list[list[float]]:
        return simulate.schedules(self.edm, steps, below)

    def origin(self, cond: Tensor) -> Tensor | None:
        return None

    def denoising_loss(self, denoise: Denoise, x: Tensor, sigma: Tensor, z: Tensor, valid: Tensor) -> Tensor:
        return distribution.fake_loss(denoise, self.edm, x, sigma, z, valid)

    def features(self, net: Any, x: Tensor, sigma: Tensor, z: Tensor, cond: Tensor, valid: Tensor) -> list[Tensor]:
        return adversary.features(net, self.config, x, sigma, z, cond, valid)

    def freeze_condition(self, model: Any) -> None:
        model.condition.requires_grad_(False)

    def few_step(self, config: AcousticConfig, schedules: Sequence[Sequence[float]]) -> AcousticConfig:
        return replace(config, edm=replace(config.edm, few_steps=tuple(map(tuple, schedules))))

    def fake(self, teacher: Any, schedules: Sequence[Sequence[float]]) -> FakeScore:
        return FakeScore(teacher.denoiser, teacher.config.denoiser.cond_channels, schedules)

    def head(self, teacher: Any, channels: int) -> nn.Module:
        net = teacher.config.denoiser
        return Head(net.layers * net.channels, net.cond_channels, channels)
