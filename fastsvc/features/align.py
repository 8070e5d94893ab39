"""Bring content units from the rate of their encoder onto mel frames by repeating them.

Projects differ in the rounding, and a checkpoint expects the one that it was trained with:

- ``nearest``: unit ``floor(t * Tu / frames)``, as ``torch.nn.functional.interpolate`` (CoMoSVC and so-vits-svc with
  ``unit_interpolate_mode: nearest``, Diffusion-SVC with ``units_forced_mode: nearest``);
- ``left``: the last unit whose start ``i * frames / Tu`` is at or before t, at most one further than the frame before
  (``repeat_expand_2d`` of CoMoSVC and so-vits-svc, where the key is missing);
- ``round``: unit ``round(t * ratio)``, clamped, where the ratio comes from the hops (DDSP-SVC, and Diffusion-SVC where
  the key is missing or says ``left``, which is not the left above).
"""

from __future__ import annotations

import torch

from fastsvc.errors import ConfigError

HOWS = ("nearest", "left", "round")


def indices(units: int, frames: int, how: str = "nearest", *, ratio: float | None = None) -> torch.Tensor:
    """For each of ``frames`` mel frames, which of ``units`` units it takes -> int64 [frames].

    ``ratio``, units per frame, is read by "round" alone; without it, it is that of the counts.
    """
    if how not in HOWS:
        raise ConfigError(f"align: unknown way {how!r}", f"use one of {', '.join(HOWS)}")
    if units < 1:
        raise ConfigError("align: there are no units", "the recording is shorter than the encoder's window: pad it")
    if frames < 1:
        return torch.zeros(0, dtype=torch.int64)
    if how == "nearest":
        # torch rounds units / frames to float32 first, which moves an index now and then: take torch's own word.
        grid = torch.arange(units, dtype=torch.float32)
        return torch.nn.functional.interpolate(grid[None, None], size=frames, mode="nearest")[0, 0].long()
    frame = torch.arange(frames)
    if how == "left":
        # Upstream walks over the frames and compares with starts in float32, which counts from a minute on.
        starts = torch.arange(1, units) * frames / units
        behind = torch.searchsorted(starts, frame.to(starts.dtype), right=True) - frame
        return behind.cummin(0).values + frame
    return torch.round(frame * (units / frames if ratio is None else ratio)).long().clamp_max(units - 1)


def align(units: torch.Tensor, frames: int, how: str = "nearest", *, ratio: float | None = None) -> torch.Tensor:
    """[Tu, D] -> [frames, D]. Raises ConfigError for an unknown way or empty units."""
    return units[indices(len(units), frames, how, ratio=ratio).to(units.device)]
