"""Each key of manifests, checkpoints and settings, replaced by hostile values: it works, or one line says why not.

Here a seeded share; the whole set is tests/fuzz_models.py (`make fuzz`).
"""

import json
import shutil

import mutation_targets as targets
import pytest
from engines import build_engine
from mutations import judged, mutants

import fastsvc
from fastsvc.artifact import engine_folder, manifest_values
from fastsvc.commands.inspect import describe
from fastsvc.engine.cuda import selfcheck
from fastsvc.errors import EngineError


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return build_engine(tmp_path_factory.mktemp("engine"))


@pytest.mark.slow
def test_manifests(engine, tmp_path):
    """Looked at, then opened."""
    path = shutil.copytree(engine, tmp_path / "e.fsvc")
    refused = tried = 0
    for name, use in targets.manifest(path, 60):
        tried += 1
        refused += bool(judged(name, use))
    assert tried == 60 and refused > tried / 3


def test_inspect_and_load_agree(engine, tmp_path):
    """But for the list of files: `inspect` reads all of them, loading those that the device needs."""
    path = shutil.copytree(engine, tmp_path / "e.fsvc")
    whole = json.loads((path / engine_folder.MANIFEST).read_text())
    for name, changed in mutants({key: value for key, value in whole.items() if key != "files"}, 30, seed=3):
        (path / engine_folder.MANIFEST).write_text(json.dumps({"files": whole["files"], **changed}))
        said = [judged(name, lambda: describe(path)), judged(name, lambda: fastsvc.load(path, device="cpu"))]
        assert said[0] is None or said[0] == said[1], (name, said)


@pytest.mark.slow
@pytest.mark.parametrize("name", targets.CHECKPOINTS)
@pytest.mark.sampled(4)
def test_checkpoints(tmp_path, name):
    tried = [judged(told, use) for told, use in targets.CHECKPOINTS[name](tmp_path / "x", 16)]
    assert len(tried) == 16 and any(tried)


@pytest.mark.parametrize("name", targets.SETTINGS)
def test_settings(tmp_path, name):
    tried = [judged(told, use) for told, use in targets.settings(name, tmp_path / "run.yaml", 30)]
    assert len(tried) == 30 and any(tried)


NAMED = {  # what the key's name must be told with
    "acoustic.denoiser.layers": 10**6,
    "acoustic.denoiser.channels": 10**6,
    "acoustic.condition.speakers": 10**9,
    "acoustic.mel.rate_hz": 2**31,
    "acoustic.norm.low": [float("nan")],
    "vocoder.config.mel.rate_hz": 48000,
    "vocoder.config.harmonics": 10**6,
    "content.config.layers": 10**6,
    "input_peak": float("nan"),
    "speaker_f0_hz": [1e38],
    "schedules": {"1000000": [float(i) for i in range(10**6, -1, -1)]},
    "default_steps": -5,
    "levels": [float("inf")],
}


@pytest.mark.slow
@pytest.mark.parametrize("key", NAMED)
def test_the_key_is_named(engine, tmp_path, key):
    path = shutil.copytree(engine, tmp_path / "e.fsvc")
    manifest = json.loads((path / engine_folder.MANIFEST).read_text())
    place = manifest
    *way, last = key.split(".")
    for part in way:
        place = place[part]
    place[last] = NAMED[key]
    (path / engine_folder.MANIFEST).write_text(json.dumps(manifest))
    for use in (describe, fastsvc.load):
        with pytest.raises(EngineError, match=last):
            use(path)


def test_the_fingerprints_of_a_manifest_are_the_self_checks():
    assert manifest_values.FINGERPRINT == selfcheck.PRINTS + 1
