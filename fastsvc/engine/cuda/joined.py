"""All layers of the denoiser in one launch, for short inputs (kernels/denoiser/layers.py). Off by default."""

from __future__ import annotations

import torch

from fastsvc import environment
from fastsvc.kernels.tiles import PROCESSORS, architecture

PERSISTENT = "FASTSVC_PERSISTENT"  # environment: 1 requests it, of engines that run and of kernels that are compiled


def requested() -> bool:
    """Whether the environment requests it (ConfigError). Longer inputs have launches of their own all the same."""
    return environment.switch(PERSISTENT)


def processors(device: torch.device, arch: int) -> int:
    """Multiprocessors that may run programs at once: those of the device, or where there is none, of a usual one."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).multi_processor_count
    return PROCESSORS[architecture(arch)]
