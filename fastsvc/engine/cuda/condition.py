"""The lowered condition on a GPU: a kernel, over the features of each slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from fastsvc.config import AcousticConfig
from fastsvc.engine.buckets import Shape
from fastsvc.engine.cpu.condition import CpuCondition

GRAPH = ("condition",)


def launches(program) -> list:
    return program.condition()


class CudaCondition:
    """``in_graphs``: a whole schedule may be one graph, because the kernels make all of the condition."""

    in_graphs = True

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig, device):
        self.speaker = CpuCondition(tensors, config).speaker

    @staticmethod
    def packable(tensors: dict[str, Tensor], config: AcousticConfig) -> dict[str, Tensor]:
        """The lowered tensors that the kernels' weights are packed from."""
        return tensors

    @staticmethod
    def unit_channels(config: AcousticConfig) -> int:
        """Channels of the units that the kernels read."""
        return config.condition.unit_channels

    def inputs(self, features, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(units [Tu, U] and unit indices [T] for the kernels; cond [T, H] on the device where they do not make it).

        features: fastsvc.engine.cpu.sampler.Features of a recording.
        """
        return features.units, features.unit_indices, None

    def fill(self, network, program, conds: Sequence[Tensor | None]) -> None:
        """Write cond into the buffer of a program whose inputs are set. ``conds``: [T, H] of each slice, or None."""
        network.replay(program.shape, GRAPH, launches)

    def prepare(self, network, shape: Shape) -> None:
        """Make the graphs that :meth:`fill` will replay."""
        network.prepared(shape, GRAPH, launches)

    def alone(self, network, shape: Shape, features, speaker: Tensor) -> Callable[[], object]:
        """The condition's work as a call, for measuring; the inputs of the program of ``shape`` are set."""
        return lambda: network.replay(shape, GRAPH, launches)
