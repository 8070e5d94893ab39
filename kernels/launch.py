"""One start of one kernel, described for the JIT launcher, the ahead-of-time compiler and CUDA graphs alike."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fastsvc.kernels.language import require

ALIGNMENT = 16  # bytes: every tensor begins at a multiple of it, so that loads may be as wide as possible
TYPES = {
    torch.float64: "fp64",
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
}
# A kernel's constant: the field of a tile that it is taken from.
TILE_FIELDS = {"ROWS": "rows", "COLUMNS": "columns", "DEPTH": "depth", "SPLITS": "splits"}


@dataclass(frozen=True)
class ElementwiseOptions:
    """Options of a kernel without a matrix product, in place of a :class:`fastsvc.kernels.tiles.Tile`."""

    warps: int
    registers: int | None = None
    stages: int = 1


@dataclass(frozen=True)
class Launch:
    """A kernel with its grid, its arguments in the order of its parameters, its constants and its options.

    ``arguments`` on the meta device can be compiled, not run. ``early``: the kernel may begin before the one started
    before it has ended, and waits by itself (kernels/dependent.py). ``cooperative``: its programs wait for one another,
    so that the driver must refuse a grid that it cannot run at once (kernels/denoiser/layers.py).
    """

    kernel: Any  # a triton.JITFunction, or without Triton the plain function
    grid: tuple[int, ...]
    arguments: dict[str, Any]  # tensors, and numbers that change from launch to launch
    constants: dict[str, Any]
    warps: int
    stages: int
    registers: int | None = None
    early: bool = False
    cooperative: bool = False

    @classmethod
    def of(cls, kernel, grid: tuple[int, ...], tile, **values) -> Launch:
        """``values`` sorted into arguments and constants by the kernel's own signature; its block sizes are the tile's.

        Raises TypeError for a parameter without a value and a value without a parameter.
        """
        parameters = _parameters(getattr(kernel, "fn", kernel))  # without Triton a kernel is a plain function
        block = {
            name: getattr(tile, field) for name, field in TILE_FIELDS.items() if name in parameters.keys() - values
        }
        all_values = {**block, **values}
        if all_values.keys() != parameters.keys():
            missing, unknown = sorted(parameters.keys() - all_values), sorted(all_values.keys() - parameters)
            raise TypeError(f"{kernel}: without a value {missing}, unknown {unknown}")
        arguments = {name: all_values[name] for name, constant in parameters.items() if not constant}
        constants = {name: all_values[name] for name, constant in parameters.items() if constant}
        return cls(kernel, grid, arguments, constants, tile.warps, tile.stages, tile.registers)

    @property
    def options(self) -> dict:
        """Of Triton's compiler."""
        options = {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}
        return options if self.registers is None else {**options, "maxnreg": self.registers}

    def run(self) -> None:
        """Start the kernel through Triton, which compiles it on first use."""
        require()
        options = {**self.options, "launch_pdl": True} if self.early else self.options
        options = {**options, "launch_cooperative_grid": True} if self.cooperative else options
        self.kernel[self.grid](**self.arguments, **self.constants, **options)

    def spec(self) -> dict:
        """The compiler's input (build/cubins), in plain values: the same for all lengths and batches of one tile."""
        function = getattr(self.kernel, "fn", self.kernel)  # without Triton a kernel is a plain function
        return {
            "kernel": f"{function.__module__}:{function.__name__}",
            "signature": {name: _type(value) for name, value in self.arguments.items()},
            "constants": dict(self.constants),
            "options": self.options,
        }


@lru_cache(maxsize=64)
def _parameters(function) -> Mapping[str, bool]:
    """{parameter: whether it is a constant} of a kernel, in order; only constants are annotated."""
    parameters = inspect.signature(function).parameters
    return {name: parameter.annotation is not inspect.Parameter.empty for name, parameter in parameters.items()}


def chained(launches: Iterable[Launch]) -> list[Launch]:
    """The launches, which directly follow one another, with ``early`` set where the kernel waits by itself. The first
    follows other work and is never early."""
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
