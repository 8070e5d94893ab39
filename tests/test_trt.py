"""The adapter for TensorRT: which package serves which GPU, and each error that needs no GPU, by the real package.

tests/test_trt_run.py has the calls that run a plan, tests/test_trt_gpu.py the hardware.
"""

import contextlib
import importlib
import types

import pytest
import torch
import vocoders

pytest.importorskip("onnx")

import itertools

import onnx

from fastsvc.artifact import folder as artifact
from fastsvc.artifact import listing
from fastsvc.engine.cuda.generators import tensorrt_backend
from fastsvc.engine.tensorrt import plan_files, trt_packages, trt_runner
from fastsvc.errors import EngineError, MissingPackageError

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="what is said where there is no GPU")


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = vocoders.generator(vocoders.SMALL["m4"])
    return vocoders.folder(tmp_path_factory.mktemp("trt") / "a.fsvc", model)


def installed(monkeypatch, *modules):
    monkeypatch.setattr(trt_packages.Package, "version", lambda self: "10.9" if self.module in modules else None)


def test_which_package_serves_which_gpu(monkeypatch):
    installed(monkeypatch, "tensorrt", "tensorrt_rtx")
    assert trt_packages.choose(89) is trt_packages.RTX and trt_packages.choose(120) is trt_packages.RTX
    assert trt_packages.choose(90) is trt_packages.FULL and trt_packages.choose(100) is trt_packages.FULL
    assert trt_packages.choose(89, "tensorrt") is trt_packages.FULL
    installed(monkeypatch, "tensorrt")
    assert trt_packages.choose(89) is trt_packages.FULL


def test_no_package(monkeypatch):
    installed(monkeypatch)
    with pytest.raises(MissingPackageError, match=r"tensorrt_rtx, which is not installed.*fastsvc\[tensorrt-rtx\]"):
        trt_packages.choose(89)
    with pytest.raises(MissingPackageError, match=r"package tensorrt, which .*fastsvc\[tensorrt\]"):
        trt_packages.choose(90)
    with pytest.raises(MissingPackageError, match="tensorrt"):
        trt_packages.load(trt_packages.FULL)


def test_a_gpu_that_no_package_serves(monkeypatch):
    installed(monkeypatch, "tensorrt", "tensorrt_rtx")
    with pytest.raises(EngineError, match=r"RTX serves sm_75, .*not sm_90 \(TensorRT does: pip install"):
        trt_packages.choose(90, "tensorrt_rtx")
    with pytest.raises(EngineError, match=r"not sm_70; .*not sm_70 \(use another"):
        trt_packages.choose(70)
    with pytest.raises(EngineError, match="unknown TensorRT package 'onnx'"):
        trt_packages.choose(89, "onnx")


def test_the_gpus_are_those_that_the_package_lists(rtx):
    listed = {int(name[2:]) for name in rtx.ComputeCapability.__members__ if name.startswith("SM")}
    assert listed == set(trt_packages.RTX_ARCHS)
    for arch in trt_packages.RTX_ARCHS:
        assert trt_packages.capability(rtx, arch) == getattr(rtx.ComputeCapability, f"SM{arch}")
    with pytest.raises(EngineError, match="tensorrt_rtx cannot build for sm_90: it lists SM"):
        trt_packages.capability(rtx, 90)
    with pytest.raises(EngineError, match="on the GPU itself alone"):
        trt_packages.capability(types.SimpleNamespace(__name__="tensorrt"), 90)


def test_a_package_without_its_libraries(monkeypatch):
    installed(monkeypatch, "tensorrt")

    def broken(name):
        raise FileNotFoundError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(trt_packages.importlib, "import_module", broken)
    with pytest.raises(EngineError, match=r"cannot be loaded: libnvinfer.*install it again: pip install"):
        trt_packages.load(trt_packages.FULL)
    monkeypatch.setattr(trt_packages.importlib, "import_module", types.ModuleType)
    with pytest.raises(EngineError, match="without its libraries"):
        trt_packages.load(trt_packages.FULL)


def test_the_real_package_is_found(rtx):
    assert trt_packages.RTX.version() == rtx.__version__ and trt_packages.load(trt_packages.RTX) is rtx
    if importlib.util.find_spec("tensorrt") is None:
        assert trt_packages.FULL.version() is None


@NO_GPU
def test_no_device(rtx, folder):
    with pytest.raises(
        EngineError, match="TensorRT for RTX is installed, but there is no GPU: .*CPU build|no usable GPU"
    ):
        trt_packages.require_device(trt_packages.RTX)
    with pytest.raises(EngineError, match="there is no GPU"):
        trt_runner.Runner(rtx, b"never looked at", torch.device("cuda"))
    with pytest.raises(EngineError, match="there is no GPU"):
        tensorrt_backend.TensorRTGenerator(vocoders.SMALL["m4"], folder, "cuda", 89)


class Reader:
    """TensorRT as far as it is asked before a plan is built; ``seen``: what lay where it reads the graph."""

    def __init__(self, plan, gpu="a GPU"):
        self.seen, self.plan = {}, plan

    def build(self, module, graph, config, wanted, **options):
        self.seen = {file.name: file.read_bytes() for file in graph.parent.iterdir()}
        return plan_files.TensorRTPlan(wanted, self.plan), b""


def test_a_strangers_graph_is_never_read(rtx, tmp_path, monkeypatch):
    """Neither by its content, nor for the plan's name: all comes from the weights; engines without graphs run, too."""
    config, reader = vocoders.SMALL["m4"], Reader(b"code")
    made = vocoders.generator(config)
    right = vocoders.folder(tmp_path / "a.fsvc", made)
    strange = vocoders.folder(tmp_path / "b.fsvc", made)
    strange.add(dict.fromkeys(("other.bin",), b"hostile"))
    (strange.path / "vocoder_fp16.onnx").write_bytes(b"hostile")
    without = vocoders.folder(tmp_path / "c.fsvc", made, with_graphs=False)
    monkeypatch.setattr(trt_packages, "require_device", lambda package: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    monkeypatch.setattr(plan_files, "build", reader.build)
    monkeypatch.setattr(tensorrt_backend, "Runner", lambda *given: types.SimpleNamespace(cache=bytes))
    names = set()
    for folder in (right, strange, without):
        generator = tensorrt_backend.TensorRTGenerator(config, folder, "cpu", 89)
        assert reader.seen == {name: right.bytes(name) for name in ("vocoder_fp16.onnx", artifact.VOCODER)}
        names.add(generator.origin.name)
    assert len(names) == 1


def origin(rtx, graph="0" * 64):
    return plan_files.origin(rtx, 89, graph)


def build(rtx, folder, name="vocoder_fp16.onnx", config=vocoders.SMALL["m4"], **options):
    wanted = origin(rtx, tensorrt_backend.graph_hash(folder, folder.bytes(name)))
    return plan_files.build(rtx, folder.verify(name), config, wanted, **{"ahead": 89, **options})[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", artifact.GRAPHS.values())
def test_a_plan_and_its_file(rtx, folder, name):
    plan = build(rtx, folder, name)
    assert len(plan.code) > 10_000 and plan.seconds > 0
    again = plan_files.read(plan.content(), plan.origin)
    assert again.code == plan.code and again.origin == plan.origin


@pytest.mark.slow
@pytest.mark.parametrize("name", vocoders.SMALL)
def test_every_family(rtx, tmp_path, name):
    config = vocoders.SMALL[name]
    folder = vocoders.folder(tmp_path / "a.fsvc", vocoders.generator(config), stored_half=True)
    assert len(build(rtx, folder, config=config).code) > 10_000


DEEP = plan_files.MAGIC + b"[" * 4000 + b"\ncode"


def test_plans_of_others_are_refused_in_words(rtx):
    mine = origin(rtx)
    content = plan_files.TensorRTPlan(mine, b"code", 1.0).content()
    assert plan_files.read(content, mine).code == b"code"
    changed = {"package": "tensorrt", "version": "1.6.1.120", "device": "sm_86", "graph": "1" * 64, "ladder": "()"}
    for key, value in changed.items():
        other = plan_files.PlanOrigin(**{**vars(mine), key: value})
        assert other.name != mine.name
        with pytest.raises(EngineError, match=f"made for another {key}: .*remove the file"):
            plan_files.read(content, other)
    for damaged in (
        b"",
        b"abc",
        content[:20],
        plan_files.MAGIC + b"{}\n",
        plan_files.MAGIC + b"[1]\ncode",
        DEEP,
        b"x" + content,
    ):
        with pytest.raises(EngineError, match="not a TensorRT plan of fastsvc"):
            plan_files.read(damaged, mine)


def test_plans_of_tensorrt_are_tied_to_the_gpu():
    module = types.SimpleNamespace(__name__="tensorrt", __version__="11.4")
    names = {plan_files.origin(module, 90, "g", gpu).name for gpu in ("NVIDIA H100", "NVIDIA H200")}
    assert len(names) == 2 and all(listing.NAME.fullmatch(f"sm_90/{name}.plan") for name in names)
    assert plan_files.profiles(module) == plan_files.PROFILES_BY_LENGTH


def test_the_ladder_covers_what_slices_need():
    from fastsvc.engine import buckets

    for rungs in (plan_files.PROFILES_BY_LENGTH, plan_files.SINGLE_PROFILE):
        assert rungs[0].frames[0] == 1 and rungs[-1].frames[1] == buckets.EVEN_FRAMES[-1]
        for before, after in itertools.pairwise(rungs):
            assert after.frames[0] == before.frames[1] + 1
        for rung in rungs:
            assert rung.frames[0] <= rung.best[1] <= rung.frames[1] and rung.best[0] <= plan_files.MOST_BATCH
            assert rung.best[1] in buckets.EVEN_FRAMES and rung.best[0] in buckets.EVEN_BATCHES


def changed(folder, tmp_path, change):
    """A graph beside the same weights, after ``change`` of it."""
    model = onnx.load(folder.verify("vocoder_fp16.onnx"), load_external_data=False)
    change({node.name: node for node in model.graph.node}, model)
    (tmp_path / artifact.VOCODER).write_bytes((folder.path / artifact.VOCODER).read_bytes())
    file = tmp_path / "vocoder_fp16.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def test_a_graph_that_cannot_be_parsed_names_the_node(rtx, folder, tmp_path):
    def change(nodes, model):
        nodes["resblocks.3.convs1.1"].op_type = "Nonsense"

    file = changed(folder, tmp_path, change)
    with pytest.raises(EngineError, match=r"vocoder_fp16.onnx at the node resblocks.3.convs1.1 \(Nonsense\): .*Plugin"):
        plan_files.build(rtx, file, vocoders.SMALL["m4"], origin(rtx), ahead=89)


def test_files_that_are_no_graphs(rtx, folder, tmp_path):
    for content in (None, b"abc"):
        file = tmp_path / "bad.onnx"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(EngineError, match="cannot read bad.onnx before any node: "):
            plan_files.build(rtx, file, vocoders.SMALL["m4"], origin(rtx), ahead=89)


def test_weights_from_elsewhere_are_not_read(rtx, folder, tmp_path):
    """An engine may come from a stranger; TensorRT itself refuses paths that lead out of the folder."""

    def change(nodes, model):
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = "../vocoder.safetensors"

    file = changed(folder, tmp_path, change)
    with pytest.raises(EngineError, match="Failed to import initializer"):
        plan_files.build(rtx, file, vocoders.SMALL["m4"], origin(rtx), ahead=89)


def test_a_build_that_fails_says_what_tensorrt_said(rtx, folder, monkeypatch):
    right = plan_files.shapes
    monkeypatch.setattr(plan_files, "shapes", lambda config, b, t: {**right(config, b, t), "source": (b, t * 2)})
    with pytest.raises(EngineError, match="could not build the vocoder: .*ups.0.excited"):
        build(rtx, folder)


def test_shapes_that_are_no_range(rtx, folder, monkeypatch):
    monkeypatch.setattr(plan_files, "SINGLE_PROFILE", (plan_files.ProfileShapes((64, 32), (1, 48)),))
    with pytest.raises(EngineError, match=r"tensorrt_rtx (refuses the shapes of Rung|could not build)"):
        build(rtx, folder)


def test_a_gpu_that_tensorrt_for_rtx_does_not_build_for(rtx, folder):
    with pytest.raises(EngineError, match="cannot build for sm_90"):
        build(rtx, folder, ahead=90)


class Settings:
    """A builder's configuration of the package `tensorrt`, which is not installed here."""

    def __init__(self, calls, accepted):
        self.calls, self.accepted, self.profiles = calls, accepted, []

    def clear_flag(self, flag):
        self.calls.append(("clear", flag))

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def create_timing_cache(self, content):
        self.calls.append(("timings", content))
        return content

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        self.cache = cache
        return cache in self.accepted

    def get_timing_cache(self):
        return types.SimpleNamespace(serialize=lambda: b"measured")


def full_package(calls, settings, flags):
    """As much of `tensorrt` as building touches."""

    class Builder:
        def __init__(self, log):
            pass

        def create_network(self, flag):
            calls.append(("network", flag))

        def create_builder_config(self):
            return settings

        def create_optimization_profile(self):
            shapes = {}
            return types.SimpleNamespace(shapes=shapes, set_shape=lambda name, *given: shapes.update({name: given}))

        def build_serialized_network(self, network, config):
            calls.append(("build",))
            return b"code"

    class OnnxParser:
        def __init__(self, network, log):
            pass

        def parse_from_file(self, path):
            calls.append(("parse", path))
            return True

    return types.SimpleNamespace(
        __name__="tensorrt",
        __version__="11.4.0.106",
        ILogger=type("ILogger", (), {}),
        Builder=Builder,
        OnnxParser=OnnxParser,
        BuilderFlag=types.SimpleNamespace(TF32="TF32"),
        NetworkDefinitionCreationFlag=types.SimpleNamespace(**flags),
    )


@pytest.mark.parametrize("flags, given", [({"STRONGLY_TYPED": 1}, 2), ({}, 0)])
@pytest.mark.parametrize("cache", [b"", b"of this GPU", b"of another"])
def test_the_package_tensorrt_gets_a_ladder_and_its_timings(folder, flags, given, cache):
    """Against a stand-in: its libraries come from an index of its own and are not here."""
    calls = []
    settings = Settings(calls, accepted=(b"", b"of this GPU"))
    module = full_package(calls, settings, flags)
    graph, config = folder.verify("vocoder_fp16.onnx"), vocoders.SMALL["m4"]
    wanted = plan_files.origin(module, 90, "g", "NVIDIA H200")
    plan, kept = plan_files.build(module, graph, config, wanted, cache=cache)
    assert plan.code == b"code" and plan.origin.device == "sm_90 NVIDIA H200" and kept == b"measured"
    tried = [("timings", cache)] + [("timings", b"")] * (cache == b"of another")
    assert calls == [("network", given), ("parse", str(graph)), ("clear", "TF32"), *tried, ("build",)]
    assert settings.cache in settings.accepted
    hop, bins = config.source_hop_samples, config.mel.bins
    assert [profile["mel"][1][:2] for profile in settings.profiles] == [(2, 112), (2, 224), (2, 448), (4, 896)]
    for profile in settings.profiles:
        assert set(profile) == {"mel", "source"}
        for mel, source in zip(profile["mel"], profile["source"]):
            assert mel[2] == bins and source == (mel[0], mel[1] * hop)
        assert profile["mel"][0][0] == 1 and profile["mel"][2][0] == 8
    with pytest.raises(EngineError, match="on the GPU itself alone"):
        plan_files.build(module, graph, config, wanted, ahead=90)
