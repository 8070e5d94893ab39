"""Whether this machine has a usable NVIDIA GPU, and its architecture."""

from __future__ import annotations

import torch

from fastsvc.kernels.tiles import too_old


def why_no_cuda(number: int | None = None) -> str | None:
    """The reason why no NVIDIA GPU, or not the one of this number, can be used here; None if it can."""
    if torch.version.cuda is None:
        rocm = "this is PyTorch's build for ROCm, and the kernels are for NVIDIA GPUs"
        return rocm if torch.version.hip else "this is a CPU build of PyTorch"
    if not torch.cuda.is_available():
        return f"PyTorch finds no usable GPU: {_pytorch_reason()}"
    if number is not None and number >= torch.cuda.device_count():
        return f"the GPUs here are numbered 0 to {torch.cuda.device_count() - 1}"
    return too_old(architecture(number))


def architecture(device: torch.device | int | None = None) -> int:
    """90 for an sm_90."""
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor


def _pytorch_reason() -> str:
    """PyTorch's own reason why it cannot use a GPU: no driver, one that is too old, no device."""
    try:
        torch.cuda.init()
    except Exception as error:  # whatever PyTorch raises is the reason
        return (str(error).strip().splitlines() or ["it does not say why"])[0][:200]
    return "it does not say why"
