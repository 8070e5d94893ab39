"""What this machine has that matters here, in a few words."""

from __future__ import annotations

import platform
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


def cpu_model() -> str:
    """The processor's name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Those instruction sets of interest that the processor has (Linux on x86; empty elsewhere)."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    return [flag for flag in _FLAGS if flag in flags]


def describe() -> dict:
    """Processor, its threads in use, and PyTorch's version: what a measurement needs beside it."""
    import torch

    return {"cpu": cpu_model(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def gpu(device) -> dict:
    """An NVIDIA GPU as PyTorch sees it: name, architecture, multiprocessors, memory."""
    import torch

    found = torch.cuda.get_device_properties(device)
    return {
        "name": found.name,
        "architecture": f"sm_{found.major}{found.minor}",
        "multiprocessors": found.multi_processor_count,
        "memory_gib": round(found.total_memory / 2**30, 1),
    }
