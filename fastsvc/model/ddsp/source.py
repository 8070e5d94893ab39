"""The excitation of DDSP-SVC: a comb tooth at f0, which is a sinc about each zero of the phase.

Upstream sums the phase in float32, which drifts within minutes. Here frames' phases are summed in integers, so the
phase stays right over hours and a recording may be cut anywhere.
"""

import torch
from torch import Tensor

UNIT = 2.0**48  # integers a cycle: their sums are exact in any order, and an overflow is a whole number of cycles
LEAST = 1e-5  # cycles a sample: keeps the sinc's width finite at 0 Hz


def frame_phase(f0_hz: Tensor, rate_hz: int, hop: int) -> Tensor:
    """f0_hz [B, T] → the phase just before each frame's first sample, in cycles 0 … 1, float64 [B, T]."""
    step, slope = steps(f0_hz, rate_hz)
    cycles = step * hop + slope * ((hop - 1) / 2)
    whole = (cycles.remainder(1.0) * UNIT).round().to(torch.int64)
    starts = (torch.cumsum(whole, dim=1) - whole) & (int(UNIT) - 1)
    return starts.double() / UNIT


def steps(f0_hz: Tensor, rate_hz: int) -> tuple[Tensor, Tensor]:
    """(cycles a sample of each frame, their change to the next frame: 0 in the last one), float64 [B, T]."""
    step = f0_hz.double() / rate_hz
    return step, torch.diff(step, dim=1, append=step[:, -1:])


def comb_tooth(step: Tensor, slope: Tensor, phase: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    """(comb tooth [B, T·hop], the phase of each frame's first sample in −½ … ½ cycle [B, T]), both float64.

    ``step`` and ``slope`` from :func:`steps` and ``phase`` from :func:`frame_phase`, all [B, T].
    """
    n = torch.arange(hop, dtype=torch.float64, device=step.device)
    step, slope = step[:, :, None], slope[:, :, None]
    cycles = phase[:, :, None] + step * (n + 1) + slope * (n * (n + 1) / (2 * hop))
    cycles = cycles - cycles.round()
    tooth = torch.sinc(cycles / (step + slope * (n / hop) + LEAST))
    return tooth.flatten(1), cycles[:, :, 0]
