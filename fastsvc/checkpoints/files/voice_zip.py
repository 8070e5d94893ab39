"""A voice of RVC as people share it: a zip with one `.pth`, often its `.index`, in folders of any name.

Both are unpacked to a private temporary folder. The voice's tensors are read into memory and its file is deleted; the
index stays as long as the path to it.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

from fastsvc import file_names, files, reading
from fastsvc.checkpoints.files import index_beside
from fastsvc.errors import CheckpointError
from fastsvc.reading import folder_zip
from fastsvc.reading.folder_zip import FolderZip

VOICE_LIMIT, INDEX_LIMIT = 2**30, 2**32 - 1  # bytes; voices have 55 or 110 MB, an hour's index 0.6 GB
VOICES = (".pth",)
MAX_LISTED = 4  # names in a message


class KeptPath(type(Path())):
    """A path into a temporary folder, which lasts as long as this very object, at most to the end of the process."""

    folder: PrivateFolder


class PrivateFolder:
    """A new folder of this user alone, removed with this object, or by the next one if the process is killed."""

    def __init__(self):
        self.path = files.private_folder()
        self.remove = weakref.finalize(self, files.remove_private, self.path)

    def __truediv__(self, name: str) -> KeptPath:
        path = KeptPath(self.path / name)
        path.folder = self
        return path


@dataclass(frozen=True)
class PackedVoice:
    """``voice``: the unpacked file, called ``name`` in the archive; ``index``: the unpacked index, if there is one."""

    name: str
    folder: PrivateFolder
    voice: KeptPath
    index: KeptPath | None
    notes: tuple[str, ...]

    def renamed(self, error: CheckpointError, path: Path) -> CheckpointError:
        """The error with the archive's names in place of the temporary ones."""
        inside = f"{path}, {folder_zip.shown(self.name)}"
        return CheckpointError(
            error.message.replace(str(self.voice), inside), error.remedy.replace(str(self.voice), self.voice.name)
        )


def unpack(path: Path) -> PackedVoice | None:
    """The voice in the zip archive at ``path``; None if the file is something else, which its own reader describes.

    Raises CheckpointError for an archive of several voices, of an index alone, or that was made to harm, before
    anything is unpacked; ResourceError where the disk is full.
    """
    with reading.open_file(path, CheckpointError) as file:
        size = os.fstat(file.fileno()).st_size
        archive = folder_zip.open_folder(file, path, size)
        if archive is None:
            return None
        voices = [name for name in archive.entries if name.lower().endswith(VOICES)]
        indexes = [name for name in archive.entries if index_beside.is_index(name)]
        if not voices and not indexes:
            return None
        archive.check(file, size)
        _require_one(path, voices, indexes)
        return _unpacked(archive, voices[0], indexes)


def _require_one(path: Path, voices: list[str], indexes: list[str]) -> None:
    found = ", ".join(map(folder_zip.shown, (voices or indexes)[:MAX_LISTED]))
    found += " …" if len(voices or indexes) > MAX_LISTED else ""
    if not voices:
        raise CheckpointError(
            f"{path} holds an index of RVC ({found}), but no voice", "name the zip or the folder with the voice's .pth"
        )
    if len(voices) > 1:
        raise CheckpointError(
            f"{path} is a zip of a folder with {len(voices)} checkpoints ({found})",
            "unpack it, then name the checkpoint",
        )


def _unpacked(archive: FolderZip, name: str, indexes: list[str]) -> PackedVoice:
    stem = name.rpartition("/")[2][: -len(VOICES[0])]
    chosen, notes = index_beside.choose(stem, indexes, alone=True)
    folder = PrivateFolder()
    try:
        voice = folder / f"{file_names.safe_tag(stem) or 'voice'}.pth"
        archive.unpack(name, voice, VOICE_LIMIT)
        end = Path(chosen or "").stem[-file_names.TAG_CHARACTERS :]  # which says the version
        index = folder / f"{file_names.safe_tag(end) or 'voice'}.index" if chosen else None
        if chosen and index:
            archive.unpack(chosen, index, INDEX_LIMIT)
    except BaseException:  # an exception would keep the folder for as long as it is looked at
        folder.remove()
        raise
    return PackedVoice(name, folder, voice, index, notes)
