"""The recogniser's conformer on a GPU: fastsvc/model/local_conformer.py over rows, for one prepared length."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config import RecogniserConfig
from fastsvc.config.recognition import STRIDE
from fastsvc.engine.cuda.recogniser import CudaRecogniserEncoder, DilatedConv, RecogniserWeights
from fastsvc.model.local_conformer import HEAD_DILATIONS, STEM, ConformerTrunk
from fastsvc.model.recogniser import normalise


class ConformerWeights(RecogniserWeights):
    """The tensors in ``dtype``; scale and shift of the mel, which has more digits than float16 holds, in float32."""

    def _lower(self, config: RecogniserConfig) -> None:
        for name in ("trunk.scale", "trunk.shift"):
            self.tensors[name] = self.tensors[name].float()
        weight, self.stem_bias = self.pair("trunk.stem")
        self.stem = weight.transpose(1, 2).flatten(1).contiguous()
        self.depthwise = [self.tensors[f"trunk.blocks.{i}.depthwise.weight"][:, 0].T for i in range(config.layers)]
        self.gated = [
            DilatedConv(*self.pair(f"trunk.head.{i}.conv"), dilation) for i, dilation in enumerate(HEAD_DILATIONS)
        ]
        with torch.device("meta"):
            self.halo_frames = ConformerTrunk(config).halo_frames

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, *self.pair(name))


class ConformerProgram:
    """Log-mel [frames, M], of which ``valid_frames`` are real, -> units [frames, D]."""

    def __init__(self, weights: ConformerWeights, frames: int):
        config, device = weights.config, weights.device
        self.weights, self.frames = weights, frames
        self.mel = torch.zeros(frames, config.mel.bins, device=device)
        self.valid_frames = torch.zeros(1, dtype=torch.int64, device=device)
        self.out = torch.zeros(frames, config.bottleneck, device=device)
        self.frame_numbers = torch.arange(frames, device=device)
        place = self.frame_numbers[: -(-frames // STRIDE)]
        apart = (place[:, None] - place).abs()
        self.near, self.itself = apart <= config.attention_frames, apart == 0

    def run(self) -> None:
        weights = self.weights
        beyond = (self.frame_numbers >= self.valid_frames)[:, None]
        y = weights.linear(self._states(beyond), "trunk.join").unflatten(-1, (STRIDE, -1)).flatten(0, 1)[: self.frames]
        for i, conv in enumerate(weights.gated):
            z = conv(weights.norm(y, f"trunk.head.{i}.norm").masked_fill(beyond, 0))
            y = y + weights.linear(F.glu(z, dim=-1), f"trunk.head.{i}.out")
        self.out.copy_(torch.tanh(weights.linear(weights.norm(y, "trunk.norm"), "bottleneck")))

    def _states(self, beyond: Tensor) -> Tensor:
        """[states, (layers + 1) · C]."""
        weights, tensors = self.weights, self.weights.tensors
        x = normalise(self.mel.masked_fill(beyond, 0)[None], None, 0)[0]
        x = x * tensors["trunk.scale"] + tensors["trunk.shift"]
        x = F.pad(x.masked_fill(beyond, 0), (0, 0, STEM // 2, STEM // 2 + STRIDE)).to(weights.dtype)
        count, bins = len(self.near), x.shape[1]
        taps = x.as_strided((count, STEM * bins), (STRIDE * bins, 1))
        beyond = beyond[::STRIDE]
        # rows beyond hear themselves, as a softmax over nothing is no number
        mask = (self.near & ~beyond.T | self.itself)[None]
        states = [F.gelu(F.linear(taps, weights.stem, weights.stem_bias))]
        for i in range(weights.config.layers):
            states.append(self._block(states[-1], i, beyond, mask))
        return torch.cat(states, dim=-1)

    def _block(self, x: Tensor, i: int, beyond: Tensor, mask: Tensor) -> Tensor:
        weights, name = self.weights, f"trunk.blocks.{i}"
        x = x + 0.5 * self._fed(x, f"{name}.before")
        parts = weights.linear(weights.norm(x, f"{name}.attention_norm"), f"{name}.joined").chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (weights.config.heads, -1)).transpose(0, 1) for part in parts)
        heard = F.scaled_dot_product_attention(query[None], key[None], value[None], attn_mask=mask[None])[0]
        x = x + weights.linear(heard.transpose(0, 1).flatten(1), f"{name}.attended")
        y = F.glu(weights.linear(weights.norm(x, f"{name}.conv_norm"), f"{name}.gate"), dim=-1).masked_fill(beyond, 0)
        taps, reach = weights.depthwise[i], weights.config.kernel // 2
        rows = F.pad(y, (0, 0, reach, reach))
        beside = rows.as_strided((len(y), *taps.shape), (y.shape[1], y.shape[1], 1))
        y = torch.einsum("tkc,kc->tc", beside, taps) + weights.tensors[f"{name}.depthwise.bias"]
        x = x + weights.linear(F.silu(y), f"{name}.mix")
        return weights.norm(x + 0.5 * self._fed(x, f"{name}.after"), f"{name}.norm")

    def _fed(self, x: Tensor, name: str) -> Tensor:
        wide = F.silu(self.weights.linear(self.weights.norm(x, f"{name}.0"), f"{name}.1"))
        return self.weights.linear(wide, f"{name}.3")


class CudaConformerEncoder(CudaRecogniserEncoder):
    """Units stay on the device. Only for the architecture "conformer"."""

    parts = ConformerWeights, ConformerProgram
