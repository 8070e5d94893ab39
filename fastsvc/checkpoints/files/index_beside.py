"""The index that belongs to a voice of RVC: a file of its training's units, `added_IVF256_Flat_nprobe_1_NAME_v2.index`.

Applio calls it `NAME.index`. `trained_….index`, which RVC leaves beside it, has lists without vectors in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fastsvc import spelling
from fastsvc.reading import folder_zip

ENDING, TRAINED, ADDED = ".index", "trained_", "added_"
MAX_LISTED = 4  # file names in a note
NAMED = "name the right one with --index"
_PATTERN = re.compile(r"(added_)?(IVF\d+_Flat_nprobe_\d+_)?(?P<name>.+?)(_v\d)?\.index", re.IGNORECASE)
_SAVED = re.compile(r"_e\d+(_s\d+)?$")  # of an epoch's own file: NAME_e200_s4000.pth


def is_index(name: str) -> bool:
    return name.lower().endswith(ENDING)


def choose(voice: str, names: Iterable[str], alone: bool) -> tuple[str | None, tuple[str, ...]]:
    """(the index of the voice, or None; notes on the others), of files that lie beside it.

    ``voice``: the stem of the voice's file. ``alone``: no other voice lies there, so an index of any name is its own.
    """
    names = sorted(names)
    useful = [name for name in names if not _last(name).lower().startswith(TRAINED)]
    own = [name for name in useful if _voice_of(name) in (_key(voice), _key(_SAVED.sub("", voice)))]
    found = own or (useful if alone else [])
    found = [name for name in found if _last(name).lower().startswith(ADDED)] or found
    if len(found) > 1:
        return None, (f"{len(found)} indexes lie beside it ({_listed(found)}), and none is taken: {NAMED}",)
    if found:
        return found[0], ()
    if names and not useful and alone:
        return None, (f"{_listed(names)} holds no vectors and is left out: RVC's index is its {ADDED}….index",)
    return None, (f"no index beside it has its name ({_listed(useful)}): {NAMED}",) if useful else ()


def beside(path: Path) -> tuple[Path | None, tuple[str, ...]]:
    """:func:`choose` among the files in the folder of the voice's file ``path``."""
    try:
        files = [file.name for file in path.parent.iterdir() if file.is_file() and not file.name.startswith(".")]
    except OSError:
        return None, ()
    voices = [name for name in files if name.lower().endswith(path.suffix.lower())]
    name, notes = choose(path.stem, filter(is_index, files), alone=len(voices) == 1)
    return path.with_name(name) if name else None, notes


def _voice_of(name: str) -> str | None:
    match = _PATTERN.fullmatch(_last(name))
    return _key(match["name"]) if match else None


def _key(name: str) -> str:
    return spelling.loose_key(name)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _listed(names: list[str]) -> str:
    return ", ".join(folder_zip.shown(_last(name)) for name in names[:MAX_LISTED]) + (
        " …" if len(names) > MAX_LISTED else ""
    )
