"""The index on its way from a file through the compiler and the engine folder into a recording's features."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import engines
import faiss_files
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.artifact.content_hash import content_hash
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.artifact.manifest import IndexPart, Manifest, Sampling, TensorOrigin
from fastsvc.build.passes import index as index_pass
from fastsvc.build.plan import BuildPlan, ReadPlan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config.rvc import RvcConfig
from fastsvc.engine import rvc_front
from fastsvc.engine.parts import Model
from fastsvc.engine.request import Request
from fastsvc.errors import CheckpointError, EngineError
from fastsvc.files import sha256

V2 = faiss_files.added(768)
CONFIG = RvcConfig(speakers=1)


def checkpoint(**changes) -> Checkpoint:
    values = {"path": Path("Voice.pth"), "format": "rvc", "kind": "rvc", "config": CONFIG, "tensors": {}}
    return Checkpoint(**values | changes)


def read_plan(index_path=None, said=None, **found) -> ReadPlan:
    say = (lambda line: None) if said is None else said.append
    plan = BuildPlan(checkpoint=Path("Voice.pth"), out=Path("v.fsvc"), index_path=index_path, say=say)
    acoustic = checkpoint(**found)
    return plan.then(ReadPlan, acoustic=acoustic, index=index_pass.read(plan, acoustic))


def written(folder: Path, plan: ReadPlan) -> Path:
    """An engine folder with the index and the manifest of a voice, but without networks."""
    manifest = Manifest(
        source=TensorOrigin("Voice.pth", "rvc", "rvc", 0),
        acoustic=CONFIG,
        speakers=("Voice",),
        sampling=Sampling("rvc", {1: [CONFIG.noise_scale]}, [CONFIG.noise_scale]),
        default_steps=1,
        index=index_pass.part(plan),
    )
    return engine_folder.write(folder, manifest.to_dict(), index_pass.tensors(plan))


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return written(tmp_path_factory.mktemp("voice") / "v.fsvc", read_plan(V2))


def test_the_named_index_comes_before_the_one_that_was_found(tmp_path):
    other = shutil.copy(V2, tmp_path / "other.index")
    said: list[str] = []
    assert read_plan(said=said).index is None and read_plan(Path("none"), index=V2).index is None and not said
    assert read_plan(index=V2, said=said).index.file == V2.name
    assert said == [f"read: index {V2.name}, 120 units in 3 lists"]
    assert read_plan(Path(other), index=tmp_path / "missing.index").index.file == "other.index"


def test_the_index_must_fit_the_voice(tmp_path):
    with pytest.raises(CheckpointError, match=r"of 256 channels \(RVC v1\), and the voice takes units of 768"):
        read_plan(faiss_files.added(256))
    student = engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC)
    with pytest.raises(CheckpointError, match=r"student.pt is a student, and an index belongs to .*omit --index"):
        build.compile(student, tmp_path / "e.fsvc", index=V2, progress=None)
    assert not (tmp_path / "e.fsvc").exists()


def test_the_engine_folder(voice):
    folder = Artifact(voice)
    assert folder.manifest.index == IndexPart(V2.name, sha256(V2), 120, 3)
    assert Manifest.of(folder.raw_manifest) == folder.manifest
    assert (voice / engine_folder.INDEX).stat().st_size < 120 * 768 * 2 + 3 * 768 * 4 + 1000
    with np.load(faiss_files.GOLDEN[768] / "search.npz") as golden:
        found = Model.of(folder).retrieval("cpu").blend(torch.from_numpy(golden["queries"]).float(), 0.5, "nprobe")
        torch.testing.assert_close(found, torch.from_numpy(golden["blend_0.5"]), rtol=0, atol=3e-6)


def test_engines_without_an_index(voice, tmp_path):
    """Those built before there was one, too, whose manifests do not have the key."""
    path = written(tmp_path / "v.fsvc", read_plan())
    raw = Artifact(path).raw_manifest
    assert raw["index"] is None and not (path / engine_folder.INDEX).exists()
    assert Model.of(Artifact(path)).retrieval("cpu") is None
    older = {key: value for key, value in raw.items() if key != "index"}
    assert Manifest.of(older) == Manifest.of(raw)
    assert content_hash(older) == content_hash(raw) != content_hash(Artifact(voice).raw_manifest)


def test_an_engine_with_an_index_is_replaced(voice, tmp_path):
    """Its files are known as an engine's, also where the manifest does not list them."""
    path = shutil.copytree(voice, tmp_path / "v.fsvc")
    raw = json.loads((path / engine_folder.MANIFEST).read_text())
    (path / engine_folder.MANIFEST).write_text(json.dumps(raw | {"files": {}, "index": None}))
    engine_folder.refuse_existing(path, force=True)


WRONG = [5, {}, {"file": "a"}, {"file": 5, "sha256": "0", "vectors": 1, "lists": 1}]
WRONG += [{"file": "a", "sha256": "0", "vectors": v, "lists": n} for v, n in ((0, 1), (1, 0), (2**21, 1), ("1", 1))]
WRONG += [{"file": "a", "sha256": "0", "vectors": True, "lists": 1}]


@pytest.mark.parametrize("entry", WRONG)
def test_wrong_entries(voice, tmp_path, entry):
    path = shutil.copytree(voice, tmp_path / "v.fsvc")
    raw = json.loads((path / engine_folder.MANIFEST).read_text())
    (path / engine_folder.MANIFEST).write_text(json.dumps(raw | {"index": entry}))
    with pytest.raises(EngineError, match="has a wrong index"):
        Artifact(path)


def test_an_index_of_another_kind_of_voice(tmp_path):
    path = engines.build_engine(tmp_path)
    raw = json.loads((path / engine_folder.MANIFEST).read_text())
    entry = {"file": "a", "sha256": "0", "vectors": 1, "lists": 1}
    (path / engine_folder.MANIFEST).write_text(json.dumps(raw | {"index": entry}))
    with pytest.raises(EngineError, match="has an index, which only voices of RVC use"):
        Artifact(path)


def _shorter(tensors):
    tensors["vectors"] = tensors["vectors"][:-1].clone()


DAMAGES = {
    "a vector too few": (_shorter, "shapes"),
    "single precision": (lambda t: t.update(vectors=t["vectors"].float()), "types"),
    "no centroids": (lambda t: t.pop("centroids"), "names"),
    "a negative size": (lambda t: t["list_sizes"].copy_(torch.tensor([-1, 98, 23])), "list_sizes"),
    "sizes of another sum": (lambda t: t["list_sizes"].add_(1), "list_sizes"),
    "NaN": (lambda t: t["vectors"][5].fill_(float("nan")), "values"),
    "an infinite centroid": (lambda t: t["centroids"][0].fill_(float("inf")), "values"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_tensors_of_a_stranger(voice, tmp_path, name):
    damage, said = DAMAGES[name]
    path = shutil.copytree(voice, tmp_path / "v.fsvc")
    tensors = load_file(path / engine_folder.INDEX)
    damage(tensors)
    save_file(tensors, path / engine_folder.INDEX)
    raw = json.loads((path / engine_folder.MANIFEST).read_text())
    file = path / engine_folder.INDEX
    raw["files"][engine_folder.INDEX] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    (path / engine_folder.MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(EngineError, match=f"index.safetensors does not fit the manifest: .*{said}"):
        Model.of(Artifact(path)).retrieval("cpu")


def test_a_changed_file_is_refused(voice, tmp_path):
    path = shutil.copytree(voice, tmp_path / "v.fsvc")
    with (path / engine_folder.INDEX).open("r+b") as file:
        file.seek(-7, 2)
        file.write(b"\1")
    with pytest.raises(EngineError, match="index.safetensors is damaged"):
        Model.of(Artifact(path)).retrieval("cpu")


# Features. -----------------------------------------------------------------------------------------------------------


class Encoder:
    """Units that lie between the voice's own."""

    rate_hz, hop_samples = 16000, 320

    def encode(self, audio):
        chance = torch.Generator().manual_seed(0)
        return torch.randn((len(audio) - 80) // 320, 768, generator=chance)


def opened(voice, **changes):
    """What rvc_front.features needs of an engine."""
    model = Model.of(Artifact(voice))
    manifest = SimpleNamespace(vocoder=SimpleNamespace(unvoiced_f0="zero"))
    parts = {"index": model.retrieval("cpu"), "encoder": Encoder(), "manifest": manifest, "path": voice}
    return SimpleNamespace(**{"config": model.acoustic, "device": "cpu", **parts, **changes})


def features(engine, **options):
    audio = (0.3 * np.sin(2 * np.pi * 220 * np.arange(8000) / 16000)).astype(np.float32)
    return rvc_front.features(engine, audio, 16000, Request("Voice", f0_method="yin", **options))


def test_features_with_an_index(voice):
    """By default three quarters of an exact search, protected, as RVC's page has it."""
    engine = opened(voice)
    made, plain = features(engine), features(engine, index_rate=0.0)
    assert made.original_units is not None and torch.equal(made.original_units, plain.units)
    assert torch.equal(made.units, engine.index.blend(plain.units, 0.75, "exact")) and made.protect == 0.33
    assert not torch.equal(made.units, plain.units)
    asked = features(engine, index_rate=1.0, index_search="nprobe", protect=0.1)
    assert torch.equal(asked.units, engine.index.found(plain.units, "nprobe")) and asked.protect == 0.1
    assert not torch.equal(asked.units, engine.index.found(plain.units, "exact"))
    assert torch.equal(asked.unit_indices, plain.unit_indices) and torch.equal(asked.f0_hz, plain.f0_hz)


def test_features_without_the_index(voice):
    """At rate 0 as in an engine without one: no unit is changed, and there is nothing to protect."""
    plain, without = features(opened(voice), index_rate=0.0), features(opened(voice, index=None))
    for made in (plain, without):
        assert made.original_units is None and made.protect == 0.5
    assert torch.equal(plain.units, without.units)
    with pytest.raises(EngineError, match=r"holds no index.*--index-rate.*build the engine again with --index"):
        features(opened(voice, index=None), index_rate=0.5)
    assert torch.equal(features(opened(voice, index=None), index_rate=0.0).units, plain.units)
