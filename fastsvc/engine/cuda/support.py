"""Whether an NVIDIA GPU can be used here, and of which architecture it is."""

from __future__ import annotations

import torch

from fastsvc.kernels.tiles import OLDEST


def why_no_cuda() -> str | None:
    """Why nothing runs on an NVIDIA GPU here; None if it does."""
    if torch.version.cuda is None:
        rocm = "this is PyTorch's build for ROCm, and the kernels are for NVIDIA GPUs"
        return rocm if torch.version.hip else "this is a CPU build of PyTorch"
    if not torch.cuda.is_available():
        return f"PyTorch finds no usable GPU: {_says()}"
    return too_old(architecture())


def architecture(device: torch.device | None = None) -> int:
    """90 for an sm_90."""
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def too_old(arch: int) -> str | None:
    """Why GPUs of this architecture run nothing; None if they do."""
    return f"the GPU is sm_{arch}, the kernels need sm_{OLDEST} or newer" if arch < OLDEST else None


def _says() -> str:
    """PyTorch's own reason why it cannot use a GPU: no driver, one that is too old, no device."""
    try:
        torch.cuda.init()
    except Exception as error:  # whatever it is, it is the answer
        return (str(error).strip().splitlines() or ["it does not say why"])[0][:200]
    return "it does not say why"
