"""RVC's text encoder on a CPU: units and coarse pitch → mean and log of the deviation of the latent.

Every frame attends to every other one, so cutting is not exact. Recordings of at most WHOLE frames, margins included,
go through in one stretch. Longer ones are cut by absolute position into stretches of KEEP frames that see CONTEXT
frames more on both sides, and FADE frames blend each into the next. What a frame loses is its attention to frames more
than ten seconds away. Voices are trained on excerpts of seconds, and RVC itself cuts pieces of 30 to 65 s that see 1 to
3 s of their neighbours. How much it matters depends on the weights; random ones give an upper bound, because they do
not prefer near frames to far ones: on 120 s, at full size, stretches differ from one stretch by 10 % of the latent and
2.5 % of the audio (RMS), and by 54 % of the latent where each frame attends to a few others anywhere in the recording
(`python -m bench.rvc --only stretches`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.slicing import blocks
from fastsvc.config.rvc import RvcConfig
from fastsvc.engine.cpu.rvc.attention import banded_attention
from fastsvc.engine.cpu.rvc.rows import gathered, neighbours
from fastsvc.features.stretches import faded as in_stretches
from fastsvc.model.rvc.text_encoder import EPSILON, SLOPE

WHOLE = 6500  # frames, 65 s, as long as the pieces that RVC cuts on a large GPU
KEEP, CONTEXT, FADE = 4000, 1000, 100  # frames: 40 s, 10 s, 1 s
Trace = list[tuple[str, Tensor]]


class CpuTextEncoder:
    """The encoder from lowered tensors (fastsvc/artifact/lowered_rvc.py), for one sequence at a time, in float32."""

    def __init__(self, tensors: dict[str, Tensor], config: RvcConfig):
        self.config, prefix = config, "encoder."
        part = {name.removeprefix(prefix): t.float() for name, t in tensors.items() if name.startswith(prefix)}
        self.input = part["input.weight"], part["input.bias"]
        self.prior = part["prior.weight"], part["prior.bias"]
        self.layers = [
            {name: value[i] for name, value in part.items() if not name.startswith(("input.", "prior."))}
            for i in range(config.layers)
        ]

    def __call__(self, units: Tensor, coarse: Tensor | None, trace: Trace | None = None) -> Tensor:
        """units [T, D], coarse pitch [T] (None for voices without pitch) → mean | log of the deviation [T, 2C].

        ``trace`` collects (name, state) after the input and after each layer, for verification.
        """
        weight, bias = self.input
        x = torch.addmm(bias[0] if coarse is None else bias[coarse], units, weight, alpha=math.sqrt(self.config.hidden))
        F.leaky_relu_(x, SLOPE)
        if trace is not None:
            trace.append(("encoder input", x.clone()))
        for i, layer in enumerate(self.layers):
            x = self._layer(layer, x)
            if trace is not None:
                trace.append((f"encoder layer {i}", x.clone()))
        return torch.addmm(self.prior[1], x, self.prior[0])

    def _layer(self, layer: dict[str, Tensor], x: Tensor) -> Tensor:
        shape, taps = (self.config.hidden,), self.config.kernel
        attended = self._attended(layer, x)
        x = F.layer_norm(x + attended, shape, layer["first_norm.gain"], layer["first_norm.bias"], EPSILON)
        inner = torch.addmm(layer["widen.bias"], neighbours(x, taps), layer["widen.weight"]).relu_()
        moved = gathered(inner @ layer["narrow.weight"], layer["narrow.bias"], taps)
        return F.layer_norm(moved.add_(x), shape, layer["second_norm.gain"], layer["second_norm.bias"], EPSILON)

    def _attended(self, layer: dict[str, Tensor], x: Tensor) -> Tensor:
        rows = torch.addmm(layer["qkv.bias"], x, layer["qkv.weight"])
        query, key, value = rows.view(len(x), 3, self.config.heads, -1).permute(1, 2, 0, 3).contiguous()
        out = banded_attention(query, key, value, layer["relative.keys"], layer["relative.values"])
        return torch.addmm(layer["attended.bias"], out.transpose(0, 1).flatten(1), layer["attended.weight"])


def stretches(frames: int) -> list[tuple[int, int, int, int]]:
    """[(first, last, begin, end)]: frames [first, last) come from a pass over [begin, end)."""
    return [(0, frames, 0, frames)] if frames <= WHOLE else blocks(frames, KEEP, CONTEXT)


def faded(frames: int, part: Callable[[int, int], Tensor]) -> Iterator[tuple[int, int, Tensor]]:
    """(first, last, rows) of every stretch; ``part(begin, end)`` gives the rows of a pass over [begin, end)."""
    return in_stretches(stretches(frames), FADE, part)
