"""The source-filter vocoder's ONNX graphs: the specification through onnxruntime, and plans that TensorRT makes."""

import pytest
import torch
import weights
from test_source_filter_engine import CONFIGS, SMALL, close, excited, specification, voice

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime

from bench import vocoder_folder
from fastsvc.artifact import engine_folder
from fastsvc.build.passes import export
from fastsvc.engine.cpu.source_filter import SourceFilterVocoder
from fastsvc.engine.cpu.vocoder_onnx import OnnxGenerator
from fastsvc.engine.tensorrt import plan_files

SHAPES = [(1, 1), (2, 1), (1, 2), (3, 17), (1, 40)]


@torch.inference_mode()
@pytest.mark.parametrize("name", CONFIGS)
def test_the_graph_is_the_specification(name):
    config = CONFIGS[name]
    model = specification(config)
    graph = OnnxGenerator(model.state_dict(), config)
    for batch, frames in SHAPES:
        mel, f0_hz = voice(config, frames, batch)
        excitation = excited(config, f0_hz)
        close(graph(mel, graph.source(excitation), f0_hz), model(mel, f0_hz, excitation), 5e-5)


@torch.inference_mode()
def test_in_half_it_is_as_near_as_pytorch(tmp_path):
    folder = vocoder_folder.write(tmp_path / "a.fsvc", SMALL, weights.vocoder(SMALL))
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(folder.verify("vocoder_fp16.onnx")), options, providers=providers)
    mel, f0_hz = voice(SMALL, 33, 2)
    excitation = excited(SMALL, f0_hz)
    want = specification(SMALL)(mel, f0_hz, excitation)
    inputs = {"mel": mel, "source": excitation, "f0_hz": f0_hz}
    got = torch.from_numpy(session.run(None, {key: value.numpy() for key, value in inputs.items()})[0])
    peer = SourceFilterVocoder(weights.vocoder(SMALL), SMALL, torch.float16)(mel, excitation, f0_hz)
    allowed = 2 * float((peer - want).square().mean().sqrt())
    assert got.dtype == torch.float32 and 1e-6 < float((got - want).square().mean().sqrt()) <= allowed


def test_weights_are_stored_once_under_the_names_of_modules(tmp_path):
    folder = vocoder_folder.write(tmp_path / "a.fsvc", SMALL, weights.vocoder(SMALL))
    for key in engine_folder.GRAPHS.values():
        file = folder.verify(key)
        onnx.checker.check_model(str(file), full_check=True)
        graph = onnx.load(file, load_external_data=False).graph
        names = [node.name for node in graph.node]
        outside = {tensor.name for tensor in graph.initializer if tensor.external_data}
        assert len(set(names)) == len(names) and outside == set(weights.vocoder(SMALL))
        assert {"enter", "blocks.1.wide", "blocks.0.norm", "leave"} <= set(names)
        assert "DFT" not in {node.op_type for node in graph.node}  # TensorRT has none
        assert file.stat().st_size < 700_000


def test_the_same_bytes_every_time():
    state = weights.vocoder(SMALL)
    assert export.graphs(SMALL, state) == export.graphs(SMALL, dict(reversed(state.items())))


@pytest.mark.slow
@pytest.mark.parametrize("name", engine_folder.GRAPHS.values())
def test_tensorrt_makes_a_plan_of_it(tmp_path, name):
    rtx = pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")
    folder = vocoder_folder.write(tmp_path / "a.fsvc", SMALL, weights.vocoder(SMALL))
    wanted = plan_files.origin(rtx, 89, "0" * 64)
    plan, _ = plan_files.build(rtx, folder.verify(name), SMALL, wanted, ahead=89)
    assert len(plan.code) > 10_000
