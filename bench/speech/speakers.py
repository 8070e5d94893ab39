"""One folder per speaker, as `fastsvc prepare` reads them, out of unpacked packages. Recordings are links."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.speech import russian
from fastsvc import files

ACTORS = {"m": "small", "v": "big"}  # fillets: the small and the big fish (malá, velká); the rest by many actors
OTHERS = "others"

Speaker = tuple[str, str, Path]  # (speaker, name of the recording without its ending, file)


def festvox_ru(package: Path) -> Iterator[Speaker]:
    """One speaker, named after the data set."""
    voice = package / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    for path in sorted((voice / "wav").glob("*.wav")):
        yield "festvox-ru", path.stem, path


def fillets(package: Path) -> Iterator[Speaker]:
    """Actors of a game: the file's name tells which fish speaks (``bar-m-…``); others are one folder."""
    language = package.name.rpartition("-")[2]
    for path in sorted((package / "usr/share/games/fillets-ng/sound").glob(f"**/{language}/*.ogg")):
        who = next((ACTORS[part] for part in path.stem.split("-") if part in ACTORS), OTHERS)
        yield f"fillets-{language}-{who}", f"{path.parent.parent.name}-{path.stem}", path


def klettres(package: Path) -> Iterator[Speaker]:
    """Letters and syllables, one speaker per language."""
    root = package / "usr/share/klettres"
    for path in sorted(root.glob("*/*/*.ogg")):
        language, kind = path.relative_to(root).parts[:2]
        yield f"klettres-{language}", f"{kind}-{path.stem}", path


LAYOUTS: dict[str, Callable[[Path], Iterator[Speaker]]] = {
    "festvox-ru": festvox_ru,
    "fillets-ng-data-cs": fillets,
    "fillets-ng-data-nl": fillets,
    "klettres-data": klettres,
}


def lay_out(package: Path, out: Path) -> dict[str, int]:
    """Link the recordings of an unpacked package to ``out/SPEAKER/NAME``; -> how many each speaker has.

    festvox-ru's phone labels become transcripts beside the recordings, with no pitch in them.
    """
    counts: dict[str, int] = {}
    for speaker, name, path in LAYOUTS[package.name](package):
        target = out / speaker / f"{name}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(os.path.relpath(path, target.parent))
        labels = path.parent.parent / "lab" / f"{path.stem}.lab"
        if labels.is_file():
            said = russian.read(labels)
            files.write_json(target.with_suffix(".json"), {"phones": said, "f0_hz": None, "f0_hop_s": None})
        counts[speaker] = counts.get(speaker, 0) + 1
    return counts
