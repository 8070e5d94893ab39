"""Amphion's "Conformer" (models/svc/transformer/conformer.py): in fact the text encoder of Glow-TTS and VITS.

Self-attention with learned vectors for the distances −4 … 4 (Shaw et al., arXiv 1803.02155), convolutions instead of
the two linear maps, layer norm after each sum. Parameter names are upstream's.
"""

import math

import torch
from torch import Tensor, nn

WINDOW = 4  # frames to each side that have a relative vector of their own
KERNEL = 3


class ChannelNorm(nn.Module):
    """Layer norm over the channels of [B, C, T], ε inside the root."""

    def __init__(self, channels: int, epsilon: float = 1e-4):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scale = (centred.pow(2).mean(1, keepdim=True) + self.epsilon).rsqrt()
        return centred * scale * self.gamma[:, None] + self.beta[:, None]


class RelativeAttention(nn.Module):
    """Every frame attends to every other one; the relative vectors are shared by the heads."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads, self.width = heads, channels // heads
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(channels, channels, 1) for _ in range(4))
        self.emb_rel_k = nn.Parameter(torch.randn(1, 2 * WINDOW + 1, self.width) / math.sqrt(self.width))
        self.emb_rel_v = nn.Parameter(torch.randn(1, 2 * WINDOW + 1, self.width) / math.sqrt(self.width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] → [B, C, T]."""
        batch, channels, frames = x.shape
        query, key, value = (
            conv(x).view(batch, self.heads, self.width, frames).transpose(2, 3)
            for conv in (self.conv_q, self.conv_k, self.conv_v)
        )
        query = query / math.sqrt(self.width)
        scores = query @ key.transpose(2, 3)
        near = query @ self.emb_rel_k[0].T  # [B, heads, T, 9]
        offsets = range(max(-WINDOW, 1 - frames), min(WINDOW, frames - 1) + 1)
        for offset in offsets:
            rows = slice(max(0, -offset), frames - max(0, offset))  # rows i for which i + offset exists
            scores.diagonal(offset, 2, 3).add_(near[:, :, rows, offset + WINDOW])
        weights = scores.softmax(-1)
        out = weights @ value
        for offset in offsets:
            rows = slice(max(0, -offset), frames - max(0, offset))
            out[:, :, rows] += weights.diagonal(offset, 2, 3)[..., None] * self.emb_rel_v[0, offset + WINDOW]
        return self.conv_o(out.transpose(2, 3).reshape(batch, channels, frames))


class ConformerFeedForward(nn.Module):
    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.conv_1 = nn.Conv1d(channels, inner, KERNEL, padding=KERNEL // 2)
        self.conv_2 = nn.Conv1d(inner, channels, KERNEL, padding=KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_2(torch.relu(self.conv_1(x)))


class ConformerLayers(nn.Module):
    """Attention and feed-forward in turns, each added and then normalised."""

    def __init__(self, channels: int, inner: int, heads: int, layers: int):
        super().__init__()
        self.attn_layers = nn.ModuleList(RelativeAttention(channels, heads) for _ in range(layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(ConformerFeedForward(channels, inner) for _ in range(layers))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for attention, first, feed, second in zip(
            self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2
        ):
            x = first(x + attention(x))
            x = second(x + feed(x))
        return x


class Conformer(nn.Module):
    """[B, T, channels] → [B, T, out]. Whole sequences: there is no mask."""

    def __init__(self, channels: int, inner: int, heads: int, layers: int, out: int):
        super().__init__()
        self.conformer_encoder = ConformerLayers(channels, inner, heads, layers)
        self.projection = nn.Conv1d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.conformer_encoder(x.transpose(1, 2))).transpose(1, 2)
