"""RVC's index files: upstream's are read as faiss reads them; everything else is refused in one line."""

import random
import struct
import tracemalloc

import faiss_files
import numpy as np
import pytest
from mutated_bytes import mutate
from mutations import judged

from fastsvc.checkpoints.files.faiss_index import read_index
from fastsvc.errors import CheckpointError

MOST = 2**64 - 1


@pytest.fixture(scope="module")
def made():
    return faiss_files.fields(*faiss_files.small())


@pytest.mark.parametrize("channels", [256, 768])
def test_upstreams_index(channels):
    index, golden = (
        read_index(faiss_files.added(channels), channels),
        np.load(faiss_files.GOLDEN[channels] / "search.npz"),
    )
    count = len(golden["vector_sum"])
    assert index.vectors.shape == (count, channels) and index.vectors.dtype == np.float16
    assert index.list_sizes.tolist() == golden["list_sizes"].tolist() and index.list_sizes.dtype == np.int32
    assert index.centroids.shape == (len(index.list_sizes), channels) and index.centroids.dtype == np.float32
    sums = np.empty(count)
    sums[index.ids] = index.vectors.astype(np.float64).sum(1)
    np.testing.assert_array_equal(sums, golden["vector_sum"])  # its values are float16's


@pytest.mark.parametrize("storage", [b"full", b"sprs"])
def test_lists_in_both_forms(tmp_path, storage):
    """One list of five is empty; float32 values are rounded to float16."""
    vectors, lists, centroids = faiss_files.small(lists=4)
    vectors, centroids = vectors + np.float32(1e-5), np.vstack([centroids, centroids[:1]])
    lists[lists == 1] = 2
    index = read_index(faiss_files.write(tmp_path / "a.index", faiss_files.fields(vectors, lists, centroids, storage)))
    assert index.list_sizes.tolist() == np.bincount(lists, minlength=5).tolist()
    assert index.ids.tolist() == np.argsort(lists, kind="stable").tolist()
    np.testing.assert_array_equal(index.vectors, vectors[index.ids].astype(np.float16))
    np.testing.assert_array_equal(index.centroids, centroids)
    assert index.file == "a.index" and len(index.sha256) == 64


def test_the_hash_is_that_of_the_file(tmp_path, made):
    import hashlib

    path = faiss_files.write(tmp_path / "a.index", made)
    assert read_index(path, 4).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind, name", {b"IwPQ": "IVF-PQ", b"IxF2": "a flat index", b"IHNf": "HNSW"}.items())
def test_other_kinds_are_named(tmp_path, made, kind, name):
    path = faiss_files.write(tmp_path / "a.index", made, kind=kind)
    with pytest.raises(CheckpointError, match=rf"is a faiss index of the kind {kind.decode()} \({name}\).*train the"):
        read_index(path)


def test_other_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"trained_.*holds no vectors: .*name begins with added_"):
        read_index(next(faiss_files.GOLDEN[256].glob("trained_*.index")), 256)
    with pytest.raises(CheckpointError, match=r"is not a faiss index, but a zip archive"):
        read_index(faiss_files.DATA / "Voice.zip")
    for content, said in ((b"", "is empty"), (b"Iw", "is not a faiss index"), (b"<html>", "a web page")):
        (tmp_path / "a.index").write_bytes(content)
        with pytest.raises(CheckpointError, match=said):
            read_index(tmp_path / "a.index")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_index(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_index(tmp_path / "b.index")


def test_the_index_of_another_version():
    with pytest.raises(
        CheckpointError, match=r"of 256 channels \(RVC v1\), and the voice takes units of 768 \(RVC v2\)"
    ):
        read_index(faiss_files.added(256), 768)


def _u64(value):
    return struct.pack("<Q", value)


HOSTILE = {  # field, its content, what is said
    "count of the header": ("count", struct.pack("<q", 13), "claims 13 vectors, and lists of 12"),
    "negative count": ("count", struct.pack("<q", -1), "claims -1 vectors"),
    "absurd count": ("count", struct.pack("<q", 2**40), "claims 1099511627776 vectors"),
    "not trained": ("trained", b"\0", "not to be trained"),
    "inner product": ("metric", struct.pack("<i", 0), "the metric inner product"),
    "no channels": ("width", struct.pack("<i", 0), "vectors of 0 channels"),
    "negative channels": ("width", struct.pack("<i", -4), "vectors of -4 channels"),
    "absurd channels": ("width", struct.pack("<i", 2**31 - 1), "vectors of 2147483647 channels"),
    "no lists": ("lists", _u64(0), "claims 0 lists"),
    "absurd lists": ("lists", _u64(MOST), f"claims {MOST} lists"),
    "lists found by HNSW": ("coarse kind", b"IHNf", "'IHNf'"),
    "too few centroids": ("coarse count", struct.pack("<q", 2), "centroids that do not fit"),
    "size of centroids": ("coarse floats", _u64(MOST), "centroids that do not fit"),
    "NaN in a centroid": ("centroids", np.full(12, np.nan, "<f4").tobytes(), "centroids that are not finite"),
    "map": ("map kind", b"\1", "a map of its vectors"),
    "large map": ("map size", _u64(MOST), "a map of its vectors"),
    "lists elsewhere": ("storage", b"ilod", "'ilod'"),
    "other lists": ("list count", _u64(4), "lists that do not fit"),
    "other code size": ("code size", _u64(8), "lists that do not fit"),
    "unknown sizes": ("sizes kind", b"f\nll", "stored as 'f\\\\nll'"),
    "sparse, odd": ("sizes kind", b"sprs", "3 sizes of 3 lists"),
    "many sizes": ("sizes count", _u64(MOST), f"{MOST} sizes of 3 lists"),
    "a list too long": ("size 0", _u64(5), "claims 12 vectors, and lists of 13"),
    "a list that overflows": ("size 0", _u64(MOST), f"lists of {MOST + 8}"),
    "sizes whose sum wraps to the right one": ("size 0", _u64(2**63), f"lists of {2**63 + 8}"),
    "NaN in a vector": ("vectors 1", np.full(16, np.nan, "<f4").tobytes(), "vectors that are not finite"),
    "infinity in a vector": ("vectors 1", np.full(16, np.inf, "<f4").tobytes(), "vectors that are not finite"),
    "beyond float16": ("vectors 1", np.full(16, 7e4, "<f4").tobytes(), "values that no unit of speech has"),
    "negative id": ("ids 0", np.array([0, 3, 6, -1], "<i8").tobytes(), "an id outside 0 … 11"),
    "id out of range": ("ids 0", np.array([0, 3, 6, 12], "<i8").tobytes(), "an id outside 0 … 11"),
    "id twice": ("ids 0", np.array([0, 3, 3, 9], "<i8").tobytes(), "an id twice"),
    "id of another list": ("ids 0", np.array([0, 3, 6, 1], "<i8").tobytes(), "an id twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_wrong_fields(tmp_path, made, name):
    field, content, said = HOSTILE[name]
    path = faiss_files.write(tmp_path / "a.index", made, **{field.replace(" ", "_"): content})
    with pytest.raises(CheckpointError, match=said) as error:
        read_index(path)
    assert error.value.remedy and "\n" not in str(error.value)


def test_sparse_sizes(tmp_path):
    sparse = faiss_files.fields(*faiss_files.small(), storage=b"sprs")
    for change in ({"size_0": _u64(1)}, {"size_0": _u64(3)}, {"size_0": _u64(MOST)}):
        with pytest.raises(CheckpointError, match="a list twice, or one that is not there"):
            read_index(faiss_files.write(tmp_path / "a.index", sparse, **change))
    with pytest.raises(CheckpointError, match="4 sizes of 3 lists|claims 12 vectors"):
        read_index(faiss_files.write(tmp_path / "a.index", sparse, sizes_count=_u64(4)))


def test_cut_anywhere(tmp_path, made):
    """At each border of two fields, and within each field."""
    whole, path, ends = b"".join(made.values()), tmp_path / "a.index", np.cumsum([len(d) for d in made.values()])
    assert read_index(faiss_files.write(path, made), 4).vectors.shape == (12, 4)
    for end in {*ends[:-1].tolist(), *(ends - 1).tolist()}:
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match="is cut off|is not a faiss index"):
            read_index(path, 4)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="goes on for 1 bytes"):
        read_index(path, 4)


def test_claims_take_no_memory(tmp_path, made):
    """A file of 700 bytes that claims a million vectors of 4096 channels, or 65536 lists, each consistently."""
    count, width, lists = 2**20, 4096, 2**16
    large = {"width": struct.pack("<i", width), "coarse width": struct.pack("<i", width), "code size": _u64(4 * width)}
    vectors = large | {"count": struct.pack("<q", count), "size 0": _u64(count - 8), "coarse floats": _u64(3 * width)}
    vectors["centroids"] = bytes(4 * 3 * width)
    many = {"lists": _u64(lists), "coarse count": struct.pack("<q", lists), "coarse floats": _u64(lists * 4)}
    for change in (vectors, many):
        path = faiss_files.write(tmp_path / "a.index", {**made, **change})
        tracemalloc.start()
        with pytest.raises(CheckpointError, match="is cut off: its (vectors|centroids) take"):
            read_index(path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
        tracemalloc.stop()


@pytest.mark.parametrize("channels", [None, 768])
def test_changed_bytes(tmp_path, channels):
    """It is read, or refused in one line, and most changes before the vectors are noticed."""
    chance, path = random.Random(5), tmp_path / "a.index"
    whole = faiss_files.added(768).read_bytes()
    head, refused = 98 + 3 * 4 * 768 + 80, 0
    for number in range(150):
        how, data = mutate(whole[:head] if number % 2 else whole, chance)
        path.write_bytes(data + whole[head:] if number % 2 else data)
        refused += bool(judged(f"{number} {how}", lambda: read_index(path, channels)))
    assert refused > 60


def test_memory_is_half_the_files(tmp_path):
    """Lists are read in parts: nothing but the float16 vectors and the ids is held whole."""
    count, width = 60_000, 256
    path = tmp_path / "a.index"
    vectors = np.zeros((count, width), np.float32)
    faiss_files.write(path, faiss_files.fields(vectors, np.zeros(count, int), np.zeros((1, width), np.float32)))
    del vectors
    tracemalloc.start()
    read_index(path, width)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * path.stat().st_size + 18e6
