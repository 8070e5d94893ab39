"""A Conformer as a recogniser's trunk. Its attention reaches a fixed way, so a unit depends on a bounded span of mel.

Blocks are those of arXiv 2005.08100 without positional encoding: half a feed-forward layer, attention, a convolution,
half a feed-forward layer. They run at half the mel's rate. The states of all blocks together, brought back to the mel's
rate, go through two gated convolutions: late states are spikes in time, as CTC makes them, and early ones say where
sounds begin.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import RecogniserConfig
from fastsvc.config.recognition import STRIDE
from fastsvc.model.gated_block import GatedBlock

WIDER = 4  # of the feed-forward layers
HEAD_DILATIONS = (1, 2)  # of the gated convolutions
STEM = 3
PIECE = 256  # states whose attention is computed at once


class FeedForward(nn.Sequential):
    def __init__(self, channels: int):
        super().__init__(
            nn.LayerNorm(channels),
            nn.Linear(channels, WIDER * channels),
            nn.SiLU(),
            nn.Linear(WIDER * channels, channels),
        )


class ConformerBlock(nn.Module):
    """x [B, T, C] → the same. ``valid`` [B, T, 1]: 0 outside the recording."""

    def __init__(self, channels: int, heads: int, kernel: int, reach: int):
        """``reach``: states to each side that a state hears."""
        super().__init__()
        self.reach = reach
        self.before, self.after = FeedForward(channels), FeedForward(channels)
        self.attention_norm, self.conv_norm, self.norm = (nn.LayerNorm(channels) for _ in range(3))
        self.heads = heads
        self.joined, self.attended = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.gate, self.mix = nn.Linear(channels, 2 * channels), nn.Linear(channels, channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        x = x + 0.5 * self.before(x)
        parts = self.joined(self.attention_norm(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        heard = attended(query, key, value, None if valid is None else valid[..., 0], self.reach)
        x = x + self.attended(heard.transpose(1, 2).flatten(2))
        y = F.glu(self.gate(self.conv_norm(x)), dim=-1)
        y = y if valid is None else y * valid
        x = x + self.mix(F.silu(self.depthwise(y.transpose(1, 2))).transpose(1, 2))
        return self.norm(x + 0.5 * self.after(x))


def attended(query: Tensor, key: Tensor, value: Tensor, inside: Tensor | None, reach: int) -> Tensor:
    """Attention [B, H, T, D] of each state to those at most ``reach`` away and inside the recording, [B, T].

    Long recordings go by pieces, each with the states that it may hear: time and memory grow with T.
    """
    states, pieces = query.shape[2], []
    place = torch.arange(states, device=query.device)
    for first in range(0, states, PIECE):
        rows = slice(first, min(states, first + PIECE))
        heard = slice(max(0, first - reach), min(states, rows.stop + reach))
        apart = (place[rows, None] - place[heard]).abs()[None, None]
        near = apart <= reach
        if inside is not None:  # a state outside hears itself, as a softmax over nothing is no number
            near = near & (inside[:, None, None, heard] > 0) | (apart == 0)
        one = F.scaled_dot_product_attention(query[:, :, rows], key[:, :, heard], value[:, :, heard], attn_mask=near)
        pieces.append(one)
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)


class ConformerTrunk(nn.Module):
    """Normalised mel [B, T, M] → [B, T, C]. ``frozen``: the blocks get no gradient."""

    def __init__(self, config: RecogniserConfig):
        super().__init__()
        channels, self.attention = config.channels, config.attention_frames
        self.channels, self.frozen = channels, False
        self.scale, self.shift = (nn.Parameter(fill(config.mel.bins)) for fill in (torch.ones, torch.zeros))
        self.stem = nn.Conv1d(config.mel.bins, channels, STEM, STRIDE, STEM // 2)
        self.blocks = nn.ModuleList(
            ConformerBlock(channels, config.heads, config.kernel, self.attention) for _ in range(config.layers)
        )
        self.join = nn.Linear((config.layers + 1) * channels, STRIDE * channels)
        self.head = nn.ModuleList(GatedBlock(channels, 3, dilation) for dilation in HEAD_DILATIONS)
        self.norm = nn.LayerNorm(channels)
        states = config.layers * (self.attention + config.kernel // 2)
        reach = STRIDE * states + STEM // 2 + STRIDE + sum(HEAD_DILATIONS)
        self.halo_frames = self.future_frames = reach + reach % STRIDE  # even: a cut must not move the stem's steps

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        frames = x.shape[1]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states = self._states(x, valid)
        y = self.join(states).unflatten(-1, (STRIDE, -1)).flatten(1, 2)[:, :frames]
        for block in self.head:
            y = block(y, valid)
        return self.norm(y)

    def _states(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """[B, ⌈T / 2⌉, (blocks + 1) · C], the stem's and each block's."""
        x = x * self.scale + self.shift
        if valid is not None:
            x, valid = x * valid, valid[:, ::STRIDE]
        y = F.gelu(self.stem(x.transpose(1, 2))).transpose(1, 2)
        states = [y]
        for block in self.blocks:
            states.append(block(states[-1], valid))
        return torch.cat(states, dim=-1)
