"""The adapter for TensorRT: which package serves which GPU, and each error that needs no GPU, by the real package.

tests/test_trt_build.py has the building of plans, tests/test_trt_run.py the calls that run one, tests/test_trt_gpu.py
the hardware.
"""

import importlib
import types

import pytest
import torch
import vocoders

pytest.importorskip("onnx")

from fastsvc.engine.cuda.generators import tensorrt as vocoder_trt
from fastsvc.engine.tensorrt import package as trt
from fastsvc.engine.tensorrt import plan as trt_plan
from fastsvc.engine.tensorrt import run as trt_run
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
    monkeypatch.setattr(trt.Package, "version", lambda self: "10.9" if self.module in modules else None)


def test_which_package_serves_which_gpu(monkeypatch):
    installed(monkeypatch, "tensorrt", "tensorrt_rtx")
    assert trt.choose(89) is trt.RTX and trt.choose(120) is trt.RTX
    assert trt.choose(90) is trt.FULL and trt.choose(100) is trt.FULL
    assert trt.choose(89, "tensorrt") is trt.FULL
    installed(monkeypatch, "tensorrt")
    assert trt.choose(89) is trt.FULL


def test_no_package(monkeypatch):
    installed(monkeypatch)
    with pytest.raises(MissingPackageError, match=r"tensorrt_rtx, which is not installed.*fastsvc\[tensorrt-rtx\]"):
        trt.choose(89)
    with pytest.raises(MissingPackageError, match=r"package tensorrt, which .*fastsvc\[tensorrt\]"):
        trt.choose(90)
    with pytest.raises(MissingPackageError, match="tensorrt"):
        trt.load(trt.FULL)


def test_a_gpu_that_no_package_serves(monkeypatch):
    installed(monkeypatch, "tensorrt", "tensorrt_rtx")
    with pytest.raises(EngineError, match=r"RTX serves sm_75, .*not sm_90 \(TensorRT does: pip install"):
        trt.choose(90, "tensorrt_rtx")
    with pytest.raises(EngineError, match=r"not sm_70; .*not sm_70 \(use another"):
        trt.choose(70)
    with pytest.raises(EngineError, match="unknown TensorRT package 'onnx'"):
        trt.choose(89, "onnx")


def test_the_gpus_are_those_that_the_package_lists(rtx):
    listed = {int(name[2:]) for name in rtx.ComputeCapability.__members__ if name.startswith("SM")}
    assert listed == set(trt.RTX_ARCHS)
    for arch in trt.RTX_ARCHS:
        assert trt.capability(rtx, arch) == getattr(rtx.ComputeCapability, f"SM{arch}")
    with pytest.raises(EngineError, match="tensorrt_rtx cannot build for sm_90: it lists SM"):
        trt.capability(rtx, 90)
    with pytest.raises(EngineError, match="on the GPU itself alone"):
        trt.capability(types.SimpleNamespace(__name__="tensorrt"), 90)


def test_a_package_without_its_libraries(monkeypatch):
    installed(monkeypatch, "tensorrt")

    def broken(name):
        raise FileNotFoundError("libnvinfer.so.11: cannot open shared object file")

    monkeypatch.setattr(trt.importlib, "import_module", broken)
    with pytest.raises(EngineError, match=r"cannot be loaded: libnvinfer.*install it again: pip install"):
        trt.load(trt.FULL)
    monkeypatch.setattr(trt.importlib, "import_module", types.ModuleType)
    with pytest.raises(EngineError, match="without its libraries"):
        trt.load(trt.FULL)


def test_the_real_package_is_found(rtx):
    assert trt.RTX.version() == rtx.__version__ and trt.load(trt.RTX) is rtx
    if importlib.util.find_spec("tensorrt") is None:
        assert trt.FULL.version() is None


@NO_GPU
def test_no_device(rtx, folder):
    with pytest.raises(
        EngineError, match="TensorRT for RTX is installed, but there is no GPU: .*CPU build|no usable GPU"
    ):
        trt.require_device(trt.RTX)
    with pytest.raises(EngineError, match="there is no GPU"):
        trt_run.Runner(rtx, b"never looked at", torch.device("cuda"))
    with pytest.raises(EngineError, match="there is no GPU"):
        vocoder_trt.TensorRTGenerator(vocoders.SMALL["m4"], folder, "cuda", 89)


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
    wanted = trt_plan.origin(module, 90, "g", "NVIDIA H200")
    plan, kept = trt_plan.build(module, graph, config, wanted, cache=cache)
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
        trt_plan.build(module, graph, config, wanted, ahead=90)
