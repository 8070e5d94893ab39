"""Weights in eight bits: what is stored, what is read again, and what an engine of them is."""

import json
import math

import engines
import golden
import pytest
import torch
from safetensors.torch import load_file, save_file

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.artifact.onnx import vocoder_graph
from fastsvc.build.passes import measure, verify
from fastsvc.commands.inspect import describe
from fastsvc.engine import Engine
from fastsvc.errors import ConfigError, EngineError
from fastsvc.model import packed
from fastsvc.model.stored import half

GENERATOR = torch.Generator().manual_seed(4)
TENSORS = {
    "conv.weight": 0.05 * torch.randn(3, 37, 5, generator=GENERATOR),  # its last group is not full
    "small.weight": 1e-7 * torch.randn(2, 64, generator=GENERATOR),
    "zero.weight": torch.zeros(4, 64),
    "half.weight": torch.randn(8, 64, generator=GENERATOR).half(),
    "conv.bias": torch.randn(100, generator=GENERATOR),
    "tiny.weight": torch.randn(3, 3, generator=GENERATOR),
}


def test_values_are_within_half_a_scale_and_are_stored_the_same_way_again():
    stored = packed.packed(TENSORS)
    read = packed.unpacked(stored)
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert read[name].shape == tensor.shape
        if not packed.is_packed(name, tensor):
            assert read[name] is tensor
            continue
        assert stored[name].dtype == torch.int8 and read[name].dtype == torch.float32
        groups = torch.nn.functional.pad(tensor.float().flatten(), (0, -tensor.numel() % packed.GROUP))
        largest = groups.view(-1, packed.GROUP).abs().amax(1).repeat_interleave(packed.GROUP)[: tensor.numel()]
        assert ((read[name] - tensor).flatten().abs() <= largest / 253 + 1e-30).all()
        assert torch.equal(read[name], packed.rounded(tensor))
    again = packed.packed(read)
    assert all(torch.equal(again[name], value) for name, value in stored.items())


@pytest.mark.parametrize("change", ["lost", "short", "float", "bare", "wide scales", "nan", "inf", "large"])
def test_numbers_and_scales_that_do_not_fit(change):
    stored = packed.packed({"a.weight": TENSORS["conv.weight"]})
    if change == "lost":
        del stored["a.weight"]
    elif change == "short":
        stored["a.weight@scales"] = stored["a.weight@scales"][:-1]
    elif change == "bare":
        del stored["a.weight@scales"]
    elif change in ("nan", "inf", "large"):
        stored["a.weight@scales"][-1] = {"nan": math.nan, "inf": -math.inf, "large": 3e37}[change]
    elif change == "wide scales":
        stored["a.weight@scales"] = stored["a.weight@scales"].float()
    else:
        stored["a.weight"] = stored["a.weight"].float()
    with pytest.raises(ValueError, match=r"a\.weight"):
        packed.unpacked(stored)


def test_tensors_without_values_and_of_full_groups_alone():
    empty = {"a.weight": torch.zeros(0, 3, dtype=torch.int8), "a.weight@scales": torch.zeros(0, dtype=torch.bfloat16)}
    assert packed.unpacked(empty)["a.weight"].shape == (0, 3)
    whole = torch.randn(2, 64, generator=GENERATOR)
    assert torch.equal(packed.unpacked(packed.packed({"a.weight": whole}))["a.weight"], packed.rounded(whole))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder of the checkpoints, engine in float32, the same one in eight bits, lines of its build)"""
    folder, lines = tmp_path_factory.mktemp("packed"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS_OF_AUDIO", {"denoiser": 0.1, "vocoder": 0.01})
        whole = engines.build_engine(folder, steps=(1,), target="cpu", vocoder_backend="torch", progress=lines.append)
        small = build.compile(
            folder / "student.pt",
            folder / "small.fsvc",
            vocoder=folder / "vocoder.pt",
            content=folder / "recogniser.pt",
            steps=(1,),
            precision="fp16",
            store="int8",
            progress=lines.append,
        )
    return folder, whole, small, lines


def test_an_engine_in_eight_bits(built):
    _, whole, small, _ = built
    manifest = json.loads((small / "manifest.json").read_text())
    assert (manifest["precision"], manifest["store"]) == ("fp16", "int8")
    assert all(1e-3 < manifest["verified"][part] < verify.LARGEST for part in ("acoustic", "vocoder", "content"))
    assert "precision    fp16, weights stored in eight bits\n" in describe(small)
    assert "weights stored" not in describe(whole)
    files = engine_folder.WEIGHTS, engine_folder.VOCODER, engine_folder.CONTENT
    sizes = [sum((path / name).stat().st_size for name in files) for path in (small, whole)]
    assert sizes[0] < 0.5 * sizes[1]
    features = torch.randn(45, 6), torch.full((45,), 200.0), torch.rand(45)
    rounded, exact = (Engine.open(path, device="cpu").synthesise(*features, 1)[0] for path in (small, whole))
    assert 1e-4 < golden.relative_rms(torch.as_tensor(rounded), torch.as_tensor(exact)) < 0.1


def test_older_engines_are_read_as_before(built, tmp_path):
    """A manifest without the key is that of an engine before it existed."""
    _, whole, _, _ = built
    before = engine_folder.Artifact(whole)
    raw = {key: value for key, value in before.raw_manifest.items() if key not in ("store", "files")}
    older = tmp_path / "older.fsvc"
    engine_folder.write(older, raw, {name: before.bytes(name) for name in before.files})
    opened = engine_folder.Artifact(older)
    assert "store" not in opened.raw_manifest and opened.manifest.store == "float"
    tensors = [folder.tensors(engine_folder.WEIGHTS) for folder in (before, opened)]
    assert all(torch.equal(tensors[1][name], value) for name, value in tensors[0].items())


def test_a_program_that_does_not_know_them_refuses_them(built, monkeypatch):
    """As before packing existed: the names of the scales do not fit the configuration."""
    monkeypatch.setattr(packed, "unpacked", lambda stored: stored)
    with pytest.raises(EngineError, match="weights.safetensors does not fit: .*@scales"):
        Engine.open(built[2], device="cpu")


def test_damaged_scales_are_one_line(built, tmp_path):
    _, _, small, _ = built
    folder = engine_folder.Artifact(small)
    tensors = load_file(small / engine_folder.VOCODER)
    name = next(key for key in tensors if key.endswith(packed.SCALES))
    tensors[name] = tensors[name][1:].clone()
    save_file(tensors, tmp_path / "damaged")
    raw = {key: value for key, value in folder.raw_manifest.items() if key != "files"}
    content = {key: folder.bytes(key) for key in folder.files}
    content[engine_folder.VOCODER] = (tmp_path / "damaged").read_bytes()
    engine_folder.write(tmp_path / "damaged.fsvc", raw, content)
    with pytest.raises(EngineError, match=r"vocoder\.safetensors cannot be read: .* numbers and .* scales"):
        Engine.open(tmp_path / "damaged.fsvc", device="cpu")


def test_graphs_are_left_out_where_nothing_could_read_them(built):
    _, whole, small, lines = built
    assert not {*engine_folder.GRAPHS.values()} & {*engine_folder.Artifact(whole).files}
    assert not {*engine_folder.GRAPHS.values()} & {*engine_folder.Artifact(small).files}
    reasons = [line for line in lines if line.startswith("export: no graphs")]
    assert len(reasons) == 2 and reasons[0].endswith("backend torch") and reasons[1].endswith("int8")
    assert "fastsvc writes its own" in describe(whole)
    assert "none, as they would read weights stored in eight bits" in describe(small)
    folder = engine_folder.Artifact(whole)
    assert vocoder_graph.graph_of_folder(
        folder, folder.manifest.vocoder.config, "vocoder.onnx"
    )  # on a GPU, by TensorRT
    folder = engine_folder.Artifact(small)
    with pytest.raises(EngineError, match=r"int8, which .* graph cannot read .*build it again without --store"):
        vocoder_graph.graph_of_folder(folder, folder.manifest.vocoder.config, "vocoder.onnx")


def test_parts_of_such_an_engine_are_parts_of_another(built, tmp_path):
    folder, _, small, _ = built
    options = {"vocoder": small, "content": small, "precision": "fp16", "store": "int8"}
    again = build.compile(folder / "student.pt", tmp_path / "again.fsvc", steps=(1,), target="cpu", **options)
    for name in (engine_folder.VOCODER, engine_folder.CONTENT):
        assert (again / name).read_bytes() == (small / name).read_bytes()


def test_stores_that_do_not_exist(tmp_path):
    for options, why in (
        ({"store": "int4"}, "int4"),
        ({"store": "int8", "precision": "bf16"}, "bf16 stores its own weights"),
        ({"store": "int8", "vocoder_backend": "tensorrt"}, "tensorrt reads stored weights, and cannot read int8"),
    ):
        with pytest.raises(ConfigError, match=why):
            build.compile(tmp_path / "none.pt", **options)


def test_what_is_stored_in_half():
    """Matrices by name, unless their values do not fit; vectors, and what has no values, stay."""
    stored_as = {
        ("condition.units", 1.0): torch.float16,
        ("conv.weight", 1.0): torch.float16,
        ("conv.weight", 6.1e4): torch.float32,
        ("steps.vectors", 1.0): torch.float32,
    }
    assert {(name, value): half(name, torch.full((2, 3), value)).dtype for name, value in stored_as} == stored_as
    assert half("conv.weight", torch.ones(3)).dtype == half("conv.weight", torch.ones(0, 3)).dtype == torch.float32
