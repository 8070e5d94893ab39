"""A description of this machine: processor, instruction sets, GPU."""

from __future__ import annotations

import platform
from pathlib import Path

_FLAGS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "sve", "bf16", "i8mm"),  # of ARM
)
_OF_TORCH = {"avx512f": "avx512_f"}  # PyTorch's names where they differ from Linux'


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
    """The instruction sets of :data:`_FLAGS` that the processor has (x86 and ARM).

    Windows and macOS have no /proc/cpuinfo: there PyTorch is asked, which needs one that can say (2.13 can).
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return _flags_by_torch()
    flags = next((set(line.split()) for line in lines if line.startswith(("flags", "Features"))), set())
    return [flag for flag in _FLAGS if flag in flags]


def _flags_by_torch() -> list[str]:
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return [flag for flag in _FLAGS if capabilities.get(_OF_TORCH.get(flag, flag))]


def describe() -> dict:
    """Processor, threads in use and PyTorch's version, to be stored beside a measurement."""
    import torch

    return {"cpu": cpu_model(), "threads": torch.get_num_threads(), "torch": torch.__version__}


def gpu(device) -> dict:
    """An NVIDIA GPU as PyTorch sees it: name, architecture, multiprocessors, memory."""
    import torch

    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "architecture": f"sm_{properties.major}{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": round(properties.total_memory / 2**30, 1),
    }
