"""Folders of engines, as far as it matters what is kept in them for a device."""

from pathlib import Path

from fastsvc import files
from fastsvc.artifact import engine_folder

MANIFEST = {
    "acoustic": {},
    "speakers": ["Ada"],
    "schedules": {"1": [80.0]},
    "levels": [80.0],
    "sampler": "consistency",
    "source": {"file": "a.pt", "format": "fastsvc", "kind": "student", "step": 1},
}


def engine(path, **changes) -> Path:
    """The folder of an engine, as far as this is about."""
    return engine_folder.write(path, {**MANIFEST, **changes}, {"weights.safetensors": b"weights"}, force=True)


def snapshot(path):
    found = (file for file in sorted(path.rglob("*")) if file.name != files.LOCK)
    return {str(file.relative_to(path)): file.is_dir() or file.read_bytes() for file in found}
