"""Content units of HuBERT-base and ContentVec for recordings of any length, at about the speed of the processor.

Recordings of at most ``WHOLE`` units give the same numbers as :class:`fastsvc.model.hubert.Hubert` (to rounding); only
the order of the work differs:

- The convolutions run in blocks of ``FRONT`` units, channels last, each as one matrix product over overlapping rows.
  The group norm averages over the whole recording. Because its input is linear in the samples, mean and variance of
  every channel follow from the second moments of ten neighbouring samples, computed once in float64. That is exact.
- Attention is fused and keeps no T × T matrix.
- In bfloat16, for processors with units for it, all large products are rounded but those of the first convolution and
  of the positions. What the layers add up, and their norms, stay float32.

Attention is global, so a longer recording would cost quadratic time. It is cut into windows of ``KEEP`` units, by
absolute position; each attends to ``CONTEXT`` units more on both sides, and ``FADE`` units blend it into the next.
Convolutions, group norm and positions stay exact. A unit loses only its attention to units more than ten seconds away;
how much that matters depends on the weights. HuBERT and ContentVec learned from excerpts of at most 15.6 s (fairseq's
max_sample_size of 250000), so every unit still sees more than in training. Random weights give an upper bound, because
they do not prefer near units to far ones: on 120 s of synthetic singing, full size, the difference to one pass is 3.6 %
(RMS) where attention is flat, and 53 % where each unit attends to a few random others of the whole recording.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.slicing import blocks
from fastsvc.config import HubertConfig
from fastsvc.features.packed import pack
from fastsvc.features.stretches import faded
from fastsvc.model.hubert import ConvLayer, Hubert, HubertLayer
from fastsvc.model.keys import skeleton

FRONT = 250  # units, 5 s: the convolutions take about 80 MB at a time
WHOLE = 3000  # units, 60 s: up to here one pass
KEEP, CONTEXT, FADE = 2000, 500, 50  # units: 40 s, 10 s, 1 s
MOMENTS = 1 << 16  # windows of samples at a time


class HubertEncoder:
    """Units of HuBERT-base or ContentVec, with so-vits-svc's names (vec768l12, vec256l9, …), 50 a second.

    ``tensors`` are those of :class:`Hubert`; float32 tensors are shared, not copied. ``dtype``: of the large products,
    float32 or bfloat16.
    """

    output_device = torch.device("cpu")  # of the units
    dtype = torch.float32

    def __init__(self, config: HubertConfig, tensors: dict[str, Tensor], device="cpu", dtype=torch.float32):
        self.config, self.device, self.dtype = config, torch.device(device), dtype
        self.model = skeleton(lambda: Hubert(config))
        tensors = {name: value.to(self.device, torch.float32) for name, value in tensors.items()}
        self.model.load_state_dict(tensors, assign=True)
        self.model.eval().requires_grad_(False)
        self.front = Front(cast(Sequence[ConvLayer], self.model.feature_extractor.conv_layers), dtype)
        if dtype == torch.bfloat16:
            pack(self.model.encoder.layers)
        self._describe(config)

    @classmethod
    def of(cls, checkpoint, units: str) -> HubertEncoder:
        """The encoder of ``units`` (vec768l12, …) in a fastsvc.checkpoints.Checkpoint. Raises CheckpointError for
        another kind, and ConfigError where the network does not give them."""
        checkpoint = checkpoint.require(("hubert",), "HuBERT or ContentVec")
        config = checkpoint.config.cut(units)
        names = skeleton(lambda: Hubert(config)).state_dict()
        return cls(config, {name: checkpoint.tensors[name] for name in names})

    def _describe(self, config: HubertConfig) -> None:
        self.name = config.units
        self.rate_hz, self.hop_samples, self.channels = config.rate_hz, config.hop_samples, config.unit_channels

    @torch.no_grad()
    def encode(self, audio) -> Tensor:
        """audio [samples] at 16 kHz, tensor or array -> units [max(1, (samples - 80) // 320), D], float32."""
        audio = torch.as_tensor(np.asarray(audio) if not isinstance(audio, Tensor) else audio).float().to(self.device)
        if audio.dim() != 1:
            raise ValueError(f"encode: audio [samples] is expected, got {tuple(audio.shape)}")
        window = self.config.window_samples
        if len(audio) < window:
            audio = F.pad(audio, (0, window - len(audio)))
        audio = audio.contiguous()
        count = (len(audio) - window) // self.hop_samples + 1
        units = torch.empty(count, self.channels, device=self.output_device)
        features = self._features(audio, count)
        for first, last, rows in faded(windows(count), FADE, functools.partial(self._attend, features)):
            units[first:last] = rows
        return units

    def _features(self, audio: Tensor, count: int) -> Any:
        """The input of :meth:`_attend`; a backend with its own _attend may return another type."""
        return _Features(self, audio, count)

    def _attend(self, features: Any, begin: int, end: int) -> Tensor:
        """Units [begin, end), which attend to each other alone."""
        encoder, reach = self.model.encoder, self.config.position_kernel
        start = max(0, begin - reach)  # the positional convolution's halo
        x = features(start, min(features.count, end + reach))
        x = encoder.layer_norm(x + encoder.pos_conv_embed(x[None])[0])[begin - start : end - start]
        for layer in encoder.layers:
            x = _layer(layer, x, self.dtype)
        return x if self.model.final_proj is None else self.model.final_proj(x)


def windows(count: int) -> list[tuple[int, int, int, int]]:
    """[(first, last, begin, end)]: units [first, last) come from a pass over [begin, end)."""
    return [(0, count, 0, count)] if count <= WHOLE else blocks(count, KEEP, CONTEXT)


def _layer(layer: HubertLayer, x: Tensor, dtype: torch.dtype) -> Tensor:
    """[T, C] -> [T, C]: the layer's function with fused attention; its products are of ``dtype``."""
    attention, rounded = layer.attention, x.to(dtype)
    projections = attention.q_proj, attention.k_proj, attention.v_proj
    q, k, v = (project(rounded).unflatten(1, (attention.heads, -1)).transpose(0, 1)[None] for project in projections)
    attended = F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)
    x = layer.layer_norm(x + attention.out_proj(attended))
    return layer.final_layer_norm(x + layer.feed_forward(x.to(dtype)))


class _Features:
    """The convolutions' output, projected, [T, C]; requested ranges go from left to right and overlap."""

    def __init__(self, encoder: HubertEncoder, audio: Tensor, count: int):
        self.encoder, self.audio, self.count = encoder, audio, count
        self.first = encoder.front.first(audio)
        self.units, self.begin = torch.empty(0, encoder.config.channels, device=audio.device), 0

    def __call__(self, begin: int, end: int) -> Tensor:
        """Units [begin, end). Units of the last call are not computed again."""
        computed = self.begin + len(self.units)
        new = [self._project(first, min(first + FRONT, end)) for first in range(max(begin, computed), end, FRONT)]
        self.units, self.begin = torch.cat([self.units[begin - self.begin :], *new]), begin
        return self.units

    def _project(self, first: int, last: int) -> Tensor:
        hop, window = self.encoder.hop_samples, self.encoder.config.window_samples
        samples = self.audio[first * hop : (last - 1) * hop + window]
        return self.encoder.model.feature_projection(self.encoder.front(samples, self.first).float())


class Front:
    """The convolutions on audio [samples], channels last; an excerpt gives the same as the whole recording there."""

    def __init__(self, layers: Iterable[ConvLayer], dtype=torch.float32):
        """``layers``: of a FeatureExtractor. ``dtype``: of all products but the first convolution's."""
        self.layers, self.dtype = list(layers), dtype
        # [out, in, k] -> [out, k * in]: rows of k neighbouring frames lie one after another in memory.
        matrices = [layer.conv.weight.transpose(1, 2).flatten(1).contiguous() for layer in self.layers]
        self.matrices = [matrices[0], *(matrix.to(dtype) for matrix in matrices[1:])]

    def first(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of the first convolution with the group norm of this recording inside."""
        conv = self.layers[0].conv
        return self.normed(*_moments(audio, conv.kernel_size[0], conv.stride[0]))

    def shapes(self) -> tuple[torch.Size, torch.Size]:
        """The shapes of :meth:`first`'s weight and bias."""
        return self.matrices[0].shape, self.layers[0].layer_norm.bias.shape

    def normed(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """The same from mean [k] and covariance [k, k] of all windows that the convolution reads, float64."""
        norm, weight = self.layers[0].layer_norm, self.matrices[0].double()
        variance = ((weight @ covariance) * weight).sum(1).clamp_min(0)
        gain = norm.weight.double() / (variance + norm.eps).sqrt()
        bias = norm.bias.double() - gain * (weight @ mean)
        return (gain[:, None] * weight).float(), bias.float()

    def __call__(self, audio: Tensor, first: tuple[Tensor, Tensor]) -> Tensor:
        conv = self.layers[0].conv
        x = F.gelu(F.linear(_rows(audio[:, None], conv), *first).to(self.dtype))
        for layer, matrix in zip(self.layers[1:], self.matrices[1:]):
            x = F.gelu(F.linear(_rows(x, layer.conv), matrix))
        return x


def _rows(x: Tensor, conv: torch.nn.Conv1d) -> Tensor:
    """x [T, C] -> the convolution's input for each output, [T', k * C], as a view."""
    (kernel,), (stride,), channels = conv.kernel_size, conv.stride, x.shape[1]
    return x.as_strided(
        ((len(x) - kernel) // stride + 1, kernel * channels), (stride * channels, 1), x.storage_offset()
    )


def _moments(audio: Tensor, kernel: int, stride: int) -> tuple[Tensor, Tensor]:
    """Mean [k] and covariance [k, k] of all windows of k samples, float64."""
    rows = audio.unfold(0, kernel, stride)
    total = torch.zeros(kernel, dtype=torch.float64, device=audio.device)
    square = torch.zeros(kernel, kernel, dtype=torch.float64, device=audio.device)
    for part in rows.split(MOMENTS):
        part = part.double()
        total += part.sum(0)
        square += part.T @ part
    mean = total / len(rows)
    return mean, square / len(rows) - mean[:, None] * mean
