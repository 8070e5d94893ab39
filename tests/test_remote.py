"""Folders by URL: names, whole puts, errors in one line, and nothing imported before a URL is named."""

import ast
import sys
from pathlib import Path

import pytest
from remote_folders import put_remote, store  # noqa: F401 - a fixture

from fastsvc import remote
from fastsvc.convert.spread import engines
from fastsvc.errors import AudioError, ConfigError, EngineError, MissingPackageError, OutputError
from fastsvc.remote import Folder, folder

ROOT = Path(__file__).parent.parent
LATE = {"fsspec", "ray", "s3fs", "gcsfs", "adlfs"}


@pytest.mark.parametrize("name", ["s3://a/b", "gs://a", "hf://user/repo", "memory://x", "ABFS://a/b"])
def test_urls(name):
    assert remote.is_url(name)


@pytest.mark.parametrize("name", ["a/b", r"C:\songs", "c://x", "", "s3://", "://a", Path("s3://a"), None, "a b://c"])
def test_names_that_are_no_urls(name):
    assert not remote.is_url(name)


def test_parts_of_urls():
    assert remote.split("s3://a/b/c.wav") == ("s3://a/b", "c.wav")
    assert remote.joined("s3://a/b/", "c d/#1?.wav") == "s3://a/b/c d/#1?.wav"
    assert remote.file_of("file:///a/b%20c") == "/a/b c" and remote.file_of("s3://a") == "s3://a"


def test_objects_are_whole_and_new(store):  # noqa: F811
    place = Folder(f"{store}/out/")
    place.write("a/b #1?.bin", b"one")
    with pytest.raises(OutputError, match="appeared meanwhile"):
        place.write("a/b #1?.bin", b"two", new=True)
    assert place.read(["a/b #1?.bin", "missing"]) == {"a/b #1?.bin": b"one"}
    place.write("a/b #1?.bin", b"three")
    (item,) = place.items()
    assert item == place.item("a/b #1?.bin") and (item.name, item.size) == ("a/b #1?.bin", 5) and item.version > 0
    assert place.item("a") is None and place.item("c") is None and Folder(f"{store}/none").items() == []
    place.remove("a/b #1?.bin")
    assert place.items() == [] and place.read([]) == {}


def test_a_store_without_conditions_is_asked_first(store, monkeypatch):  # noqa: F811
    place = Folder(store)
    plain = place.fs.pipe_file

    def pipe_file(path, value, mode="overwrite"):
        if mode == "create":
            raise NotImplementedError("no conditions")
        plain(path, value)

    monkeypatch.setattr(place.fs, "pipe_file", pipe_file, raising=False)
    place.write("a", b"1", new=True)
    with pytest.raises(OutputError, match="appeared meanwhile"):
        place.write("a", b"2", new=True)


def test_what_a_store_raises_is_one_line(store, tmp_path, monkeypatch):  # noqa: F811
    place = Folder(store)
    with pytest.raises(AudioError, match=r"memory://bucket/a.wav: no such file or folder \(check the URL"):
        place.fetch("a.wav", tmp_path / "a.wav")

    def refuse(*arguments, **options):
        raise RuntimeError("Access\nDenied")

    for name in ("info", "find", "cat", "pipe_file", "get_file"):
        monkeypatch.setattr(place.fs, name, refuse, raising=False)
    for call in (lambda: place.item("a"), place.items, lambda: place.read(["a"]), lambda: place.fetch("a", tmp_path)):
        with pytest.raises(AudioError, match="cannot be read: Access Denied"):
            call()
    with pytest.raises(OutputError, match="cannot be written: Access Denied"):
        place.write("a", b"")


@pytest.mark.parametrize(
    "info, md5",
    [
        ({"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}, "d41d8cd98f00b204e9800998ecf8427e"),
        ({"ETag": '"d41d8cd98f00b204e9800998ecf8427e-3"'}, ""),  # of several parts
        ({"md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "d41d8cd98f00b204e9800998ecf8427e"),
        ({"blob_id": "0123456789012345678901234567890123456789"}, ""),
        ({"mtime": 1.5}, ""),
        ({}, ""),
    ],
)
def test_hashes_of_stores(info, md5):
    item = folder._item("a", info | {"size": 3})
    assert item.md5 == md5 and item.size == 3 and (item.version > 0) == bool(info)


def test_a_missing_package_and_an_unknown_protocol(monkeypatch):
    pytest.importorskip("fsspec")
    with pytest.raises(ConfigError, match="cannot be opened: Protocol not known"):
        Folder("nobody://knows")
    with pytest.raises(ConfigError, match="is not a URL of files"):
        Folder("zip://a::s3://b/c.zip")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingPackageError, match=r"gcsfs, which is not installed .*fastsvc\[remote\]"):
        Folder("gs://bucket")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingPackageError, match=r"fsspec, which is not installed .*fastsvc\[remote\]"):
        Folder("s3://bucket")


def test_an_engine_by_url_is_copied_once(store, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path))
    place = Folder(f"{store}/voices/x.fsvc")
    with pytest.raises(EngineError, match="no engine is there"):
        engines.local(place.url)
    for name, content in {"manifest.json": b"{}", "sm_90/a.bin": b"12", ".hidden": b"", "a/../../out": b"x"}.items():
        place.write(name, content)
    copy = engines.local(f"{place.url}/")
    assert copy.name == "x.fsvc" and (copy / "sm_90" / "a.bin").read_bytes() == b"12"
    assert sorted(path.name for path in copy.rglob("*") if path.is_file()) == ["a.bin", "manifest.json"]
    assert not list(tmp_path.rglob("out"))
    monkeypatch.setattr(Folder, "fetch", lambda *arguments: pytest.fail("copied again"))
    assert engines.local(place.url) == copy
    monkeypatch.undo()
    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path))
    place.write("manifest.json", b"{ }")
    assert engines.local(place.url) != copy
    assert engines.local(tmp_path) == tmp_path


def test_fsspec_and_ray_are_imported_late():
    """No file of ours imports them at its top, so `import fastsvc` and every command without URLs do without."""
    seen = 0
    for path in (ROOT / "fastsvc").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if not any(f"import {name}" in text or f"from {name}" in text for name in LATE):
            continue
        tree = ast.parse(text)
        inside = {id(node) for function in ast.walk(tree) if isinstance(function, ast.FunctionDef)
                  for node in ast.walk(function)}  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                late = {name.partition(".")[0] for name in names} & LATE
                seen += bool(late)
                assert not late or id(node) in inside, f"{path}:{node.lineno}"
    assert seen >= 3
