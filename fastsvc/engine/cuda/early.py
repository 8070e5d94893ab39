"""Early starts of kernels: before the one before them has ended (kernels/dependent.py). Off unless asked for."""

from __future__ import annotations

import os
import warnings

import torch

from fastsvc.kernels import dependent
from fastsvc.kernels.launch import Launch, chained

PDL = "FASTSVC_PDL"  # environment: 1 asks for it


def asked(device: torch.device, arch: int) -> bool:
    """Whether the environment asks for early starts; a device that has none is named in a warning."""
    wanted = os.environ.get(PDL, "") == "1"
    if wanted and not dependent.possible(device, arch):
        warnings.warn(f"{PDL}=1 does nothing: sm_{arch} cannot start kernels early, sm_90 can", stacklevel=2)
        return False
    return wanted


def chain(launches: list[Launch], early: bool) -> list[Launch]:
    """The launches of one graph, each beginning early where that is asked for."""
    return chained(launches) if early else launches
