"""The path of fastsvc/features/f0/path.py without its loop over frames: a tree of (min, +) products, for GPUs.

The costs of moving from each state to each state are a matrix, and two successive matrices give another:
P[i, j] = min over m of A[i, m] + B[m, j]. Pairs of neighbours are joined until one matrix is left, and each product
stores its chosen m. On the way down these are read for the states at both ends of the path. That is 16 times the
arithmetic of the loop, in log2(frames) steps instead of ``frames``. The choice can differ only by equal costs and
rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_FRAMES = 8192  # joined into one tree; with 15 states 55 MB at its widest


def best_path(
    f0_hz: Tensor, cost: Tensor, frame_s: float, *, unvoiced_cost, jump_cost, switch_cost, frames=None
) -> Tensor:
    """f0_hz, cost [T, K] and costs as for path.best_path -> indices [T] int64, K for unvoiced.

    ``frames``: the number of valid frames before the padding; may be a tensor. Nothing waits for the device.
    """
    local = F.pad(cost, (0, 1), value=unvoiced_cost)
    octave, scale = f0_hz.clamp_min(1e-3).log2(), 0.01 / frame_s
    total, trees = local[0], []
    for first in range(0, len(local) - 1, BLOCK_FRAMES):
        rows = slice(first, first + BLOCK_FRAMES + 1)
        steps = _steps(octave[rows], local[rows], jump_cost * scale, switch_cost * scale)
        if frames is not None:
            frame = torch.arange(first + 1, first + 1 + len(steps), device=steps.device)
            steps = steps.masked_fill((frame >= frames)[:, None, None], 0)
        joined, chosen = _joined(steps)
        total, came_from = (total[:, None] + joined).min(0)
        total = total - total.min()  # so that costs of hours keep their digits
        trees.append((chosen, came_from))
    state, paths = total.argmin().view(1), []
    for chosen, came_from in reversed(trees):
        path = _descend(chosen, torch.cat((came_from[state], state)))
        paths.append(path[1:])
        state = path[:1]
    return torch.cat((state, *reversed(paths)))


def _steps(octave: Tensor, local: Tensor, jump_cost: float, switch_cost: float) -> Tensor:
    """Costs [T-1, from, to] of moving to the next frame plus that frame's own cost, unvoiced last."""
    moves = F.pad(jump_cost * (octave[:-1, :, None] - octave[1:, None]).abs(), (0, 1, 0, 1), value=switch_cost)
    moves[:, -1, -1].zero_()
    return moves + local[1:, None]


def _joined(steps: Tensor) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """(all steps joined, [from, to]; for each level, finest first, its number of steps and the m chosen for pairs)."""
    chosen, staying = [], torch.full_like(steps[:1], torch.inf)
    staying[0].fill_diagonal_(0)
    while len(steps) > 1:
        count = len(steps)
        if count % 2:
            steps = torch.cat((steps, staying))
        steps, between = (steps[::2, :, :, None] + steps[1::2, None]).min(2)
        chosen.append((count, between.to(torch.uint8)))
    return steps[0], chosen


def _descend(chosen: list[tuple[int, Tensor]], states: Tensor) -> Tensor:
    """States at the beginning and the end [2] -> at all frames."""
    for count, between in reversed(chosen):
        pairs = torch.arange(len(between), device=states.device)
        middle = between[pairs, states[:-1], states[1:]].long()
        states = torch.cat((torch.stack((states[:-1], middle), 1).flatten(), states[-1:]))[: count + 1]
    return states
