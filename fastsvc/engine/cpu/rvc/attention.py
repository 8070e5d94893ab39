"""Attention with relative vectors near the diagonal, in blocks of queries: no T × T matrix is kept.

Score of frames i and j: q_i·k_j/√d, and q_i·r_{j−i}/√d where |j − i| ≤ w; the output of i is Σ_j p_ij v_j, and
Σ p_ij s_{j−i} over the same band (Shaw et al., arXiv 1803.02155). Fused kernels give no p, so scores of QUERIES rows at
a time are computed, changed and used. Keys and values have w rows of zeros at both ends: then the band of a row lies
in its scores for every row, one element further right than the row before, and is a view.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUERIES = 128  # rows at a time: their scores of a minute take 6 MB for two heads


def banded_attention(query: Tensor, key: Tensor, value: Tensor, near_keys: Tensor, near_values: Tensor) -> Tensor:
    """query, key, value [heads, T, d], near_keys and near_values [2w + 1, d] → [heads, T, d]."""
    heads, frames, width = query.shape
    near, scale = len(near_keys), 1 / math.sqrt(width)
    window, columns = near // 2, frames + near - 1
    keys, values = (padded(rows, window) for rows in (key, value))
    result = torch.empty_like(query)
    block = min(QUERIES, frames)
    scores, weights = (query.new_empty(heads * block * columns) for _ in range(2))
    for first in range(0, frames, block):
        last = min(first + block, frames)
        shape = heads, last - first, columns
        score, weight = (buffer[: math.prod(shape)].view(shape) for buffer in (scores, weights))
        rows = query[:, first:last]
        torch.baddbmm(score, rows, keys.mT, beta=0, alpha=scale, out=score)
        band(score, first, near).add_(rows @ near_keys.mT, alpha=scale)
        score[..., :window] = score[..., window + frames :] = -math.inf
        torch.softmax(score, dim=-1, out=weight)
        out = torch.matmul(band(weight, first, near), near_values)
        result[:, first:last] = out.baddbmm_(weight, values)
    return result


def padded(rows: Tensor, window: int) -> Tensor:
    """[heads, T, d] → [heads, window + T + window, d], zeros at both ends."""
    return torch.nn.functional.pad(rows, (0, 0, window, window))


def band(matrix: Tensor, first: int, near: int) -> Tensor:
    """A view [heads, rows, near] of [heads, rows, columns]: in row r the columns from ``first`` + r on."""
    heads, rows, columns = matrix.shape
    return matrix.as_strided((heads, rows, near), (rows * columns, columns + 1, 1), matrix.storage_offset() + first)
