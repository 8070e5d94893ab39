"""The denoiser for training: the specification's weights in a few large matrix products.

`fastsvc.model.wavenet` convolves [B, C, T]; on a CPU in bf16 most of that time goes to reordering. Here sequences
stay [B, T, C], and a layer is two products: [x(t−d) | x(t) | x(t+d) | cond] onto gate and filter, then onto residual
and skip.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config.reach import Reach
from fastsvc.model.wavenet import ResidualLayer, WaveNet, noise_embedding


def forward(net: WaveNet, x: Tensor, noise_level: Tensor, cond: Tensor, valid: Tensor | None = None) -> Tensor:
    """The result of ``net(x, noise_level, cond, valid)``; gradients reach net's own parameters.

    x [B, T, M], noise_level [B], cond [B, T, H], valid [B, T] or None → [B, T, M].
    """
    layer_skips = skips(net, x, noise_level, cond, valid)
    mean = torch.stack(layer_skips).sum(0) / math.sqrt(len(layer_skips))
    return _pointwise(net.output_projection, F.relu(_pointwise(net.skip_projection, mean)))


def skips(net: WaveNet, x: Tensor, noise_level: Tensor, cond: Tensor, valid: Tensor | None = None) -> list[Tensor]:
    """The skip half of every layer, [B, T, C] each: a discriminator's features."""
    step = net.mlp(noise_embedding(noise_level, net.config.channels))
    x = F.relu(_pointwise(net.input_projection, x))
    cond = cond.to(x.dtype)
    valid = None if valid is None else valid[:, :, None].to(x.dtype)
    layer_skips = []
    for layer, dilation, reach in zip(net.residual_layers, net.config.dilations, net.config.reaches):
        x, skip = _layer(layer, dilation, reach, x, cond, step, valid)
        layer_skips.append(skip)
    return layer_skips


def _pointwise(conv: torch.nn.Conv1d, x: Tensor) -> Tensor:
    return F.linear(x, conv.weight[:, :, 0], conv.bias)


def _layer(
    layer: ResidualLayer,
    dilation: int,
    reach: Reach,
    x: Tensor,
    cond: Tensor,
    step: Tensor,
    valid: Tensor | None,
):
    frames = x.shape[1]
    y = x + layer.diffusion_projection(step)[:, None].to(x.dtype)
    if valid is not None:
        y = y * valid
    y = F.pad(y, (0, 0, reach.past, reach.ahead))
    taps = [y[:, tap * dilation : tap * dilation + frames] for tap in range(3)]
    conv, side = layer.dilated_conv, layer.conditioner_projection
    weight = torch.cat([*conv.weight.unbind(2), side.weight[:, :, 0]], dim=1)  # [2C, 3C + H]
    gate, filter_ = F.linear(torch.cat([*taps, cond], dim=2), weight, conv.bias + side.bias).chunk(2, dim=2)
    y = _pointwise(layer.output_projection, torch.sigmoid(gate) * torch.tanh(filter_))
    residual, skip = y.chunk(2, dim=2)
    return (x + residual) * math.sqrt(0.5), skip
