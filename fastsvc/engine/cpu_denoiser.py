"""The lowered denoiser on a CPU: matrix products over channels-last rows, in buffers that are used again.

The gated convolution costs two thirds of all arithmetic. Its three taps are applied by Winograd's minimal filtering
F(2, 3) (Winograd 1980; Lavin and Gray, arXiv 1509.09308): two neighbouring outputs take four products instead of six,
    y0 = m0 + m1 + m2,  y1 = m1 − m2 − m3,  with  m0 = (d0 − d2) g0,       m1 = (d1 + d2)(g0 + g1 + g2)/2,
                                                  m2 = (d2 − d1)(g0 − g1 + g2)/2,  m3 = (d1 − d3) g2.
With dilation δ the neighbours are δ rows apart, so rows are handled in runs of δ: "even" and "odd" runs.
tanh f = 2σ(2f) − 1, which is faster here than tanh: the inner 2 is in the filter's weights, the outer one and the
shift are in what reads z = σ(gate)·(σ(2f) − ½).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsvc.config import AcousticConfig
from fastsvc.engine.lowered import TAPS
from fastsvc.errors import EngineError
from fastsvc.model import process

PROJECTION_LIMIT = 256 * 2**20  # bytes: condition projections kept over several steps, beyond that made anew


class Denoiser:
    """D(x, σ, cond) from lowered tensors (fastsvc/engine/lowered.py), for one sequence at a time, in float32."""

    gated_type = torch.float32

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig, levels: list[float]):
        self.config, net = config, config.denoiser
        self.width, self.layers, self.dilations = net.channels, net.layers, net.dilations
        self.halo_frames = net.halo_frames
        self.pad = max(self.dilations)
        weights = {name: value.float() for name, value in tensors.items()}
        self.input = weights["input.weight"], weights["input.bias"]
        self.output = weights["output.weight"], weights["output.bias"]
        self.skip = (2 * weights["skip.weight"]).view(self.layers, self.width, self.width), weights["skip.bias"]
        self.residual = 2 * weights["residual.weight"]
        self._pack_filters(weights)
        self.steps = {level: Step(config, weights, i, level) for i, level in enumerate(levels)}
        self.buffers: dict[str, Tensor] = {}

    def prepare(self, cond: Tensor, evaluations: int = 1) -> Prepared:
        """Everything about cond [T, H] that all evaluations share."""
        return Prepared(self, cond, keep=evaluations > 1)

    def __call__(self, x: Tensor, sigma: float, prepared: Prepared, trace: list | None = None) -> Tensor:
        """x [T, M] normalised → D(x, σ) [T, M], a new tensor. ``trace`` collects (name, x_l) for verification."""
        step = self.steps.get(float(sigma))
        if step is None:
            raise EngineError(f"noise level {sigma} is not built in", "rebuild with the steps that you need")
        frames, pad = len(x), self.pad
        padded = self._buffer("x", frames + 5 * pad, self.width)
        padded[:pad].zero_()
        padded[pad + frames :].zero_()  # the buffer may be longer than needed and hold an earlier input's rows
        state = padded[pad : pad + frames]
        torch.addmm(self.input[1], x, self.input[0], alpha=step.c_in, out=state).relu_()
        if trace is not None:
            trace.append(("input", state.clone()))
        state.add_(step.vectors[0])
        gated = self._buffer("gated", frames + 2 * pad, self.width, self.gated_type)
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

    def _pack_filters(self, weights: dict[str, Tensor]) -> None:
        """Winograd's four filters a layer; the condition's weight and bias."""
        conv, self.cond_bias = doubled_filters(weights, self.width)
        g0, g1, g2 = (conv[:, tap * self.width : (tap + 1) * self.width] for tap in range(TAPS))
        fours = zip(g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)
        self.taps = [tuple(t.contiguous() for t in four) for four in fours]
        self.cond_weight = conv[:, TAPS * self.width :].contiguous()

    def _skip(self, layer: int, z: Tensor, skips: Tensor) -> None:
        torch.addmm(self.skip[1] if layer == 0 else skips, z, self.skip[0][layer], out=skips)

    def _residual(self, layer: int, z: Tensor, state: Tensor) -> Tensor:
        return state.addmm_(z, self.residual[layer], beta=math.sqrt(0.5))

    def _gated_conv(self, layer: int, dilation: int, padded: Tensor, prepared: Prepared, gated: Tensor) -> None:
        """gated[:T] = σ(gate)·(σ(2 filter) − ½) of the convolution of the padded state plus the condition."""
        pairs = prepared.pairs[dilation]
        rows, width = pairs * dilation, self.width
        runs = padded[self.pad - dilation :][: (2 * pairs + 2) * dilation].view(pairs + 1, 2, dilation, width)
        d0, d1, d2, d3 = runs[:-1, 0], runs[:-1, 1], runs[1:, 0], runs[1:, 1]
        v = self._buffer("v", rows, width)
        m1, m2 = self._buffer("m1", rows, 2 * width), self._buffer("m2", rows, 2 * width)
        y = self._buffer("y", 2 * rows, 2 * width)
        even, odd = y[:rows], y[rows:]
        g0, g_sum, g_difference, g2 = self.taps[layer]
        run = v.view(pairs, dilation, width)
        prepared.project(layer, dilation, y)
        torch.sub(d0, d2, out=run)
        even.addmm_(v, g0)
        torch.sub(d1, d3, out=run)
        odd.addmm_(v, g2, alpha=-1)
        torch.add(d1, d2, out=run)
        torch.mm(v, g_sum, out=m1)
        torch.sub(d2, d1, out=run)
        torch.mm(v, g_difference, out=m2)
        even.add_(m1).add_(m2)
        odd.add_(m1).sub_(m2)
        y.sigmoid_()
        gate, filter_ = y.view(2, pairs, dilation, 2 * width).split(width, dim=-1)
        out = gated[: 2 * rows].view(pairs, 2, dilation, width).transpose(0, 1)
        torch.mul(gate, filter_.sub_(0.5), out=out)

    def _buffer(self, name: str, rows: int, columns: int, dtype=torch.float32) -> Tensor:
        """The first ``rows`` of a buffer that grows to the longest input seen: fresh pages are dear."""
        buffer = self.buffers.get(name)
        if buffer is None or len(buffer) < rows:
            with torch.inference_mode(False):  # so that the buffer may be written in either mode
                self.buffers[name] = buffer = torch.empty(rows, columns, dtype=dtype)
        return buffer[:rows]


class Prepared:
    """cond in the row order of each dilation, and its projections where they serve several evaluations."""

    def __init__(self, denoiser: Denoiser, cond: Tensor, keep: bool):
        self.denoiser, frames = denoiser, len(cond)
        self.pairs = {d: -(-frames // (2 * d)) for d in set(denoiser.dilations)}
        self.cond = {d: _in_runs(cond, d, pairs) for d, pairs in self.pairs.items()}
        size = 4 * denoiser.layers * 2 * denoiser.width * max(len(c) for c in self.cond.values())
        self.kept = None
        if keep and size <= PROJECTION_LIMIT:
            self.kept = [self._projected(i, d) for i, d in enumerate(denoiser.dilations)]

    def project(self, layer: int, dilation: int, out: Tensor) -> None:
        """out = bias + cond @ weight of one layer, even runs first, then odd ones."""
        if self.kept is not None:
            out.copy_(self.kept[layer])
        else:
            self._projected(layer, dilation, out)

    def _projected(self, layer: int, dilation: int, out: Tensor | None = None) -> Tensor:
        net = self.denoiser
        return torch.addmm(net.cond_bias[layer], self.cond[dilation], net.cond_weight[layer], out=out)


class Step:
    """The constants of one noise level: scalars of the preconditioning, d_l, and what turns d_l into d_{l+1}."""

    def __init__(self, config: AcousticConfig, weights: dict[str, Tensor], index: int, level: float):
        scalars = process.coefficients(config, torch.tensor(level, dtype=torch.float32))
        self.c_skip, self.c_out, self.c_in, _ = map(float, scalars)
        self.vectors = weights["steps.vectors"][index]
        self.shifts = weights["residual.bias"] - self.vectors[:-1] * math.sqrt(0.5) + self.vectors[1:]


def doubled_filters(weights: dict[str, Tensor], width: int) -> tuple[Tensor, Tensor]:
    """The gated convolutions' weight and bias with the filter half doubled: tanh f = 2σ(2f) − 1."""
    double = torch.ones(2 * width)
    double[width:] = 2
    return weights["conv.weight"] * double, weights["conv.bias"] * double


def _in_runs(cond: Tensor, dilation: int, pairs: int) -> Tensor:
    """[T, H] → [2·pairs·δ, H], zero-padded: the even runs of δ rows, then the odd ones."""
    rows = 2 * pairs * dilation
    padded = torch.cat([cond, cond.new_zeros(rows - len(cond), cond.shape[1])])
    return padded.view(pairs, 2, dilation, -1).transpose(0, 1).reshape(rows, -1)
