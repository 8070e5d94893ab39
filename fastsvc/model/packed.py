"""Weights in eight bits: whole numbers from −127 to 127, and a scale for each GROUP of them.

A tensor of n values, in storage order, is cut into groups. A group's scale is its largest magnitude over 127, rounded
to bfloat16, and each value is stored as the nearest multiple of it: the error is at most 1/253 of the group's largest
value. In a file a tensor NAME is int8, of its shape, and NAME@scales is bfloat16 [groups]. Programs that do not know
the second name refuse it as a tensor that does not fit.

What :func:`unpacked` returns is packed into the same bytes again, as a product of a whole number below 128 and a
bfloat16 is exact in float32. Six bits were tried: layers of examples/voices/live.fsvc were off by 3.3e-2, more than the
compiler allows.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP, TOP = 64, 127
NAMES = ("units", "weight", "pulses")  # ends of the names of what is packed: matrices, nearly all of a file
SCALES = "@scales"


def is_packed(name: str, tensor: Tensor) -> bool:
    """Whether a tensor is packed at all; biases and vectors are small and stay as they are."""
    return tensor.dim() >= 2 and tensor.numel() >= GROUP and name.endswith(NAMES)


def rounded(tensor: Tensor) -> Tensor:
    """float32 values as they will be read again."""
    return _values(*_grouped(tensor))


def packed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file as they are stored."""
    stored = dict(tensors)
    for name, tensor in tensors.items():
        if is_packed(name, tensor):
            stored[name], stored[name + SCALES] = _grouped(tensor)
    return stored


def unpacked(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a stored file, packed ones as float32. Raises ValueError for numbers and scales that do not fit
    each other, for numbers without scales, and for scales that are not finite, or would make values so."""
    tensors = dict(stored)
    for name, numbers in stored.items():
        if numbers.dtype == torch.int8 and name + SCALES not in stored:
            raise ValueError(f"{name} is stored in eight bits, but has no scales")
    for name in [key.removesuffix(SCALES) for key in stored if key.endswith(SCALES)]:
        scales, numbers = tensors.pop(name + SCALES), tensors.get(name)
        if numbers is None or (numbers.dtype, scales.dtype) != (torch.int8, torch.bfloat16):
            raise ValueError(f"{name} is not stored in eight bits, but has scales")
        if scales.shape != (-(-numbers.numel() // GROUP),):
            raise ValueError(f"{name} has {numbers.numel()} numbers and {scales.numel()} scales")
        if not (scales.float() * (TOP + 1)).isfinite().all():
            raise ValueError(f"{name} has scales that are not finite, or too large")
        tensors[name] = _values(numbers, scales)
    return tensors


def _grouped(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers, int8 of the tensor's shape, and scales [groups] bfloat16."""
    values = tensor.float().flatten()
    groups = torch.nn.functional.pad(values, (0, -len(values) % GROUP)).view(-1, GROUP)
    scales = (groups.abs().amax(1) / TOP).bfloat16()
    divisors = scales.float().where(scales > 0, torch.ones(()))[:, None]
    numbers = (groups / divisors).round_().clamp_(-TOP, TOP).to(torch.int8)
    return numbers.flatten()[: len(values)].view(tensor.shape), scales


def _values(numbers: Tensor, scales: Tensor) -> Tensor:
    values, each = numbers.float().flatten(), scales.float()
    full = len(values) // GROUP  # groups; the last one may have fewer numbers
    values[: full * GROUP].view(full, GROUP).mul_(each[:full, None])
    values[full * GROUP :].mul_(each[full:])
    return values.view(numbers.shape)
