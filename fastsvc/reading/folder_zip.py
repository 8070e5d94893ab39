"""Zips of folders, as people share them: every entry is checked before one is unpacked, and unpacking has a limit.

Names in the archive are compared and shown, and never used as paths. Only plain files, stored or deflated, are read.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastsvc import spelling
from fastsvc.errors import CheckpointError, ResourceError
from fastsvc.reading import archive as torch_archive

MOST_ENTRIES = 10_000
DIRECTORY_LIMIT = 4 * 2**20  # bytes of the list of entries, which zipfile reads whole
RATIO, RATIO_FROM = 50, 2**20  # how many times an entry may shrink, and the bytes from which that is looked at
BLOCK = 2**20
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flags: by a password, strongly, the list itself
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DISTRUST = "do not trust the file"
_END = struct.Struct("<4s4H2LH")  # the record at the end of an archive
_ZIP64 = b"PK\x06\x07"  # the mark of larger archives, 20 bytes before it
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class FolderZip:
    """``entries``: the files in the archive by name, with / between folders, without those that systems add."""

    path: Path
    archive: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]

    def check(self, file: BinaryIO, size: int) -> None:
        """Raises CheckpointError for an archive that was made to harm, or that cannot be read."""
        every, names = self.archive.infolist(), set()
        if len(every) > MOST_ENTRIES:
            raise CheckpointError(f"{self.path} has {len(every)} entries, the most is {MOST_ENTRIES}", DISTRUST)
        for entry in every:
            key = spelling.loose_key(_slashed(entry).rstrip("/"))
            fault, remedy = ("is in it twice", DISTRUST) if key in names else _fault(entry)
            if fault:
                raise CheckpointError(f"{self.path}: {shown(entry.orig_filename)} {fault}", remedy)
            names.add(key)
        damaged = CheckpointError(f"{self.path} is a damaged archive, or cut short", "download the file again")
        torch_archive.check_offsets(file, every, size, damaged)

    def unpack(self, name: str, target: Path, limit: int) -> None:
        """Write one entry to the new file ``target``. Raises CheckpointError beyond ``limit`` bytes, or if damaged;
        ResourceError where the disk is full."""
        entry = self.entries[name]
        if entry.file_size > limit:
            raise CheckpointError(
                f"{self.path}: {shown(name)} unpacks to {entry.file_size >> 20} MB, the most is {limit >> 20} MB",
                DISTRUST,
            )
        try:
            with self.archive.open(entry) as source, target.open("xb") as file:
                left = entry.file_size
                while block := source.read(min(BLOCK, left + 1)):
                    left -= len(block)
                    if left < 0:
                        break
                    file.write(block)
        except _DAMAGED:
            left = -1
        except OSError as error:
            raise ResourceError(
                f"{self.path}: {shown(name)} cannot be unpacked to {target.parent} ({error.strerror or error})",
                "free space there, or name another folder in $TMPDIR",
            ) from None
        if left:
            raise CheckpointError(f"{self.path}: {shown(name)} is damaged, or cut short", "download the file again")


def open_folder(file: BinaryIO, path: Path, size: int) -> FolderZip | None:
    """The archive in ``file``, of ``size`` bytes, not checked yet.

    None for anything else: no archive, a damaged one, a torch file, or one whose list of entries is too long to read.
    """
    file.seek(0)
    if file.read(4) != torch_archive.ZIP or not 0 < _directory_bytes(file, size) <= DIRECTORY_LIMIT:
        return None
    try:
        archive = zipfile.ZipFile(file)
    except (*_DAMAGED, OSError):
        return None
    entries = {_slashed(entry): entry for entry in archive.infolist() if not torch_archive.is_folder(entry)}
    if any(name.rpartition("/")[2].lower() == "data.pkl" for name in entries):
        return None
    return FolderZip(path, archive, {name: entry for name, entry in entries.items() if not _is_litter(name)})


def shown(name: str) -> str:
    """The end of a stranger's name in an archive, on one line."""
    return "".join(c if c.isprintable() else "?" for c in name[-80:])


def _slashed(entry: zipfile.ZipInfo) -> str:
    """Some programs of Windows write backslashes between folders."""
    return entry.orig_filename.replace("\\", "/")


def _is_litter(name: str) -> bool:
    """Whether an entry is a Mac's other half of a file, or what a file manager leaves in folders."""
    *folders, last = name.split("/")
    return "__MACOSX" in folders or last.startswith("._") or last.lower() in (".ds_store", "thumbs.db", "desktop.ini")


def _fault(entry: zipfile.ZipInfo) -> tuple[str, str]:
    """(why an entry is refused, remedy), or two empty texts."""
    name = _slashed(entry)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        return "leads out of the folder", DISTRUST
    if not name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        return "has characters in its name that no file has", DISTRUST
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return "is a link or a device, not a file", DISTRUST
    if entry.flag_bits & ENCRYPTED:
        return "is encrypted", "unpack the archive with its password, then name the folder"
    if entry.compress_type not in METHODS:
        return "is packed in a way that is not read here", "unpack the archive, then name the folder"
    if entry.file_size > max(RATIO_FROM, RATIO * entry.compress_size):
        return f"unpacks {entry.compress_size} bytes to {entry.file_size}", DISTRUST
    return "", ""


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """The size of the list of entries according to the record that zipfile will use; 0: none, or of the larger form."""
    length = min(size, _END.size + 2**16 - 1)
    file.seek(size - length)
    tail = file.read(length)
    start = len(tail) - _END.size
    if start < 0 or tail[start : start + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":  # a comment may follow it
        start = tail.rfind(b"PK\x05\x06")
    if start < 0 or start + _END.size > len(tail) or tail[max(start - 20, 0) : start].startswith(_ZIP64):
        return 0
    return _END.unpack_from(tail, start)[5]
