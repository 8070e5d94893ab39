"""Engines with kernels compiled ahead of time, without a GPU: what is in the folder, and that the runtime finds it."""

import types

import engines
import pytest
import torch
from fake_driver import Api

pytest.importorskip("triton")

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.artifact.device_part import DevicePart
from fastsvc.build.passes import measure, target
from fastsvc.commands.inspect import describe
from fastsvc.engine import backends
from fastsvc.engine.buckets import Buckets, Shape
from fastsvc.engine.cuda import launch_plan, launcher, selfcheck
from fastsvc.engine.cuda import sampler as cuda_sampler
from fastsvc.engine.cuda import vocoder as cuda_vocoder
from fastsvc.engine.cuda.denoiser import DenoiserProgram
from fastsvc.engine.cuda.driver import Driver
from fastsvc.engine.cuda.generators import tensorrt_backend, triton_backend
from fastsvc.engine.parts import Model
from fastsvc.engine.tensorrt import plan_files
from fastsvc.errors import ConfigError, EngineError, MissingPackageError
from fastsvc.kernels import dependent

pytestmark = [pytest.mark.long, pytest.mark.slow]  # an engine for a GPU is built before the first test
ARCH, SHAPE = 80, Shape(1, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        patch.setattr(Buckets, "shapes", lambda self: [SHAPE])
        patch.setattr(launch_plan, "vocoder_shapes", lambda: [(2, 64)])
        path = engines.build_engine(tmp_path_factory.mktemp("target"), steps=(1,), target=f"sm_{ARCH}")
    return engine_folder.Artifact(path)


def listed(folder):
    return launcher.usable_listing(part(folder), ARCH)[0]


def part(folder):
    return DevicePart(folder, f"sm_{ARCH}")


@pytest.mark.slow
def test_what_the_folder_holds(folder):
    found = listed(folder)
    assert found["arch"] == ARCH and found["sources"] == launcher.sources()
    kernels = found["kernels"]
    names = {entry["name"] for entry in kernels.values()}
    operations = ("condition", "first", "gated_conv", "residual", "skip", "head", "source")
    operations += ("conv", "residual_unit", "upsample", "waveform")
    assert names == {f"{name}_kernel" for name in operations}
    for name, entry in kernels.items():
        code = part(folder).read(entry["file"])
        assert entry["file"] == f"{name}.cubin" and code[:4] == b"\x7fELF"
        assert entry["stack"] <= 8, f"{entry['name']} spills"  # the head at 64 channels keeps one pointer there
        assert entry["warps"] in (4, 8) and 0 < entry["registers"] <= 255
        assert entry["constants"] and entry["parameters"]
    assert f"in fp16, kernels compiled for sm_{ARCH} ({len(kernels)}), by Triton elsewhere" in describe(folder.path)
    assert folder.manifest.gpu_precision == "fp16" and folder.manifest.precision == "fp32"
    assert sum("/" in name and not name.endswith(".plan") for name in folder.files) == len(kernels) + 1


def test_a_tensorrt_plan_is_found_at_run_time(folder):
    """By the name that the engine looks it up under, where TensorRT for RTX is installed."""
    module = pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")
    wanted = plan_files.origin(module, ARCH, tensorrt_backend.graph_hash(folder, folder.bytes("vocoder_fp16.onnx")))
    plan = plan_files.read(part(folder).read(f"{wanted.name}.plan"), wanted)
    assert len(plan.code) > 10_000 and plan.seconds > 0
    assert f"plans        sm_{ARCH}/{wanted.name}.plan" in describe(folder.path)


def test_a_plan_that_cannot_be_built_is_named_and_left_out(monkeypatch):
    def fail(*_):
        raise EngineError("the GPU is on fire")

    monkeypatch.setattr(target.tensorrt_plans.trt_packages.Package, "version", lambda self: "1.7")
    monkeypatch.setattr(target.tensorrt_plans, "build", fail)
    lines = []
    given = types.SimpleNamespace(
        files={target.tensorrt_plans.GRAPH: b""},
        tensors={engine_folder.VOCODER: {}},
        say=lines.append,
        vocoder=types.SimpleNamespace(config=0),
    )
    assert target.tensorrt_plans.plans(given, 89) == {} and "no TensorRT plan for sm_89: the GPU is on fire" in lines[0]
    assert target.tensorrt_plans.plans(given, 90) == {} and len(lines) == 1


def test_a_damaged_kernel_is_not_loaded(folder, tmp_path):
    import shutil

    copy = engine_folder.Artifact(shutil.copytree(folder.path, tmp_path / "copy.fsvc"))
    name = next(name for name in copy.files if name.endswith(".cubin"))
    (copy.path / name).write_bytes(copy.bytes(name)[:-1] + b"\0\0")
    with pytest.raises(EngineError, match="damaged"):
        copy.bytes(name)


def test_every_start_at_run_time_was_compiled(folder, monkeypatch):
    """The engine's own programs over real tensors, with a driver that loads nothing."""
    monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: types.SimpleNamespace(cuda_stream=1))
    api = Api()
    api.cuLaunchKernelEx = lambda *given: (0,)
    cubins = launcher.Cubins(listed(folder), part(folder).read, Driver(api), None)
    opened = Model(folder, engines.ACOUSTIC, engines.VOCODER, "recogniser", engines.CONTENT)
    given = opened.weights(), engines.ACOUSTIC, folder.manifest.sampling, torch.float16, "cpu", ARCH, cubins
    sampler = cuda_sampler.MelSampler(*given)
    program = sampler.network.program(SHAPE)
    plan = sampler.plans[1]
    starts = program.launches([plan], plan.levels, conditioned=True)
    inputs = cuda_vocoder.VocoderInputs(engines.VOCODER, 2, 64, "cpu")
    vocoder = cuda_vocoder.torch_generator(folder.tensors(engine_folder.VOCODER), engines.VOCODER)
    starts.append(inputs.source(engines.VOCODER, *cuda_vocoder.source_mixing(vocoder)))
    for launch in starts:
        cubins.bind(launch)()
    tensors = folder.tensors(engine_folder.VOCODER)
    triton_backend.TritonGenerator(tensors, engines.VOCODER, torch.float16, "cpu", ARCH, cubins).bind(inputs)()
    assert len(cubins.loaded) == len(cubins.entries)
    with pytest.raises(EngineError, match="no compiled .* for this shape"):
        for launch in sampler.network.program(Shape(1, 2048)).sampling(plan):
            cubins.bind(launch)


def test_early_starts_are_asked_for_and_kept_apart(folder, monkeypatch):
    """All launches of a chain but the first; one that stands alone is started as ever."""
    monkeypatch.setattr(dependent, "possible", lambda device, arch: True)
    bound, opened = [], Model(folder, engines.ACOUSTIC, None, None, None)
    recorder = types.SimpleNamespace(
        bind_chain=lambda launches: bound.extend(launches) or [lambda: None for _ in launches]
    )
    given = opened.weights(), engines.ACOUSTIC, folder.manifest.sampling, torch.float16, "cpu", 90, recorder
    sampler = cuda_sampler.MelSampler(*given)
    assert not sampler.network.early
    flags = {}
    for sampler.network.early in (False, True):
        for what, launches in (
            ("condition", DenoiserProgram.condition),
            ("sampling", lambda p: p.sampling(sampler.plans[1])),
        ):
            bound.clear()
            for _ in range(2):
                sampler.network.replay(SHAPE, (what,), launches)
            flags[what, sampler.network.early] = [launch.early for launch in bound]
    assert flags["condition", False] == flags["condition", True] == [False]
    assert not any(flags["sampling", False])
    assert flags["sampling", True] == [False] + [True] * (len(flags["sampling", False]) - 1)
    captured = len(sampler.network.replays)
    bound.clear()
    sampler.network.together = True
    sampler.network.replay(SHAPE, ("sampling",), lambda p: p.sampling(sampler.plans[1]))
    assert len(bound) == 4 and bound[1].cooperative and len(sampler.network.replays) == captured + 1


def test_stored_results_are_those_of_the_engine(folder):
    stored = folder.manifest.check
    opened = backends.cpu(Model(folder, engines.ACOUSTIC, engines.VOCODER, None, None))
    again = selfcheck.expected_layers(engines.ACOUSTIC, opened.sampler.denoiser, stored["level"])
    for (name, want), (other, got) in zip(stored["layers"], again["layers"], strict=True):
        assert name == other and selfcheck.difference(got, want) < 1e-5
    audio = selfcheck.expected_audio(engines.VOCODER, opened.synthesiser.vocoder)
    assert selfcheck.difference(audio, stored["audio"]) < 1e-5


def test_names_of_targets(monkeypatch):
    assert target.architectures("cpu") == ()
    assert target.architectures("sm_80,sm_120") == (80, 120)
    if not torch.cuda.is_available():
        assert target.architectures("auto") == ()
    for name in ("sm_1", "sm_61", "90", "sm_90a", "sm_90,", "cuda"):
        with pytest.raises(ConfigError, match="unknown target"):
            target.architectures(name)
    monkeypatch.setattr(target.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="triton"):
        target.architectures("sm_90")


def test_all_shapes_need_few_kernels():
    """65 for CoMoSVC in full size and as many for its vocoder; a tile that depends on every length makes hundreds."""
    levels = {1: [80.0], 4: [80.0, 24.0, 5.8, 0.9]}
    given = engines.ACOUSTIC, engines.VOCODER, "consistency", levels, False, torch.float16
    assert 20 < len(target.unique_specs(launch_plan.launches(*given, 90))) < 150


def test_build_is_exported():
    assert [step.__name__ for step in build.pipeline()][-2:] == ["target_pass", "save_pass"]
