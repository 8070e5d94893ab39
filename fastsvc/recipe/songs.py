"""The user's folder of songs: whose they are, how much there is, and whether it is enough."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from fastsvc.audio import io
from fastsvc.data.scan import DatasetScan, scan
from fastsvc.errors import AudioError, FastsvcError

LEAST_S = 60.0  # of each singer; below, nothing but the recordings' own phrases is learnt
GOOD_S = 600.0
END_BYTES = 1 << 16  # of each end of a recording that its fingerprint covers


@dataclass(frozen=True)
class Songs:
    """``only``: the singer's name where the songs lie straight in the folder; ``seconds`` by singer, of readable
    recordings; ``fingerprint``: of names, sizes, first and last bytes of all recordings."""

    folder: Path
    only: str | None
    seconds: dict[str, float]
    recordings: int
    fingerprint: str

    @property
    def minutes(self) -> float:
        return sum(self.seconds.values()) / 60

    def described(self) -> str:
        singers = ", ".join(f"{name} {seconds / 60:.1f} min" for name, seconds in self.seconds.items())
        return f"{self.recordings} recordings: {singers}"


def look(folder: Path) -> Songs:
    """Read the headers of all recordings. Raises AudioError where there is no folder, no recording, or too little."""
    if not folder.is_dir():
        raise AudioError(f"{folder}: no such folder of songs", "name the folder that holds one folder per singer")
    only, found = _scanned(folder)
    seconds: dict[str, float] = {}
    digest = hashlib.sha256()
    for source in found.sources:
        seconds.setdefault(source.singer, 0.0)
        try:
            digest.update(f"{source.name}\0".encode("utf-8", "surrogateescape"))
            digest.update(_ends(source.path))
            info = io.probe(source.path, exact=False)
            seconds[source.singer] += info.seconds
        except (FastsvcError, OSError):
            continue  # `prepare` names it with the reason
    songs = Songs(folder, only, dict(sorted(seconds.items())), len(found.sources), digest.hexdigest())
    _check_amount(songs)
    return songs


def _ends(path) -> bytes:
    """A recording's size, first and last bytes: other takes differ in them, a copy or a touched file does not."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        first = file.read(END_BYTES)
        file.seek(max(0, size - END_BYTES))
        return size.to_bytes(8, "little") + first + file.read(END_BYTES)


def _scanned(folder: Path) -> tuple[str | None, DatasetScan]:
    """(the folder's own name if no recording lies in a folder below it, else None; its recordings)."""
    try:
        return None, scan(folder)
    except AudioError:
        only = folder.resolve().name or "voice"
        return only, scan(folder, singer=only)


def _check_amount(songs: Songs) -> None:
    for singer, seconds in songs.seconds.items():
        if seconds < LEAST_S:
            raise AudioError(
                f"{songs.folder}: {singer} has {seconds:.0f} s of readable recordings, the least is {LEAST_S:.0f} s",
                f"add recordings ({GOOD_S / 60:.0f} min or more give a usable voice), or move this singer elsewhere",
            )
