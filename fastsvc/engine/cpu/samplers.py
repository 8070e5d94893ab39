"""The class of a model's sampler on a CPU."""

from __future__ import annotations

from torch import Tensor

from fastsvc.artifact.manifest import Sampling
from fastsvc.config import AnyAcousticConfig, DdspConfig, RvcConfig
from fastsvc.engine.cpu.ddsp import DdspSampler
from fastsvc.engine.cpu.rvc import RvcSampler
from fastsvc.engine.cpu.sampler import MelSampler


def sampler_for(
    tensors: dict[str, Tensor], config: AnyAcousticConfig, sampling: Sampling, precision: str = "fp32"
) -> MelSampler | RvcSampler | DdspSampler:
    """The sampler of lowered tensors stored in ``precision``."""
    if isinstance(config, RvcConfig):
        return RvcSampler(tensors, config, sampling)
    if isinstance(config, DdspConfig):
        return DdspSampler(tensors, config, sampling)
    return MelSampler(tensors, config, sampling, precision)
