"""Folders of fsspec's memory:// file system, and `fastsvc convert` with the fake engine."""

import json
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc.remote import Folder


@pytest.fixture
def store():
    """The URL of an empty folder in memory."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return "memory://bucket"


@pytest.fixture
def fake(monkeypatch, tmp_path):
    from fastsvc.commands import choose
    from fastsvc.engine import Engine

    engine = FakeEngine()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(choose.MODEL_VARIABLE, raising=False)
    monkeypatch.setenv("FASTSVC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Engine, "open", classmethod(lambda cls, path, **options: engine))
    Path("fake.fsvc").mkdir()
    return engine


def put_remote(url: str, tmp_path: Path, *names: str, hz: float = 220.0) -> None:
    """Recordings of different pitches."""
    for number, name in enumerate(names):
        local = tmp_path / f"local{Path(name).suffix}"
        put(local, tone(0.05 + 0.01 * number, hz=hz + 20 * number))
        Folder(url).write(name, local.read_bytes())
        local.unlink()


def names(url: str) -> list[str]:
    """All objects that are not hidden."""
    return sorted(item.name for item in Folder(url).items() if not item.name.startswith("."))


def lines(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
