"""The blocks of both networks of DDSP-SVC 6 on a CPU: 1×1 → gate → depthwise 31 → activation → 1×1, as one operation.

Rows come in and go out channels last; inside, rows are channels. The first product writes them so, at no cost, and the
last one reads them transposed. The gate writes between zeros that are already there, because PyTorch's depthwise
convolution is several times faster over input that needs no padding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config.ddsp import KERNEL

REACH = KERNEL // 2


class CpuBlocks:
    """The blocks of one network, from lowered tensors ``NAME.*`` (fastsvc/artifact/lowered_ddsp.py), in float32."""

    def __init__(self, tensors: dict[str, Tensor], name: str, version: str):
        self.silu_gate = version == "6.1"
        stacked = {key.removeprefix(f"{name}."): w.float() for key, w in tensors.items() if key.startswith(f"{name}.")}
        self.widen = stacked["widen.weight"].mT, stacked["widen.bias"][..., None]
        self.taps = stacked["taps"].mT[:, :, None].contiguous(), stacked["taps.bias"]
        self.slopes = stacked.get("slope")
        self.narrow = stacked["narrow.weight"], stacked["narrow.bias"]
        self.buffers: dict[str, Tensor] = {}

    def add(self, layer: int, rows: Tensor, x: Tensor) -> None:
        """x += block(rows), both [T, C]; beyond both ends of ``rows`` the gated values are 0."""
        frames, inner = len(rows), self.taps[0].shape[1]
        wide, gated = self._buffer("wide", 2 * inner, frames), self._buffer("gated", inner, frames + 2 * REACH)
        torch.addmm(self.widen[1][layer], self.widen[0][layer], rows.T, out=wide)
        gated[:, :REACH].zero_()
        gated[:, REACH + frames :].zero_()
        self._gate(wide, gated[:, REACH : REACH + frames])
        y = F.conv1d(gated[None], self.taps[0][layer], self.taps[1][layer], groups=inner)
        y = F.silu(y, inplace=True) if self.slopes is None else torch.prelu(y, self.slopes[layer])
        x.addmm_(y[0].T, self.narrow[0][layer]).add_(self.narrow[1][layer])

    def _gate(self, wide: Tensor, out: Tensor) -> None:
        """[2I, T] → [I, T]: the first half times σ or SiLU of the second."""
        if not self.silu_gate:
            torch.ops.aten.glu.out(wide, 0, out=out)
            return
        value, gate = wide.chunk(2)
        torch.mul(value, F.silu(gate, inplace=True), out=out)

    def _buffer(self, name: str, rows: int, columns: int) -> Tensor:
        """[rows, columns] of a buffer that grows to the longest input seen, because fresh pages are expensive."""
        buffer = self.buffers.get(name)
        if buffer is None or len(buffer) < rows * columns:
            with torch.inference_mode(False):  # so that the buffer may be written in either mode
                self.buffers[name] = buffer = torch.empty(rows * columns)
        return buffer[: rows * columns].view(rows, columns)
