"""Running plans, against a stand-in for TensorRT that notes what it is called with: order, shapes, addresses, memory.

What the calls compute is seen on hardware alone (tests/test_trt_gpu.py).
"""

import contextlib
import gc
import types
import weakref

import pytest
import torch
import vocoders

pytest.importorskip("onnx")

from trt_stand_in import CONFIG, SEVERITIES, Context, Engine, Stream, bound, buffers, stand_in

from fastsvc.artifact import engine_folder, listing
from fastsvc.engine.cuda.generators import tensorrt_backend
from fastsvc.engine.tensorrt import plan_files, trt_packages, trt_runner
from fastsvc.errors import EngineError

CPU = torch.device("cpu")


@pytest.fixture
def stream(monkeypatch):
    """The current stream, of a GPU that there is said to be."""
    current = Stream(handle=7)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: current)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "device", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA Stand-in")
    return current


def test_the_stand_in_has_no_call_that_the_real_package_lacks():
    real = pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")

    def public(something):
        return {name for name in dir(something) if not name.startswith("_")}

    assert public(Context) <= public(real.IExecutionContext)
    assert public(Engine) - {"inputs", "loaded"} <= public(real.ICudaEngine)
    engine, module = Engine(plan_files.PROFILES_BY_LENGTH), stand_in("tensorrt_rtx", None)
    assert public(engine.settings) - {"dynamic_shapes_kernel_specialization_strategy"} <= public(real.IRuntimeConfig)
    assert public(engine.cache) <= public(real.IRuntimeCache)
    assert public(module) <= public(real) and public(module.Runtime) <= public(real.Runtime)
    assert hasattr(real.IRuntimeConfig, "dynamic_shapes_kernel_specialization_strategy")
    for name in ("ExecutionContextAllocationStrategy", "DynamicShapesKernelSpecializationStrategy"):
        assert public(getattr(module, name)) <= public(getattr(real, name))
    assert {severity.name for severity in SEVERITIES} <= public(real.ILogger.Severity)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_the_calls_in_their_order(stream, name):
    engine = Engine(plan_files.PROFILES_BY_LENGTH)
    runner = trt_runner.Runner(stand_in(name, engine), b"plan", CPU)
    given = buffers(2, 200)
    run = bound(runner, given)
    (context,) = engine.contexts
    tensors = {"mel": given.mel, "source": given.excitation, "noise": given.noise, "audio": given.audio}
    assert context.calls == [
        ("context", engine.settings if name == "tensorrt_rtx" else "user managed"),
        ("profile", 1, 7),
        *[("shape", key, tuple(tensors[key].shape)) for key in engine.inputs],
        *[("address", key, tensor.data_ptr()) for key, tensor in tensors.items()],
        ("size",),
        ("memory", runner.scratch.data_ptr(), 4000),
        ("run", 7),
    ]
    assert stream.synchronised == 1
    run()
    run()
    assert context.calls[-3:] == [("run", 7)] * 3 and stream.synchronised == 1, "a run waits for nothing"
    if name == "tensorrt_rtx":
        assert engine.settings.dynamic_shapes_kernel_specialization_strategy == "eager"
        assert engine.strategy == "user managed" and engine.used is engine.cache


def test_each_shape_has_a_context_and_all_share_memory(stream):
    engine = Engine(plan_files.PROFILES_BY_LENGTH)
    runner = trt_runner.Runner(stand_in("tensorrt", engine), b"plan", CPU)
    calls = [bound(runner, buffers(*shape)) for shape in ((8, 1024), (1, 1), (3, 300))]
    assert len(engine.contexts) == 3
    profiles = [next(c[1] for c in context.calls if c[0] == "profile") for context in engine.contexts]
    memories = [next(c[1] for c in context.calls if c[0] == "memory") for context in engine.contexts]
    assert profiles == [3, 0, 2] and len(set(memories)) == 1
    for call, context in zip(calls, engine.contexts):
        before = [len(other.calls) for other in engine.contexts]
        call()
        after = [len(other.calls) for other in engine.contexts]
        assert [b - a for a, b in zip(before, after)] == [int(other is context) for other in engine.contexts]


def test_memory_that_is_outgrown_stays_with_those_that_use_it(stream):
    engine = Engine(plan_files.PROFILES_BY_LENGTH)
    runner = trt_runner.Runner(stand_in("tensorrt", engine), b"plan", CPU)
    bound(runner, buffers(1, 50))
    small = runner.scratch
    bound(runner, buffers(4, 500))
    assert runner.scratch.numel() == 20_000 > small.numel() == 500
    assert any(kept is small for kept in runner.bound[0])


@pytest.mark.slow
def test_contexts_and_buffers_live_until_they_are_released(stream):
    """A captured graph holds on to none of them."""
    engine = Engine(plan_files.PROFILES_BY_LENGTH)
    runner = trt_runner.Runner(stand_in("tensorrt", engine), b"plan", CPU)
    given = buffers(1, 50)
    bound(runner, given)
    engine.contexts = [weakref.ref(context) for context in engine.contexts]
    audio = weakref.ref(given.audio)
    del given
    gc.collect()
    assert engine.contexts[0]() is not None and audio() is not None
    runner.release()
    gc.collect()
    assert engine.contexts[0]() is None and audio() is None and runner.scratch is None
    engine.contexts = []
    bound(runner, buffers(2, 20))
    assert len(engine.contexts) == 1, "it can be bound again"


def test_on_the_default_stream_it_runs_beside_it(stream):
    stream.cuda_stream = 0
    engine = Engine(plan_files.PROFILES_BY_LENGTH)
    runner = trt_runner.Runner(stand_in("tensorrt", engine), b"plan", CPU)
    run = bound(runner, buffers(1, 50))
    run()
    side = runner.side
    assert [c for c in engine.contexts[0].calls if c[0] == "run"] == [("run", side.cuda_stream)] * 2
    assert side.waited == [0, 0] and stream.waited == [side.cuda_stream] * 2


def test_what_fails_is_named(stream):
    engine = Engine(plan_files.PROFILES_BY_LENGTH)
    module = stand_in("tensorrt", engine)
    with pytest.raises(EngineError, match="tensorrt 9.8.7 cannot load its plan .*: Version tag does not match"):
        trt_runner.Runner(module, b"of another", CPU)
    runner = trt_runner.Runner(module, b"plan", CPU)
    with pytest.raises(EngineError, match=r"not made for mel \[1, 1025, 128\]"):
        bound(runner, buffers(1, 1025))
    with pytest.raises(EngineError, match="not made for mel"):
        bound(runner, buffers(9, 64))
    given = buffers(1, 9)
    for name, wrong in (
        ("audio", given.audio[:, :-1]),
        ("mel", given.mel.half()),
        ("mel", given.mel.mT.contiguous().mT),
    ):
        with pytest.raises(EngineError, match=f"TensorRT wants {name} "):
            bound(runner, types.SimpleNamespace(**{**vars(given), name: wrong}))
    for attribute, said in (("accepts", "cannot have the shape"), ("runs", "it did not run"), ("memory", "no context")):
        setattr(engine, attribute, False)
        with pytest.raises(EngineError, match=said):
            bound(runner, given)
        setattr(engine, attribute, True)


@pytest.fixture
def setting(stream, monkeypatch, tmp_path):
    """A generator's surroundings: an engine's folder, the stand-in as tensorrt_rtx, and a store of files."""
    engine, store = Engine(plan_files.SINGLE_PROFILE), {}
    module = stand_in("tensorrt_rtx", engine)
    monkeypatch.setattr(trt_packages.Package, "version", lambda self: "9.8.7" if self is trt_packages.RTX else None)
    monkeypatch.setattr(trt_packages, "load", lambda package: module)
    built = []

    def build(module, graph, config, wanted, *, ahead, cache):
        assert ahead == 89 and cache == b""
        built.append(graph.name)
        return plan_files.TensorRTPlan(wanted, b"plan", 3.5), b""

    monkeypatch.setattr(plan_files, "build", build)
    folder = vocoders.folder(tmp_path / "a.fsvc", vocoders.generator(CONFIG))

    def make(**options):
        given = {"read": store.get, "store": store.update, **options}
        return tensorrt_backend.TensorRTGenerator(CONFIG, folder, "cpu", 89, **given)

    return types.SimpleNamespace(make=make, store=store, built=built, engine=engine, folder=folder)


def test_a_plan_is_built_once_and_kept(setting):
    generator = setting.make()
    assert generator.name == "tensorrt_rtx" and "built now in 3.5 s" in generator.how
    assert setting.built == ["vocoder_fp16.onnx"]
    (name,) = setting.store
    assert name == generator.origin.name + ".plan" and listing.NAME.fullmatch(f"sm_89/{name}")
    given = buffers(1, 40)
    generator.bind(given)()
    assert setting.store[generator.origin.name + ".kernels"] == b"kernels 1"
    again = setting.make()
    assert "built before" in again.how and len(setting.built) == 1
    assert setting.engine.given == [b"kernels 1"], "what was compiled is handed back"
    other = setting.make(graph="vocoder.onnx")
    assert other.origin != again.origin and setting.built[1:] == ["vocoder.onnx"]


def test_a_plan_that_does_not_fit_is_built_again_with_a_message(setting):
    name = setting.make().origin.name + ".plan"
    for content in (b"rubbish", setting.store[name].replace(b"9.8.7", b"9.8.6")):
        setting.store[name] = content
        with pytest.warns(UserWarning, match=f"{name} is not used: .*(not a TensorRT plan|another version)"):
            setting.make()
        assert setting.store[name] != content
    assert len(setting.built) == 3


def test_damaged_weights_are_not_built_from(setting):
    file = setting.folder.path / engine_folder.VOCODER
    file.write_bytes(file.read_bytes()[:-1] + b"\x55")
    with pytest.raises(EngineError, match="damaged"):
        setting.make()
    assert not setting.built


def test_released(setting):
    generator = setting.make()
    generator.bind(buffers(1, 40))
    generator.release()
    assert generator.runner.bound == []
    generator.bind(buffers(1, 20))()
    assert len(setting.engine.contexts) == 2 and len(setting.built) == 1
