"""The draw of RVC's latent and its coupling flow, run backwards, on a GPU: as engine/cpu/rvc/flow.py.

Both are local in time, so slices of any recordings lie one after another in one matrix of rows. The latent itself and
the draw are float32 in every precision; products inside the couplings are in the weights' type. Noise is a function of
seed, absolute frame and channel, computed inside the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fastsvc.engine.cuda.rvc.rows import Neighbours
from fastsvc.engine.cuda.rvc.weights import RvcWeights
from fastsvc.engine.cuda.staging import as_int64
from fastsvc.model import noise


class RowSlice(NamedTuple):
    """``rows`` frames of a recording, from the row ``first_row`` on; ``place``: the absolute frame of the first."""

    first_row: int
    rows: int
    place: int = 0
    seed: int = 0

    @property
    def own(self) -> slice:
        return slice(self.first_row, self.first_row + self.rows)


class FlowProgram:
    """One number of rows R: static inputs ``prior`` [R, 2C] (mean | log of the deviation), ``voice``, ``scale`` of the
    noise, ``by_row`` [4, R] (absolute frame, seed, first and last row of the slice); ``z`` [R, C], float32."""

    def __init__(self, weights: RvcWeights, rows: int, new):
        self.weights, device = weights, weights.device
        config = weights.config

        def buffer(*sizes: int) -> Tensor:
            return new(*sizes, dtype=torch.float32, device=device)

        self.prior, self.z = buffer(rows, 2 * config.mel.bins), buffer(rows, config.mel.bins)
        self.voice, self.scale = buffer(config.couplings, config.flow_layers, 2 * config.hidden), buffer(1)
        # not in memory that programs share: values of another program would be indices out of range
        self.by_row = torch.zeros(4, rows, dtype=torch.int64, device=device)

    def slices_by_row(self, slices: list[RowSlice]) -> Tensor:
        """The content of ``by_row``, on the host."""
        values = torch.zeros(self.by_row.shape, dtype=torch.int64)
        for one in slices:
            values[0, one.own] = torch.arange(one.place, one.place + one.rows)
            values[1:, one.own] = torch.tensor((as_int64(one.seed), one.own.start, one.own.stop))[:, None]
        return values

    def sample(self) -> None:
        """``prior`` → ``z``: a draw, with the noise of each row's seed and frame, and the flow."""
        places, seeds, _, _ = self.by_row.unbind()
        draws = noise.drawn(seeds[:, None], 0, places, self.z.shape[1])
        mean, log_deviation = self.prior.chunk(2, dim=-1)
        torch.addcmul(mean, log_deviation.exp(), draws.mul_(self.scale), out=self.z)
        self.flow()

    def flow(self) -> None:
        """``z`` before the flow → ``z`` after it, in its place."""
        config, dtype = self.weights.config, self.weights.dtype
        _, _, low, high = self.by_row.unbind()
        neighbours, voice = Neighbours.of(low, high, config.flow_kernel), self.voice.to(dtype)
        halves = self.z.chunk(2, dim=1)
        for i, coupling in enumerate(self.weights.couplings):
            shifted, read = halves if i % 2 == 0 else reversed(halves)
            shifted.add_(self._shift(coupling, voice[i], read.to(dtype), neighbours))
        if config.couplings % 2:
            self.z.copy_(self.z.flip(1))

    def _shift(self, coupling: dict[str, Tensor], biases: Tensor, read: Tensor, neighbours: Neighbours) -> Tensor:
        """[R, C/2] of the other half [R, C/2]; the gated outputs of all layers are columns of one last product."""
        width, layers = self.weights.config.hidden, self.weights.config.flow_layers
        x = torch.addmm(coupling["input.bias"], read, coupling["input.weight"])
        gated = x.new_empty(len(x), layers, width)
        for layer in range(layers):
            y = torch.addmm(biases[layer], neighbours.of_rows(x), coupling["conv.weight"][layer])
            torch.mul(y[:, :width].tanh_(), y[:, width:].sigmoid_(), out=gated[:, layer])
            if layer + 1 < layers:
                x.addmm_(gated[:, layer], coupling["residual.weight"][layer]).add_(coupling["residual.bias"][layer])
        return torch.addmm(coupling["output.bias"], gated.flatten(1), coupling["output.weight"])
