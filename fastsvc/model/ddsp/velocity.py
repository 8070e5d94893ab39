"""The velocity network of DDSP-SVC 6 (LYNXNet): state, time and first mel → the flow's velocity.

Version 6.0 came before LYNXNet's norms and calls its parameters by other names, which are kept: files of both versions
fit as they are.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config.ddsp import DdspConfig
from fastsvc.model.ddsp.blocks import Conformer

TIME_SCALE = 1000.0
NAMES = {  # of a layer's parts, by version
    "6.0": {"step": "diffusion_step_projection", "condition": "condition_projection", "block": "conformer"},
    "6.1": {"step": "diffusion_projection", "condition": "conditioner_projection", "block": "convmodule"},
}


class TimeFeatures(nn.Module):
    """Times [B] → [B, C]: sines, then cosines."""

    def __init__(self, channels: int):
        super().__init__()
        self.half = channels // 2

    def forward(self, time: Tensor) -> Tensor:
        # frequencies in float32, as upstream computes them; the argument is large, so digits of them matter
        falling = torch.exp(torch.arange(self.half, device=time.device) * -(math.log(10000) / (self.half - 1)))
        angle = time[:, None] * falling.to(time.dtype)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Layer(nn.Module):
    """x + block(x + step + condition), on [B, C, T]."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        self.names = names = NAMES[config.version]
        self.add_module(names["step"], nn.Conv1d(config.channels, config.channels, 1))
        self.add_module(names["condition"], nn.Conv1d(config.mel.bins, config.channels, 1))
        self.add_module(names["block"], Conformer(config.channels, config.version, norm=config.version == "6.1"))

    def forward(self, x: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        project_step, project, block = (getattr(self, self.names[part]) for part in ("step", "condition", "block"))
        told = x + project_step(step) + project(condition)
        return x + block(told.transpose(1, 2)).transpose(1, 2)


class Velocity(nn.Module):
    """v(x, t | first mel)."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        channels = config.channels
        self.input_projection = nn.Conv1d(config.mel.bins, channels, 1)
        self.diffusion_embedding = nn.Sequential(
            TimeFeatures(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.residual_layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(channels) if config.version == "6.1" else None
        self.output_projection = nn.Conv1d(channels, config.mel.bins, 1)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """x [B, T, M] normalised, time [B] in 0 … 1, condition [B, T, M]: the log-mel as it is → [B, T, M]."""
        step = self.diffusion_embedding(TIME_SCALE * time)[:, :, None]
        state, condition = F.gelu(self.input_projection(x.transpose(1, 2))), condition.transpose(1, 2)
        for layer in self.residual_layers:
            state = layer(state, step, condition)
        if self.norm is not None:
            state = self.norm(state.transpose(1, 2)).transpose(1, 2)
        return self.output_projection(state).transpose(1, 2)
