"""Comparing a file's tensors with a model's parameters, name by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fastsvc.errors import CheckpointError
from fastsvc.reading.loading import finite

MOST_FAULTS = 300  # in a message; a stranger's file may have a million
Module = TypeVar("Module", bound=nn.Module)
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class _Undrawn(TorchFunctionMode):
    """Skips random initialisation: on the meta device it stores nothing, but first imports a compiler (seconds)."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        drawn = getattr(func, "__name__", "") == "normal_"  # of torch.nn.init, or of a tensor
        return (args or tuple(kwargs.values()))[0] if drawn else func(*args, **(kwargs or {}))


def skeleton(build: Callable[[], Module]) -> Module:
    """The module of ``build()`` on the meta device: shapes without values."""
    with torch.device("meta"), _Undrawn():
        return build()


def fit(tensors: dict[str, Tensor], build, path: Path, upstream=lambda name: name) -> dict[str, Tensor]:
    """The tensors as contiguous float32, if they are exactly the parameters of ``build()``.

    ``build`` makes the module; it is called on the meta device, so that a wrong configuration costs no memory.
    ``upstream`` turns a parameter's name back into the file's, for messages.
    Raises CheckpointError naming every missing and unexpected key, every wrong shape, and values that are not finite.
    """
    try:
        module = skeleton(build)
    except RuntimeError as error:  # sizes whose product overflows
        raise CheckpointError(
            f"{path}: its configuration does not describe a model: {error}", "correct the sizes in the configuration"
        ) from None
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    faults = [f"missing: {upstream(name)}" for name in expected if name not in tensors]
    faults += [f"unexpected: {upstream(name)}" for name in tensors if name not in expected]
    for name, shape in expected.items():
        if name in tensors and tuple(tensors[name].shape) != shape:
            faults.append(f"{upstream(name)} has shape {_shape(tensors[name].shape)} instead of {_shape(shape)}")
    if faults:
        listed = [fault[:200] for fault in faults[:MOST_FAULTS]]
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise CheckpointError(
            f"{path} does not fit its configuration: {'; '.join(listed)}{more}",
            "check that the config belongs to this checkpoint",
        )
    for name, value in tensors.items():
        if value.dtype not in FLOATS:
            raise CheckpointError(f"{path}: {upstream(name)} is {value.dtype}, not floating point of 16 to 64 bits")
    finite(tensors, path, upstream)
    return {name: tensors[name].to(torch.float32).contiguous() for name in expected}


def _shape(shape) -> str:
    return "×".join(map(str, shape)) or "scalar"
