"""Names of devices: auto, cpu, cuda, cuda:1 for the second GPU, or a torch.device."""

from __future__ import annotations

import contextlib
import re

import torch

from fastsvc import arguments
from fastsvc.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")
_NUMBERED = re.compile(r"cuda:(\d{1,3})")


def parse(device) -> tuple[str, int | None]:
    """(one of :data:`DEVICES`, the GPU's number, or None for the current one). Raises ConfigError for anything else."""
    name = str(device) if isinstance(device, torch.device) else device
    numbered = _NUMBERED.fullmatch(name) if isinstance(name, str) else None
    if numbered:
        return "cuda", int(numbered[1])
    if name == "cpu:0":
        return "cpu", None
    if not isinstance(name, str) or name not in DEVICES:
        raise ConfigError(f"device is {arguments.shown(name)}", f"use one of {', '.join(DEVICES)}, cuda:1")
    return name, None


def current(number: int | None):
    """A context in which GPU ``number`` is PyTorch's current one; None leaves it as it is."""
    return contextlib.nullcontext() if number is None else torch.cuda.device(number)
