"""The rectified flow in the terms of fastsvc.training.process: its states over t are x0 + σ z with σ = (1 − t)/t.

x_t = t·mel + (1 − t)·noise is t times that state, and D = x_t + (1 − t)·v(x_t, t). Euler's step is the same in both:
it keeps D and moves along the straight line.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsvc.errors import ConfigError
from fastsvc.model.ddsp import flow
from fastsvc.model.ddsp.velocity import Velocity
from fastsvc.training import diffusion
from fastsvc.training.diffusion import Denoise, wide
from fastsvc.training.distribution import EDGE
from fastsvc.training.flow import velocity
from fastsvc.training.simulate import BELOW

LEAST_START = 0.05  # below it σ is so large that nothing is left of the first mel to start from


def sigma_of(level: Tensor) -> Tensor:
    """1 − t → σ."""
    return level / (1 - level)


def level_of(sigma: Tensor) -> Tensor:
    """σ → 1 − t."""
    return sigma / (1 + sigma)


def denoise(net: Velocity, x: Tensor, sigma: Tensor, first_mel: Tensor, valid: Tensor | None = None) -> Tensor:
    """D(x, σ | first mel): x = x0 + σz [B, T, M], sigma [B], first_mel [B, T, M], valid [B, T] or None → [B, T, M]."""
    level = level_of(sigma)
    state = wide(1 - level) * x
    return state + wide(level) * velocity.forward(net, state, 1 - level, first_mel, valid).float()


class FlowProcess:
    """A flow from ``t_start`` to 1. Raises ConfigError where it starts from nothing but noise."""

    sigma_min = 0.0

    def __init__(self, t_start: float):
        if t_start < LEAST_START:
            raise ConfigError(
                f"the flow starts at t = {t_start:g}, where few steps have nothing to start from",
                f"use a voice whose t_start is {LEAST_START:g} or more",
            )
        self.t_start = t_start

    def grid(self, points: int) -> Tensor:
        """[points] rising levels, 0 … σ(t_start), evenly spaced in t; at 0 D(x) = x holds by itself."""
        return sigma_of(torch.linspace(0, 1 - self.t_start, points, dtype=torch.float64)).float()

    def matching_levels(self, count: int, generator: torch.Generator) -> Tensor:
        """Evenly in t, a share of the range left out at either end."""
        place = EDGE + (1 - 2 * EDGE) * torch.rand(count, generator=generator, device=generator.device)
        return sigma_of((1 - self.t_start) * place)

    def schedules(self, steps: Sequence[int], below: Sequence[Sequence[float]]) -> list[list[float]]:
        """Evenly in t, as fastsvc.model.ddsp.flow.levels, whatever the number of steps."""
        if tuple(map(tuple, below)) != BELOW:
            raise ConfigError("task.below: the levels of a flow are even in t", "omit task.below")
        if not steps or len(set(steps)) < len(steps):
            raise ConfigError(f"task.steps is {list(steps)}", "name numbers of steps, each once, such as [1, 2, 4]")
        return [[level / (1 - level) for level in flow.levels(self.t_start, count)[:-1]] for count in steps]

    def origin(self, cond: Tensor) -> Tensor | None:
        """The first mel itself."""
        return flow.normalised(cond)

    def denoising_loss(self, denoise: Denoise, x: Tensor, sigma: Tensor, z: Tensor, valid: Tensor) -> Tensor:
        """‖v − (x − z)‖², the flow's own objective: v − (x − z) = (D − x)/(1 − t)."""
        x = torch.where(valid[..., None] > 0, x.detach(), 0)
        error = (denoise(x + wide(sigma) * z, sigma).float() - x) / wide(level_of(sigma))
        return diffusion.batch_mean(error.square(), valid)

    def features(self, net, x: Tensor, sigma: Tensor, z: Tensor, cond: Tensor, valid: Tensor) -> list[Tensor]:
        """Gradients are computed only if x requires one."""
        with torch.set_grad_enabled(x.requires_grad):
            noisy = torch.where(valid[..., None] > 0, x, 0) + wide(sigma) * z
            level = level_of(sigma)
            return velocity.states(net, wide(1 - level) * noisy, 1 - level, cond, valid)
