"""The machine of a measurement: hardware and versions, and a clock."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable

import torch

from fastsvc.children import cores
from fastsvc.machine import cpu_model

PACKAGES = ("fastsvc", "torch", "numpy", "soxr", "soundfile")


def hardware(device: str = "cpu") -> str:
    """One line: the GPU's name, or the processor with its usable cores and torch's threads."""
    if str(device).startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    return f"{cpu_model()}, {cores()} cores, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def describe(device: str = "cpu") -> dict:
    """Machine, versions and date, for the head of a report."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "machine": {"hardware": hardware(device), "system": f"{platform.system()} {platform.machine()}"},
        "versions": versions,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def timed(work: Callable, device: str = "cpu"):
    """(result, seconds) of ``work()``, with the GPU's queue drained before either clock is read."""
    wait = torch.cuda.synchronize if str(device).startswith("cuda") else lambda: None
    wait()
    start = time.perf_counter()
    result = work()
    wait()
    return result, time.perf_counter() - start
