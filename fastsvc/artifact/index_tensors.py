"""The tensors of an engine's index of training units: names, types and shapes, which build and engine share."""

from __future__ import annotations

import torch
from torch import Tensor

VECTORS, LIST_SIZES, CENTROIDS = "vectors", "list_sizes", "centroids"
NAMES = (VECTORS, LIST_SIZES, CENTROIDS)


def misfit(tensors: dict[str, Tensor], vectors: int, lists: int, channels: int) -> str | None:
    """What is wrong with the tensors of an index of these sizes, or None.

    vectors [n, D] float16: those of list 0, those of list 1, …; list_sizes [lists] int32; centroids [lists, D] float32.
    """
    expected = {
        VECTORS: ((vectors, channels), torch.float16),
        LIST_SIZES: ((lists,), torch.int32),
        CENTROIDS: ((lists, channels), torch.float32),
    }
    if {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()} != expected:
        return "names, types or shapes"
    sizes = tensors[LIST_SIZES].long()
    if bool((sizes < 0).any()) or int(sizes.sum()) != vectors:
        return LIST_SIZES
    finite = all(bool(torch.isfinite(tensors[name]).all()) for name in (VECTORS, CENTROIDS))
    return None if finite else "values"
