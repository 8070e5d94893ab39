"""A CUDA driver that only writes down what it is asked."""

import ctypes
import types

import torch

from fastsvc.kernels.launch import Launch


class Api:
    """cuda.bindings.driver as far as it is used; ``failing`` names a call that returns an error."""

    CUresult = types.SimpleNamespace(CUDA_SUCCESS=0)
    CUfunction_attribute = types.SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    CUlaunchAttributeID = types.SimpleNamespace(
        CU_LAUNCH_ATTRIBUTE_COOPERATIVE=2,
        CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION=6,
        CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT=14,
    )

    class CUlaunchConfig:
        attrs, numAttrs = (), 0

    class CUlaunchAttribute:
        def __init__(self):
            self.value = types.SimpleNamespace()

    def __init__(self, failing=""):
        self.calls, self.failing = [], failing

    def _answer(self, name, value):
        return (1, None) if name == self.failing else (0, value) if value is not None else (0,)

    def cuModuleLoadData(self, image):
        self.calls.append(("load", image))
        return self._answer("cuModuleLoadData", "module")

    def cuModuleGetFunction(self, module, name):
        self.calls.append(("function", module, name))
        return self._answer("cuModuleGetFunction", "function")

    def cuFuncSetAttribute(self, function, attribute, value):
        self.calls.append(("attribute", attribute, value))
        return self._answer("cuFuncSetAttribute", None)

    def cuLaunchKernelEx(self, config, function, parameters, extra):
        grid, block = ([getattr(config, f"{kind}Dim{axis}") for axis in "XYZ"] for kind in ("grid", "block"))
        addresses = (ctypes.c_void_p * 5).from_address(parameters)
        pointer = ctypes.c_void_p.from_address(addresses[0]).value
        whole, real = ctypes.c_int32.from_address(addresses[1]).value, ctypes.c_float.from_address(addresses[2]).value
        scratch = [ctypes.c_void_p.from_address(addresses[i]).value for i in (3, 4)]
        numbers = (*grid, *block, config.sharedMemBytes)
        self.calls.append(("launch", numbers, config.hStream, pointer, whole, real, scratch, extra))
        self.attributes = [(one.id, *vars(one.value).values()) for one in config.attrs]
        assert config.numAttrs == len(config.attrs)
        return self._answer("cuLaunchKernelEx", None)

    def cuGetErrorString(self, code):
        return 0, b"no kernel image is available"


def launch(warps=4):
    def some_kernel(x):
        pass

    return Launch(some_kernel, (1,), {"x": torch.zeros(1)}, {"C": 64}, warps, 2)
