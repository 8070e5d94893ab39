"""The vocoder through onnxruntime, called as the processor's other one is."""

import pytest
import torch
import vocoders

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from fastsvc.engine import vocoder_onnx
from fastsvc.engine.cpu_vocoder import Vocoder
from fastsvc.engine.vocoder_onnx import OnnxGenerator
from fastsvc.errors import EngineError, MissingPackageError


@torch.inference_mode()
@pytest.mark.parametrize("name", vocoders.SMALL)
def test_same_as_the_other_vocoder(tmp_path, name):
    config = vocoders.SMALL[name]
    model = vocoders.generator(config)
    got = OnnxGenerator(vocoders.folder(tmp_path / "a.fsvc", model, stored_half=True), config)
    want = Vocoder(model.state_dict(), config)
    assert got.halo_frames == want.halo_frames
    for batch, frames in ((1, 1), (2, 37), (1, 8)):
        sines = torch.randn(batch, frames * config.source_hop_samples, config.source_channels)
        excitation = want.source(sines)
        assert torch.allclose(got.source(sines), excitation, atol=1e-6)
        given = vocoders.given(config, batch, frames)
        inputs = given["mel"], excitation, given.get("noise")
        audio = got(*inputs)
        assert audio.shape == (batch, frames * config.mel.hop_samples) and audio.dtype == torch.float32
        assert (audio - want(*inputs)).abs().max() < 1e-4


def test_noise_may_be_left_out(tmp_path):
    config = vocoders.SMALL["pc-nsf"]
    model = vocoders.generator(config)
    got = OnnxGenerator(vocoders.folder(tmp_path / "a.fsvc", model), config)
    given = vocoders.given(config, 1, 9)
    with torch.no_grad():
        assert (got(given["mel"], given["source"]) - model(given["mel"], given["source"])).abs().max() < 1e-4


def test_threads_are_those_of_pytorch(monkeypatch):
    runtime = vocoder_onnx.require()
    for count in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=count: n)
        assert vocoder_onnx._options(runtime).intra_op_num_threads == count


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    config = vocoders.SMALL["m4"]
    model = vocoders.generator(config)
    without = vocoders.folder(tmp_path / "a.fsvc", model, with_graphs=False)
    with pytest.raises(EngineError, match=r"built without vocoder.onnx.*fastsvc\[onnx\]"):
        OnnxGenerator(without, config)
    folder = vocoders.folder(tmp_path / "b.fsvc", model)
    monkeypatch.setattr(vocoder_onnx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"onnxruntime, which is not installed.*fastsvc\[onnx\]"):
        OnnxGenerator(folder, config)


def test_weights_that_are_damaged_or_elsewhere_are_refused(tmp_path):
    import onnx

    config = vocoders.SMALL["m4"]
    folder = vocoders.folder(tmp_path / "a.fsvc", vocoders.generator(config))
    path = folder.path / "vocoder.safetensors"
    right = path.read_bytes()
    path.write_bytes(right[:-4] + b"\x55\x55\x55\x55")
    with pytest.raises(EngineError, match="damaged"):
        OnnxGenerator(folder, config)
    path.write_bytes(right)
    graph = onnx.load(folder.path / "vocoder.onnx", load_external_data=False)
    for entry in graph.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../elsewhere"
    (tmp_path / "elsewhere").write_bytes(right)
    (folder.path / "vocoder.onnx").write_bytes(graph.SerializeToString())
    folder.files["vocoder.onnx"] = {
        "bytes": (folder.path / "vocoder.onnx").stat().st_size,
        "sha256": vocoder_onnx.artifact.sha256(folder.path / "vocoder.onnx"),
    }
    with pytest.raises(EngineError, match="onnxruntime cannot run .*escapes"):
        OnnxGenerator(folder, config)
