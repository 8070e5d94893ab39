"""What a corpus says of itself and of each recording that is done: whether it can be true, and still holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePath

import numpy as np

from fastsvc import files
from fastsvc.data.pieces import Made
from fastsvc.data.scan import Source
from fastsvc.data.store import load_json
from fastsvc.errors import ConfigError


def described(path: Path) -> dict:
    """What ``corpus.json`` says. Raises ConfigError where it is missing, damaged, or names files that lie elsewhere."""
    data = load_json(path)
    wrong = next((name for name, fits in _RIGHT.items() if not fits(data.get(name))), None)
    if wrong is None and not all(item["singer"] in data["singers"] for item in data["items"]):
        wrong = "singers"
    if wrong is not None:
        raise ConfigError(f"{path}: has no {wrong}, or a wrong one", "prepare the corpus again")
    return data


@contextlib.contextmanager
def alone(path: Path, purpose: str) -> Iterator[dict]:
    """What a corpus.json says, while its folder is held by this process alone. What is no corpus gets no lock.

    It is read again only where another process has written it before the lock was got.
    """
    before, data = _stamp(path), described(path)
    with files.folder_lock(path.parent, purpose):
        yield data if _stamp(path) == before else described(path)


def _stamp(path: Path) -> tuple | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns
    return None


def _inside(file) -> bool:
    """Whether it is a place in the corpus: others are never read, and above all not written."""
    if not isinstance(file, str) or "\0" in file:
        return False
    path = PurePath(file)
    return not path.is_absolute() and not path.drive and ".." not in path.parts


def _listed(item) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in ("id", "song", "split", "singer"))


def _texts(value) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _numbers(value) -> bool:
    return isinstance(value, list) and all(type(one) in (int, float) for one in value)


_RIGHT = {
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
    "items": lambda value: isinstance(value, list) and all(_listed(one) and _inside(one.get("file")) for one in value),
}


def stamp(source: Source) -> dict:
    """Tells a recording that was replaced since, or whose transcript was."""
    paths = (source.path, source.path.with_suffix(".json"))
    return {"files": [[s.st_size, s.st_mtime_ns] for s in (p.stat() for p in paths if p.is_file())]}


def splits(corpus: dict, how: dict) -> dict[str, str]:
    """Where the songs of a corpus.json are that was split in this way; {} of any other, or a damaged one."""
    items = corpus.get("items")
    if corpus.get("split") != how or not isinstance(items, list) or not all(map(_listed, items)):
        return {}
    return {item["song"]: item["split"] for item in items if item["split"] in ("train", "valid", "test")}


def done(sources: list[Source], out: Path, bins: int) -> Iterator[tuple[str, Made]]:
    """What earlier runs made of recordings that are still as they were."""
    for source in sources:
        path = out / "records" / f"{source.name}.json"
        if not path.is_file():
            continue
        try:
            record = load_json(path)
        except ConfigError:
            continue  # one that cannot be read, or of another shape, is not ours: the recording is prepared again
        held, items = record.get("files"), record.get("items")
        # Older versions kept records of recordings of which nothing could be used, without the reason.
        ours = isinstance(items, list) and items and all(_is_item(item, bins) for item in items)
        if ours and held == stamp(source)["files"] and all((out / i["file"]).is_file() for i in items):
            yield source.name, Made(items, *(_seconds(record.get(name)) for name in ("short_s", "silent_s")))


def _seconds(value) -> float:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else 0.0


def notes(kept: dict[str, Made], source: Source) -> list[str]:
    """What its user should know of how a recording that is done was read."""
    made = kept.get(source.name)
    items = made.items if made else []
    found = items[0].get("notes") if items else None
    return [str(note) for note in found] if isinstance(found, list) else []


def begun_with_high_pass(out: Path) -> bool:
    """Whether the corpus in ``out`` was; True where nothing was made yet."""
    path = out / "settings.json"
    if not path.is_file() or not (out / "records").exists():
        return True
    settings = load_json(path).get("settings")
    return isinstance(settings, dict) and settings.get("high_pass") is True


def _is_item(item, bins: int) -> bool:
    """Whether it has what is asked of a finished item."""
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
