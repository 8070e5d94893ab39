"""Attention with relative vectors near the diagonal over a padded batch; the arithmetic of engine/cpu/rvc/attention.py.

Fused kernels give no weights, which the relative vectors need, so scores are kept: of as many queries at a time as a
bound on memory allows. Columns and relative vectors are rounded up to multiples of 8, as tensor cores like them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.engine.cpu.rvc.attention import band

ALIGNED = 8


def near_rows(relative: Tensor) -> Tensor:
    """[2w + 1, d] → the same with rows of zeros behind, as many as ALIGNED asks for."""
    return F.pad(relative, (0, 0, 0, -len(relative) % ALIGNED))


def beyond_keys(lengths: Tensor, frames: int, window: int) -> Tensor:
    """lengths [B] of the keys attended to → [B, 1, 1, columns] of scores: where there is no key.

    Keys begin at the column ``window``; the band of the last of ``frames`` queries ends inside the columns.
    """
    columns = _rounded(frames + _rounded(2 * window + 1) - 1)
    place = torch.arange(columns, device=lengths.device) - window
    return ((place < 0) | (place >= lengths[:, None]))[:, None, None]


def banded_attention(
    qkv: Tensor, near_keys: Tensor, near_values: Tensor, window: int, beyond: Tensor, most_scores: int
) -> Tensor:
    """qkv [3, B, heads, T, d]; near_keys, near_values from :func:`near_rows`; beyond from :func:`beyond_keys` → [B,
    heads, T, d]. About ``most_scores`` scores are kept at a time."""
    _, batch, heads, frames, width = qkv.shape
    near, columns, scale = len(near_keys), beyond.shape[3], 1 / math.sqrt(width)
    query, keys, values = F.pad(qkv, (0, 0, window, columns - window - frames)).flatten(1, 2)
    query = query[:, window : window + frames]
    result, block = [], max(1, min(frames, most_scores // (batch * heads * columns)))
    for first in range(0, frames, block):
        rows = query[:, first : first + block]
        score = rows.new_empty(batch * heads, rows.shape[1], columns)
        torch.baddbmm(score, rows, keys.mT, beta=0, alpha=scale, out=score)
        band(score, first, near).add_(rows @ near_keys.mT, alpha=scale)
        score.view(batch, heads, -1, columns).masked_fill_(beyond, -math.inf)
        weight = torch.softmax(score, dim=-1)
        out = torch.matmul(band(weight, first, near), near_values)
        result.append(out.baddbmm_(weight, values))
    return torch.cat(result, 1).view(batch, heads, frames, width)


def _rounded(columns: int) -> int:
    return -(-columns // ALIGNED) * ALIGNED
