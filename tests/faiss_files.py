"""faiss IVF-Flat files, field by field, so that a test can replace, cut or repeat any of them."""

import struct
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data" / "rvc"
GOLDEN = {256: DATA / "index_v1", 768: DATA / "index_v2"}


def added(channels: int) -> Path:
    """Upstream's index of v1 (256 channels) or v2 (768)."""
    (path,) = GOLDEN[channels].glob("added_*.index")
    return path


def fields(vectors, lists, centroids, storage: bytes = b"full") -> dict[str, bytes]:
    """vectors [n, D], lists [n] (the list of each), centroids [lists, D] → name and bytes of each field."""
    (count, width), total = vectors.shape, len(centroids)
    sizes = np.bincount(lists, minlength=total)
    made = {"kind": b"IwFl", **_header("", width, count)}
    made |= {"lists": _u64(total), "nprobe": _u64(1), "coarse kind": b"IxF2", **_header("coarse ", width, total)}
    made |= {"coarse floats": _u64(total * width), "centroids": centroids.astype("<f4").tobytes()}
    made |= {"map kind": b"\0", "map size": _u64(0), "storage": b"ilar", "list count": _u64(total)}
    made |= {"code size": _u64(4 * width), "sizes kind": storage}
    pairs = [number for i in range(total) if sizes[i] for number in (i, int(sizes[i]))]
    stored = pairs if storage == b"sprs" else list(map(int, sizes))
    made |= {"sizes count": _u64(len(stored))}
    made |= {f"size {i}": _u64(number) for i, number in enumerate(stored)}
    for i in range(total):
        (rows,) = np.nonzero(lists == i)
        made[f"vectors {i}"] = vectors[rows].astype("<f4").tobytes()
        made[f"ids {i}"] = rows.astype("<i8").tobytes()
    return made


def _header(of: str, width: int, count: int) -> dict[str, bytes]:
    made = {"width": struct.pack("<i", width), "count": struct.pack("<q", count), "dummies": _u64(2**20) * 2}
    return {of + name: data for name, data in {**made, "trained": b"\1", "metric": struct.pack("<i", 1)}.items()}


def _u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def small(seed: int = 0, count: int = 12, width: int = 4, lists: int = 3):
    """(vectors, lists, centroids): whole numbers, so exact in float16."""
    chance = np.random.default_rng(seed)
    vectors = chance.integers(-9, 9, (count, width)).astype(np.float32)
    return vectors, np.arange(count) % lists, chance.integers(-9, 9, (lists, width)).astype(np.float32)


def write(path: Path, made: dict[str, bytes], **changes: bytes) -> Path:
    """The file of the fields; ``changes`` by name, with _ for spaces."""
    replaced = {name.replace("_", " "): data for name, data in changes.items()}
    assert replaced.keys() <= made.keys()
    path.write_bytes(b"".join({**made, **replaced}.values()))
    return path
