"""Timing one piece of work many times: by CUDA events where there is a GPU, by the clock elsewhere.

Between repetitions on a GPU its L2 cache is overwritten, so that weights come from memory as they do in real use.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch

FLUSH_BYTES = 256 * 2**20  # more than any L2 cache has


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of them lie, linear between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summary(milliseconds: Sequence[float]) -> dict:
    """p50, p20 and p80."""
    return {f"p{q}_ms": round(percentile(milliseconds, q / 100), 4) for q in (50, 20, 80)}


class Clock:
    """Times a callable on one device; ``warm_up`` calls come first and are not counted."""

    def __init__(self, device: torch.device, repeats: int, warm_up: int = 2, budget_s: float = 5.0):
        self.device, self.repeats, self.warm_up, self.budget_s = device, repeats, warm_up, budget_s
        self.on_gpu = device.type == "cuda"
        self.scratch = torch.empty(FLUSH_BYTES, dtype=torch.int8, device=device) if self.on_gpu else None

    def __call__(self, run: Callable) -> dict:
        """Percentiles in milliseconds, from the device's events, with the wall clock's median beside them.

        At least three repetitions, then as many as ``repeats`` and ``budget_s`` allow.
        """
        for _ in range(self.warm_up):
            run()
        self.synchronise()
        device_ms, wall_ms, begun = [], [], time.perf_counter()
        while len(wall_ms) < self.repeats:
            if len(wall_ms) >= 3 and time.perf_counter() - begun > self.budget_s:
                break
            spent = self._once(run)
            device_ms.append(spent[0])
            wall_ms.append(spent[1])
        result = {**summary(device_ms), "repeats": len(wall_ms)}
        return {**result, "wall_p50_ms": round(percentile(wall_ms, 0.5), 4)} if self.on_gpu else result

    def _once(self, run: Callable) -> tuple[float, float]:
        if not self.on_gpu:
            start = time.perf_counter()
            run()
            spent = 1e3 * (time.perf_counter() - start)
            return spent, spent
        self.scratch.zero_()
        self.synchronise()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start = time.perf_counter()
        first.record()
        run()
        last.record()
        last.synchronize()
        return first.elapsed_time(last), 1e3 * (time.perf_counter() - start)

    def synchronise(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def launches(run: Callable, device: torch.device) -> int | None:
    """Kernels and copies that the device was given by one call, as the profiler saw them; None on a CPU."""
    if device.type != "cuda":
        return None
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize(device)
    return sum(event.count for event in seen.key_averages() if event.device_type == DeviceType.CUDA)


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
