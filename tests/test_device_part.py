"""What engines keep for a device in their folder: whole or not at all, whoever else is at it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from device_folders import MANIFEST, engine, snapshot

from fastsvc.artifact import device_part, engine_folder, listing, seal
from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.errors import EngineError, OutputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    return Artifact(engine(tmp_path / "a.fsvc"))


def test_kept_in_the_engines_folder_and_listed(folder, cache):
    before, part = folder.identity(), DevicePart(folder, "sm_90")
    assert part.read("kernels.json") is None
    assert part.add({"kernels.json": b"{}", "a.cubin": b"code"}) == folder.path
    again = Artifact(folder.path)
    for one in (part, DevicePart(again, "sm_90")):
        assert one.read("kernels.json") == b"{}" and one.read("a.cubin") == b"code" and one.read("b.cubin") is None
    assert DevicePart(again, "cpu").read("a.cubin") is None
    size, digest = (folder.path / "sm_90/a.cubin").stat().st_size, engine_folder.sha256(folder.path / "sm_90/a.cubin")
    assert again.files["sm_90/a.cubin"] == {"bytes": size, "sha256": digest}
    assert again.identity() == folder.identity() == before and not (cache / "engines").exists()
    assert again.manifest.speakers == ("Ada",) and again.bytes("weights.safetensors") == b"weights"
    assert DevicePart(folder, "cpu").add({"choices.json": b"1"}) == folder.path
    (folder.path / "sm_90" / "a.cubin").write_bytes(b"cod3")
    with pytest.raises(EngineError, match="damaged"):
        part.read("a.cubin")


def planted(folder, name, content):
    """As a stranger's engine has it: listed with the right hash, under no seal of this user's."""
    folder.add({name: content})
    return DevicePart(Artifact(folder.path), "sm_90")


def test_what_a_stranger_put_into_the_folder_counts_as_not_made(folder):
    """Also what an earlier fastsvc left there, which sealed plans alone: it is made anew and takes the place."""
    part = planted(folder, "sm_90/kernels.json", b"{}")
    with pytest.warns(UserWarning, match="sm_90/kernels.json is not used, and is made again: it was not made by this"):
        assert part.read("kernels.json") is None
    assert part.has("kernels.json") and not part.has("other.json")
    part.add({"kernels.json": b"own"})
    assert part.read("kernels.json") == DevicePart(Artifact(folder.path), "sm_90").read("kernels.json") == b"own"


def test_what_is_sealed_cannot_be_moved(folder, tmp_path):
    """To another name, device or engine, though the key is the same."""
    DevicePart(folder, "sm_90").add({"a.cubin": b"code"})
    sealed = folder.bytes("sm_90/a.cubin")
    other = Artifact(engine(tmp_path / "other.fsvc", speakers=["Bert"]))
    for one, name in ((folder, "sm_90/b.cubin"), (folder, "sm_80/a.cubin"), (other, "sm_90/a.cubin")):
        one.add({name: sealed})
        device, inner = name.split("/")
        with pytest.warns(UserWarning, match=f"{name} is not used"):
            assert DevicePart(one, device).read(inner) is None


def test_what_is_built_for_a_device_is_sealed_for_the_engine_that_is_written(tmp_path, monkeypatch):
    given = {"sm_90/a.cubin": b"code", "weights.safetensors": b"weights"}
    folder = Artifact(engine_folder.write(tmp_path / "a.fsvc", {**MANIFEST, "depths": {1: (2, 0.1)}}, given))
    assert DevicePart(folder, "sm_90").read("a.cubin") == b"code" and list(folder.files) == list(given)
    monkeypatch.setenv(seal.VARIABLE, "another machine's words")
    with pytest.warns(UserWarning, match="FASTSVC_KEY lets one machine use another's"):
        assert DevicePart(folder, "sm_90").read("a.cubin") is None


def test_who_has_opened_it_before_still_reads_what_was_there(folder):
    DevicePart(folder, "sm_90").add({"kernels.json": b"old", "a.cubin": b"same"})
    reader = Artifact(folder.path)
    names = set(snapshot(folder.path))
    DevicePart(folder, "sm_90").add({"kernels.json": b"new", "a.cubin": b"same"})
    assert reader.bytes("sm_90/kernels.json").endswith(b"old")
    assert Artifact(folder.path).bytes("sm_90/kernels.json").endswith(b"new")
    assert folder.bytes("sm_90/kernels.json").endswith(b"new")
    (added,) = set(snapshot(folder.path)) - names
    assert added.startswith("sm_90/kernels.") and Artifact(folder.path).files["sm_90/kernels.json"]["file"] == added
    part = DevicePart(reader, "sm_90")  # looks again
    assert part.read("kernels.json") == b"new"
    part.add({"kernels.json": b"old"})
    assert Artifact(folder.path).bytes("sm_90/kernels.json").endswith(b"old")
    assert set(snapshot(folder.path)) == names | {added}


def test_what_is_replaced_many_times_does_not_pile_up(folder, cache, monkeypatch):
    """A table is written for every shape that is measured, a cache of kernels for every shape that is met."""
    part, reader = DevicePart(folder, "sm_90"), DevicePart(Artifact(folder.path), "sm_90")
    part.add({"vocoder.json": b"0", "vocoder.0123456789abcdef.json": b"of its own", "a.cubin": b"code"})
    reader.refresh()
    monkeypatch.setattr(listing, "GRACE_S", -1.0)
    for i in range(9):
        part.add({"vocoder.json": b"%d" % i})
        assert part.read("vocoder.json") == b"%d" % i
    left = [file.name for file in (folder.path / "sm_90").iterdir() if file.name.startswith("vocoder.")]
    assert len(left) == 3 and part.read("vocoder.0123456789abcdef.json") == b"of its own"
    assert reader.read("vocoder.json") == b"8" and reader.read("a.cubin") == b"code"  # opened before
    monkeypatch.setattr(device_part.os, "access", lambda path, how: False)
    for i in range(9):
        part.add({"vocoder.json": b"%d" % i})
    assert len(list((part.cache / "sm_90").iterdir())) == 2 and part.read("vocoder.json") == b"8"


@pytest.mark.parametrize("failing", ["sm_90/a.cubin", "sm_90/b.cubin", "manifest.json"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_folder_as_it_was(folder, monkeypatch, failing, error):
    before, real = snapshot(folder.path), os.replace

    def replace(source, target):
        if Path(target) == folder.path / failing:
            raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        folder.add({"sm_90/a.cubin": b"a", "sm_90/b.cubin": b"b"})
    assert snapshot(folder.path) == before and not folder.has("sm_90/a.cubin")
    assert "the disk is full" in str(caught.value) or isinstance(error, KeyboardInterrupt)


def test_an_engine_that_was_replaced_meanwhile_is_left_alone(folder, cache):
    part = DevicePart(folder, "sm_90")
    engine(folder.path, speakers=["Bert"])
    before = snapshot(folder.path)
    with pytest.raises(OutputError, match="replaced by another engine"):
        folder.add({"sm_90/a.cubin": b"code"})
    assert part.add({"a.cubin": b"code"}).is_relative_to(cache) and snapshot(folder.path) == before
    assert DevicePart(Artifact(folder.path), "sm_90").read("a.cubin") is None


def test_nothing_is_written_through_links(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder.path / "sm_90").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a link"):
        folder.add({"sm_90/a.cubin": b"code"})
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "place", ["../x", "/etc/passwd", "sm_80/a.cubin", "weights.safetensors", 3, None, "sm_90/../x"]
)
def test_hostile_places_of_files(folder, place):
    folder.add({"sm_90/a.cubin": b"code"})
    manifest = json.loads((folder.path / "manifest.json").read_text())
    manifest["files"]["sm_90/a.cubin"]["file"] = place
    (folder.path / "manifest.json").write_text(json.dumps(manifest))
    hostile = Artifact(folder.path)
    with pytest.raises(EngineError, match="does not list 'sm_90/a.cubin' properly"):
        hostile.bytes("sm_90/a.cubin")
    hostile.add({"sm_90/b.cubin": b"more"})
    assert hostile.bytes("sm_90/b.cubin") == b"more"


WRITER = """
import sys
from fastsvc.artifact import device_part
from fastsvc.artifact.engine_folder import Artifact
if sys.argv[3] == "cache":
    device_part.os.access = lambda path, how: False
part = device_part.DevicePart(Artifact(sys.argv[1]), "sm_90")
for i in range(20):
    part.add({"shared.json": f"{sys.argv[2]} {i}".encode(), f"{sys.argv[2]}{i}.cubin": b"code " + bytes([i])})
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["folder", "cache"])
@pytest.mark.sampled(2)
def test_several_processes_at_once(folder, where, monkeypatch):
    """While two write, a third sees whole engines only; in the end everything is there."""
    command = [sys.executable, "-c", WRITER, str(folder.path)]
    writers = [subprocess.Popen([*command, name, where]) for name in "xy"]
    while any(writer.poll() is None for writer in writers):
        reader = Artifact(folder.path)
        for name in list(reader.files):
            reader.verify(name)
    assert [writer.returncode for writer in writers] == [0, 0]
    if where == "cache":
        monkeypatch.setattr(device_part.os, "access", lambda path, how: False)
    part = DevicePart(folder, "sm_90")
    for name in "xy":
        assert all(part.read(f"{name}{i}.cubin") == b"code " + bytes([i]) for i in range(20))
    assert part.read("shared.json") in (b"x 19", b"y 19")
    assert not list(folder.path.rglob("*.tmp"))


def test_a_folder_that_another_holds_is_not_waited_for_without_end(tmp_path, monkeypatch):
    import filelock

    monkeypatch.setattr(listing, "WAIT_S", 0.05)
    with filelock.FileLock(tmp_path / ".fastsvc.lock"), pytest.raises(OutputError, match="in use by another"):
        listing.add(tmp_path, {"sm_90/a.cubin": b"x"}, lambda: {"files": {}})
    assert listing.add(tmp_path, {"sm_90/a.cubin": b"x"}, lambda: {"files": {}})["files"].keys() == {"sm_90/a.cubin"}
