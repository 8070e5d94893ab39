"""One start of one kernel: what the JIT launcher, the ahead-of-time compiler and a CUDA graph all need to know."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fastsvc.kernels.language import require

ALIGNMENT = 16  # bytes: every tensor begins on such a place, which lets loads be as wide as they can be
TYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
}


BLOCK = {"ROWS": "rows", "COLUMNS": "columns", "DEPTH": "depth", "SPLITS": "splits"}  # of a tile, by their constants


@dataclass(frozen=True)
class Flat:
    """How a kernel without a matrix product is started: in place of a :class:`fastsvc.kernels.tiles.Tile`."""

    warps: int
    registers: int | None = None
    stages: int = 1


@dataclass(frozen=True)
class Launch:
    """A kernel with its grid, its arguments in the order of its parameters, its constants and its options.

    ``arguments`` may be on the meta device: then it can be compiled, not run. ``early``: it may begin before the kernel
    that was started before it has ended, and waits by itself (kernels/dependent.py).
    """

    kernel: Any  # a triton.JITFunction, or without Triton the plain function
    grid: tuple[int, ...]
    arguments: dict[str, Any]  # tensors, and numbers that change from launch to launch
    constants: dict[str, Any]
    warps: int
    stages: int
    registers: int | None = None
    early: bool = False

    @classmethod
    def of(cls, kernel, grid: tuple[int, ...], tile, **values) -> Launch:
        """``values`` sorted into arguments and constants by the kernel's own signature; its block sizes are the tile's.

        Raises TypeError for a parameter without a value and a value without a parameter.
        """
        parameters = _parameters(getattr(kernel, "fn", kernel))  # without Triton a kernel is a plain function
        block = {name: getattr(tile, field) for name, field in BLOCK.items() if name in parameters.keys() - values}
        given = {**block, **values}
        if given.keys() != parameters.keys():
            lacking, unknown = sorted(parameters.keys() - given), sorted(given.keys() - parameters)
            raise TypeError(f"{kernel}: without a value {lacking}, unknown {unknown}")
        arguments = {name: given[name] for name, constant in parameters.items() if not constant}
        constants = {name: given[name] for name, constant in parameters.items() if constant}
        return cls(kernel, grid, arguments, constants, tile.warps, tile.stages, tile.registers)

    @property
    def options(self) -> dict:
        """Of Triton's compiler."""
        options = {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}
        return options if self.registers is None else {**options, "maxnreg": self.registers}

    def run(self) -> None:
        """Start it through Triton, which compiles on first use."""
        require()
        options = {**self.options, "launch_pdl": True} if self.early else self.options
        self.kernel[self.grid](**self.arguments, **self.constants, **options)

    def spec(self) -> dict:
        """What compiling needs, in plain values (build/cubins): the same for all lengths and batches of one tile."""
        function = getattr(self.kernel, "fn", self.kernel)  # without Triton a kernel is a plain function
        return {
            "kernel": f"{function.__module__}:{function.__name__}",
            "signature": {name: _type(value) for name, value in self.arguments.items()},
            "constants": dict(self.constants),
            "options": self.options,
        }


@lru_cache(maxsize=64)
def _parameters(function) -> Mapping[str, bool]:
    """The names of its parameters in order, and whether each is a constant: those alone are annotated."""
    found = inspect.signature(function).parameters
    return {name: parameter.annotation is not inspect.Parameter.empty for name, parameter in found.items()}


def chained(launches: Iterable[Launch]) -> list[Launch]:
    """Launches that directly follow one another: early are those that wait by themselves, but for the first one, which
    follows work of another kind."""
    return [replace(launch, early=i > 0 and launch.constants.get("PDL", False)) for i, launch in enumerate(launches)]


def _type(value: Tensor | int | float) -> str:
    if isinstance(value, Tensor):
        return "*" + TYPES[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


def check_aligned(**tensors: Tensor) -> None:
    """Kernels are compiled for aligned tensors with contiguous columns."""
    for name, tensor in tensors.items():
        if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
            raise ValueError(f"{name}: columns are not contiguous")
        if tensor.device.type != "meta" and tensor.data_ptr() % ALIGNMENT:
            raise ValueError(f"{name}: does not begin at a multiple of {ALIGNMENT} bytes")
