"""The index on its way from a file through the compiler and the engine folder into a recording."""

import json
import shutil
from pathlib import Path

import engines
import faiss_files
import numpy as np
import pytest
import rvc_engines
import torch
from safetensors.torch import load_file, save_file

import fastsvc
from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.artifact.content_hash import content_hash
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.artifact.manifest import IndexPart, Manifest
from fastsvc.build.passes import index as index_pass
from fastsvc.build.plan import BuildPlan
from fastsvc.checkpoints import Checkpoint
from fastsvc.config.rvc import RvcConfig
from fastsvc.engine import rvc_front
from fastsvc.engine.parts import Model
from fastsvc.engine.request import Request
from fastsvc.errors import CheckpointError, EngineError
from fastsvc.files import sha256

V1, V2 = faiss_files.added(256), faiss_files.added(768)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return rvc_engines.build_engine(tmp_path_factory.mktemp("rvc"), index=V1)


@pytest.fixture(scope="module")
def engine(voice):
    return fastsvc.load(voice, device="cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same voice without the index."""
    folder = tmp_path_factory.mktemp("plain")
    return fastsvc.load(rvc_engines.build_engine(folder, index="none"), device="cpu")


def chosen(index_path=None, said=None, **found):
    """The index of a voice of version 2 that a build would take."""
    say = (lambda line: None) if said is None else said.append
    plan = BuildPlan(checkpoint=Path("Voice.pth"), out=Path("v.fsvc"), index_path=index_path, say=say)
    return index_pass.read(plan, Checkpoint(Path("Voice.pth"), "rvc", "rvc", RvcConfig(), {}, **found))


def test_the_named_index_comes_before_the_one_that_was_found(tmp_path):
    other = shutil.copy(V2, tmp_path / "other.index")
    said: list[str] = []
    assert chosen(said=said) is None and chosen(Path("none"), index=V2) is None and not said
    assert chosen(index=V2, said=said).file == V2.name
    assert said == [f"read: index {V2.name}, 120 units in 3 lists"]
    assert chosen(Path(other), index=tmp_path / "missing.index").file == "other.index"


def test_the_index_must_fit_the_voice(tmp_path):
    said = r"of 256 channels \(RVC v1\), and the voice takes units of 768.*; without an index: --index none"
    for path, found in ((V1, None), (None, V1)):
        with pytest.raises(CheckpointError, match=said):
            chosen(path, index=found)
    student = engines.native(tmp_path / "student.pt", "student", engines.ACOUSTIC)
    with pytest.raises(CheckpointError, match=r"student.pt is a student, and an index belongs to .*omit --index"):
        build.compile(student, tmp_path / "e.fsvc", index=V1, progress=None)
    assert not (tmp_path / "e.fsvc").exists()


def test_the_engine_folder(voice):
    folder = Artifact(voice)
    assert folder.manifest.index == IndexPart(V1.name, sha256(V1), 300, 7)
    assert Manifest.of(folder.raw_manifest) == folder.manifest
    assert (voice / engine_folder.INDEX).stat().st_size < 300 * 256 * 2 + 7 * 256 * 4 + 1000
    with np.load(faiss_files.GOLDEN[256] / "search.npz") as golden:
        found = Model.of(folder).retrieval("cpu").blend(torch.from_numpy(golden["queries"]).float(), 0.5, "nprobe")
        torch.testing.assert_close(found, torch.from_numpy(golden["blend_0.5"]), rtol=0, atol=3e-6)


def test_engines_without_an_index(engine, plain):
    """Those built before there was one, too, whose manifests do not have the key."""
    raw = Artifact(plain.path).raw_manifest
    assert raw["index"] is None and not (plain.path / engine_folder.INDEX).exists()
    older = {key: value for key, value in raw.items() if key != "index"}
    assert Manifest.of(older) == Manifest.of(raw)
    assert content_hash(older) == content_hash(raw) == plain.content_hash != engine.content_hash


def changed(voice, folder, **values):
    shutil.copytree(voice, folder)
    raw = json.loads((folder / engine_folder.MANIFEST).read_text())
    (folder / engine_folder.MANIFEST).write_text(json.dumps(raw | values))
    return folder


def test_an_engine_with_an_index_is_replaced(voice, tmp_path):
    """Its file is known as an engine's, also where the manifest does not list it."""
    engine_folder.refuse_existing(changed(voice, tmp_path / "v.fsvc", files={}, index=None), force=True)


WRONG = [5, {}, {"file": "a"}, {"file": 5, "sha256": "0", "vectors": 1, "lists": 1}]
WRONG += [{"file": "a", "sha256": "0", "vectors": v, "lists": n} for v, n in ((0, 1), (1, 0), (2**21, 1), ("1", 1))]
WRONG += [{"file": "a", "sha256": "0", "vectors": True, "lists": 1}]


@pytest.mark.parametrize("entry", WRONG)
def test_wrong_entries(voice, tmp_path, entry):
    with pytest.raises(EngineError, match="has a wrong index"):
        Artifact(changed(voice, tmp_path / "v.fsvc", index=entry))


def _shorter(tensors):
    tensors["vectors"] = tensors["vectors"][:-1].clone()


DAMAGES = {
    "a vector too few": (_shorter, "shapes"),
    "single precision": (lambda t: t.update(vectors=t["vectors"].float()), "types"),
    "no centroids": (lambda t: t.pop("centroids"), "names"),
    "a negative size": (lambda t: t["list_sizes"].copy_(torch.tensor([-1, 48, 44, 4, 27, 116, 62])), "list_sizes"),
    "sizes of another sum": (lambda t: t["list_sizes"].add_(1), "list_sizes"),
    "NaN": (lambda t: t["vectors"][5].fill_(float("nan")), "values"),
    "an infinite centroid": (lambda t: t["centroids"][0].fill_(float("inf")), "values"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_tensors_of_a_stranger(voice, tmp_path, name):
    damage, said = DAMAGES[name]
    path = shutil.copytree(voice, tmp_path / "v.fsvc")
    file = path / engine_folder.INDEX
    tensors = load_file(file)
    damage(tensors)
    save_file(tensors, file)
    raw = json.loads((path / engine_folder.MANIFEST).read_text())
    raw["files"][file.name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    (path / engine_folder.MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(EngineError, match=f"index.safetensors does not fit the manifest: .*{said}"):
        fastsvc.load(path, device="cpu")


def test_a_changed_file_is_refused(voice, tmp_path):
    path = shutil.copytree(voice, tmp_path / "v.fsvc")
    with (path / engine_folder.INDEX).open("r+b") as file:
        file.seek(-7, 2)
        file.write(b"\1")
    with pytest.raises(EngineError, match="index.safetensors is damaged"):
        fastsvc.load(path, device="cpu")


AUDIO = (0.3 * np.sin(2 * np.pi * 220 * np.arange(8000) / 16000) * (np.arange(8000) < 4000)).astype(np.float32)


def features(engine, **options):
    return rvc_front.features(engine, AUDIO, 16000, Request(0, f0_method="yin", **options))


def test_features_with_an_index(engine):
    """By default three quarters of an exact search, protected, as RVC's page has it."""
    made, plain = features(engine), features(engine, index_rate=0.0)
    assert made.original_units is not None and torch.equal(made.original_units, plain.units)
    assert torch.equal(made.units, engine.index.blend(plain.units, 0.75, "exact")) and made.protect == 0.33
    assert not torch.equal(made.units, plain.units)
    asked = features(engine, index_rate=1.0, index_search="nprobe", protect=0.1)
    assert torch.equal(asked.units, engine.index.found(plain.units, "nprobe")) and asked.protect == 0.1
    assert not torch.equal(asked.units, engine.index.found(plain.units, "exact"))
    assert torch.equal(asked.unit_indices, plain.unit_indices) and torch.equal(asked.f0_hz, plain.f0_hz)


def test_features_without_the_index(engine, plain):
    """At rate 0 as in an engine without one: no unit is changed, and there is nothing to protect."""
    untouched, without = features(engine, index_rate=0.0), features(plain)
    for made in (untouched, without):
        assert made.original_units is None and made.protect == 0.5
    assert torch.equal(untouched.units, without.units)
    assert torch.equal(features(plain, index_rate=0.0).units, without.units)


def converted(engine, **options):
    return engine.convert(AUDIO, 16000, 0, f0_method="yin", **options)[0]


def test_conversions(engine, plain):
    """Each option of the index changes the result, the defaults are RVC's, and rate 0 is a build without it."""
    whole = converted(engine)
    assert np.array_equal(whole, converted(engine, index_rate=0.75, protect=0.33, index_search="exact"))
    for options in ({"index_rate": 0.5}, {"protect": 0.5}, {"index_search": "nprobe"}, {"index_rate": 0.0}):
        assert not np.allclose(whole, converted(engine, **options), atol=1e-6), options
    # the two builds may have measured another backend of the vocoder as the fastest
    np.testing.assert_allclose(converted(plain), converted(engine, index_rate=0.0), rtol=0, atol=1e-5)
    with pytest.raises(EngineError, match=r"holds no index.*--index-rate.*build the engine again with --index"):
        converted(plain, index_rate=0.5)
