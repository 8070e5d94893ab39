"""RVC's retrieval: units are drawn towards their nearest neighbours among the voice's training units.

As `RVC-Project/Retrieval-based-Voice-Conversion-WebUI` does: the eight nearest by squared distance d², weights
(1/d²)², normalised. Upstream searches the list of the nearest centroid alone ("nprobe"); "exact" searches all vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 8
CANDIDATES = 2 * NEIGHBOURS  # of the product, which rounds: their distances are then computed from differences
QUERIES, VECTORS = 2048, 4096  # of one product, whose result takes 32 MB
REFINED = 256  # queries whose candidates are gathered at a time: 3 MB for each 256 channels


class Retrieval:
    """The vectors of an index on a device, held as float16.

    vectors [n, D] float16: those of list 0, then those of list 1, …; list_sizes [lists] int32, whose sum is n ≥ 1;
    centroids [lists, D] float32.
    """

    def __init__(self, vectors: Tensor, list_sizes: Tensor, centroids: Tensor, device: str | torch.device = "cpu"):
        self.ends = [0, *list_sizes.long().cumsum(0).tolist()]
        self.vectors, self.centroids = vectors.to(device), centroids.to(device)
        self.half_squares = torch.cat([part.float().square().sum(1) / 2 for part in self.vectors.split(VECTORS)])
        self.half_centroids = self.centroids.square().sum(1) / 2

    def blend(self, units: Tensor, rate: float, search: str = "exact") -> Tensor:
        """rate · found + (1 − rate) · units, of the shape, type and device of ``units``, themselves at rate 0."""
        if not rate:
            return units
        found = self.found(units, search)
        return (found if rate == 1 else torch.lerp(units.float(), found, rate)).to(units.dtype)

    def found(self, units: Tensor, search: str = "exact") -> Tensor:
        """units [Tu, D] → the weighted mean of each one's nearest vectors, [Tu, D] float32.

        A unit that equals a vector gives that vector, where upstream gives NaN. ``search``: "exact", or "nprobe": in a
        list of fewer than eight vectors those alone count; in an empty list nothing is found, and the unit stays.
        """
        queries = units.float()
        if search == "exact":
            return self._among(queries, 0, len(self.vectors))
        found, nearest = queries.clone(), self._nearest_list(queries)
        for i in nearest.unique().tolist():
            if self.ends[i] < self.ends[i + 1]:
                rows = (nearest == i).nonzero()[:, 0]
                found[rows] = self._among(queries[rows], self.ends[i], self.ends[i + 1])
        return found

    def _nearest_list(self, queries: Tensor) -> Tensor:
        """[Q] int64"""
        rows = max(1, QUERIES * VECTORS // len(self.centroids))
        parts = (torch.addmm(self.half_centroids, part, self.centroids.T, alpha=-1) for part in queries.split(rows))
        return torch.cat([scores.argmin(1) for scores in parts])

    def _among(self, queries: Tensor, first: int, last: int) -> Tensor:
        """The weighted means [Q, D] of the nearest among the vectors ``first`` … ``last`` − 1."""
        parts = ((part, self._candidates(part, first, last)) for part in queries.split(QUERIES))
        pairs = ((q, c) for part, candidates in parts for q, c in zip(part.split(REFINED), candidates.split(REFINED)))
        return torch.cat([self._mean(*pair) for pair in pairs])

    def _candidates(self, queries: Tensor, first: int, last: int) -> Tensor:
        """[Q, ≤ CANDIDATES] int64, of all vectors: the nearest by the product, in which near distances cancel."""
        best = queries.new_empty(len(queries), 0)
        places = torch.empty_like(best, dtype=torch.long)
        for start in range(first, last, VECTORS):
            end = min(start + VECTORS, last)
            near, order = self._scores(queries, start, end).topk(
                min(CANDIDATES, end - start), largest=False, sorted=False
            )
            best, places = torch.cat((best, near), 1), torch.cat((places, order + start), 1)
            best, order = best.topk(min(CANDIDATES, best.shape[1]), largest=False, sorted=False)
            places = places.gather(1, order)
        return places

    def _scores(self, queries: Tensor, start: int, end: int) -> Tensor:
        """[Q, end − start]: |v|²/2 − q·v"""
        return torch.addmm(self.half_squares[start:end], queries, self.vectors[start:end].float().T, alpha=-1)

    def _mean(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """[Q, D] of queries [Q, D] and candidates [Q, C]."""
        vectors = self.vectors[candidates].float()  # [Q, C, D]
        squares = (vectors - queries[:, None]).square_().sum(2)
        nearest, order = squares.topk(min(NEIGHBOURS, squares.shape[1]), largest=False)
        weights = torch.zeros_like(squares).scatter(1, order, weights_of(nearest))
        return torch.bmm(weights[:, None], vectors)[:, 0]


def weights_of(squares: Tensor) -> Tensor:
    """Rising squared distances [Q, k] → weights (1/d²)² of sum 1, as factors of the first, so that none overflows.
    A distance of 0 takes all."""
    ratios = torch.where(squares == 0, 1.0, squares[:, :1] / squares)
    weights = ratios.square()
    return weights / weights.sum(1, keepdim=True)
