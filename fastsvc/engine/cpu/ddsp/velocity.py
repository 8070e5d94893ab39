"""The velocity network of DDSP-SVC 6 on a CPU, over channels-last rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.config.ddsp import DdspConfig
from fastsvc.engine.cpu.ddsp.blocks import CpuBlocks
from fastsvc.errors import EngineError


class CpuVelocity:
    """v(x, level | first mel) from lowered tensors, for one sequence at a time, in float32.

    Frames of the result are right ``halo_frames`` from both ends of the input, and up to the recording's own ends.
    """

    def __init__(self, tensors: dict[str, Tensor], config: DdspConfig, levels: list[float]):
        self.config, self.halo_frames = config, config.velocity_halo_frames
        part = {
            name.removeprefix("velocity."): w.float() for name, w in tensors.items() if name.startswith("velocity.")
        }
        self.input = part["input.bias"], part["input.weight"]
        self.output = part["output.bias"], part["output.weight"]
        self.condition = part["condition.weight"]
        self.blocks = CpuBlocks(tensors, "velocity", config.version)
        self.steps = {float(level): vectors.float() for level, vectors in zip(levels, tensors["steps.vectors"])}

    def __call__(
        self, x: Tensor, level: float, first_mel: Tensor, trace: list[tuple[str, Tensor]] | None = None
    ) -> Tensor:
        """x [T, M] normalised and first_mel [T, M], a log-mel → [T, M], a new tensor. ``trace`` collects (name, state)
        after each layer, for verification. Raises EngineError for a level that the engine was not built for."""
        vectors = self.steps.get(float(level))
        if vectors is None:
            raise EngineError(f"time {1 - level:g} of the flow is not built in", "build the engine again with --steps")
        state = F.gelu(torch.addmm(self.input[0], x, self.input[1]))
        for layer in range(self.config.layers):
            told = torch.addmm(vectors[layer], first_mel, self.condition[layer]).add_(state)
            self.blocks.add(layer, self._normed(told), state)
            if trace is not None:
                trace.append((f"layer {layer}", state.clone()))
        return torch.addmm(self.output[0], self._normed(state), self.output[1])

    def _normed(self, rows: Tensor) -> Tensor:
        return rows if self.config.version == "6.0" else F.layer_norm(rows, rows.shape[-1:])
