"""Bring content units from the rate of their encoder onto mel frames by repeating them.

Projects differ in the rounding, and a checkpoint expects the one that it was trained with:

- ``nearest``: unit ``floor(t * Tu / frames)``, as ``torch.nn.functional.interpolate`` (CoMoSVC, so-vits, Diffusion-SVC
  with ``unit_interpolate_mode: nearest``);
- ``left``: the last unit whose start ``i * frames / Tu`` is at or before t (so-vits' ``repeat_expand_2d``, used where
  the key is missing);
- ``round``: unit ``round(t * Tu / frames)``, clamped (DDSP-SVC);
- ``average``: the mean of the units over the frame's span of ``ratio`` units, however many of them it touches (Amphion,
  ``offline_align``). Not a choice of units, so :func:`indices` does not know it.
"""

from __future__ import annotations

from fractions import Fraction

import torch

from fastsvc.errors import ConfigError

HOWS = ("nearest", "left", "round")


def indices(units: int, frames: int, how: str = "nearest", *, ratio: float | None = None) -> torch.Tensor:
    """For each of ``frames`` mel frames, which of ``units`` units it takes -> int64 [frames].

    ``ratio``, units per frame, is read by "round" alone: DDSP-SVC takes it from the two hops instead of the counts.
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
        return torch.div(frame * units, frames, rounding_mode="floor")  # exact: unit i starts at i * frames / units
    return torch.round(frame * (units / frames if ratio is None else ratio)).long().clamp_max(units - 1)


def align(units: torch.Tensor, frames: int, how: str = "nearest", *, ratio: float | None = None) -> torch.Tensor:
    """[Tu, D] -> [frames, D]. "average" needs ``ratio``, units per frame.

    Raises ConfigError for an unknown way or empty units.
    """
    if how == "average":
        return _average(units, frames, Fraction(ratio).limit_denominator(10**4))
    return units[indices(len(units), frames, how, ratio=ratio).to(units.device)]


def _average(units: torch.Tensor, frames: int, ratio: Fraction) -> torch.Tensor:
    """Each unit is cut into ``ratio.denominator`` pieces, each frame covers ``ratio.numerator`` of them.

    Only whole frames are averaged; the last of them is repeated to the end.
    """
    whole = len(units) * ratio.denominator // ratio.numerator
    if whole == 0:
        raise ConfigError(f"align: {len(units)} units are less than one frame", "give the units of the whole recording")
    piece = torch.arange(frames).clamp(max=whole - 1) * ratio.numerator
    total = torch.zeros(frames, units.shape[1], device=units.device)
    for step in range(ratio.numerator):
        total += units[((piece + step) // ratio.denominator).to(units.device)].float()
    return total / ratio.numerator
