"""Pitch of a mel: log-mel → probabilities of f0 bins, as CREPE (Kim et al. 2018) has them for audio.

The network is small and differentiable. It is used only in training, to measure whether a student's mel has the f0 of
its input. It does not estimate voicing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fastsvc.config import PitchConfig
from fastsvc.model.gated_block import GatedBlock
from fastsvc.model.recogniser import DILATION_CYCLE


class PitchNet(nn.Module):
    """mel [B, T, M] → logits [B, T, bins]; bin i stands for low_hz · 2^(i · step_cents / 1200)."""

    def __init__(self, config: PitchConfig):
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(config.mel.bins, config.channels, 3, padding=1)
        dilations = [DILATION_CYCLE[i % len(DILATION_CYCLE)] for i in range(config.layers)]
        self.blocks = nn.ModuleList(GatedBlock(config.channels, 3, d) for d in dilations)
        self.norm = nn.LayerNorm(config.channels)
        self.head = nn.Linear(config.channels, config.bins)

    def forward(self, mel: Tensor, valid: Tensor | None = None) -> Tensor:
        mask = None if valid is None else valid[..., None].to(mel.dtype)
        x = mel - mel.mean(dim=2, keepdim=True)  # how loud a frame is says nothing of its pitch
        x = self.stem((x if mask is None else x * mask).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(x))

    def cents(self, logits: Tensor) -> Tensor:
        """[B, T, bins] → the expected pitch [B, T], in cents above low_hz: smooth, so it has a gradient."""
        cents = torch.arange(self.config.bins, device=logits.device) * self.config.step_cents
        return torch.softmax(logits.float(), dim=-1) @ cents

    def cents_of(self, f0_hz: Tensor) -> Tensor:
        """Hz → cents above low_hz; 0 where f0 is 0."""
        return 1200 * torch.log2(f0_hz.clamp(min=self.config.low_hz) / self.config.low_hz)
