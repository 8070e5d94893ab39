"""The CUDA driver as cuda-bindings has it, for the project's own Driver: a started kernel is interpreted."""

from __future__ import annotations

import bisect
import ctypes
import types
from collections import Counter

from torch import Tensor

from fastsvc.build.cubins.compiler import Cubin
from fastsvc.engine.cuda.driver import Driver
from ptx.faults import Faults
from ptx.launching import start_raw
from ptx.program import parse


class Names:
    """An enumeration of which every name is a member."""

    def __getattr__(self, name: str) -> str:
        return name


class Api:
    """``cubins``: those that may be loaded, by their code. ``starts``: by kernel."""

    CUresult = types.SimpleNamespace(CUDA_SUCCESS=0)
    CUfunction_attribute = CUlaunchAttributeID = Names()

    class CUlaunchConfig:
        attrs, numAttrs = (), 0

    class CUlaunchAttribute:
        def __init__(self):
            self.value = types.SimpleNamespace()

    def __init__(self, cubins: dict[bytes, Cubin], faults: Faults):
        self.cubins, self.faults = cubins, faults
        self.starts, self.early = Counter(), Counter()
        self.tensors: dict[int, Tensor] = {}  # a tensor of each storage that kernels were bound to, by its beginning

    def know(self, tensors) -> None:
        """Kernels may be given pointers into these, which are kept alive."""
        for tensor in tensors:
            self.tensors.setdefault(tensor.untyped_storage().data_ptr(), tensor)

    def cuModuleLoadData(self, code: bytes):
        return 0, self.cubins[code]

    def cuModuleGetFunction(self, module: Cubin, name: bytes):
        assert module.name.encode() == name
        return 0, module

    def cuFuncSetAttribute(self, function: Cubin, attribute: str, value: int):
        if attribute == "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES":
            assert value == function.shared
        return (0,)

    def cuLaunchKernelEx(self, config, function: Cubin, parameters: int, extra):
        assert config.numAttrs == len(config.attrs)
        assert config.sharedMemBytes == function.shared and config.blockDimX == 32 * function.warps
        sizes = [bits for _, bits in parse(function.ptx).parameters]
        addresses = (ctypes.c_void_p * len(sizes)).from_address(parameters)
        words = {32: ctypes.c_uint32, 64: ctypes.c_uint64}
        values = [words[bits].from_address(address).value for bits, address in zip(sizes, addresses)]
        pointers = [value for value, (_, kind) in zip(values, function.parameters) if kind.startswith("*")]
        starts = sorted(self.tensors)
        tensors = [self.tensors[starts[bisect.bisect_right(starts, pointer) - 1]] for pointer in pointers]
        self.start(function, (config.gridDimX, config.gridDimY, config.gridDimZ), tensors, values)
        self.starts[function.name] += 1
        self.early[function.name] += any("PROGRAMMATIC" in attribute.id for attribute in config.attrs)
        return (0,)

    def start(self, function: Cubin, grid: tuple[int, ...], tensors: list[Tensor], values: list[int]) -> None:
        """``values``: the bits of each parameter; ``tensors``: those that its pointers lead into."""
        start_raw(function, grid, tensors, values, self.faults)

    def cuGetErrorString(self, code):
        return 0, b"an error of the stand-in"


class StandInDriver(Driver):
    """The project's driver over an :class:`Api`, which learns of the tensors behind the pointers."""

    api: Api

    def bind(self, function, grid, arguments: dict, *options, **named):
        self.api.know(value for value in arguments.values() if isinstance(value, Tensor))
        return super().bind(function, grid, arguments, *options, **named)
