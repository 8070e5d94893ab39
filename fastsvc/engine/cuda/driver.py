"""The CUDA driver through NVIDIA's own package cuda-bindings: compiled kernels loaded and started without Triton."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsvc.errors import EngineError, MissingPackageError

OPT_IN = 48 * 1024  # bytes of shared memory beyond which a kernel must ask
TYPES = {"i32": ctypes.c_int32, "i64": ctypes.c_int64, "fp32": ctypes.c_float}


@dataclass(frozen=True)
class LoadedKernel:
    """A loaded kernel. The reference to ``module`` keeps it loaded."""

    handle: object
    module: object
    warps: int
    shared: int
    parameters: tuple[tuple[str, str], ...]  # (name, type)


class Driver:
    """Loads and starts kernels in the context that PyTorch has on its current device."""

    def __init__(self, api=None):
        self.api = bindings() if api is None else api

    def load(self, cubin: bytes, name: str, warps: int, shared: int, parameters) -> LoadedKernel:
        """Raises EngineError where the driver refuses the code."""
        api = self.api
        module = self._call("cuModuleLoadData", cubin)
        handle = self._call("cuModuleGetFunction", module, name.encode())
        if shared > OPT_IN:
            attribute = api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._call("cuFuncSetAttribute", handle, attribute, shared)
        return LoadedKernel(handle, module, warps, shared, tuple(map(tuple, parameters)))

    def bind(
        self,
        function: LoadedKernel,
        grid: tuple[int, ...],
        arguments: dict,
        early: bool = False,
        carve_out: int | None = None,
        cooperative: bool = False,
    ) -> Callable[[], None]:
        """A call that starts the kernel with these arguments, on PyTorch's current stream at that time.

        Tensors are passed by their present addresses, and are kept alive. ``early``: the kernel need not wait for the
        previous one, and waits by itself (programmatic dependent launch, inside graphs too). ``carve_out``: percent of
        a multiprocessor's memory that is to be shared memory, the remainder being its L1 cache; None: as it is best for
        this kernel alone. ``cooperative``: the driver refuses a grid that it cannot run at once.
        """
        values = marshalled(function.parameters, arguments)
        addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        config = self._config(function, (*grid, 1, 1)[:3], early, carve_out, cooperative)
        kept_alive = values, dict(arguments)

        def start(kept_alive=kept_alive) -> None:
            config.hStream = torch.cuda.current_stream().cuda_stream
            self._call("cuLaunchKernelEx", config, function.handle, ctypes.addressof(addresses), 0)

        return start

    def _config(
        self,
        function: LoadedKernel,
        grid: tuple[int, ...],
        early: bool,
        carve_out: int | None = None,
        cooperative: bool = False,
    ):
        """A kernel's launch configuration: everything but its arguments and its stream."""
        api, config = self.api, self.api.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = grid
        config.blockDimX, config.blockDimY, config.blockDimZ = 32 * function.warps, 1, 1
        config.sharedMemBytes = function.shared
        kinds, attributes = api.CUlaunchAttributeID, []
        if early:
            attribute = api.CUlaunchAttribute()
            attribute.id = kinds.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
            attribute.value.programmaticStreamSerializationAllowed = 1
            attributes.append(attribute)
        if carve_out is not None:
            attribute = api.CUlaunchAttribute()
            attribute.id = kinds.CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT
            attribute.value.sharedMemCarveout = carve_out
            attributes.append(attribute)
        if cooperative:
            attribute = api.CUlaunchAttribute()
            attribute.id = kinds.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
            attribute.value.cooperative = 1
            attributes.append(attribute)
        if attributes:
            config.attrs, config.numAttrs = attributes, len(attributes)
        return config

    def _call(self, name: str, *arguments):
        """The result of a driver call. Raises EngineError with the driver's own words."""
        code, *rest = getattr(self.api, name)(*arguments)
        if code != self.api.CUresult.CUDA_SUCCESS:
            text = self.api.cuGetErrorString(code)[1]
            text = text.decode() if isinstance(text, bytes) else str(code)
            raise EngineError(f"{name} failed: {text}", "build the engine again for this GPU, or use --device cpu")
        return rest[0] if rest else None


def marshalled(parameters, arguments: dict) -> list:
    """C values in the order of the kernel's parameters, and two null pointers for Triton's scratch memory."""
    if [name for name, _ in parameters] != list(arguments):
        raise EngineError("a compiled kernel takes other arguments than this version gives", "build the engine again")
    values = []
    for name, kind in parameters:
        value = arguments[name]
        if kind.startswith("*") != isinstance(value, Tensor):
            raise EngineError(f"a compiled kernel takes {name} as {kind}", "build the engine again")
        values.append(ctypes.c_void_p(value.data_ptr()) if kind.startswith("*") else TYPES[kind](value))
    return [*values, ctypes.c_void_p(0), ctypes.c_void_p(0)]


def bindings():
    """cuda-bindings' driver module. Raises MissingPackageError."""
    try:
        from cuda.bindings import driver  # pyright: ignore[reportAttributeAccessIssue]  # compiled, and has no stubs
    except ImportError:
        raise MissingPackageError("cuda-bindings", "starting compiled kernels", "gpu") from None
    return driver
