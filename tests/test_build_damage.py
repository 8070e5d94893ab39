"""Engine folders that were damaged or changed: seen when they are loaded, and named."""

import json

import engines
import pytest

from fastsvc import load
from fastsvc.artifact import engine_folder
from fastsvc.errors import EngineError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("made"))


def _missing(folder, manifest):
    (folder / engine_folder.WEIGHTS).unlink()


def _cut(folder, manifest):
    data = (folder / engine_folder.WEIGHTS).read_bytes()
    (folder / engine_folder.WEIGHTS).write_bytes(data[:-100])


def _flipped(folder, manifest):
    data = bytearray((folder / engine_folder.WEIGHTS).read_bytes())
    data[-50] ^= 1
    (folder / engine_folder.WEIGHTS).write_bytes(data)


def _linked(folder, manifest):
    (folder / engine_folder.WEIGHTS).rename(folder.parent / "elsewhere")
    (folder / engine_folder.WEIGHTS).symlink_to(folder.parent / "elsewhere")


def _unlisted(folder, manifest):
    manifest["files"].pop(engine_folder.WEIGHTS)


def _newer(folder, manifest):
    manifest["version"] = 99


def _foreign(folder, manifest):
    manifest["format"] = "other"


@pytest.mark.parametrize(
    "damage, part",
    [
        (_missing, "missing"),
        (_cut, "damaged"),
        (_flipped, "sha256"),
        (_linked, "missing"),
        (_unlisted, "list"),
        (_newer, "version 99"),
        (_foreign, "not an engine of fastsvc"),
    ],
)
def test_damage_is_seen_when_loading(made, tmp_path, damage, part):
    import shutil

    copy = tmp_path / "copy.fsvc"
    shutil.copytree(made, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    damage(copy, manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EngineError, match=part) as caught:
        load(copy)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["../manifest.json", "/etc/hostname", "a/../../b", "", ".hidden"])
def test_names_that_leave_the_folder(made, name):
    folder = engine_folder.Artifact(made)
    folder.files[name] = {"bytes": 1, "sha256": ""}
    with pytest.raises(EngineError, match="properly"):
        folder.verify(name)


def test_no_folder_and_broken_manifest(tmp_path):
    with pytest.raises(EngineError, match="no such engine"):
        engine_folder.Artifact(tmp_path / "none.fsvc")
    with pytest.raises(EngineError, match="manifest.json"):
        engine_folder.Artifact(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(EngineError, match="cannot be read"):
        engine_folder.Artifact(tmp_path)
