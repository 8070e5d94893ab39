"""RVC's text encoder on a GPU: a padded batch of sequences of units and f0 → mean and log of the deviation.

What lies behind a sequence's end has no effect: convolutions see zeros there, and attention gives it the weight 0.
Unused rows of a batch, which have no keys at all, become NaN and touch no other row.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.engine.buckets import Shape
from fastsvc.engine.cuda.rvc import attention
from fastsvc.engine.cuda.rvc.rows import Neighbours, bounds
from fastsvc.engine.cuda.rvc.weights import RvcWeights
from fastsvc.model.rvc.pitch import coarse_pitch
from fastsvc.model.rvc.text_encoder import EPSILON, SLOPE


class EncoderProgram:
    """One shape: static inputs ``units`` [B, T, D], ``f0_hz`` [B, T] with 0 where unvoiced, ``lengths`` [B], 0 for an
    unused row of the batch; static output ``prior`` [B, T, 2C], float32."""

    def __init__(self, weights: RvcWeights, shape: Shape, new, most_scores: int):
        """``new``: allocates a buffer, as torch.zeros does. ``most_scores``: of attention, in memory at a time."""
        self.weights, self.most_scores = weights, most_scores
        config, device, (batch, frames) = weights.config, weights.device, (shape.batch, shape.frames)

        def buffer(*sizes: int) -> Tensor:
            return new(batch, frames, *sizes, dtype=torch.float32, device=device)

        self.units, self.f0_hz, self.prior = buffer(config.unit_channels), buffer(), buffer(2 * config.mel.bins)
        self.lengths = torch.zeros(batch, dtype=torch.int64, device=device)

    def run(self) -> None:
        batch, frames = self.f0_hz.shape
        beyond = torch.arange(frames, device=self.lengths.device) >= self.lengths[:, None]
        x = self._input(beyond)
        neighbours = Neighbours.of(*bounds(self.lengths, frames), self.weights.config.kernel)
        beyond_keys = attention.beyond_keys(self.lengths, frames, self.weights.config.window)
        for layer in self.weights.layers:
            x = self._layer(layer, x, neighbours, beyond_keys)
        weight, bias = self.weights.prior
        self.prior.copy_(torch.addmm(bias, x.float(), weight).view(batch, frames, -1))

    def _input(self, beyond: Tensor) -> Tensor:
        """[B·T, H]"""
        config, (weight, bias) = self.weights.config, self.weights.input
        units = self.units.masked_fill(beyond[..., None], 0).flatten(0, 1).to(self.weights.dtype)
        added = bias[0]
        if config.pitch:
            f0_hz = torch.nan_to_num(self.f0_hz.masked_fill(beyond, 0)).flatten()
            rows = coarse_pitch(f0_hz, config.features.f0_low_hz, config.features.f0_high_hz)
            added = bias.index_select(0, rows)
        return F.leaky_relu_(torch.addmm(added, units, weight, alpha=math.sqrt(config.hidden)), SLOPE)

    def _layer(self, layer: dict[str, Tensor], x: Tensor, neighbours: Neighbours, beyond_keys: Tensor) -> Tensor:
        shape = (self.weights.config.hidden,)
        attended = self._attended(layer, x, beyond_keys)
        x = F.layer_norm(x + attended, shape, layer["first_norm.gain"], layer["first_norm.bias"], EPSILON)
        inner = torch.addmm(layer["widen.bias"], neighbours.of_rows(x), layer["widen.weight"]).relu_()
        moved = torch.addmm(layer["narrow.bias"], neighbours.of_rows(inner), layer["narrow.weight"])
        return F.layer_norm(moved.add_(x), shape, layer["second_norm.gain"], layer["second_norm.bias"], EPSILON)

    def _attended(self, layer: dict[str, Tensor], x: Tensor, beyond_keys: Tensor) -> Tensor:
        config, batch = self.weights.config, len(beyond_keys)
        rows = torch.addmm(layer["qkv.bias"], x, layer["qkv.weight"])
        qkv = rows.view(batch, -1, 3, config.heads, config.hidden // config.heads).permute(2, 0, 3, 1, 4)
        near = layer["relative.keys"], layer["relative.values"]
        out = attention.banded_attention(qkv, *near, config.window, beyond_keys, self.most_scores)
        return torch.addmm(layer["attended.bias"], out.transpose(1, 2).reshape(len(x), -1), layer["attended.weight"])
