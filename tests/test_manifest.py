"""Engine folders whose manifest was written by somebody else, or before this version: served, or one clear line."""

import json
import shutil
from pathlib import Path

import pytest
from test_voices import voice

import fastsvc
from fastsvc import build
from fastsvc.artifact import bundled, engine_folder
from fastsvc.artifact.manifest import Manifest
from fastsvc.artifact.manifest_values import fault
from fastsvc.checkpoints import read
from fastsvc.commands.inspect import describe
from fastsvc.errors import CheckpointError, EngineError


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return voice(tmp_path_factory.mktemp("voice"), "diffusion_svc", speaker_f0="1:220")


def changed(engine, folder, **values):
    shutil.copytree(engine, folder)
    manifest = json.loads((folder / engine_folder.MANIFEST).read_text())
    for key, value in values.items():
        manifest.pop(key) if value is KeyError else manifest.update({key: value})
    (folder / engine_folder.MANIFEST).write_text(json.dumps(manifest))
    return folder


ORIGIN = {"file": "a.pt", "format": "fastsvc", "kind": "student", "step": 1}
WRONG = {
    "sampler": (5, None),
    "depth": ("x", True),
    "default_steps": ("x", 77),
    "speakers": (5, [1, 2, 3], [], None),
    "speaker_base": ("x", 1.5),
    "speaker_f0_hz": ("abc", 5, ["a"]),
    "input_peak": ("x",),
    "precision": (3,),
    "schedules": ({}, {"1": []}, {"2": [999.0, 2.0, 5.0]}, [1], {"x": [1.0]}),
    "levels": (["x"], None, 3),
    "vocoder": (5, {"config": {}}, {"config": 3, "source": {}}),
    "content": (5, {"kind": ["a"], "config": {}}),
    "index": (5, {"file": "a", "sha256": "0", "vectors": 1, "lists": 1}),
    "source": ({}, 3, ORIGIN | {"encoder": []}, ORIGIN | {"encoder": 0}, ORIGIN | {"encoder": "a" * 1001}),
    "store": ("int4", None, ["int8"], 8),
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in WRONG.items() for value in values])
def test_a_wrong_value_is_named(engine, tmp_path, key, value):
    path = changed(engine, tmp_path / "e.fsvc", **{key: value})
    for use in (fastsvc.load, describe):
        with pytest.raises(EngineError, match=key):
            use(path)


def test_parts_that_do_not_fit_their_configuration(engine, tmp_path):
    manifest = json.loads((engine / engine_folder.MANIFEST).read_text())
    for part in ("vocoder", "content"):
        size = {"vocoder": "initial_channels", "content": "hidden"}[part]
        whole = manifest[part]["config"]
        kept = {**manifest[part], "config": {**whole, size: 2 * whole[size]}}
        path = changed(engine, tmp_path / f"{part}.fsvc", **{part: kept})
        with pytest.raises(EngineError, match=f"{part}.safetensors does not fit"):
            fastsvc.load(path)
        with pytest.raises(CheckpointError, match="does not fit its configuration"):
            voice(tmp_path / f"of {part}", "sovits", **{part: path})
    foreign = {**manifest["vocoder"], "config": {}}  # the defaults, of another rate
    path = changed(engine, tmp_path / "rate.fsvc", vocoder=foreign)
    with pytest.raises(EngineError, match="vocoder.config.mel.rate_hz of 24000, but acoustic.mel.rate_hz is 44100"):
        fastsvc.load(path)
    path = changed(engine, tmp_path / "names.fsvc", speakers=["one"])
    with pytest.raises(EngineError, match="1 names for 3 speakers"):
        fastsvc.load(path)


def test_manifests_of_older_versions(engine, tmp_path):
    """Without the keys that have come since, their meaning of then holds."""
    path = changed(engine, tmp_path / "e.fsvc", default_steps=KeyError, depth=KeyError, speaker_f0_hz=KeyError)
    assert fastsvc.load(path).default_steps == 3 and "speakers     3, ids from 1" in describe(path)


def test_an_engine_is_no_checkpoint(engine, tmp_path):
    with pytest.raises(CheckpointError, match="is an engine, which is built already"):
        build.compile(engine, tmp_path / "e.fsvc", progress=None)
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / engine_folder.MANIFEST).write_text("[" * 200_000)
    assert not engine_folder.is_engine(deep)
    with pytest.raises(EngineError, match="cannot be read"):
        fastsvc.load(deep)


def test_the_folder_of_a_combo(tmp_path):
    import formats

    formats.diffusion_svc(tmp_path / "x", combo=True)
    assert read(tmp_path / "x").format == "diffusion_svc"


def test_an_older_manifest_says_what_it_left_unsaid():
    """The bundled voices' first manifest, before GPUs, backends and shallow diffusion had keys in it."""
    stated = json.loads((Path(__file__).parent / "data" / "manifests" / "2026-11-23.json").read_text())
    assert not {"gpu_precision", "default_steps", "depth"} & stated.keys() and fault(stated) is None
    read = Manifest.of(stated)
    assert (read.gpu_precision, read.default_steps, read.sampling.depth) == (stated["precision"], 1, None)
    assert (read.vocoder.backend, read.vocoder.cpu_backend, read.vocoder.unvoiced_f0) == ("auto", "torch", "zero")
    gone = {**stated, "vocoder": {**stated["vocoder"], "backend": "tensorrt_rtx_polyphase"}}
    assert fault(gone) is None and Manifest.of(gone).vocoder.backend == "tensorrt_rtx"
    assert read.content.kind == "recogniser" and read.speakers == tuple(stated["speakers"])
    precise = Manifest.of({**stated, "precision": "bf16"})
    assert precise.gpu_precision == "bf16" and Manifest.of({**stated, "gpu_precision": "fp32"}).gpu_precision == "fp32"


def test_what_is_written_is_what_was_read():
    stated = json.loads((bundled.VOICES / engine_folder.MANIFEST).read_text())
    stated = {"index": None, "default_speaker": None, "store": "float"} | stated
    kept = {key: stated[key] for key in ("format", "version", "fastsvc", "files")}
    assert json.loads(json.dumps(Manifest.of(stated).to_dict())) | kept == stated
