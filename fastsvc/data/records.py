"""The files that describe a corpus, corpus.json and a record a recording: checked when read, and compared with disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np

from fastsvc import files
from fastsvc.config import FeatureConfig
from fastsvc.data.pieces import RecordingItems
from fastsvc.data.scan import Recording
from fastsvc.data.store import load_json
from fastsvc.errors import ConfigError


def described(path: Path) -> dict:
    """The content of ``corpus.json``. Raises ConfigError where it is missing, damaged, or names files elsewhere."""
    data = load_json(path)
    wrong = next((name for name, fits in _CHECKS.items() if not fits(data.get(name))), None)
    if wrong is None and not all(item["singer"] in data["singers"] for item in data["items"]):
        wrong = "singers"
    if wrong is not None:
        raise ConfigError(f"{path}: has no {wrong}, or a wrong one", "prepare the corpus again")
    return data


@contextlib.contextmanager
def alone(path: Path, purpose: str) -> Iterator[dict]:
    """The content of a corpus.json, while this process alone holds its folder. A folder without a corpus is not locked.

    The file is read again only if another process wrote it before the lock was taken.
    """
    stamp_before, data = _stamp(path), described(path)
    with files.folder_lock(path.parent, purpose):
        yield data if _stamp(path) == stamp_before else described(path)


def _stamp(path: Path) -> tuple | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _inside(file) -> bool:
    """Whether the path leads into the corpus: files elsewhere are never read, and above all not written."""
    if not isinstance(file, str) or "\0" in file:
        return False
    path = PurePath(file)
    return not path.is_absolute() and not path.drive and ".." not in path.parts


def _listed(item) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in ("id", "song", "split", "singer"))


def _texts(value) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _numbers(value) -> bool:
    return isinstance(value, list) and all(type(number) in (int, float) for number in value)


_CHECKS = {
    "mel": lambda value: isinstance(value, dict),
    "features": lambda value: isinstance(value, dict),
    "singers": _texts,
    "phones": _texts,
    "singer_f0_hz": lambda value: isinstance(value, dict) and _numbers(list(value.values())),
    "mel_mean": _numbers,
    "mel_std": _numbers,
    "encoder": lambda value: value is None or (isinstance(value, dict) and isinstance(value.get("hash"), str)),
    "pseudo": lambda value: value is None or (isinstance(value, dict) and isinstance(value.get("encoder_hash"), str)),
    "phones_by": lambda value: value is None or isinstance(value, str),
    "items": lambda value: isinstance(value, list) and all(_listed(i) and _inside(i.get("file")) for i in value),
}


def stamp(source: Recording) -> dict:
    """Sizes and times of a recording and its transcript: they show whether either was replaced."""
    paths = (source.path, source.path.with_suffix(".json"))
    return {"files": [[s.st_size, s.st_mtime_ns] for s in (p.stat() for p in paths if p.is_file())]}


def splits(corpus: dict, split_settings: dict) -> dict[str, str]:
    """Song → split of a corpus.json with these split settings; {} if it has others or is damaged."""
    items = corpus.get("items")
    if corpus.get("split") != split_settings or not isinstance(items, list) or not all(map(_listed, items)):
        return {}
    return {item["song"]: item["split"] for item in items if item["split"] in ("train", "valid", "test")}


def finished(sources: list[Recording], out: Path, bins: int) -> Iterator[tuple[str, RecordingItems]]:
    """(name, items) of the recordings that earlier runs finished and that have not changed since."""
    for source in sources:
        path = out / "records" / f"{source.name}.json"
        if not path.is_file():
            continue
        try:
            record = load_json(path)
        except ConfigError:
            continue  # unreadable, so not a record of ours: the recording is prepared again
        file_stamps, items = record.get("files"), record.get("items")
        # Older versions also wrote records for unusable recordings, without items and without the reason.
        is_record = isinstance(items, list) and items and all(_is_item(item, bins) for item in items)
        if is_record and file_stamps == stamp(source)["files"] and all((out / i["file"]).is_file() for i in items):
            yield source.name, RecordingItems(items, *(_seconds(record.get(name)) for name in ("short_s", "silent_s")))


def _seconds(value) -> float:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else 0.0


def notes(finished_items: dict[str, RecordingItems], source: Recording) -> list[str]:
    """Notes for the user on how a finished recording was decoded."""
    result = finished_items.get(source.name)
    items = result.items if result else []
    stored_notes = items[0].get("notes") if items else None
    return [str(note) for note in stored_notes] if isinstance(stored_notes, list) else []


def begun_with_high_pass(out: Path) -> bool:
    """Whether the corpus in ``out`` was begun with the high-pass filter; True where it is not begun."""
    path = out / "settings.json"
    if not path.is_file() or not (out / "records").exists():
        return True
    settings = load_json(path).get("settings")
    return isinstance(settings, dict) and settings.get("high_pass") is True


def begun_features(out: Path, features: FeatureConfig) -> FeatureConfig:
    """``features`` with units placed by the hops, so that a frame's unit does not depend on its recording's length; a
    corpus in ``out`` that was begun otherwise stays as it is, and so do features of other projects."""
    path, ways = out / "settings.json", ("nearest", "hops")
    if features.unit_align not in ways:
        return features
    settings = load_json(path).get("settings") if path.is_file() and (out / "records").exists() else None
    stored = settings.get("features") if isinstance(settings, dict) else None
    way = stored.get("unit_align", ways[0]) if isinstance(stored, dict) else ways[1]
    return replace(features, unit_align=way if way in ways else ways[1])


def _is_item(item, bins: int) -> bool:
    """Whether the dict has all keys of a finished item, with possible values."""
    if not isinstance(item, dict) or not {"id", "start_s", "gain", "exact_f0", "phones"} <= item.keys():
        return False
    counts = [item.get("samples"), item.get("frames")]
    if not _inside(item.get("file")) or not all(type(count) is int and count > 0 for count in counts):
        return False
    try:
        sums = np.asarray(item.get("mel_sums"), np.float64)
    except (TypeError, ValueError, OverflowError):
        return False
    return sums.shape == (2, bins) and bool(np.isfinite(sums).all())
