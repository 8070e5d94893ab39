"""Pickles and archives written by hand, opcode by opcode, and what their refusal may cost."""

import pickle
import struct
import time
import tracemalloc
import zipfile

import pytest

from fastsvc.errors import CheckpointError
from fastsvc.reading import archive
from fastsvc.reading.loading import load

LIMIT = 100 * 2**20  # bytes that refusing may take


def refused(path) -> str:
    """The line with which loading ends, soon and without much memory."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(CheckpointError) as caught:
            load(path)
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 60
    text = str(caught.value)
    assert "\n" not in text and len(text) < 2000, text[:300]
    return text


def archived(path, data: bytes, **entries: bytes):
    """An archive as torch writes it, with this index."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", data)
        file.writestr("a/version", b"3\n")
        for name, content in entries.items():
            file.writestr(f"a/data/{name.removeprefix('_')}", content)
    return path


def old(path, data: bytes, keys=(), tail: bytes = b""):
    """A file of the serialisation before archives, with this index."""
    before = [archive.LEGACY_MAGIC, 1001, {"little_endian": True}]
    whole = b"".join(pickle.dumps(one, protocol=2) for one in before) + data + pickle.dumps(list(keys), protocol=2)
    path.write_bytes(whole + tail)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def called(module: str, name: str, arguments: bytes) -> bytes:
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + arguments + b"tR"


def whole(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little")


def storage(items: int, key: str = "0") -> bytes:
    place = b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + whole(items)
    return b"(" + text("storage") + place + b"tQ"


def tensor(items: int, offset: int, sizes, strides) -> bytes:
    rows = [b"(" + b"".join(map(whole, row)) + b"t" for row in (sizes, strides)]
    ordered = called("collections", "OrderedDict", b"")
    inside = storage(items) + whole(offset) + rows[0] + rows[1] + b"\x89" + ordered
    return called("torch._utils", "_rebuild_tensor_v2", inside)


def held(value: bytes) -> bytes:
    """A pickled dict {"a": value}."""
    return b"\x80\x02}" + text("a") + value + b"s."
