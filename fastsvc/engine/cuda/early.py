"""Early starts of kernels, before the previous kernel has ended (kernels/dependent.py). Off by default."""

from __future__ import annotations

import warnings

import torch

from fastsvc import environment
from fastsvc.kernels import dependent
from fastsvc.kernels.launch import Launch, chained

PDL = "FASTSVC_PDL"  # environment: 1 requests early starts


def requested(device: torch.device, arch: int) -> bool:
    """Whether the environment requests early starts (ConfigError); a warning names a device that cannot do them."""
    enabled = environment.switch(PDL)
    if enabled and not dependent.possible(device, arch):
        warnings.warn(f"{PDL}=1 does nothing: sm_{arch} cannot start kernels early, sm_90 can", stacklevel=2)
        return False
    return enabled


def chain(launches: list[Launch], early: bool) -> list[Launch]:
    """The launches of one graph, each starting early if ``early``."""
    return chained(launches) if early else launches
