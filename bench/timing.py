"""Timing one piece of work many times: by CUDA events where there is a GPU, by the clock elsewhere.

Between repetitions on a GPU its L2 cache is overwritten, so that weights come from memory as they do in real use. Work
that does not wait for the device is queued while the device sleeps, so that the time between the events is the device's
and not that of Python's calls. Kernels are counted, and their own times summed, by the profiler in a pass of its own:
once it has been used in a process, it slows every launch that follows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch

FLUSH_BYTES = 512 * 2**20  # larger than any L2 cache
CYCLES_A_MS = 2_000_000  # of torch.cuda._sleep, at the highest clock of today's GPUs; at others it sleeps longer
LONGEST_SLEEP_MS = 200.0


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
        self.on_gpu, self.sleep_ms = device.type == "cuda", 0.0
        self.scratch = torch.empty(FLUSH_BYTES, dtype=torch.int8, device=device) if self.on_gpu else None

    def __call__(self, run: Callable, waits: bool = False) -> dict:
        """Percentiles in milliseconds, from the device's events, with the wall clock's median beside them.

        ``waits``: the work itself waits for the device, so that its launches cannot be queued ahead. For other work
        "queued" is the share of repetitions in which all launches were queued before the device began.
        At least three repetitions, then as many as ``repeats`` and ``budget_s`` allow; slow work warms up in two calls.
        """
        start, host_ms = time.perf_counter(), 0.0
        for round_ in range(self.warm_up):
            called = time.perf_counter()
            run()
            host_ms = 1e3 * (time.perf_counter() - called)
            self.synchronise()
            if round_ and time.perf_counter() - start > self.budget_s:
                break
        device_ms, wall_ms, queued, start = [], [], [], time.perf_counter()
        self.sleep_ms = 0.0 if waits else min(LONGEST_SLEEP_MS, 1.0 + 2 * host_ms)
        while len(wall_ms) < self.repeats:
            if len(wall_ms) >= 3 and time.perf_counter() - start > self.budget_s:
                break
            wall_ms.append(self._wall_ms(run))
            if self.on_gpu:
                between, ahead = self._device_ms(run)
                device_ms.append(between)
                queued.append(ahead)
        result = {**summary(device_ms or wall_ms), "repeats": len(wall_ms)}
        if not self.on_gpu:
            return result
        result["wall_p50_ms"] = round(percentile(wall_ms, 0.5), 4)
        return result if waits else {**result, "queued": round(sum(queued) / len(queued), 2)}

    def _wall_ms(self, run: Callable) -> float:
        """From the call to its last result, on an idle device."""
        if self.on_gpu:
            self.scratch.zero_()
        self.synchronise()
        start = time.perf_counter()
        run()
        self.synchronise()
        return 1e3 * (time.perf_counter() - start)

    def _device_ms(self, run: Callable) -> tuple[float, bool]:
        """(the time between an event before the work and one after it, whether all of it was queued before the first):
        the call is queued while the device overwrites its cache, and then sleeps."""
        self.synchronise()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.scratch.zero_()
        if self.sleep_ms:
            torch.cuda._sleep(round(self.sleep_ms * CYCLES_A_MS))
        first.record()
        run()
        last.record()
        ahead = not first.query()
        last.synchronize()
        if not ahead:  # Python took longer than the device slept
            self.sleep_ms = min(LONGEST_SLEEP_MS, 2 * self.sleep_ms)
        return first.elapsed_time(last), ahead

    def synchronise(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


def profiled(run: Callable, device: torch.device) -> dict:
    """{"launches": kernels and copies that one call launches, "busy_ms": the sum of their own times}; None on a CPU, or
    where profiling is not allowed. Whatever is timed after this in the same process is slower."""
    if device.type != "cuda":
        return {"launches": None, "busy_ms": None}
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
        torch.cuda.synchronize(device)
    events = [event for event in seen.key_averages() if event.device_type == DeviceType.CUDA]
    busy_us = sum(event.self_device_time_total for event in events)
    return {"launches": sum(event.count for event in events) or None, "busy_ms": round(busy_us / 1e3, 4) or None}


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
