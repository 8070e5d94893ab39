"""Bring content units from their encoder's rate to mel frames by repeating them.

Projects differ in the rounding, and a checkpoint expects the rounding of its training:

- ``nearest``: unit ``floor(t * Tu / frames)``, as ``torch.nn.functional.interpolate`` (CoMoSVC and so-vits-svc with
  ``unit_interpolate_mode: nearest``, Diffusion-SVC with ``units_forced_mode: nearest``);
- ``left``: the last unit whose start ``i * frames / Tu`` is at or before t, at most one further than the frame before
  (``repeat_expand_2d`` of CoMoSVC and so-vits-svc, where the key is missing);
- ``round``: unit ``round(t * ratio)``, clamped, where the ratio comes from the hops (DDSP-SVC, and Diffusion-SVC where
  the key is missing or says ``left``, which is not the left above);
- ``hops``: unit ``floor(t * ratio)``, exactly, clamped: as ``nearest`` but for the length of the recording, which then
  does not move a frame's unit. This project's own models since streams exist;
- ``average``: the mean of all units that the frame's span of ``ratio`` units touches (Amphion, ``offline_align``). It
  does not choose units, so :func:`indices` does not have it.
"""

from __future__ import annotations

from fractions import Fraction

import torch

from fastsvc.errors import ConfigError

METHODS = ("nearest", "left", "round", "hops")
LARGEST_HOP = 10**6  # both hops' ratio is one of whole numbers up to this


def indices(units: int, frames: int, method: str = "nearest", *, ratio: float | None = None) -> torch.Tensor:
    """The index of each mel frame's unit, int64 [frames], below ``units``.

    ``ratio``, units per frame, is for "round" and "hops" alone; by default units / frames.
    """
    if method not in METHODS:
        raise ConfigError(f"align: unknown way {method!r}", f"use one of {', '.join(METHODS)}")
    if units < 1:
        raise ConfigError("align: there are no units", "pad the recording, which is shorter than the encoder's window")
    if frames < 1:
        return torch.zeros(0, dtype=torch.int64)
    if method == "nearest":
        # torch rounds units / frames to float32 first, which moves an index now and then: so let torch compute it.
        grid = torch.arange(units, dtype=torch.float32)
        return torch.nn.functional.interpolate(grid[None, None], size=frames, mode="nearest")[0, 0].long()
    frame = torch.arange(frames)
    if method == "left":
        # Upstream walks over the frames and compares with starts in float32, which matters from a minute on.
        starts = torch.arange(1, units) * frames / units
        behind = torch.searchsorted(starts, frame.to(starts.dtype), right=True) - frame
        return behind.cummin(0).values + frame
    return by_hops(frame, units / frames if ratio is None else ratio, method).clamp_max(units - 1)


def by_hops(frame: torch.Tensor, ratio: float, method: str) -> torch.Tensor:
    """The unit of each frame int64 [...] by the hops alone: rounded for "round", else the last that starts before."""
    if method == "round":
        return torch.round(frame * ratio).long()
    exact = Fraction(ratio).limit_denominator(LARGEST_HOP)
    return frame * exact.numerator // exact.denominator


def align(units: torch.Tensor, frames: int, method: str = "nearest", *, ratio: float | None = None) -> torch.Tensor:
    """[Tu, D] -> [frames, D]. "average" needs ``ratio``, units per frame.

    Raises ConfigError for an unknown way or empty units.
    """
    if method == "average":
        return _average(units, frames, Fraction(ratio).limit_denominator(10**4))
    return units[indices(len(units), frames, method, ratio=ratio).to(units.device)]


def _average(units: torch.Tensor, frames: int, ratio: Fraction) -> torch.Tensor:
    """Each unit is cut into ``ratio.denominator`` pieces, each frame covers ``ratio.numerator`` of them.

    Only whole frames are averaged; the last of them is repeated to the end.
    """
    whole_frames = len(units) * ratio.denominator // ratio.numerator
    if whole_frames == 0:
        raise ConfigError(f"align: {len(units)} units are less than one frame", "use the units of the whole recording")
    piece = torch.arange(frames).clamp(max=whole_frames - 1) * ratio.numerator
    total = torch.zeros(frames, units.shape[1], device=units.device)
    for step in range(ratio.numerator):
        total += units[((piece + step) // ratio.denominator).to(units.device)].float()
    return total / ratio.numerator
