"""torch.cuda over the stand-in device: streams do everything at once, a graph repeats what was recorded."""

from __future__ import annotations

import contextlib
import time
import types
import weakref

import torch

from rehearsal import ARCH, NAME, work
from rehearsal.memory import CUDA, Allocated, storage_copy

PROPERTIES = types.SimpleNamespace(
    name=NAME, major=ARCH // 10, minor=ARCH % 10, multi_processor_count=132, total_memory=139 * 2**30
)
_pinned: set[int] = set()  # beginnings of memory


class Stream:
    """``cuda_stream``: a number, as the driver is given it."""

    count = 0

    def __init__(self, *_, **__):
        self.device, self.cuda_stream = CUDA, Stream.count
        Stream.count += 1

    def wait_stream(self, other) -> None:
        assert isinstance(other, Stream)

    def wait_event(self, event) -> None:
        assert isinstance(event, Event)

    def synchronize(self) -> None:
        work.wait("synchronize")

    def query(self) -> bool:
        return True

    def record_event(self, event=None):
        event = event or Event()
        event.record(self)
        return event


class Event:
    def __init__(self, enable_timing: bool = False, **_):
        self.timed, self.time_s = enable_timing, None

    def record(self, stream=None) -> None:
        self.time_s = time.perf_counter()

    def query(self) -> bool:
        return True

    def wait(self, stream=None) -> None:
        pass

    def synchronize(self) -> None:
        work.wait("synchronize", hidden=False)

    def elapsed_time(self, later) -> float:
        if not (self.timed and later.timed) or self.time_s is None or later.time_s is None:
            raise RuntimeError("CUDA error: invalid resource handle: both events must be timed and recorded")
        return 1e3 * (later.time_s - self.time_s)


class Current:
    stream = Stream()


@contextlib.contextmanager
def stream(one):
    """Work of this block goes to stream ``one``; None: as before."""
    before, Current.stream = Current.stream, one or Current.stream
    try:
        yield
    finally:
        Current.stream = before


class Graph:
    def __init__(self, *_, **__):
        self.recorded: list | None = None

    def replay(self) -> None:
        if self.recorded is None:
            raise RuntimeError("replay() of a graph that was not captured")
        for name, run in self.recorded:
            work.once(name, run)

    def reset(self) -> None:
        self.recorded = None


@contextlib.contextmanager
def graph(one: Graph, pool=None, stream=None, capture_error_mode: str = "global"):
    """Captures: unlike a GPU it also computes, once."""
    with work.recording() as recorded, globals()["stream"](stream):
        yield
    one.recorded = recorded


def set_sync_debug_mode(mode) -> None:
    work.Work.strict = mode in ("error", 2)


def reset_peak(*_) -> None:
    Allocated.total, Allocated.since = Allocated.total + Allocated.since, 0


ANSWERS = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "init": lambda: None,
    "_lazy_init": lambda: None,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "set_device": lambda device: None,
    "get_device_capability": lambda *_: divmod(ARCH, 10),
    "get_device_name": lambda *_: NAME,
    "get_device_properties": lambda *_: PROPERTIES,
    "is_bf16_supported": lambda *_, **__: True,
    "current_stream": lambda *_: Current.stream,
    "default_stream": lambda *_: Current.stream,
    "graph_pool_handle": lambda: (0, 1),
    "device": lambda *_: contextlib.nullcontext(),
    "synchronize": lambda *_: work.wait("synchronize", hidden=False),
    "empty_cache": lambda: None,
    "manual_seed": lambda seed: None,
    "manual_seed_all": lambda seed: None,
    "get_rng_state": lambda *_: torch.get_rng_state(),
    "set_rng_state": lambda *_: None,
    "_sleep": lambda cycles: None,
    "set_sync_debug_mode": set_sync_debug_mode,
    "reset_peak_memory_stats": reset_peak,
    "max_memory_allocated": lambda *_: Allocated.since,
    "memory_allocated": lambda *_: Allocated.total + Allocated.since,
    "stream": stream,
    "graph": graph,
    "Stream": Stream,
    "Event": Event,
    "CUDAGraph": Graph,
}


def install() -> None:
    for name, answer in ANSWERS.items():
        setattr(torch.cuda, name, answer)
    torch.version.cuda = "13.0"
    torch.UntypedStorage.clone = storage_copy
    torch.Tensor.pin_memory, torch.Tensor.is_pinned = pin_memory, is_pinned
    torch.Tensor.record_stream = lambda tensor, stream: None
    for name in ("empty", "zeros", "ones", "tensor"):
        setattr(torch, name, _pinning(getattr(torch, name)))


def pin_memory(tensor: torch.Tensor, *_) -> torch.Tensor:
    if tensor.is_cuda:
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
    copy = tensor.clone()
    start = copy.untyped_storage().data_ptr()
    _pinned.add(start)
    weakref.finalize(copy, _pinned.discard, start)
    return copy


def is_pinned(tensor: torch.Tensor, *_) -> bool:
    return not tensor.is_cuda and tensor.untyped_storage().data_ptr() in _pinned


def _pinning(make):
    def made(*args, pin_memory: bool = False, **named):
        tensor = make(*args, **named)
        return tensor.pin_memory() if pin_memory else tensor

    return made
