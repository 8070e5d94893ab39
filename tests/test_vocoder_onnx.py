"""The vocoder through onnxruntime, called as the processor's other one is."""

import hashlib
import json

import engines
import pytest
import torch
import vocoders

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from fastsvc.build.passes import measure
from fastsvc.engine import Engine
from fastsvc.engine.cpu import vocoder_onnx
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator
from fastsvc.errors import EngineError, MissingPackageError


@torch.inference_mode()
@pytest.mark.parametrize("name", vocoders.SMALL)
def test_same_as_the_other_vocoder(tmp_path, name):
    config = vocoders.SMALL[name]
    model = vocoders.generator(config)
    folder = vocoders.folder(tmp_path / "a.fsvc", model, stored_half=True)
    got = OnnxGenerator(folder.tensors("vocoder.safetensors"), config)
    want = Vocoder(model.state_dict(), config)
    assert got.halo_frames == want.halo_frames
    for batch, frames in ((1, 1), (2, 37), (1, 8)):
        excitation = None
        if config.source_channels:
            sines = torch.randn(batch, frames * config.source_hop_samples, config.source_channels)
            excitation = want.source(sines)
            assert torch.allclose(got.source(sines), excitation, atol=1e-6)
        mel, _, extra = vocoders.arguments(vocoders.given(config, batch, frames))
        inputs = mel, excitation, extra
        audio = got(*inputs)
        assert audio.shape == (batch, frames * config.mel.hop_samples) and audio.dtype == torch.float32
        assert (audio - want(*inputs)).abs().max() < 1e-4


def test_noise_may_be_left_out():
    config = vocoders.SMALL["pc-nsf"]
    model = vocoders.generator(config)
    got = OnnxGenerator(model.state_dict(), config)
    given = vocoders.given(config, 1, 9)
    with torch.no_grad():
        assert (got(given["mel"], given["source"]) - model(given["mel"], given["source"])).abs().max() < 1e-4


def test_threads_are_those_of_pytorch(monkeypatch):
    runtime = vocoder_onnx.require()
    for count in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=count: n)
        assert vocoder_onnx._options(runtime).intra_op_num_threads == count


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_what_is_missing_is_named(monkeypatch, package):
    config = vocoders.SMALL["m4"]
    found = vocoder_onnx.importlib.util.find_spec
    monkeypatch.setattr(vocoder_onnx.importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(MissingPackageError, match=rf"{package}, which is not installed.*fastsvc\[onnx\]"):
        OnnxGenerator(vocoders.generator(config).state_dict(), config)


def test_a_strangers_graph_is_never_read(tmp_path):
    """An engine's own graph may be anything, or missing: what runs is written from the weights."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        path = engines.build_engine(tmp_path, steps=(1,), precision="fp16")
    given = torch.randn(9, 6), torch.full((9,), 200.0), torch.full((9,), 0.1), 0
    want, _ = Engine.open(path, "cpu", vocoder_backend="onnxruntime").synthesise(*given)
    plain, _ = Engine.open(path, "cpu", vocoder_backend="torch").synthesise(*given)
    assert 0 < (want - plain).abs().max() < 1e-4
    manifest = json.loads((path / "manifest.json").read_text())
    for content in (b"hostile", other_graph((path / "vocoder.onnx").read_bytes()), None):
        if content is None:
            (path / "vocoder.onnx").unlink()
            del manifest["files"]["vocoder.onnx"]
        else:
            (path / "vocoder.onnx").write_bytes(content)
            manifest["files"]["vocoder.onnx"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (path / "manifest.json").write_text(json.dumps(manifest))
        got, _ = Engine.open(path, "cpu", vocoder_backend="onnxruntime").synthesise(*given)
        assert torch.equal(got, want)


def other_graph(content):
    """A right graph, but for a file elsewhere that it wants, and for what it computes."""
    import onnx

    model = onnx.load_from_string(content)
    next(node for node in model.graph.node if node.op_type == "Tanh").op_type = "Sin"
    for entry in model.graph.initializer[0].external_data:
        entry.value = "../elsewhere" if entry.key == "location" else entry.value
    return model.SerializeToString()


def test_weights_that_do_not_fit_are_refused_in_one_line():
    config = vocoders.SMALL["m4"]
    right = vocoders.generator(config).state_dict()
    lacking = {name: value for name, value in right.items() if name != "conv_pre.weight"}
    with pytest.raises(EngineError, match="cannot be written as a graph: 'conv_pre.weight'"):
        OnnxGenerator(lacking, config)
    for change in (lambda value: value.double(), lambda value: value.long()):
        with pytest.raises(EngineError, match="cannot be written as a graph"):
            OnnxGenerator({**right, "conv_pre.weight": change(right["conv_pre.weight"])}, config)
    with pytest.raises(EngineError, match="onnxruntime cannot run the vocoder: "):
        OnnxGenerator({**right, "conv_pre.weight": right["conv_pre.weight"].bfloat16()}, config)
