"""The vocoder's graphs: equal to the plain model through onnxruntime, the same bytes each time, weights stored once."""

import json
import time
from types import SimpleNamespace

import engines
import pytest
import torch
import vocoders

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime

from fastsvc.artifact import engine_folder
from fastsvc.artifact.onnx import vocoder_graph
from fastsvc.artifact.onnx.writer import tensors_in_header
from fastsvc.build.passes import export, measure
from fastsvc.commands.inspect import describe
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.errors import EngineError

SHAPES = [(1, 1), (2, 7), (1, 61)]


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it cannot fold a Pad of float16 beforehand, and says so
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(opened, given):
    assert [entry.name for entry in opened.get_inputs()] == list(given)
    return torch.from_numpy(opened.run(None, {name: value.numpy() for name, value in given.items()})[0])


@torch.no_grad()
def compare(folder, model, shapes):
    """float32 to 1e-4 of the plain model; float16 as close to it in float64 as PyTorch's float16, twice at most.

    Between roundings onnxruntime computes in float32 here, and it leaves some roundings out.
    """
    config = model.config
    opened = {name: session(folder.verify(name)) for name in engine_folder.GRAPHS.values()}
    peer = Vocoder(model.state_dict(), config, torch.float16)
    exact = vocoders.Generator(config).double().eval()
    exact.load_state_dict(model.state_dict())
    for shape in shapes:
        given = vocoders.given(config, *shape)
        inputs = vocoders.arguments(given)
        want = exact(*(value if value is None else value.double() for value in inputs))
        allowed = 2 * float((peer(*inputs) - want).square().mean().sqrt())
        for name, graph in opened.items():
            got = run(graph, given)
            assert got.dtype == torch.float32
            assert got.shape == want.shape == (shape[0], shape[1] * config.mel.hop_samples)
            error = float((got - want).square().mean().sqrt())
            if "fp16" in name:
                assert 1e-6 < error <= allowed, f"{name}, {shape}"
            else:
                assert (got - want).abs().max() <= 1e-4, f"{name}, {shape}"


@pytest.mark.slow
@pytest.mark.parametrize("stored_half", [False, True])
@pytest.mark.parametrize("name", vocoders.SMALL)
@pytest.mark.sampled(3)
def test_same_as_the_plain_model(tmp_path, name, stored_half):
    model = vocoders.generator(vocoders.SMALL[name])
    compare(vocoders.folder(tmp_path / "a.fsvc", model, stored_half), model, SHAPES)


@pytest.mark.slow
@pytest.mark.parametrize("name", vocoders.FULL)
def test_full_size_in_seconds(tmp_path, name):
    model = vocoders.generator(vocoders.FULL[name])
    started = time.perf_counter()
    export.graphs(model.config, model.state_dict())
    assert time.perf_counter() - started < 5
    compare(vocoders.folder(tmp_path / "a.fsvc", model), model, [(1, 13)])


@pytest.mark.parametrize("name", vocoders.SMALL)
def test_nodes_have_the_names_of_modules_and_weights_are_stored_once(tmp_path, name):
    model = vocoders.generator(vocoders.SMALL[name])
    folder = vocoders.folder(tmp_path / "a.fsvc", model)
    modules = {key.removesuffix(".weight") for key in model.state_dict() if key.endswith(".weight")}
    modules -= {"m_source.l_linear", "speakers"}  # the source is mixed, and a speaker looked up, outside the graph
    for key in engine_folder.GRAPHS.values():
        file = folder.verify(key)
        onnx.checker.check_model(str(file), full_check=True)
        graph = onnx.load(file, load_external_data=False).graph
        names = [node.name for node in graph.node]
        assert len(set(names)) == len(names) and modules <= set(names)
        assert {node.name for node in graph.node if node.op_type.startswith("Conv")} == modules
        outside = [tensor for tensor in graph.initializer if tensor.external_data]
        assert {tensor.name for tensor in outside} == {f"{m}.{part}" for m in modules for part in ("weight", "bias")}
        assert {entry.value for t in outside for entry in t.external_data if entry.key == "location"} == {
            engine_folder.VOCODER
        }
        assert file.stat().st_size < 120_000


def test_the_same_bytes_every_time(tmp_path):
    """As plans are kept under the graph's hash."""
    model = vocoders.generator(vocoders.SMALL["m4"])
    first, second = (export.graphs(model.config, dict(reversed(model.state_dict().items()))) for _ in range(2))
    assert first == second == export.graphs(model.config, model.state_dict())


def test_an_engine_has_its_graphs(tmp_path):
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        folder = engine_folder.Artifact(engines.build_engine(tmp_path, steps=(1,), progress=lines.append))
    assert set(engine_folder.GRAPHS.values()) <= set(folder.files)
    assert any(line.startswith("export: vocoder.onnx") for line in lines)
    assert "graphs       vocoder.onnx, vocoder_fp16.onnx\n" in describe(folder.path)
    model = vocoders.Generator(engines.VOCODER).eval()
    model.load_state_dict(folder.tensors(engine_folder.VOCODER))
    given = vocoders.given(engines.VOCODER, 1, 5)
    with torch.no_grad():
        assert (run(session(folder.verify("vocoder.onnx")), given) - model(*given.values())).abs().max() <= 1e-4


def test_without_onnx_an_engine_is_built_and_says_what_it_lacks(tmp_path, monkeypatch):
    lines = []
    found = export.importlib.util.find_spec
    monkeypatch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == "onnx" else found(name))
    folder = engine_folder.Artifact(engines.build_engine(tmp_path, steps=(1,), progress=lines.append))
    assert not set(engine_folder.GRAPHS.values()) & set(folder.files)
    (line,) = [line for line in lines if line.startswith("export:")]
    assert "graphs       none for other programs" in describe(folder.path)
    assert "only where onnx is installed" in line and 'pip install "fastsvc[onnx]"' in line


def test_a_file_of_another_kind():
    with pytest.raises(ValueError, match="safetensors"):
        tensors_in_header(b"\xff" * 64)


BAD = {"dtype": "F32", "shape": 3, "data_offsets": [0]}
HEADERS = ["{", "[]", "3", "[" * 50_000, "{}", *(json.dumps({"a": one}) for one in (1, {}, BAD))]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_weights_with_a_hostile_header_are_one_line(tmp_path, header):
    file = tmp_path / engine_folder.VOCODER
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    folder = SimpleNamespace(path=tmp_path, verify=lambda name: file)
    with pytest.raises(EngineError, match="vocoder.safetensors is damaged|cannot be written as a graph"):
        vocoder_graph.graph_of_folder(folder, vocoders.SMALL["m4"], "vocoder.onnx")
