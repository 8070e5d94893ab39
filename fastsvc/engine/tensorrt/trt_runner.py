"""Running a TensorRT plan: on PyTorch's current stream, over PyTorch's memory, one context for each set of buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from fastsvc.engine.tensorrt import trt_packages
from fastsvc.errors import EngineError

SCRATCH_LEAST = 256  # bytes, and what TensorRT aligns to


class Runner:
    """A plan on a device. All contexts share TensorRT's scratch memory, so only one context may run at a time.

    Raises EngineError where the plan is of another version, or made for another GPU.
    """

    def __init__(self, module: ModuleType, code: bytes, device: torch.device, cache: bytes = b""):
        trt_packages.require_device(trt_packages.PACKAGES[module.__name__])
        self.module, self.device, self.log = module, device, trt_packages.journal(module)
        self.runtime = module.Runtime(self.log)
        self.engine = self.runtime.deserialize_cuda_engine(code)
        if self.engine is None:
            raise EngineError(
                f"{module.__name__} {module.__version__} cannot load its plan for this GPU: {self.log.last()}",
                "remove the plan's file, which is then built again",
            )
        self.settings = self.compiled = None
        if module.__name__ == trt_packages.RTX.module:
            self.settings, self.compiled = self._just_in_time(cache)
        self.release()
        self.side: torch.cuda.Stream | None = None

    def _just_in_time(self, cache: bytes):
        """Settings of tensorrt_rtx, which compiles a shape's kernels at its first use; ``cache``: earlier kernels."""
        settings = self.engine.create_runtime_config()
        settings.set_execution_context_allocation_strategy(self._user_managed())
        # at once, not in the background: a captured graph would keep the slower kernels for good
        settings.dynamic_shapes_kernel_specialization_strategy = (
            self.module.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        compiled = settings.create_runtime_cache()
        if cache:
            compiled.deserialize(cache)  # False where it is of another version or GPU: then it stays empty
        settings.set_runtime_cache(compiled)
        return settings, compiled

    def cache(self) -> bytes:
        """The kernels that tensorrt_rtx has compiled so far."""
        return b"" if self.compiled is None else bytes(self.compiled.serialize())

    def release(self) -> None:
        """Forget contexts and their memory; calls from :meth:`bind`, and graphs of them, must not run any more."""
        self.bound: list[tuple] = []
        self.scratch: Tensor | None = None

    def bind(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Callable[[], None]:
        """A call that computes the outputs on the current stream and waits for nothing, so that it can be captured.

        The call has run once when this returns: the first run settles shapes, and must not happen inside a capture. A
        graph keeps neither context nor buffers alive, so the runner does until :meth:`release`. Raises EngineError for
        shapes without a profile in the plan.
        """
        with trt_packages.quiet():
            context = self._context()
            stream = torch.cuda.current_stream(self.device)
            profile = self._profile(inputs)
            if not context.set_optimization_profile_async(profile, stream.cuda_stream):
                raise self._fault(f"its profile {profile} cannot be used")
            for name, tensor in inputs.items():
                if not context.set_input_shape(name, tuple(tensor.shape)):
                    raise self._fault(f"{name} cannot have the shape {list(tensor.shape)}")
            unknown = context.infer_shapes()
            if unknown:
                raise self._fault(f"the shapes of {', '.join(unknown)} are not known")
            for name, tensor in {**inputs, **outputs}.items():
                self._check(context, name, tensor)
                if not context.set_tensor_address(name, tensor.data_ptr()):
                    raise self._fault(f"{name} has no place that it can use")
            scratch = self._reserve(context.update_device_memory_size_for_shapes())
            _lend(context, scratch)
        self.bound.append((context, *inputs.values(), *outputs.values(), scratch))

        def run() -> None:
            with self._beside_the_default() as handle:
                if not context.execute_async_v3(handle):
                    raise self._fault("it did not run")

        run()
        torch.cuda.current_stream(self.device).synchronize()
        return run

    def _context(self):
        settings = self.settings if self.settings is not None else self._user_managed()
        context = self.engine.create_execution_context(settings)
        if context is None:
            raise self._fault("no context could be made, most likely for lack of memory")
        return context

    def _user_managed(self):
        return self.module.ExecutionContextAllocationStrategy.USER_MANAGED

    def _profile(self, inputs: dict[str, Tensor]) -> int:
        """The first profile whose ranges hold all inputs."""
        for index in range(self.engine.num_optimization_profiles):
            if all(self._holds(index, name, tensor) for name, tensor in inputs.items()):
                return index
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in inputs.items())
        raise EngineError(f"the TensorRT plan is not made for {shapes}", "use another vocoder backend for this length")

    def _holds(self, index: int, name: str, tensor: Tensor) -> bool:
        least, _, most = self.engine.get_tensor_profile_shape(name, index)
        return len(least) == tensor.dim() and all(a <= n <= b for a, n, b in zip(least, tensor.shape, most))

    def _check(self, context, name: str, tensor: Tensor) -> None:
        """Raises EngineError for a tensor that TensorRT would silently misread."""
        shape, dtype = tuple(context.get_tensor_shape(name)), self.engine.get_tensor_dtype(name)
        fits = shape == tuple(tensor.shape) and tensor.is_contiguous() and tensor.device.type == self.device.type
        if not fits or tensor.dtype != torch.float32 or dtype != self.module.DataType.FLOAT:
            raise EngineError(
                f"TensorRT wants {name} {list(shape)} {dtype}, contiguous on {self.device.type}, but received"
                f" {list(tensor.shape)} {tensor.dtype} on {tensor.device}",
                "build the engine again",
            )

    def _reserve(self, size: int) -> Tensor:
        """Memory of at least ``size`` bytes; outgrown memory stays with the contexts that have it."""
        size = max(size, SCRATCH_LEAST)
        if self.scratch is None or self.scratch.numel() < size:
            with torch.inference_mode(False):
                self.scratch = torch.empty(size, dtype=torch.uint8, device=self.device)
        return self.scratch

    @contextlib.contextmanager
    def _beside_the_default(self):
        """The current stream's handle; a side stream's in place of the default stream, on which TensorRT waits."""
        current = torch.cuda.current_stream(self.device)
        if current.cuda_stream:
            yield current.cuda_stream
            return
        if self.side is None:
            self.side = torch.cuda.Stream(self.device)
        self.side.wait_stream(current)
        yield self.side.cuda_stream
        current.wait_stream(self.side)

    def _fault(self, reason: str) -> EngineError:
        return EngineError(f"{self.module.__name__}: {reason}: {self.log.last()}", "use another vocoder backend")


def _lend(context, memory: Tensor) -> None:
    if hasattr(context, "set_device_memory"):
        context.set_device_memory(memory.data_ptr(), memory.numel())
    else:  # TensorRT 10.0
        context.device_memory = memory.data_ptr()
