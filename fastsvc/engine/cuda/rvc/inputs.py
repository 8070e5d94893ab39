"""Features of recordings → the static inputs of the encoder's program; the host waits for no copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.cuda.copies import to_device
from fastsvc.engine.cuda.rvc.encoder import EncoderProgram
from fastsvc.model.rvc.protection import protected


def fill(
    program: EncoderProgram, passes: Sequence[tuple[Features, int, int]], pitch: bool, device: torch.device
) -> None:
    """Write frames [begin, end) of each recording into a row of the batch; rows without one get the length 0."""
    lengths = torch.zeros(len(program.lengths), dtype=torch.int64)
    for row, (features, begin, end) in enumerate(passes):
        lengths[row] = end - begin
        f0_hz = to_device(features.f0_hz[begin:end] * features.voiced[begin:end], device)
        places = features.unit_indices[begin:end]
        units = gathered(features.units, places, device)
        if features.original_units is not None and pitch:
            units = protected(units, gathered(features.original_units, places, device), f0_hz, features.protect)
        program.f0_hz[row, : end - begin] = f0_hz
        program.units[row, : end - begin] = units
    program.lengths.copy_(to_device(lengths, device))


def gathered(units: Tensor, places: Tensor, device: torch.device) -> Tensor:
    """units [Tu, D] wherever they lie, unit indices [T] → [T, D], float32 on the device."""
    return to_device(units.index_select(0, to_device(places, units.device)), device, torch.float32)
