"""Amphion's "Conformer" (models/svc/transformer/conformer.py): in fact the text encoder of Glow-TTS and VITS.

Self-attention with learned vectors for the nearest distances (Shaw et al., arXiv 1803.02155), convolutions instead of
the two linear maps, layer norm after each sum. Parameter names are upstream's. Defaults are Amphion's sizes; RVC's
encoder (fastsvc/model/rvc) is the same network with others.
"""

import math

import torch
from torch import Tensor, nn

WINDOW = 4  # frames to each side that have a relative vector of their own
KERNEL = 3
EPSILON = 1e-4


def masked(x: Tensor, valid: Tensor | None) -> Tensor:
    """x with the padding at 0, as a convolution must see what lies beyond a recording's end."""
    return x if valid is None else x * valid


class ChannelNorm(nn.Module):
    """Layer norm over the channels of [B, C, T], ε inside the root."""

    def __init__(self, channels: int, epsilon: float = EPSILON):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scale = (centred.pow(2).mean(1, keepdim=True) + self.epsilon).rsqrt()
        return centred * scale * self.gamma[:, None] + self.beta[:, None]


class RelativeAttention(nn.Module):
    """Every frame attends to every other one; the 2·window + 1 relative vectors are shared by the heads.

    Memory: two tensors of [B, heads, T, T]. Relative vectors touch only the diagonals of these, −window … window.
    """

    def __init__(self, channels: int, heads: int, window: int = WINDOW):
        super().__init__()
        self.heads, self.width, self.window = heads, channels // heads, window
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(channels, channels, 1) for _ in range(4))
        self.emb_rel_k, self.emb_rel_v = (
            nn.Parameter(nn.init.normal_(torch.empty(1, 2 * window + 1, self.width), std=1 / math.sqrt(self.width)))
            for _ in range(2)
        )

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """[B, C, T] → [B, C, T]. Frames where valid [B, 1, T] is 0 are not attended to."""
        batch, channels, frames = x.shape
        query, key, value = (
            conv(x).view(batch, self.heads, self.width, frames).transpose(2, 3)
            for conv in (self.conv_q, self.conv_k, self.conv_v)
        )
        query = query / math.sqrt(self.width)
        scores = query @ key.transpose(2, 3)
        near = query @ self.emb_rel_k[0].T  # [B, heads, T, 2·window + 1]
        offsets = range(max(-self.window, 1 - frames), min(self.window, frames - 1) + 1)
        for offset in offsets:
            rows = slice(max(0, -offset), frames - max(0, offset))  # rows i for which i + offset exists
            scores.diagonal(offset, 2, 3).add_(near[:, :, rows, offset + self.window])
        if valid is not None:
            scores.masked_fill_(valid[:, None] == 0, -math.inf)
        weights = scores.softmax(-1)
        out = weights @ value
        for offset in offsets:
            rows = slice(max(0, -offset), frames - max(0, offset))
            out[:, :, rows] += weights.diagonal(offset, 2, 3)[..., None] * self.emb_rel_v[0, offset + self.window]
        return self.conv_o(out.transpose(2, 3).reshape(batch, channels, frames))


class ConformerFeedForward(nn.Module):
    def __init__(self, channels: int, inner: int, kernel: int = KERNEL):
        super().__init__()
        self.conv_1 = nn.Conv1d(channels, inner, kernel, padding=kernel // 2)
        self.conv_2 = nn.Conv1d(inner, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        return self.conv_2(masked(torch.relu(self.conv_1(masked(x, valid))), valid))


class ConformerLayers(nn.Module):
    """Attention and feed-forward in turns, each added and then normalised."""

    def __init__(
        self,
        channels: int,
        inner: int,
        heads: int,
        layers: int,
        window: int = WINDOW,
        kernel: int = KERNEL,
        epsilon: float = EPSILON,
    ):
        super().__init__()
        self.attn_layers = nn.ModuleList(RelativeAttention(channels, heads, window) for _ in range(layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels, epsilon) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(ConformerFeedForward(channels, inner, kernel) for _ in range(layers))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels, epsilon) for _ in range(layers))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [B, C, T] → [B, C, T]; valid [B, 1, T], 1 inside and 0 in the padding, whose frames hold no meaning."""
        for attention, first, feed, second in zip(
            self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2
        ):
            x = first(x + attention(x, valid))
            x = second(x + feed(x, valid))
        return x


class Conformer(nn.Module):
    """[B, T, channels] → [B, T, out]. Whole sequences: there is no mask."""

    def __init__(self, channels: int, inner: int, heads: int, layers: int, out: int):
        super().__init__()
        self.conformer_encoder = ConformerLayers(channels, inner, heads, layers)
        self.projection = nn.Conv1d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.conformer_encoder(x.transpose(1, 2))).transpose(1, 2)
