"""Retrieval against upstream's results, against float64, and where upstream gives NaN."""

import faiss_files
import numpy as np
import pytest
import torch

from fastsvc.checkpoints.files.faiss_index import read_index
from fastsvc.features import retrieval
from fastsvc.features.retrieval import Retrieval

TIE = {768: 6}  # the query whose eighth and ninth neighbours are equally far


def opened(channels, device="cpu"):
    index = read_index(faiss_files.added(channels), channels)
    return Retrieval(*map(torch.from_numpy, (index.vectors, index.list_sizes, index.centroids)), device)


@pytest.fixture(scope="module", params=[256, 768])
def case(request):
    """(channels, index, arrays of search.npz)"""
    with np.load(faiss_files.GOLDEN[request.param] / "search.npz") as data:
        return request.param, opened(request.param), {name: torch.from_numpy(data[name]) for name in data.files}


def specified(vectors, queries, rate=1.0):
    """The rule in float64, one query at a time."""
    found = []
    for query in queries.double():
        squares = (vectors.double() - query).square().sum(1)
        nearest = squares.argsort()[: retrieval.NEIGHBOURS]
        weights = squares[nearest] ** -2
        found.append(rate * (weights / weights.sum()) @ vectors.double()[nearest] + (1 - rate) * query)
    return torch.stack(found)


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_nprobe_is_upstreams_search(case, rate):
    _, index, golden = case
    blended = index.blend(golden["queries"].float(), rate, "nprobe")
    torch.testing.assert_close(blended, golden[f"blend_{rate}"], rtol=0, atol=3e-6)


def test_exact_is_the_search_of_everything(case):
    channels, index, golden = case
    found = index.found(golden["queries"].float())
    clear = torch.arange(len(found)) != TIE.get(channels, -1)
    torch.testing.assert_close(found[clear], golden["exact_1.0"][clear], rtol=0, atol=3e-6)


def test_the_tie_is_one(case):
    channels, index, golden = case
    squares = (golden["queries"].double()[:, None] - index.vectors.double()).square().sum(2).sort(1)[0]
    (ties,) = torch.nonzero(squares[:, 7] == squares[:, 8], as_tuple=True)
    assert ties.tolist() == ([TIE[channels]] if channels in TIE else [])


def test_the_two_searches_differ_near_borders(case):
    """As upstream's do, and by as much; elsewhere they are one."""
    channels, index, golden = case
    queries = golden["queries"].float()
    ours = (index.found(queries) - index.found(queries, "nprobe")).abs().amax(1)
    theirs = (golden["exact_1.0"] - golden["blend_1.0"]).abs().amax(1)
    clear = torch.arange(len(queries)) != TIE.get(channels, -1)
    assert 4 <= (theirs > 1e-3).sum() < len(queries) and theirs.max() > 1
    torch.testing.assert_close(ours[clear], theirs[clear], rtol=0, atol=6e-6)


def test_golden_data_tells_wrong_rules_apart(case, monkeypatch):
    """Weights 1/d² or 1/d⁸, seven or nine neighbours, a vector changed, a wrong list: all are seen."""
    _, index, golden = case

    def error():
        return float((index.blend(golden["queries"].float(), 1, "nprobe") - golden["blend_1.0"]).abs().max())

    right, weights_of = error(), retrieval.weights_of
    for power in (0.5, 2):
        with monkeypatch.context() as patch:
            patch.setattr(retrieval, "weights_of", lambda squares, p=power: weights_of(squares**p))
            assert error() > 1e3 * right
    for count in (7, 9):
        with monkeypatch.context() as patch:
            patch.setattr(retrieval, "NEIGHBOURS", count)
            assert error() > 1e3 * right
    with monkeypatch.context() as patch:
        patch.setattr(index, "vectors", index.vectors.roll(1, 0))
        assert error() > 1e3 * right
    with monkeypatch.context() as patch:
        patch.setattr(index, "centroids", index.centroids.roll(1, 0))
        assert error() > 1e3 * right


def test_a_stored_vector_is_found_alone(case):
    """Upstream's result is NaN."""
    _, index, golden = case
    assert golden["stored_vector_is_nan"].all()
    stored = index.vectors[:: len(index.vectors) // 6].float()
    for search in ("exact", "nprobe"):
        torch.testing.assert_close(index.found(stored, search), stored, rtol=0, atol=0)
        torch.testing.assert_close(index.blend(stored, 0.75, search), stored)


def test_rate_zero_touches_nothing(case):
    _, index, golden = case
    assert index.blend(golden["queries"], 0.0) is golden["queries"]
    assert index.blend(golden["queries"], 0) is golden["queries"]


def test_units_keep_their_type(case):
    _, index, golden = case
    half = index.blend(golden["queries"], 0.5)  # as a GPU's encoder gives them
    assert half.dtype == torch.float16
    torch.testing.assert_close(half, index.blend(golden["queries"].float(), 0.5).half())


def near(seed=0, count=40, width=64):
    """An index, and queries so near to its vectors that products in float32 lose their distances."""
    chance = torch.Generator().manual_seed(seed)
    centre = 8 * torch.randn(width, generator=chance)
    vectors = (centre + 0.03 * torch.randn(count, width, generator=chance)).half()
    queries = vectors[:9].float() + 0.01 * torch.randn(9, width, generator=chance)
    sizes = torch.tensor([count], dtype=torch.int32)
    return Retrieval(vectors, sizes, centre[None]), queries


def test_near_vectors_are_told_apart():
    """Distances come from differences. Were they taken from the product, the error would be a hundred times larger."""
    index, queries = near()
    want = specified(index.vectors, queries)
    error = float((index.found(queries).double() - want).abs().max())
    assert error < 8e-6
    squares = 2 * (index.half_squares + queries.square().sum(1, keepdim=True) / 2 - queries @ index.vectors.float().T)
    nearest, order = squares.clamp(min=1e-6).topk(8, largest=False)
    cancelled = torch.bmm(retrieval.weights_of(nearest)[:, None], index.vectors[order].float())[:, 0]
    assert float((cancelled.double() - want).abs().max()) > 100 * error


def test_blocks_change_nothing(monkeypatch):
    """Of queries, of vectors and of candidates."""
    chance = torch.Generator().manual_seed(1)
    vectors, sizes = torch.randn(300, 16, generator=chance).half(), torch.tensor([100, 0, 7, 193], dtype=torch.int32)
    queries, centroids = torch.randn(70, 16, generator=chance), 0.1 * torch.randn(4, 16, generator=chance)
    index = Retrieval(vectors, sizes, centroids)
    want = {search: index.found(queries, search) for search in ("exact", "nprobe")}
    torch.testing.assert_close(want["exact"].double(), specified(vectors, queries), rtol=0, atol=2e-6)
    for name, value in (("QUERIES", 11), ("VECTORS", 13), ("REFINED", 3)):
        monkeypatch.setattr(retrieval, name, value)
        for search, found in want.items():
            torch.testing.assert_close(Retrieval(vectors, sizes, centroids).found(queries, search), found)


def test_short_and_empty_lists():
    """Three vectors in the nearest list: those alone. None: the unit stays. Upstream gives NaN there."""
    vectors = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [9, 9]]).half()
    centroids = torch.tensor([[0.0, 0], [-9, -9], [9, 9]])
    index = Retrieval(vectors, torch.tensor([3, 0, 1], dtype=torch.int32), centroids)
    queries = torch.tensor([[0.5, 0.1], [-8, -9], [8, 8]])
    found = index.found(queries, "nprobe")
    torch.testing.assert_close(found[0].double(), specified(vectors[:3], queries[:1])[0], rtol=0, atol=1e-6)
    assert found[1:].tolist() == [[-8, -9], [9, 9]]
    assert torch.isfinite(index.found(queries)).all()


def test_float16_storage():
    """Against vectors in float32: rounding moves each value by at most 2⁻¹¹ of itself, and the weights hardly."""
    chance = torch.Generator().manual_seed(2)
    exact = torch.randn(500, 768, generator=chance)
    queries = exact[:40] + 0.3 * torch.randn(40, 768, generator=chance)
    index = Retrieval(exact.half(), torch.tensor([500], dtype=torch.int32), exact[:1])
    error = (index.found(queries).double() - specified(exact, queries)).abs().max()
    assert 1e-5 < error < 2**-11 * exact.abs().max()


def test_a_trained_unit_is_nearly_itself():
    """A float32 unit of the training set differs from its float16 by so little that nothing else has weight."""
    exact = torch.randn(500, 768, generator=torch.Generator().manual_seed(3))
    index = Retrieval(exact.half(), torch.tensor([500], dtype=torch.int32), exact[:1])
    assert (index.found(exact[:40]) - exact[:40]).abs().max() <= 2**-11 * exact.abs().max()


@pytest.mark.gpu
@pytest.mark.parametrize("channels", [256, 768])
def test_on_a_gpu(channels):
    """As on the processor, and the exact search does not wait for the device."""
    cpu, on_gpu = opened(channels), opened(channels, "cuda")
    queries = cpu.vectors[::3].float() + 0.3 * torch.randn(len(cpu.vectors[::3]), channels)
    units = queries.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        exact = on_gpu.blend(units, 0.75)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(exact.cpu(), cpu.blend(queries, 0.75), rtol=0, atol=1e-5)
    nprobe = on_gpu.blend(units, 0.75, "nprobe").cpu()
    torch.testing.assert_close(nprobe, cpu.blend(queries, 0.75, "nprobe"), rtol=0, atol=1e-5)
