"""Building TensorRT's plans by the real package, without a GPU: plans, files, graphs and shapes that are wrong."""

import contextlib
import types

import pytest
import torch
import vocoders

pytest.importorskip("onnx")

import itertools

import onnx

from fastsvc.artifact import engine_folder, listing
from fastsvc.engine.cuda.generators import tensorrt_backend
from fastsvc.engine.tensorrt import plan_files, trt_packages
from fastsvc.errors import EngineError


@pytest.fixture(scope="module")
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="the package tensorrt-rtx-cu13 is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = vocoders.generator(vocoders.SMALL["m4"])
    return vocoders.folder(tmp_path_factory.mktemp("trt") / "a.fsvc", model)


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
        assert reader.seen == {name: right.bytes(name) for name in ("vocoder_fp16.onnx", engine_folder.VOCODER)}
        names.add(generator.origin.name)
    assert len(names) == 1


def origin(rtx, graph="0" * 64):
    return plan_files.origin(rtx, 89, graph)


def build(rtx, folder, name="vocoder_fp16.onnx", config=vocoders.SMALL["m4"], **options):
    wanted = origin(rtx, tensorrt_backend.graph_hash(folder, folder.bytes(name)))
    return plan_files.build(rtx, folder.verify(name), config, wanted, **{"ahead": 89, **options})[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", engine_folder.GRAPHS.values())
@pytest.mark.sampled(2)
def test_a_plan_and_its_file(rtx, folder, name):
    plan = build(rtx, folder, name)
    assert len(plan.code) > 10_000 and plan.seconds > 0
    again = plan_files.read(plan.content(), plan.origin)
    assert again.code == plan.code and again.origin == plan.origin


@pytest.mark.slow
@pytest.mark.parametrize("name", vocoders.SMALL)
@pytest.mark.sampled(4)
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
    (tmp_path / engine_folder.VOCODER).write_bytes((folder.path / engine_folder.VOCODER).read_bytes())
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
