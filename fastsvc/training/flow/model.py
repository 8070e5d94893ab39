"""DDSP-SVC 6 behind the interface that acoustic trainings use; names of parameters stay those of its files."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastsvc.config import DdspConfig
from fastsvc.model.ddsp import DdspModel, flow
from fastsvc.model.ddsp.control import Control
from fastsvc.model.ddsp.synthesis import first_mel
from fastsvc.training.flow import velocity
from fastsvc.training.flow.blocks import block

STEPS = 20  # of the sampler that upstream uses


class FlowModel(DdspModel):
    """``log_base``: of the corpus's mels, which go in and come out; the flow's own are natural logarithms."""

    def __init__(self, config: DdspConfig, log_base: str = "e"):
        super().__init__(config)
        self.per_natural = 1.0 if log_base == "e" else 1 / math.log(10)

    def normalise(self, mel: Tensor) -> Tensor:
        """The corpus's log-mel → the space of the flow."""
        return flow.normalised(mel / self.per_natural)

    def denormalise(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`normalise`."""
        return flow.denormalised(x) * self.per_natural

    def synthesised(self, units: Tensor, f0_hz: Tensor, volume: Tensor, speaker: Tensor, noise: Tensor) -> Tensor:
        """The first mel as :meth:`first_mel`, a natural logarithm, by the quicker blocks."""
        excitation, phase = self.excitation(f0_hz, noise)
        control = controlled(self.ddsp_model.unit2ctrl, units, f0_hz, volume, phase, excitation, speaker)
        return first_mel(self.audio(control, excitation), self.config.mel)

    @torch.no_grad()
    def sample(self, cond: Tensor, steps: int, noise: Callable[[int], Tensor], method: str | None = None) -> Tensor:
        """The first mel [B, T, M] and noise(step) → the corpus's log-mel [B, T, M]."""
        row, net = flow.levels(self.config.t_start, steps), self.reflow_model.velocity_fn

        def at(x: Tensor, level: float) -> Tensor:
            return velocity.forward(net, x, x.new_full((len(x),), 1 - level), cond).float()

        x = flow.solved(method or "euler", at, row, flow.start(cond, noise(0), row[0]), noise)
        return self.denormalise(x)


def controlled(network: Control, units, f0_hz, volume, phase, excitation, speaker) -> Tensor:
    """``network(…)``; attention, which few voices have, by the specification's own layers."""
    x = network.told(units, f0_hz, volume, phase, excitation, speaker)
    for layer in network.decoder.encoder_layers:
        x = layer(x) if layer.attn is not None else x + block(layer.conformer.net, x)
    return network.output(x)
