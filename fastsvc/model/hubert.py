"""HuBERT-base: audio at 16 kHz -> seven convolutions -> transformer -> units, 50 a second.

Hsu et al. 2021 (arXiv 2106.07447); ContentVec (Qian et al. 2022, arXiv 2204.09224) is the same network. Parameters
are named as transformers' HubertModel names them, the positional convolution with its weight norm folded.

The audio is not normalised, as in the training of these networks. The group norm after the first convolution averages
over the whole recording, and attention reaches over all of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import HubertConfig


class ConvLayer(nn.Module):
    """Strided convolution without bias, group norm with one channel a group if ``normed``, GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, normed: bool):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=False)
        self.layer_norm = nn.GroupNorm(outputs, outputs) if normed else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.gelu(x if self.layer_norm is None else self.layer_norm(x))


class FeatureExtractor(nn.Module):
    """audio [B, L] -> [B, T, C]."""

    def __init__(self, config: HubertConfig):
        super().__init__()
        inputs = (1, *config.conv_channels[:-1])
        rows = zip(inputs, config.conv_channels, config.conv_kernels, config.conv_strides)
        self.conv_layers = nn.ModuleList(ConvLayer(*row, normed=i == 0) for i, row in enumerate(rows))

    def forward(self, audio: Tensor) -> Tensor:
        x = audio[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x.transpose(1, 2)


class FeatureProjection(nn.Module):
    def __init__(self, config: HubertConfig):
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.conv_channels[-1], eps=config.norm_eps)
        self.projection = nn.Linear(config.conv_channels[-1], config.channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.layer_norm(x))


class PositionalConvolution(nn.Module):
    """A unit's position, encoded from its surroundings by a wide grouped convolution and GELU."""

    def __init__(self, config: HubertConfig):
        super().__init__()
        kernel, channels = config.position_kernel, config.channels
        self.conv = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=config.position_groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv(x.transpose(1, 2))[:, :, : x.shape[1]]).transpose(1, 2)  # an even kernel gives T + 1


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.out_proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        weights = torch.softmax(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5, dim=-1)
        return self.out_proj((weights @ v).transpose(1, 2).flatten(2))


class HubertFeedForward(nn.Module):
    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.intermediate_dense = nn.Linear(channels, hidden)
        self.output_dense = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(F.gelu(self.intermediate_dense(x)))


class HubertLayer(nn.Module):
    """Attention and feed-forward, each added to its input and then normalised."""

    def __init__(self, config: HubertConfig):
        super().__init__()
        self.attention = Attention(config.channels, config.heads)
        self.layer_norm = nn.LayerNorm(config.channels, eps=config.norm_eps)
        self.feed_forward = HubertFeedForward(config.channels, config.hidden)
        self.final_layer_norm = nn.LayerNorm(config.channels, eps=config.norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer_norm(x + self.attention(x))
        return self.final_layer_norm(x + self.feed_forward(x))


class HubertTransformer(nn.Module):
    def __init__(self, config: HubertConfig):
        super().__init__()
        self.pos_conv_embed = PositionalConvolution(config)
        self.layer_norm = nn.LayerNorm(config.channels, eps=config.norm_eps)
        self.layers = nn.ModuleList(HubertLayer(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer_norm(x + self.pos_conv_embed(x))
        for layer in self.layers:
            x = layer(x)
        return x


class Hubert(nn.Module):
    """audio [B, L] at 16 kHz, L >= 400 -> units [B, (L - 80) // 320, D].

    The output after ``config.layers`` layers is fairseq's for ``output_layer=layers`` and transformers'
    ``hidden_states[layers]``.
    """

    def __init__(self, config: HubertConfig):
        super().__init__()
        self.config = config
        self.feature_extractor = FeatureExtractor(config)
        self.feature_projection = FeatureProjection(config)
        self.encoder = HubertTransformer(config)
        self.final_proj = nn.Linear(config.channels, config.projection) if config.projection else None

    def forward(self, audio: Tensor) -> Tensor:
        x = self.encoder(self.feature_projection(self.feature_extractor(audio)))
        return x if self.final_proj is None else self.final_proj(x)
