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
