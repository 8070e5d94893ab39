"""The cheapest path through the pitch candidates of all frames (Viterbi), after Boersma (1993), section 3."""

from __future__ import annotations

import numpy as np

COSTS = {
    "unvoiced_cost": 0.42,  # a frame counts as voiced when its best candidate differs from itself by less than this
    "jump_cost": 0.3,  # per octave and 10 ms
    "switch_cost": 0.14,  # for each change between voiced and unvoiced, per 10 ms
}
BLOCK_FRAMES = 2048  # transition costs are tabulated in blocks, so that an hour fits into memory


def best_path(f0_hz, cost, frame_s, *, unvoiced_cost, jump_cost, switch_cost, future=None) -> np.ndarray:
    """Choose one candidate for each frame, or none.

    ``f0_hz``, ``cost`` [B, T, K] (infinite cost: no candidate); ``unvoiced_cost`` for a frame without pitch,
    ``jump_cost`` per octave between neighbours, ``switch_cost`` for every change of voicing. The last two are defined
    for frames of 10 ms and scaled to ``frame_s``. With ``future`` a frame is decided by the cheapest path through that
    many frames after it, and later ones change it no more. Returns indices [B, T], K for unvoiced.
    """
    batch, length, count = cost.shape
    scale = 0.01 / frame_s
    octave = np.log2(np.maximum(f0_hz, 1e-3)).astype(np.float32)
    local = np.concatenate((cost, np.full((batch, length, 1), unvoiced_cost)), -1).astype(np.float32)
    back = np.zeros((length, batch, count + 1), dtype=np.uint8)
    total = local[:, 0].astype(np.float64)  # rounding must not decide between paths: a part would choose otherwise
    ends = np.empty((batch, length), dtype=np.int64)  # where the cheapest path up to each frame ends
    ends[:, 0] = total.argmin(-1)
    for first in range(1, length, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, length)
        moves = _moves(octave[:, first - 1 : last], jump_cost * scale, switch_cost * scale)
        for t in range(first, last):
            paths = moves[t - first] + total[:, None, :]
            back[t] = paths.argmin(-1)
            total = paths.min(-1) + local[:, t]
            ends[:, t] = total.argmin(-1)
        total -= total.min(-1, keepdims=True)  # so that costs of hours keep their digits
    if future is not None and future < length - 1:
        return _decided(back, ends, future)
    choice = np.empty((batch, length), dtype=np.int64)
    choice[:, -1] = ends[:, -1]
    rows = np.arange(batch)
    for t in range(length - 1, 0, -1):
        choice[:, t - 1] = back[t][rows, choice[:, t]]
    return choice


def _decided(back: np.ndarray, ends: np.ndarray, future: int) -> np.ndarray:
    """Each frame's place on the path that ends ``future`` frames later, or at the end; back [T, B, K], ends [B, T]."""
    batch, length = ends.shape
    last = np.minimum(np.arange(length) + future, length - 1)
    choice, rows = ends[:, last], np.arange(batch)[:, None]
    for behind in range(future):
        frame = last - behind
        choice = np.where(frame > np.arange(length), back[frame, rows, choice], choice)
    return choice


def _moves(octave: np.ndarray, jump_cost: float, switch_cost: float) -> np.ndarray:
    """Costs [T-1, B, to, from] of moving between the candidates of neighbouring frames, unvoiced last."""
    batch, length, count = octave.shape
    moves = np.full((length - 1, batch, count + 1, count + 1), switch_cost, dtype=np.float32)
    octave = octave.transpose(1, 0, 2)
    moves[..., :count, :count] = jump_cost * np.abs(octave[1:, :, :, None] - octave[:-1, :, None, :])
    moves[..., count, count] = 0
    return moves
