"""Checks of torch files before torch opens them: no entry overlaps or is packed, each storage has its claimed size."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from fastsvc.errors import CheckpointError
from fastsvc.reading import pickle_scan

PICKLE_LIMIT = 64 * 2**20  # bytes of a checkpoint's index; real ones stay below one megabyte
MOST_ENTRIES = 1_000_000
ZIP, OLD = b"PK\x03\x04", b"\x80"  # first bytes of archives, and of the serialisation before archives
# models in a packed folder, and folders packed once more
PACKED = (".pt", ".pth", ".ckpt", ".ptc", ".bin", ".safetensors", ".pdparams", ".zip", "/model")
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LOCAL = struct.Struct("<4s5H3I2H")  # the header of an entry


def check(file: BinaryIO, path: Path, size: int) -> bool:
    """Whether the torch file, of ``size`` bytes, is an archive; False: it has the older form.

    Raises CheckpointError where it is neither, or could make torch crash or take excessive memory or time.
    """
    head = file.read(4)
    if not head.startswith((ZIP[:2], OLD)):
        raise CheckpointError(f"{path} is not a torch file", "name a checkpoint")
    try:
        if head.startswith(OLD):
            _check_old(file, path, size)
            return False
        _check_archive(file, path, size)
    except pickle_scan.Refused as error:
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, or is damaged: {error}",
            "save its state dict alone, from a program that you trust",
        ) from None
    return True


def _check_archive(file: BinaryIO, path: Path, size: int) -> None:
    damaged = CheckpointError(f"{path} is a damaged archive, or cut short", "download or train the checkpoint again")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, UnicodeDecodeError, struct.error):
        raise damaged from None
    entries = archive.infolist()
    _refuse_other(entries, path)
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{path} unpacks to more than its own size, which torch never writes", "do not trust the file"
        )
    names = {entry.filename.lower() for entry in entries}  # torch finds names in either case
    plain = all(entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1 for entry in entries)
    if len(names) < len(entries) or len(entries) > MOST_ENTRIES or not plain or not entries:
        raise CheckpointError(f"{path} has entries packed, or twice, which torch never writes", "do not trust the file")
    check_offsets(file, entries, size, damaged)
    sizes = {entry.filename: entry.file_size for entry in entries}
    prefix = entries[0].filename.partition("/")[0]
    index = f"{prefix}/data.pkl"
    if index not in sizes:
        raise damaged
    if sizes[index] > PICKLE_LIMIT:
        raise CheckpointError(f"{path} has an index of more than {PICKLE_LIMIT >> 20} MB", "do not trust the file")
    try:
        data = archive.read(index)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
        raise damaged from None
    for key, claimed in pickle_scan.scan(data).storages.items():
        stored = sizes.get(f"{prefix}/data/{key}")
        if stored != claimed:
            problem = "which is missing" if stored is None else f"which has {stored}"
            raise CheckpointError(
                f"{path}: a storage claims {claimed} bytes of data/{str(key)[:60]}, {problem}",
                "download or train the checkpoint again",
            )


def _refuse_other(entries, path: Path) -> None:
    """Raises CheckpointError for archives that are not torch files: packed folders, and other programs' files."""
    names = [entry.filename for entry in entries if not entry.is_dir()]
    parts = [name.rpartition("/")[2] for name in names]
    if "constants.pkl" in parts and any(name.split("/")[1:2] == ["code"] for name in names):
        raise CheckpointError(
            f"{path} is a TorchScript program, whose code would have to be run",
            "name the checkpoint that the program was made from",
        )
    if any(part.lower() == "data.pkl" for part in parts) or not names:
        return
    if all(part.endswith(".npy") for part in parts):
        raise CheckpointError(f"{path} is a file of numpy's arrays (.npz)", "name the PyTorch checkpoint")
    models = [name for name in names if name.endswith(PACKED) and "__MACOSX/" not in name]
    description, listed = ("a zip of a folder", models) if models else ("a zip archive without a model", names)
    examples = ", ".join(name[-60:] for name in listed[:4]) + (" …" if len(listed) > 4 else "")
    remedy = f"unpack it, then name {models[0][-60:]}" if len(models) == 1 else "unpack it, then name the checkpoint"
    raise CheckpointError(f"{path} is {description} ({examples})", remedy if models else "name a checkpoint")


def check_offsets(file: BinaryIO, entries, size: int, damaged: CheckpointError) -> None:
    """Raises ``damaged`` unless entries lie one after another, each behind a header with its name."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        file.seek(entry.header_offset)
        header = file.read(_LOCAL.size)
        if entry.header_offset < end or len(header) < _LOCAL.size or not header.startswith(ZIP):
            raise damaged
        *_, name, extra = _LOCAL.unpack(header)
        if file.read(name).decode("utf-8" if entry.flag_bits & 0x800 else "cp437", "replace") != entry.orig_filename:
            raise damaged
        stored = entry.file_size if entry.compress_type == zipfile.ZIP_STORED else 0
        end = entry.header_offset + _LOCAL.size + name + extra + max(stored, entry.compress_size)
        if end > size:
            raise damaged


def _check_old(file: BinaryIO, path: Path, size: int) -> None:
    """Check five pickles, then the storages' bytes; pickle four is the index, pickle five the order of storages."""
    file.seek(0)
    data = file.read(PICKLE_LIMIT)
    magic = pickle_scan.scan(data)
    if magic.value != LEGACY_MAGIC:
        raise CheckpointError(f"{path} is not a torch file", "name a checkpoint")
    version = pickle_scan.scan(data, magic.end)
    system = pickle_scan.scan(data, version.end)
    index = pickle_scan.scan(data, system.end)
    order = pickle_scan.scan(data, index.end)
    keys = order.value if isinstance(order.value, list) else None
    if keys is None or not all(isinstance(key, (str, int)) for key in keys) or set(keys) != set(index.storages):
        raise CheckpointError(
            f"{path}: its list of storages is not that of its index", "download or train the checkpoint again"
        )
    if order.end + sum(8 + claimed for claimed in index.storages.values()) > size:
        raise CheckpointError(
            f"{path} claims more bytes of tensors than the file holds", "download or train the checkpoint again"
        )
