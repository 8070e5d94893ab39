"""The residual gated convolution of recogniser, pitch network and their kin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from fastsvc.config.reach import Reach


class GatedBlock(nn.Module):
    """x + W(gate * value) of a dilated convolution of the layer-normalised input; [B, T, C] -> [B, T, C].

    ``valid`` [B, T, 1] zeroes what lies outside the recording before the convolution reads it, as its own zero
    padding does at the ends: only then does a batch of unequal lengths give what each would give alone.
    ``reach``: rows before and after its own that the convolution reads; by default as many to each side.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, reach: Reach | None = None):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, kernel, dilation=dilation)
        self.reach = reach or Reach(*[kernel // 2 * dilation] * 2)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.bias)
        nn.init.normal_(self.out.weight, std=0.3 * channels**-0.5)

    def forward(self, x: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        y = self.norm(x)
        if valid is not None:
            y = y * valid
        y = F.pad(y.transpose(1, 2), self.reach)
        y = self._flat(y) if self.training else self.conv(y).transpose(1, 2)
        return x + self.out(F.glu(y, dim=-1))

    def _flat(self, y: torch.Tensor) -> torch.Tensor:
        """The same convolution in two dimensions, channels last: on CPUs with AMX, bf16 training of the network takes
        55 % of the time, because nothing is transposed in memory."""
        weight, (dilation,) = self.conv.weight.unsqueeze(2), self.conv.dilation
        y = F.conv2d(y.unsqueeze(2), weight, self.conv.bias, dilation=(1, dilation))
        return y.squeeze(2).transpose(1, 2)
