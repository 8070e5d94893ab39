"""torch.cuda as far as the engine uses it, on a CPU: its tensors are the CPU's, streams do everything at once, a graph
is the function that was captured."""

from __future__ import annotations

import contextlib
import time

import torch
from torch.overrides import TorchFunctionMode

from fastsvc.build.cubins import compiler
from fastsvc.engine.cuda import graphs, launcher
from fastsvc.kernels import dependent
from ptx.compiled import Compiler
from ptx.faults import Faults
from ptx.stand_in_driver import Api, StandInDriver

# Methods of tensors that a CPU's have not.
OF_A_GPU = {"pin_memory": lambda tensor, *_: tensor, "is_pinned": lambda *_: True}


class OnTheCpu(TorchFunctionMode):
    """Within it tensors of the device "cuda" are made on the CPU, and pinned memory is any memory."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in OF_A_GPU:
            return OF_A_GPU[name](*args)
        named = {key: on_cpu(value) for key, value in (kwargs or {}).items() if key != "pin_memory"}
        return func(*args if name == "device" else map(on_cpu, args), **named)


def on_cpu(value):
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value


class Stream:
    cuda_stream = 0

    def __init__(self, *_, **__):
        pass

    def wait_stream(self, other) -> None:
        assert isinstance(other, Stream)

    def wait_event(self, event) -> None:
        assert isinstance(event, Event)

    def synchronize(self) -> None:
        pass

    def record_event(self, event=None):
        return event or Event()


class Event:
    def __init__(self, *_, **__):
        self.record()

    def record(self, *_) -> None:
        self.time_s = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, later) -> float:
        return 1e3 * (later.time_s - self.time_s)


class Graph:
    """A captured function, and how often it was replayed."""

    def __init__(self):
        self.run, self.replays = None, 0

    def replay(self) -> None:
        self.replays += 1
        self.run()


def install(monkeypatch, compiled: Compiler, arch: int) -> Api:
    """From now on there is a GPU of this architecture, until the patches are undone. Use with :class:`OnTheCpu`."""
    default, nothing = Stream(), lambda *_, **__: None

    def context(*_):
        return contextlib.nullcontext()

    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_capability": lambda *_: divmod(arch, 10),
        "get_device_name": lambda *_: "a stand-in",
        "current_stream": lambda *_: default,
        "graph_pool_handle": lambda: (0, 1),
        "stream": context,
        "device": context,
        "synchronize": nothing,
        "empty_cache": nothing,
        "Stream": Stream,
        "Event": Event,
        "CUDAGraph": Graph,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(torch.Tensor, "record_stream", nothing)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(graphs.Graphs, "_record", lambda self, graph, run: setattr(graph, "run", run))
    monkeypatch.setattr(dependent, "possible", lambda device, arch: arch >= dependent.LEAST_ARCH)
    api = Api({}, Faults())

    def compile_kernels(jobs, *options):
        cubins = compiled.compile_kernels(jobs)
        api.cubins.update({cubin.code: cubin for cubin in cubins})
        return cubins

    monkeypatch.setattr(compiler, "compile_kernels", compile_kernels)
    monkeypatch.setattr(launcher, "Driver", lambda: StandInDriver(api))
    return api
