"""A stand-in for TensorRT that notes what it is called with: order, shapes, addresses, memory."""

import enum
import types

import torch
import vocoders

from fastsvc.engine.tensorrt import plan_files

CONFIG = vocoders.SMALL["pc-nsf"]  # the one with noise
SEVERITIES = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")


class ILogger:
    Severity = SEVERITIES


class Context:
    def __init__(self, engine, given):
        self.engine, self.calls, self.shapes = engine, [("context", given)], {}

    def set_optimization_profile_async(self, index, stream):
        self.calls.append(("profile", index, stream))
        return True

    def set_input_shape(self, name, shape):
        self.calls.append(("shape", name, shape))
        self.shapes[name] = shape
        return self.engine.accepts

    def infer_shapes(self):
        return [name for name in self.engine.inputs if name not in self.shapes]

    def get_tensor_shape(self, name):
        if name != "audio":
            return self.shapes[name]
        batch, frames, _ = self.shapes["mel"]
        return batch, frames * self.engine.hop

    def set_tensor_address(self, name, address):
        self.calls.append(("address", name, address))
        return True

    def update_device_memory_size_for_shapes(self):
        self.calls.append(("size",))
        return self.shapes["mel"][0] * self.shapes["mel"][1] * 10

    def set_device_memory(self, address, size):
        self.calls.append(("memory", address, size))

    def execute_async_v3(self, stream):
        self.calls.append(("run", stream))
        return self.engine.runs


class Engine:
    inputs = ("mel", "source", "noise")

    def __init__(self, ladder, config=CONFIG):
        self.hop, self.ladder, self.contexts = config.mel.hop_samples, ladder, []
        self.config, self.accepts, self.runs, self.memory = config, True, True, True
        self.num_optimization_profiles = len(ladder)
        self.settings = types.SimpleNamespace(
            set_execution_context_allocation_strategy=lambda strategy: setattr(self, "strategy", strategy),
            create_runtime_cache=lambda: self.cache,
            set_runtime_cache=lambda cache: setattr(self, "used", cache),
        )
        self.cache = types.SimpleNamespace(
            deserialize=self.loaded, serialize=lambda: b"kernels %d" % len(self.contexts)
        )
        self.given = []

    def loaded(self, content):
        self.given.append(content)
        return True

    def create_runtime_config(self):
        return self.settings

    def get_tensor_profile_shape(self, name, index):
        rung = self.ladder[index]
        shapes = (
            plan_files.shapes(self.config, *shape) for shape in ((1, rung.frames[0]), rung.best, (8, rung.frames[1]))
        )
        return [shape[name] for shape in shapes]

    def get_tensor_dtype(self, name):
        return "FLOAT"

    def create_execution_context(self, given):
        if not self.memory:
            return None
        self.contexts.append(Context(self, given))
        return self.contexts[-1]


def stand_in(name, engine):
    class Runtime:
        def __init__(self, log):
            self.log = log

        def deserialize_cuda_engine(self, code):
            if code == b"of another":
                self.log.log(SEVERITIES.ERROR, "Version tag\n does not match")
                return None
            return engine

    return types.SimpleNamespace(
        __name__=name,
        __version__="9.8.7",
        ILogger=ILogger,
        Runtime=Runtime,
        Builder=object,
        DataType=types.SimpleNamespace(FLOAT="FLOAT"),
        ExecutionContextAllocationStrategy=types.SimpleNamespace(USER_MANAGED="user managed"),
        DynamicShapesKernelSpecializationStrategy=types.SimpleNamespace(EAGER="eager"),
    )


class Stream:
    made = 0

    def __init__(self, device=None, handle=None):
        Stream.made += handle is None
        self.cuda_stream, self.waited, self.synchronised = handle if handle is not None else 1000 + Stream.made, [], 0

    def wait_stream(self, other):
        self.waited.append(other.cuda_stream)

    def synchronize(self):
        self.synchronised += 1


def buffers(batch, frames):
    """As fastsvc.engine.cuda.vocoder.VocoderInputs, as much as a generator sees."""
    given = vocoders.given(CONFIG, batch, frames)
    audio = torch.full((batch, frames * CONFIG.mel.hop_samples), torch.nan)
    return types.SimpleNamespace(mel=given["mel"], excitation=given["source"], noise=given["noise"], audio=audio)


def bound(runner, given):
    return runner.bind({"mel": given.mel, "source": given.excitation, "noise": given.noise}, {"audio": given.audio})
