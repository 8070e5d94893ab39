"""YIN on the audio's device, for GPUs: nothing is copied to the host, and nothing waits.

The candidates are computed as on the CPU; path and filling are the same by other means (tree.py, cumulative maxima).
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.features.f0.candidates import candidates, outermost
from fastsvc.features.f0.path import COSTS
from fastsvc.features.f0.tree import best_path


def extract(
    audio: Tensor,
    rate_hz,
    hop_samples,
    frames,
    low_hz,
    high_hz,
    *,
    samples=None,
    valid_frames=None,
    beyond=None,
    prepared=None,
):
    """audio [samples] -> (f0_hz [frames] filled, voiced [frames]), as fastsvc.features.f0.extract gives them.

    ``samples``, ``valid_frames``: lengths before the padding; may be tensors, so that one graph serves all lengths.
    ``prepared``: the tables of candidates.py, which a graph that has captured this must keep.
    """
    grid, ends = (rate_hz, hop_samples, frames, low_hz, high_hz), {"samples": samples, "valid_frames": valid_frames}
    f0_hz, voiced = yin(audio, *grid, **ends, beyond=beyond, prepared=prepared)
    middles = (torch.arange(frames, device=audio.device) + 0.5) * hop_samples
    voiced = voiced & (middles < (len(audio) if samples is None else samples))
    return fill(f0_hz, voiced), voiced


def yin(
    audio: Tensor,
    rate_hz,
    hop_samples,
    frames,
    low_hz,
    high_hz,
    *,
    samples=None,
    valid_frames=None,
    beyond=None,
    prepared=None,
):
    """The same, but f0_hz is 0 where unvoiced, and arbitrary past the end of the audio."""
    grid = rate_hz, hop_samples, frames, low_hz, high_hz
    batch = candidates(audio[None], *grid, samples=samples, beyond=beyond, prepared=prepared)
    f0_hz, cost = (part[0] for part in batch)
    lowest, highest = outermost(low_hz, high_hz, beyond)
    cost = cost.masked_fill((f0_hz < lowest) | (f0_hz > highest), torch.inf)
    choice = best_path(f0_hz, cost, hop_samples / rate_hz, **COSTS, frames=valid_frames)
    voiced = choice < f0_hz.shape[1]
    chosen_hz = f0_hz.gather(1, choice.clamp_max(f0_hz.shape[1] - 1)[:, None])[:, 0]
    return chosen_hz.masked_fill(~voiced, 0), voiced


def fill(f0_hz: Tensor, voiced: Tensor) -> Tensor:
    """As fastsvc.features.f0.fill: log f0 runs linearly through unvoiced frames, and is held at both ends."""
    frames = len(f0_hz)
    frame, unvoiced = torch.arange(frames, device=f0_hz.device), ~voiced
    before = frame.masked_fill(unvoiced, -1).cummax(0).values
    after = frame.masked_fill(unvoiced, frames).flip(0).cummin(0).values.flip(0)
    left = torch.where(before < 0, after, before).clamp_max(frames - 1)
    right = torch.where(after == frames, before, after).clamp_min(0)
    log = f0_hz.masked_fill(unvoiced, 1).double().log()
    share = (frame - left) / (right - left).clamp_min(1).double()
    filled = torch.exp(log[left] + share * (log[right] - log[left])).float()
    return torch.where(voiced, f0_hz, filled.masked_fill(unvoiced.all(), 0))
