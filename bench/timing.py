"""Timing one piece of work many times: by CUDA events where there is a GPU, by the clock elsewhere.

Between repetitions on a GPU its L2 cache is overwritten, so that weights come from memory as they do in real use.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch

# Larger than any L2 cache, and large enough that overwriting takes longer than Python's part of a call.
FLUSH_BYTES = 512 * 2**20


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a ``share`` of all values lies, linear between neighbours."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low, high = math.floor(position), math.ceil(position)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def summary(milliseconds: Sequence[float]) -> dict:
    """p50, p20 and p80."""
    return {f"p{q}_ms": round(percentile(milliseconds, q / 100), 4) for q in (50, 20, 80)}


class Clock:
    """Times a callable on one device; ``warm_up`` calls come first and are not counted."""

    def __init__(self, device: torch.device, repeats: int, warm_up: int = 3, budget_s: float = 5.0):
        self.device, self.repeats, self.warm_up, self.budget_s = device, repeats, warm_up, budget_s
        self.on_gpu = device.type == "cuda"
        self.scratch = torch.empty(FLUSH_BYTES, dtype=torch.int8, device=device) if self.on_gpu else None

    def __call__(self, run: Callable) -> dict:
        """Percentiles in milliseconds, from the device's events, with the wall clock's median beside them.

        At least three repetitions, then as many as ``repeats`` and ``budget_s`` allow; slow work warms up in two calls.
        """
        start = time.perf_counter()
        for round_ in range(self.warm_up):
            run()
            self.synchronise()
            if round_ and time.perf_counter() - start > self.budget_s:
                break
        device_ms, wall_ms, start = [], [], time.perf_counter()
        while len(wall_ms) < self.repeats:
            if len(wall_ms) >= 3 and time.perf_counter() - start > self.budget_s:
                break
            wall_ms.append(self._wall_ms(run))
            device_ms.append(self._device_ms(run) if self.on_gpu else wall_ms[-1])
        result = {**summary(device_ms), "repeats": len(wall_ms)}
        return {**result, "wall_p50_ms": round(percentile(wall_ms, 0.5), 4)} if self.on_gpu else result

    def _wall_ms(self, run: Callable) -> float:
        """From the call to its last result, on an idle device."""
        if self.on_gpu:
            self.scratch.zero_()
        self.synchronise()
        start = time.perf_counter()
        run()
        self.synchronise()
        return 1e3 * (time.perf_counter() - start)

    def _device_ms(self, run: Callable) -> float:
        """The device's own time: the call is queued while the device still overwrites its cache."""
        self.synchronise()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.scratch.zero_()
        first.record()
        run()
        last.record()
        last.synchronize()
        return first.elapsed_time(last)

    def synchronise(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def launches(run: Callable, device: torch.device) -> int | None:
    """Kernels and copies that one call launches; None on a CPU, or where profiling is not allowed."""
    if device.type != "cuda":
        return None
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize(device)
    return sum(event.count for event in seen.key_averages() if event.device_type == DeviceType.CUDA) or None


def peak_mb(run: Callable, device: torch.device) -> int:
    """Largest memory while it runs: of the device's allocator, or of this process."""
    if device.type != "cuda":
        import resource

        run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) >> 20
