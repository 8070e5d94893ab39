"""The block that both networks of DDSP-SVC 6 are made of: 1×1 → gate → depthwise convolution → activation → 1×1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config.ddsp import EXPANSION, HEADS, KERNEL


class Gate(nn.Module):
    """[B, 2C, T] → [B, C, T]: the first half times σ (version 6.0) or SiLU (6.1) of the second."""

    def __init__(self, version: str):
        super().__init__()
        self.curve = torch.sigmoid if version == "6.0" else F.silu

    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, dim=1)
        return value * self.curve(gate)


class Swap(nn.Module):
    """Time and channels changed about."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def block(channels: int, version: str, norm: bool) -> nn.Sequential:
    """[B, T, C] → [B, T, C]; the places in the sequence are those of upstream's parameters."""
    inner = EXPANSION * channels
    return nn.Sequential(
        nn.LayerNorm(channels) if norm else nn.Identity(),
        Swap(),
        nn.Conv1d(channels, 2 * inner, 1),
        Gate(version),
        nn.Conv1d(inner, inner, KERNEL, padding=KERNEL // 2, groups=inner),
        nn.SiLU() if version == "6.0" else nn.PReLU(inner),
        nn.Conv1d(inner, channels, 1),
        Swap(),
    )


class Conformer(nn.Module):
    """A block under upstream's name of it, `NAME.net`."""

    def __init__(self, channels: int, version: str, norm: bool):
        super().__init__()
        self.net = block(channels, version, norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ControlLayer(nn.Module):
    """x + block(x), in version 6.1 after x + attention(norm(x)) where the voice has it; on [B, T, C].

    Upstream feeds its attention batch-first without saying so: items attend to each other, and frames do not. An item
    alone attends to itself, frame by frame, so here every frame is alone.
    """

    def __init__(self, channels: int, version: str, norm: bool, attention: bool):
        super().__init__()
        self.conformer = Conformer(channels, version, norm)
        self.norm = nn.LayerNorm(channels) if attention else None
        self.attn = nn.TransformerEncoderLayer(channels, HEADS, 4 * channels, 0.0, "gelu") if attention else None

    def forward(self, x: Tensor) -> Tensor:
        if self.attn is not None and self.norm is not None:
            frames = self.norm(x).flatten(0, 1)[None]  # a sequence of one for each frame
            x = x + self.attn(frames)[0].view_as(x)
        return x + self.conformer(x)
