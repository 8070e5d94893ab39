"""What distillation asks of a rectified flow besides its process: paths as in use, and the parts that it copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from fastsvc.config import DdspConfig
from fastsvc.model.ddsp import flow
from fastsvc.training.adversary import Head
from fastsvc.training.diffusion import wide
from fastsvc.training.fake import FakeScore
from fastsvc.training.flow.model import STEPS
from fastsvc.training.flow.process import FlowProcess


class DistilledFlow(FlowProcess):
    """``from_first``: the share of items whose states lie on the path from the first mel, as in use."""

    reference = (STEPS, "euler")

    def __init__(self, t_start: float, from_first: float = 0.0):
        super().__init__(t_start)
        self.from_first = from_first

    def path(self, x0: Tensor, cond: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
        """The flow is trained on x0 + σz, but in use it starts from the first mel f: f + σ_start z. Where the network
        knows the mel, Euler's straight line from there passes x0 + (σ/σ_start)(f − x0) + σz."""
        if not self.from_first:
            return x0
        share = sigma * self.t_start / (1 - self.t_start)
        drawn = torch.rand(len(x0), generator=generator, device=generator.device) < self.from_first
        return x0 + wide(torch.where(drawn, share, 0.0)) * (flow.normalised(cond) - x0)

    def freeze_condition(self, model: Any) -> None:
        model.ddsp_model.requires_grad_(False)

    def few_step(self, config: DdspConfig, schedules: Sequence[Sequence[float]]) -> DdspConfig:
        return replace(config, few_steps=tuple(sorted(map(len, schedules))))

    def fake(self, teacher: Any, schedules: Sequence[Sequence[float]]) -> FakeScore:
        return FakeScore(teacher.reflow_model.velocity_fn, teacher.config.mel.bins, schedules)

    def head(self, teacher: Any, channels: int) -> nn.Module:
        config = teacher.config
        return Head(config.layers * config.channels, config.mel.bins, channels)
