"""The source-filter vocoder (fastsvc/model/source_filter.py) as a few matrix products and Fourier transforms.

What is constant is folded. A LayerNorm's gain and offset go into the linear layer behind it, a block's scale into the
one before it. From the network's bands and the mel to a filter's log-magnitude all is linear, and from there to the
minimum phase too: one matrix gives both, and the two transforms of the cepstrum are saved. The gains between a frame's
points are a product with the weights of straight lines. The depthwise convolutions are sums over shifted rows, which
takes a channels-last [B, T, C] as it is. PyTorch runs this module on a GPU as well, where the network may compute in
float16; filters and samples are float32.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config import SourceFilterConfig
from fastsvc.model import envelopes, filters
from fastsvc.model.filter_matrices import between_points, filter_matrix
from fastsvc.model.source_filter import halo_frames, tables

Trace = list[tuple[str, Tensor]]


class SourceFilterVocoder:
    """Log-mel, excitation and f0 → audio, from the tensors of `SourceFilter`; called as Vocoder in cpu/vocoder.py is.

    The network computes in ``dtype``.
    """

    def __init__(self, tensors: dict[str, Tensor], config: SourceFilterConfig, dtype=torch.float32, device="cpu"):
        self.config, self.dtype, self.hop = config, dtype, config.mel.hop_samples
        self.points, self.halo_frames = config.transform_samples, halo_frames(config)
        weights = {name: value.double() for name, value in tensors.items()}

        def placed(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            first, second = (value.to(device, dtype).contiguous() for value in pair)
            return first, second

        self.enter = placed((weights["enter.weight"].flatten(1).T, weights["enter.bias"]))
        self.blocks = [[placed(pair) for pair in _block(weights, f"blocks.{i}.")] for i in range(config.blocks)]
        self.leaving, self.reaches = placed(_linear(weights, "leave", "norm")), config.reaches
        constants = tables(config)
        self.pulse_mels, self.noise_mel = constants["pulse_mels"].to(device), constants["noise_mel"].to(device)
        magnitudes = filter_matrix(constants)
        self.to_filter = torch.cat([magnitudes, filters.minimum_phase(magnitudes)], dim=1).float().to(device)
        self.between = between_points(config).to(device)
        self.window = filters.window(self.hop, device)

    def source(self, excitation: Tensor) -> Tensor:
        """Pulses and noise [B, T·hop, 2] are not mixed to one channel: each has its filter."""
        return excitation

    def __call__(self, mel: Tensor, source: Tensor, f0_hz: Tensor, trace: Trace | None = None) -> Tensor:
        """mel [B, T, M], pulses and noise [B, T·hop, 2], f0_hz [B, T] → audio [B, T·hop].

        ``trace`` gets what compiling compares with the specification, layer by layer.
        """
        x, over = self.features(mel, f0_hz)
        for place, reach in enumerate(self.reaches):
            x = self.layer(place, x, *reach)
            _note(trace, f"block {place - 1}" if place else "what enters", x)
        changes, gains = self.leave(x)
        logarithms, sizes = self.filters(changes, over), self.sizes(gains)
        if trace is not None:
            trace.append(("the logarithms of the filters", logarithms[:, 1:-1, :, : self.points // 2 + 1].clone()))
            trace.append(("the gains", sizes.transpose(2, 3).flatten(1, 2)))
        return overlapped(self.pieces(source, sizes, logarithms))[:, 3 * self.hop // 2 :][:, : source.shape[1]]

    def features(self, mel: Tensor, f0_hz: Tensor) -> tuple[Tensor, Tensor]:
        """(the network's input [B, T, 2M + 2]; what the mel says of both envelopes, and voicing [B, T, 2, M + 1])."""
        mel = mel if self.config.mel.log_base == "10" else mel / math.log(10)
        voiced = (f0_hz > 0)[:, :, None]
        flat = torch.where(voiced, envelopes.looked_up(self.pulse_mels, f0_hz), self.noise_mel)
        pitch = torch.where(voiced, torch.log2(f0_hz.clamp(min=1.0) / 200)[:, :, None], 0)
        sung = voiced.to(mel.dtype)
        over = torch.stack(
            [torch.cat([mel - flat, torch.zeros_like(sung)], 2), torch.cat([mel - self.noise_mel, sung], 2)], dim=2
        )
        return torch.cat([0.5 * mel + 1, flat, pitch, sung], dim=2).to(self.dtype), over

    def layer(self, place: int, x: Tensor, before: int, after: int) -> Tensor:
        """Rows [B, n, C] of the input of layer ``place``, of which ``before`` and ``after`` are missing (they are
        zeros) → [B, n + before + after − kernel + 1, C]."""
        padded = F.pad(x, (0, 0, before, after)) if before or after else x
        rows = padded.shape[1] - self.config.kernel + 1
        if place == 0:
            return padded.unfold(1, self.config.kernel, 1).flatten(2) @ self.enter[0] + self.enter[1]
        taps, wide, narrow = self.blocks[place - 1]
        y = torch.addcmul(taps[1], padded[:, :rows], taps[0][0])
        for i in range(1, self.config.kernel):
            y.addcmul_(padded[:, i : i + rows], taps[0][i])
        y = F.gelu(F.layer_norm(y, x.shape[-1:]) @ wide[0] + wide[1]) @ narrow[0] + narrow[1]
        return y.add_(padded[:, self.reaches[place].past :][:, :rows])

    def leave(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(corrections of both envelopes [B, T, 2, bands], gains [B, T, 2, N] at the points of a frame)."""
        x = (F.layer_norm(x, x.shape[-1:]) @ self.leaving[0] + self.leaving[1]).float()
        changes, gains = x.unflatten(2, (2, -1)).split([self.config.bands, self.config.gain_points], dim=3)
        return changes, gains.exp()

    def filters(self, changes: Tensor, over: Tensor) -> Tensor:
        """Magnitudes, then phases, [B, T + 2, 2, 2F]: beyond both ends the outer filters stand."""
        rows = torch.cat([changes, over], dim=3)
        return torch.cat([rows[:, :1], rows, rows[:, -1:]], dim=1) @ self.to_filter

    def sizes(self, gains: Tensor) -> Tensor:
        """[B, T, 2, N] → [B, T, 2, hop], on straight lines, also to the points of the frames beside one."""
        before = torch.cat([gains[:, :1, :, :1], gains[:, :-1, :, -1:]], dim=1)
        after = torch.cat([gains[:, 1:, :, :1], gains[:, -1:, :, -1:]], dim=1)
        return torch.cat([before, gains, after], dim=3) @ self.between

    def pieces(self, source: Tensor, sizes: Tensor, logarithms: Tensor) -> Tensor:
        """As fastsvc.model.filters.filtered, over gains [B, T, 2, hop], log-magnitudes and phases [B, T+2, 2, 2F]: the
        answer of each frame and of one before and after, [B, T + 2, hops, hop], in hops from 3/2 hops before the first
        frame on."""
        batch, frames = sizes.shape[:2]
        loud = (source.unflatten(1, (frames, self.hop)).transpose(2, 3) * sizes).transpose(1, 2).flatten(2)
        loud = F.pad(loud, (3 * self.hop // 2, 3 * self.hop // 2)).unfold(2, 2 * self.hop, self.hop)
        framed = loud.new_zeros(batch, frames + 2, 2, self.points)
        torch.mul(loud.transpose(1, 2), self.window, out=framed[..., : 2 * self.hop])
        magnitude, phase = logarithms.chunk(2, dim=3)
        magnitude = magnitude.exp_()
        answers = torch.fft.rfft(framed)
        answers.mul_(torch.complex(phase.cos().mul_(magnitude), phase.sin().mul_(magnitude)))
        answer = answers[:, :, 0] + answers[:, :, 1]
        return torch.fft.irfft(answer, n=self.points).unflatten(2, (-1, self.hop))


def overlapped(pieces: Tensor) -> Tensor:
    """[B, n, hops, hop], each of which begins a hop after the one before → their sum [B, (n + hops − 1)·hop]."""
    batch, count, hops, hop = pieces.shape
    total = pieces.new_zeros(batch, count + hops - 1, hop)
    for i in range(hops):
        total[:, i : i + count] += pieces[:, :, i]
    return total.flatten(1)


def _note(trace: Trace | None, name: str, x: Tensor) -> None:
    if trace is not None:
        trace.append((name, x))


def _block(weights: dict[str, Tensor], name: str) -> tuple[tuple[Tensor, Tensor], ...]:
    """(taps [K, C] and bias of the depthwise convolution, weight and bias of the wide and of the narrow layer)."""
    scale = weights[name + "scale"]
    narrow = weights[name + "narrow.weight"].T * scale, weights[name + "narrow.bias"] * scale
    taps = weights[name + "conv.weight"][:, 0].T, weights[name + "conv.bias"]
    return taps, _linear(weights, name + "wide", name + "norm"), narrow


def _linear(weights: dict[str, Tensor], name: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight [in, out] and bias of a linear layer, with the gain and offset of the LayerNorm before it."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return (weight * weights[f"{norm}.weight"]).T, bias + weight @ weights[f"{norm}.bias"]
