"""The lowered denoiser on a CPU: matrix products over channels-last rows, in buffers that are reused.

The gated convolution costs two thirds of all arithmetic. Its three taps are applied by Winograd's minimal filtering
F(4, 3) (fastsvc/engine/cpu/winograd.py): four outputs take six products of C × 2C instead of twelve. The transforms of
inputs and outputs are batches of tiny matrix products, one library call each. Every further pass over the data, and
every further call at which all threads must meet, costs more than the arithmetic saved.
With dilation δ the four outputs of a tile are δ rows apart. Tiles are ordered by phase ρ (row mod δ), then by index j:
tile (ρ, j) reads rows (4j + k)δ + ρ − past, k = 0 … 5, and writes rows (4j + i)δ + ρ, i = 0 … 3; past is δ, or more
where the layer is moved into the past.
The filter's half of the columns comes first here, then the gate's, the order of PyTorch's gated linear unit: tanh in
place and one more pass make z = σ(gate)·tanh(filter).
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from fastsvc.artifact.lowered import TAPS
from fastsvc.config import AcousticConfig
from fastsvc.engine.cpu import winograd
from fastsvc.errors import EngineError
from fastsvc.model import process

PROJECTION_LIMIT = 256 * 2**20  # bytes of condition projections stored over several steps; more is computed again


class CpuDenoiser:
    """D(x, σ, cond) from lowered tensors (fastsvc/artifact/lowered.py), for one sequence at a time, in float32."""

    gated_type = torch.float32

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig, levels: list[float]):
        self.config, net = config, config.denoiser
        self.width, self.layers, self.dilations = net.channels, net.layers, net.dilations
        self.halo_frames, self.reaches = net.halo_frames, net.reaches
        self.pad = max(reach.past for reach in self.reaches)
        weights = {name: value.float() for name, value in tensors.items()}
        self.input = weights["input.weight"], weights["input.bias"]
        self.output = weights["output.weight"], weights["output.bias"]
        self.skip = weights["skip.weight"].view(self.layers, self.width, self.width), weights["skip.bias"]
        self.residual = weights["residual.weight"]
        self.stored = tensors["conv.weight"], tensors["conv.bias"]
        self._pack_filters(weights)
        self.steps = {level: LevelConstants(config, weights, i, level) for i, level in enumerate(levels)}
        self.buffers: dict[str, Tensor] = {}

    def prepare(self, cond: Tensor, evaluations: int = 1) -> PreparedCondition:
        """The work on cond [T, H] that all evaluations share."""
        return PreparedCondition(self, cond, store=evaluations > 1)

    def __call__(self, x: Tensor, sigma: float, prepared: PreparedCondition, trace: list | None = None) -> Tensor:
        """x [T, M] normalised → D(x, σ) [T, M], a new tensor. ``trace`` collects (name, x_l) for verification."""
        step = self.level(sigma)
        frames, pad = len(x), self.pad
        padded = self._buffer("x", frames + 6 * pad, self.width)
        padded[:pad].zero_()
        padded[pad + frames :].zero_()  # the buffer may be longer than needed and hold an earlier input's rows
        state = padded[pad : pad + frames]
        torch.addmm(self.input[1], x, self.input[0], alpha=step.c_in, out=state).relu_()
        if trace is not None:
            trace.append(("input", state.clone()))
        state.add_(step.vectors[0])
        gated = self._buffer("gated", frames + 4 * pad, self.width, self.gated_type)
        skips = self._buffer("skips", frames, self.width)
        for layer, dilation in enumerate(self.dilations):
            self._gated_conv(layer, dilation, padded, prepared, gated)
            self._skip(layer, gated[:frames], skips)
            if layer + 1 < self.layers:
                self._residual(layer, gated[:frames], state).add_(step.shifts[layer])
                if trace is not None:
                    trace.append((f"layer {layer}", state - step.vectors[layer + 1]))
        skips.relu_()
        if trace is not None:
            trace.append(("skip", skips.clone()))
        out = torch.addmm(x, skips, self.output[0], beta=step.c_skip, alpha=step.c_out)
        return out.add_(self.output[1], alpha=step.c_out)

    @functools.cached_property
    def conv(self) -> tuple[Tensor, Tensor]:
        """The gated convolutions' weights and biases, ordered as stored, for denoiser_rows.py: all streams share them,
        and an engine without streams has none."""
        weight, bias = self.stored
        return weight.to(self.gated_type), bias.to(self.gated_type)

    def level(self, sigma: float) -> LevelConstants:
        """Raises EngineError for a noise level that the engine was not built for."""
        step = self.steps.get(float(sigma))
        if step is None:
            raise EngineError(f"noise level {sigma} is not built in", "build the engine again with --steps")
        return step

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        """Winograd's six filters a layer; the condition's weight with the bias as its last row."""
        conv, bias = filter_first(weights, self.width)
        taps = conv[:, : TAPS * self.width].view(self.layers, TAPS, self.width, 2 * self.width)
        self.filters, self.transforms = [winograd.filters(layer) for layer in taps], winograd.transforms()
        self.cond_weight = torch.cat([conv[:, TAPS * self.width :], bias[:, None]], dim=1)

    def _skip(self, layer: int, z: Tensor, skips: Tensor) -> None:
        torch.addmm(self.skip[1] if layer == 0 else skips, z, self.skip[0][layer], out=skips)

    def _residual(self, layer: int, z: Tensor, state: Tensor) -> Tensor:
        return state.addmm_(z, self.residual[layer], beta=math.sqrt(0.5))

    def _gated_conv(
        self, layer: int, dilation: int, padded: Tensor, prepared: PreparedCondition, gated: Tensor
    ) -> None:
        """gated[:T] = σ(gate)·tanh(filter) of the convolution of the padded state plus the condition."""
        width, phase_tiles = self.width, prepared.phase_tiles[dilation]
        tiles = phase_tiles * dilation
        v = self._buffer("v", tiles, winograd.PRODUCTS * width).view(tiles, winograd.PRODUCTS, width)
        m = self._buffer("m", winograd.PRODUCTS * tiles, 2 * width).view(winograd.PRODUCTS, tiles, 2 * width)
        y = self._buffer("y", winograd.OUTPUTS * tiles, 2 * width)
        prepared.project(layer, dilation, y)
        stride = (winograd.OUTPUTS * dilation * width, dilation * width, 1)
        for phase in range(dilation):
            rows = padded[self.pad - self.reaches[layer].past + phase :].as_strided(
                (phase_tiles, winograd.PRODUCTS, width), stride
            )
            torch.bmm(prepared.input_transform[:phase_tiles], rows, out=v[phase * phase_tiles :][:phase_tiles])
        torch.bmm(v.transpose(0, 1), self.filters[layer], out=m)
        y.view(tiles, winograd.OUTPUTS, 2 * width).baddbmm_(prepared.output_transform[:tiles], m.transpose(0, 1))
        y[:, :width].tanh_()
        out = gated[: winograd.OUTPUTS * tiles].view(phase_tiles, winograd.OUTPUTS, dilation, width).permute(2, 0, 1, 3)
        torch.ops.aten.glu.out(y.view(dilation, phase_tiles, winograd.OUTPUTS, 2 * width), -1, out=out)

    def _buffer(self, name: str, rows: int, columns: int, dtype=torch.float32) -> Tensor:
        """The first ``rows`` of a buffer that grows to the longest input seen, because fresh pages are expensive."""
        buffer = self.buffers.get(name)
        if buffer is None or len(buffer) < rows:
            with torch.inference_mode(False):  # so that the buffer may be written in either mode
                self.buffers[name] = buffer = torch.empty(rows, columns, dtype=dtype)
        return buffer[:rows]


class PreparedCondition:
    """cond in the row order of each dilation, and its projections where several evaluations use them.

    A column of ones brings the bias into the product: a separate addition would be one more pass over all outputs.
    """

    def __init__(self, denoiser: CpuDenoiser, cond: Tensor, store: bool):
        self.denoiser, frames = denoiser, len(cond)
        self.phase_tiles = {d: -(-frames // (winograd.OUTPUTS * d)) for d in set(denoiser.dilations)}
        self.cond = {d: _in_tiles(cond, d, count) for d, count in self.phase_tiles.items()}
        tiles = max(d * count for d, count in self.phase_tiles.items())
        self.input_transform, self.output_transform = (t.repeat(tiles, 1, 1) for t in denoiser.transforms)
        size = 4 * denoiser.layers * 2 * denoiser.width * max(len(c) for c in self.cond.values())
        self.projections = None
        if store and size <= PROJECTION_LIMIT:
            self.projections = [self._projected(i, d) for i, d in enumerate(denoiser.dilations)]

    def project(self, layer: int, dilation: int, out: Tensor) -> None:
        """out = bias + cond @ weight of one layer, in the order of its tiles."""
        if self.projections is not None:
            out.copy_(self.projections[layer])
        else:
            self._projected(layer, dilation, out)

    def _projected(self, layer: int, dilation: int, out: Tensor | None = None) -> Tensor:
        return torch.mm(self.cond[dilation], self.denoiser.cond_weight[layer], out=out)


class LevelConstants:
    """The constants of one noise level: scalars of the preconditioning, d_l, and the shift from d_l to d_{l+1}."""

    def __init__(self, config: AcousticConfig, weights: dict[str, Tensor], index: int, level: float):
        scalars = process.coefficients(config, torch.tensor(level, dtype=torch.float32))
        self.c_skip, self.c_out, self.c_in, _ = map(float, scalars)
        self.vectors = weights["steps.vectors"][index]
        self.shifts = weights["residual.bias"] - self.vectors[:-1] * math.sqrt(0.5) + self.vectors[1:]


def filter_first(weights: dict[str, Tensor], width: int) -> tuple[Tensor, Tensor]:
    """The gated convolutions' weight [L, 3C + H, 2C] and bias [L, 2C], columns of the filter before the gate's."""
    return weights["conv.weight"].roll(width, -1), weights["conv.bias"].roll(width, -1)


def _in_tiles(cond: Tensor, dilation: int, phase_tiles: int) -> Tensor:
    """[T, H] → [δ·phase_tiles·4, H + 1], a last column of ones, in the order of tiles: phase, index, output."""
    rows = winograd.OUTPUTS * phase_tiles * dilation
    padded = cond.new_ones(rows, cond.shape[1] + 1)
    padded[: len(cond), :-1] = cond
    return padded.view(phase_tiles, winograd.OUTPUTS, dilation, -1).permute(2, 0, 1, 3).reshape(rows, -1)
