"""What engines keep for a device in the user's cache, where their own folder cannot be written."""

from pathlib import Path

import pytest
from device_folders import engine, snapshot

from fastsvc.artifact import device_part, listing
from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.errors import OutputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    return Artifact(engine(tmp_path / "a.fsvc"))


@pytest.fixture
def read_only(monkeypatch):
    """As a folder that others own: tests may run as root, who may write anywhere."""
    monkeypatch.setattr(device_part.os, "access", lambda path, how: False)


def test_what_was_planted_in_the_cache_does_not_hide_the_folders(folder, cache):
    part = DevicePart(folder, "sm_90")
    part.add({"a.cubin": b"own"})
    part.cache.mkdir(parents=True)
    text = {"format": device_part.CACHE_FORMAT, "engine": "", "files": {}}
    listing.add(part.cache, {"sm_90/a.cubin": b"planted"}, lambda: text)
    part.refresh()
    with pytest.warns(UserWarning, match="a.cubin is not used"):
        assert part.read("a.cubin") == b"own"


def test_what_cannot_be_kept_there_goes_to_the_cache(folder, cache, monkeypatch):
    def full(path, *_):
        raise OutputError(f"cannot write into {path}: the disk is full")

    monkeypatch.setattr(folder, "add", lambda files: full(folder.path))
    part = DevicePart(folder, "sm_90")
    assert part.add({"kernels.json": b"{}"}) == part.cache and part.read("kernels.json") == b"{}"
    monkeypatch.setattr(listing, "add", full)
    with pytest.raises(OutputError, match="the disk is full"):
        part.add({"kernels.json": b"{}"})


def test_the_cache_knows_engines_by_what_they_are(folder, cache, tmp_path, read_only):
    before = snapshot(folder.path)
    part = DevicePart(folder, "sm_90")
    assert part.add({"kernels.json": b"{}"}) == cache / "engines" / folder.identity()[:32]
    assert snapshot(folder.path) == before
    copy = Artifact(engine(tmp_path / "copy.fsvc"))
    assert DevicePart(copy, "sm_90").read("kernels.json") == b"{}"
    assert DevicePart(copy, "sm_80").read("kernels.json") is None
    other = Artifact(engine(tmp_path / "other.fsvc", speakers=["Bert"]))
    assert DevicePart(other, "sm_90").read("kernels.json") is None


def test_what_comes_from_the_cache_is_verified(folder, read_only):
    part = DevicePart(folder, "sm_90")
    part.add({"a.cubin": b"code", "b.cubin": b"more"})
    damaged = part.cache / "sm_90" / "a.cubin"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"3")
    for one in (part, DevicePart(folder, "sm_90")):
        with pytest.warns(UserWarning, match="a.cubin is damaged.*not used"):
            assert one.read("a.cubin") is None
        assert one.read("b.cubin") == b"more"
    part.add({"a.cubin": b"code"})
    assert part.read("a.cubin") == DevicePart(folder, "sm_90").read("a.cubin") == b"code"
    (part.cache / listing.MANIFEST).write_text('{"files": 3')
    with pytest.warns(UserWarning, match="cannot be read and is not used"):
        fresh = DevicePart(folder, "sm_90")
    assert fresh.read("b.cubin") is None


def test_the_folder_once_it_can_be_written_replaces_the_cache(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(device_part.os, "access", lambda path, how: False)
        DevicePart(folder, "sm_90").add({"kernels.json": b"old", "a.cubin": b"code"})
    part = DevicePart(folder, "sm_90")
    assert part.read("kernels.json") == b"old"
    assert part.add({"kernels.json": b"new"}) == folder.path
    for one in (part, DevicePart(folder, "sm_90")):
        assert one.read("kernels.json") == b"new" and one.read("a.cubin") == b"code"


def test_the_installed_package_is_not_written_to(folder, cache, monkeypatch):
    monkeypatch.setattr(device_part, "PACKAGE", folder.path.parent)
    assert DevicePart(folder, "sm_90").add({"a.cubin": b"code"}).is_relative_to(cache)


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv(device_part.CACHE, "/x")
    assert device_part.cache_folder() == Path("/x")
    monkeypatch.delenv(device_part.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/y")
    assert device_part.cache_folder() == Path("/y/fastsvc")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert device_part.cache_folder() == Path.home() / ".cache" / "fastsvc"


def test_a_cache_that_cannot_be_made(folder, monkeypatch, tmp_path, read_only):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(device_part.CACHE, str(tmp_path / "file"))
    part = DevicePart(folder, "sm_90")
    for keep in (part.check, lambda: part.add({"a.cubin": b""})):
        with pytest.raises(OutputError, match=r"cannot make .*FASTSVC_CACHE"):
            keep()
