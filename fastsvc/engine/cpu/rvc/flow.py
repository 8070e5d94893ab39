"""RVC's coupling flow, run backwards, on a CPU: a draw of the latent → the generator's input.

Each coupling shifts one half of the channels by a function of the other, so the halves keep their places here: the
reversal of channels between couplings is in the weights (fastsvc/artifact/lowered_rvc.py). The function is a WaveNet of
kernel 5 whose gated convolution is one matrix product over rows of five neighbours. Local in time: blocks with a halo
of config.flow_halo_frames are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.config.rvc import RvcConfig
from fastsvc.engine.cpu.rvc.rows import neighbours


class CpuFlow:
    """The flow from lowered tensors, for one sequence at a time, in float32."""

    def __init__(self, tensors: dict[str, Tensor], config: RvcConfig):
        self.config, prefix = config, "flow."
        part = {name.removeprefix(prefix): t.float() for name, t in tensors.items() if name.startswith(prefix)}
        self.couplings = [{name: value[i] for name, value in part.items()} for i in range(config.couplings)]

    def __call__(self, z_p: Tensor, voice: Tensor, trace: list[tuple[str, Tensor]] | None = None) -> Tensor:
        """z_p [T, C], voice: a row of `condition.speakers`, or a mixture → z [T, C], a new tensor.

        ``trace`` collects (name, z) after each coupling, for verification.
        """
        z, half = z_p.clone(), z_p.shape[1] // 2
        low, high = z[:, :half], z[:, half:]
        biases = voice.view(self.config.couplings, self.config.flow_layers, -1)
        for i, (coupling, bias) in enumerate(zip(self.couplings, biases)):
            read, shifted = (high, low) if i % 2 == 0 else (low, high)
            self._shift(coupling, bias, read, shifted)
            if trace is not None:
                trace.append((f"coupling {i}", z.clone() if i % 2 else z.flip(1)))
        return z.flip(1) if self.config.couplings % 2 else z

    def _shift(self, coupling: dict[str, Tensor], bias: Tensor, read: Tensor, shifted: Tensor) -> None:
        width, layers = self.config.hidden, self.config.flow_layers
        x = torch.addmm(coupling["input.bias"], read, coupling["input.weight"])
        shifted += coupling["output.bias"]
        for layer in range(layers):
            y = torch.addmm(bias[layer], neighbours(x, self.config.flow_kernel), coupling["conv.weight"][layer])
            y[:, :width].tanh_()
            gated = torch.nn.functional.glu(y, -1)
            shifted.addmm_(gated, coupling["output.weight"][layer * width : (layer + 1) * width])
            if layer + 1 < layers:
                x.addmm_(gated, coupling["residual.weight"][layer]).add_(coupling["residual.bias"][layer])
