"""Triton's driver for the stand-in GPU: kernels are compiled by Triton itself, loaded and started here."""

from __future__ import annotations

import struct
import types

import torch

from rehearsal import ARCH  # nothing of fastsvc: Triton is imported while its modules are

SHARED_BYTES = 227 * 1024  # that a block of sm_90 may have
_by_code: dict[bytes, types.SimpleNamespace] = {}  # with the fields of fastsvc's Cubin that a launch needs


def _bits(value, kind: str) -> int:
    if kind.startswith("*"):
        return 0 if value is None else value.data_ptr()
    if kind in ("fp32", "f32"):
        return struct.unpack("<I", struct.pack("<f", value))[0]
    return int(value) & (2**64 - 1 if kind.endswith("64") else 2**32 - 1)


class Launcher:
    """Called by a compiled kernel's run(): the remaining arguments are those of the kernel, constants included."""

    def __init__(self, source, metadata):
        self.kinds = list(source.signature.values())

    def __call__(self, x, y, z, stream, function, metadata, launch_metadata, enter, leave, *arguments) -> None:
        from rehearsal import kernels

        if min(x, y, z) == 0:
            return
        given = [(one, kind) for one, kind in zip(arguments, self.kinds, strict=True) if kind != "constexpr"]
        tensors = [one for one, _ in given if isinstance(one, torch.Tensor)]
        for one in tensors:
            if not one.is_cuda:
                raise ValueError("Pointer argument cannot be accessed from Triton (cpu tensor?)")
        kernels.start(function, (x, y, z), tensors, [_bits(one, kind) for one, kind in given])


class Utils:
    @staticmethod
    def get_device_properties(device) -> dict:
        return {"max_shared_mem": SHARED_BYTES, "multiprocessor_count": 132, "warpSize": 32}

    @staticmethod
    def load_binary(name: str, code: bytes, shared: int, device: int):
        return "a module", _by_code[code], 0, 0, 1024

    @staticmethod
    def unload_module(module) -> None:
        pass


class Driver:
    utils, launcher_cls = Utils, Launcher

    @staticmethod
    def get_current_target():
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", ARCH, 32)

    get_current_device = staticmethod(lambda: 0)
    set_current_device = staticmethod(lambda device: None)
    get_current_stream = staticmethod(lambda device: torch.cuda.current_stream().cuda_stream)
    get_active_torch_device = staticmethod(lambda: torch.device("cuda", 0))
    get_device_interface = staticmethod(lambda: torch.cuda)


def install(module: types.ModuleType) -> None:
    """``module``: triton.compiler.compiler."""
    made = module.CompiledKernel.__init__

    def remember(kernel, *arguments) -> None:
        made(kernel, *arguments)
        signature = kernel.src.signature if hasattr(kernel.src, "signature") else {}
        parameters = tuple((str(name), kind) for name, kind in signature.items() if kind != "constexpr")
        about = kernel.metadata
        _by_code[kernel.kernel] = types.SimpleNamespace(
            code=kernel.kernel,
            ptx=kernel.asm["ptx"],
            name=about.name,
            shared=about.shared,
            warps=about.num_warps,
            parameters=parameters,
        )

    module.CompiledKernel.__init__ = remember
    module.driver.set_active(Driver())
