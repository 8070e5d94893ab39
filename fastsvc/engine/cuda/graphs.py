"""CUDA graphs in one memory pool; on any other device a graph is the captured function itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch


class Graphs:
    """Captures functions of fixed shape that wait for nothing, and gives their replays."""

    def __init__(self, device: torch.device):
        self.device = device
        self.pool = self.stream = None
        if device.type == "cuda":
            self.pool = torch.cuda.graph_pool_handle()
            self.stream = torch.cuda.Stream(device)  # one for all: graphs share the pool's memory of one stream
        self.captured = 0

    def capture(self, run: Callable[[], None]) -> Callable[[], None]:
        """A call that repeats ``run`` over the same buffers. ``run`` is called twice before, to load kernels."""
        stream = self.stream
        if stream is None:
            return run
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(2):
                run()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # the current stream again, because a capture that cannot be ended leaves its own stream as the current one
        with torch.cuda.stream(torch.cuda.current_stream(self.device)):
            self._record(graph, run)
        self.captured += 1
        return graph.replay

    def _record(self, graph, run: Callable[[], None]) -> None:
        """Raises the error of ``run`` (short memory above all) where it makes ending the capture fail too."""
        failed = None
        try:
            # thread_local: another thread may use the GPU meanwhile
            with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                try:
                    run()
                except Exception as error:
                    failed = error
                    raise
        except RuntimeError as error:
            if failed is None or failed is error:
                raise
            raise failed from None
        finally:
            failed = None  # else the error and this frame, in a reference cycle, would keep memory alive


def settle(device: torch.device) -> None:
    """Wait for all work of the device, before graphs and buffers that it may be using are released."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def on(device: torch.device):
    """A context in which kernels start on this device, whatever the calling thread's current device is."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


class Arena:
    """One block of memory from which the buffers of a shape are cut; called as torch.zeros is, but not zeroed.

    All shapes use the same block, one after another: another graph overwrites the results of the last one.
    """

    ALIGNMENT = 256  # bytes

    def __init__(self, size: int, device: torch.device, pinned: bool = False):
        with torch.inference_mode(False):  # so that it may be written in either mode
            self.memory = torch.zeros(size, dtype=torch.uint8, device=device, pin_memory=pinned)
        self.used = 0

    def __call__(self, *shape: int, dtype: torch.dtype, device=None) -> torch.Tensor:
        size = dtype.itemsize * torch.Size(shape).numel()
        start, self.used = self.used, self.used + _rounded(size)
        if self.used > len(self.memory):
            raise RuntimeError(f"the arena of {len(self.memory)} bytes is full")
        with torch.inference_mode(False):
            return self.memory[start : start + size].view(dtype).view(shape)

    def restarted(self) -> Arena:
        """The same arena, cut from its beginning again, for another shape."""
        self.used = 0
        return self


class ArenaSizer:
    """Called as an :class:`Arena`, on the meta device; ``size`` is the bytes that the arena would need."""

    def __init__(self):
        self.size = 0

    def __call__(self, *shape: int, dtype: torch.dtype, device=None) -> torch.Tensor:
        self.size += _rounded(dtype.itemsize * torch.Size(shape).numel())
        return torch.empty(shape, dtype=dtype, device="meta")


def _rounded(size: int) -> int:
    return -(-size // Arena.ALIGNMENT) * Arena.ALIGNMENT
