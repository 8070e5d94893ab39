"""RVC's index of training units: a faiss IVF-Flat file, read without faiss, within limits.

The layout is faiss's own (`write_index`): little-endian, unpadded, one field after the other. No size that the file
claims is trusted: it is compared with what is left of the file before memory is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastsvc import reading
from fastsvc.checkpoints.files.faiss_fields import DAMAGED, Fields
from fastsvc.checkpoints.files.faiss_kinds import checked_kind
from fastsvc.config.limits import INDEX_LISTS, INDEX_VECTORS, SIZES
from fastsvc.errors import CheckpointError, ResourceError

L2 = 1  # faiss's number of the metric
ROWS = 4096  # vectors read at a time
HALF_MAX = 65504.0
OTHER_INDEX = "name the index that was trained with this voice: added_IVF…_v1.index for v1, …_v2.index for v2"


@dataclass(frozen=True)
class FaissIndex:
    """The vectors of list 0, those of list 1, …; the origin's file name without its folder, and its hash."""

    file: str
    sha256: str
    vectors: np.ndarray  # [n, D] float16
    ids: np.ndarray  # [n] int64: the vectors' places in training, 0 … n − 1
    list_sizes: np.ndarray  # [lists] int32, whose sum is n
    centroids: np.ndarray  # [lists, D] float32


def read_index(path, channels: int | None = None) -> FaissIndex:
    """The index in the file ``path``, whose vectors have ``channels`` channels (None: any number of them).

    Raises CheckpointError for another file or kind of index,
    one without vectors, of another number of channels or damaged; ResourceError where memory does not suffice.
    """
    path = Path(path)
    try:
        with reading.open_file(path, CheckpointError, kind="faiss index (.index)", buffering=2**20) as file:
            fields = Fields(file, path)
            count, centroids = _header(fields, channels)
            sizes = _list_sizes(fields, count, *centroids.shape)
            vectors, ids = _vectors(fields, sizes, centroids.shape[1])
            fields.finish()
    except MemoryError:
        raise ResourceError(f"{path} needs more memory than there is", "free memory, then run it again") from None
    return FaissIndex(path.name, fields.sha256(), vectors, ids, np.array(sizes, np.int32), centroids)


def _header(fields: Fields, channels: int | None) -> tuple[int, np.ndarray]:
    """The number of vectors; the centroids of the lists."""
    checked_kind(fields)
    width, count, trained = _index_header(fields)
    if count == 0:
        raise fields.error(
            "holds no vectors: it is the index before the training units were added",
            "name the file beside it whose name begins with added_",
        )
    if not trained or not INDEX_VECTORS[0] <= count <= INDEX_VECTORS[1]:
        raise fields.error(f"claims {count} vectors{'' if trained else ', and not to be trained'}", DAMAGED)
    if channels is not None and width != channels:
        versions = {256: " (RVC v1)", 768: " (RVC v2)"}
        raise fields.error(
            f"holds vectors of {width} channels{versions.get(width, '')}, and the voice takes units of {channels}"
            f"{versions.get(channels, '')}",
            OTHER_INDEX,
        )
    lists = fields.number("Q", "number of lists")
    fields.number("Q", "number of lists to search")
    if not INDEX_LISTS[0] <= lists <= INDEX_LISTS[1]:
        raise fields.error(f"claims {lists} lists", DAMAGED)
    kind = fields.word("kind of the lists' index")
    if kind not in (b"IxF2", b"IxFl"):
        raise fields.error(f"finds its lists by an index of the kind {_shown(kind)}, not by a flat one", OTHER_INDEX)
    if _index_header(fields)[:2] != (width, lists) or fields.number("Q", "size of the centroids") != lists * width:
        raise fields.error("has centroids that do not fit its lists", DAMAGED)
    return count, fields.floats(lists, width, "centroids")


def _index_header(fields: Fields) -> tuple[int, int, bool]:
    """Channels, number of vectors, whether it was trained."""
    width, count = fields.number("i", "number of channels"), fields.number("q", "number of vectors")
    fields.numbers("2q", "header")
    trained, metric = fields.number("B", "header"), fields.number("i", "metric")
    if metric != L2:
        name = "inner product" if metric == 0 else f"number {metric}"
        raise fields.error(f"measures by the metric {name}, and RVC's by L2", OTHER_INDEX)
    if not SIZES[0] <= width <= SIZES[1]:
        raise fields.error(f"claims vectors of {width} channels", DAMAGED)
    return width, count, bool(trained)


def _list_sizes(fields: Fields, count: int, lists: int, width: int) -> list[int]:
    """The number of vectors of each list, after the part between centroids and vectors."""
    if fields.numbers("<BQ", "map of vectors") != (0, 0):
        raise fields.error("has a map of its vectors, which RVC's do not have", OTHER_INDEX)
    kind = fields.word("kind of its lists")
    if kind != b"ilar":
        raise fields.error(f"keeps its lists as {_shown(kind)}, not in the file itself (ilar)", OTHER_INDEX)
    if fields.numbers("2Q", "lists") != (lists, 4 * width):
        raise fields.error("has lists that do not fit its header", DAMAGED)
    storage, entries = fields.word("kind of the lists' sizes"), fields.number("Q", "number of sizes")
    sizes = [0] * lists
    if storage == b"full" and entries == lists:
        sizes = list(fields.numbers(f"{lists}Q", "sizes of lists"))
    elif storage == b"sprs" and entries % 2 == 0 and entries <= 2 * lists:
        pairs = fields.numbers(f"{entries}Q", "sizes of lists")
        table = dict(zip(pairs[::2], pairs[1::2]))
        if len(table) < entries // 2 or any(place >= lists for place in table):
            raise fields.error("names a list twice, or one that is not there", DAMAGED)
        sizes = [table.get(place, 0) for place in range(lists)]
    else:
        raise fields.error(f"has {entries} sizes of {lists} lists, stored as {_shown(storage)}", DAMAGED)
    if sum(sizes) != count:  # of Python's integers, which do not overflow
        raise fields.error(f"claims {count} vectors, and lists of {sum(sizes)}", DAMAGED)
    fields.require(count * (4 * width + 8), "vectors")
    return sizes


def _vectors(fields: Fields, sizes: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, D] float16 and ids [n], in the order of the lists."""
    count = sum(sizes)
    vectors, ids, first = np.empty((count, width), np.float16), np.empty(count, np.int64), 0
    for size in sizes:
        last = first + size
        for start in range(first, last, ROWS):
            rows = fields.floats(min(ROWS, last - start), width, "vectors")
            if np.abs(rows).max() > HALF_MAX:
                raise fields.error("holds values that no unit of speech has", DAMAGED)
            vectors[start : start + len(rows)] = rows
        ids[first:last] = fields.array("<i8", size, "ids of vectors")
        first = last
    if ids.min() < 0 or ids.max() >= count:
        raise fields.error(f"has an id outside 0 … {count - 1}", DAMAGED)
    if np.bincount(ids).max() > 1:
        raise fields.error("has an id twice", DAMAGED)
    return vectors, ids


def _shown(word: bytes) -> str:
    return repr(word.decode("ascii", "replace"))
