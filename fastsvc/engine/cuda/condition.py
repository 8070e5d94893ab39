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
    """``in_graphs``: a whole schedule may be one graph, as nothing of it comes from elsewhere than the kernels."""

    in_graphs = True

    def __init__(self, tensors: dict[str, Tensor], config: AcousticConfig, device):
        self.speaker = CpuCondition(tensors, config).speaker

    @staticmethod
    def packable(tensors: dict[str, Tensor], config: AcousticConfig) -> dict[str, Tensor]:
        """Lowered tensors, with all that the kernels' weights are packed from."""
        return tensors

    @staticmethod
    def unit_channels(config: AcousticConfig) -> int:
        """Of the units that the kernels read."""
        return config.condition.unit_channels

    def inputs(self, features, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(units [Tu, U] and places [T] for the kernels; cond [T, H] on the device, where it is not made by them).

        features: fastsvc.engine.cpu.sampler.Features of a recording.
        """
        return features.units, features.places, None

    def fill(self, network, program, conds: Sequence[Tensor | None]) -> None:
        """cond into the buffer of a program that has its inputs; ``conds``: [T, H] of each slice, or None."""
        network.replay(program.shape, GRAPH, launches)

    def prepare(self, network, shape: Shape) -> None:
        """Make the graphs that :meth:`fill` will replay."""
        network.prepared(shape, GRAPH, launches)

    def alone(self, network, shape: Shape, features, speaker: Tensor) -> Callable[[], object]:
        """Its work, for measuring; the program of ``shape`` has its inputs."""
        return lambda: network.replay(shape, GRAPH, launches)
