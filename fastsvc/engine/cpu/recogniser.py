"""The convolutional recogniser on a CPU as a chain of layers over rows, each convolution one matrix product.

PyTorch's own convolutions transpose [T, C] before and after each call; on windows of half a second that takes longer
than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config.reach import Reach
from fastsvc.model.gated_block import GatedBlock
from fastsvc.model.recogniser import ConvTrunk, Recogniser, normalise

Layer = Callable[[Tensor, int, int], Tensor]  # (rows [n, C], rows missing before, after) → [n + missing − reach, D]


class CpuRecogniser:
    """Log-mel rows [T, M] → units [T, D], layer by layer.

    ``layers[i]`` reads ``reaches[i]`` rows before and after its own. What is missing there lies outside the recording,
    where each convolution reads zeros.
    """

    def __init__(self, model: Recogniser):
        trunk, self.model = model.trunk, model
        assert isinstance(trunk, ConvTrunk), "only convolutions are local"
        self.mean_frames = model.config.mean_frames
        blocks = [block for block in trunk.blocks if isinstance(block, GatedBlock)]
        gated = (Gated(block, reach) for block, reach in zip(blocks, trunk.reaches[1:]))
        self.layers: list[Layer] = [self._normalised, Stem(trunk.stem), *gated]
        self.reaches = [Reach(self.mean_frames, self.mean_frames), *trunk.reaches]

    def _normalised(self, mel: Tensor, before: int, after: int) -> Tensor:
        first = self.mean_frames - before
        rows = len(mel) + before + after - 2 * self.mean_frames
        return normalise(mel[None], None, self.mean_frames)[0, first : first + rows]

    def units(self, x: Tensor) -> Tensor:
        """The last layer's rows → units."""
        return torch.tanh(self.model.bottleneck(self.model.trunk.norm(x)))


class Stem:
    """The first convolution."""

    def __init__(self, conv: nn.Conv1d):
        self.taps, self.weight, self.bias = conv.kernel_size[0], *_by_tap(conv)

    def __call__(self, x: Tensor, before: int, after: int) -> Tensor:
        return torch.addmm(self.bias, beside(x, self.taps, 1, before, after), self.weight)


class Gated:
    """A GatedBlock of fastsvc/model/gated_block.py."""

    def __init__(self, block: GatedBlock, reach: Reach):
        self.taps, self.dilation = block.conv.kernel_size[0], block.conv.dilation[0]
        self.past = reach.past
        self.weight, self.bias = _by_tap(block.conv)
        self.norm = block.norm
        self.out_weight, self.out_bias = block.out.weight.T, block.out.bias

    def __call__(self, x: Tensor, before: int, after: int) -> Tensor:
        rows = beside(self.norm(x), self.taps, self.dilation, before, after)
        gated = F.glu(torch.addmm(self.bias, rows, self.weight), dim=-1)
        own = x[self.past - before :][: len(rows)]
        return torch.addmm(self.out_bias, gated, self.out_weight).add_(own)


def beside(x: Tensor, taps: int, dilation: int, before: int, after: int) -> Tensor:
    """[n, C] and zeros around it → [rows, taps · C]: the rows that a convolution reads, side by side."""
    x = F.pad(x, (0, 0, before, after)) if before or after else x.contiguous()
    channels = x.shape[1]
    rows = len(x) - (taps - 1) * dilation
    return x.as_strided((rows, taps, channels), (channels, dilation * channels, 1), x.storage_offset()).flatten(1)


def _by_tap(conv: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Weight [K · C, D] and bias."""
    assert conv.bias is not None, "the recogniser's convolutions have a bias"
    return conv.weight.permute(2, 1, 0).flatten(0, 1).contiguous(), conv.bias
