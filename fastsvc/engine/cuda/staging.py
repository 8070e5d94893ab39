"""What the kernels' denoiser gets of each recording, and its way into the buffers of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slice:
    """The kernels' input for some frames of a recording: on the device, but for scalars, which may be on the host."""

    units: Tensor  # [Tu, U], float32, of the whole recording
    unit_indices: Tensor  # [T] int32, rows of units
    scalars: Tensor  # [3, T]: f0_hz, loudness, voiced
    utterance: Tensor  # [H]
    first: int  # absolute frame of the first one
    seed: int = 0

    def __len__(self) -> int:
        return len(self.unit_indices)


class Staging:
    """Copies slices into a program's buffers; values by frame go through pinned memory, so the host never waits."""

    def __init__(self, device: torch.device):
        self.device, self.pinned = device, device.type == "cuda"
        self.memory: Tensor | None = None
        self.sent = None

    def send(self, program: Any, slices: list[Slice]) -> None:
        """Fill the static inputs of ``program``, a DenoiserProgram; rows without a slice get length 0."""
        net, (batch, frames) = program.net, (program.shape.batch, program.shape.frames)
        self._begin(batch * (16 * frames + 20) + 256)
        lengths, first_frames, seeds = (self._cut((batch,), d) for d in (torch.int32, torch.int64, torch.int64))
        scalars, indices = self._cut((3, batch, frames), torch.float32), self._cut((batch, frames), torch.int32)
        for buffer in (lengths, first_frames, seeds, scalars, indices):
            buffer.zero_()
        for i, piece in enumerate(slices):
            size = len(piece)
            lengths[i], first_frames[i], seeds[i] = size, piece.first, as_int64(piece.seed)
            units, unit_indices = compact(piece.units, piece.unit_indices, frames)
            indices[i, :size] = unit_indices
            if piece.scalars.device.type == "cpu":
                scalars[:, i, :size] = piece.scalars
            program.units[i, : len(units)].copy_(units, non_blocking=True)
            program.utterance[i].zero_()
            program.utterance[i, : len(piece.utterance)].copy_(piece.utterance, non_blocking=True)
        pairs = (net.lengths, lengths), (net.first_frames, first_frames), (net.seeds, seeds)
        for target, source in (*pairs, (program.scalars, scalars), (program.unit_indices, indices)):
            target.copy_(source, non_blocking=True)
        for i, piece in enumerate(slices):
            if piece.scalars.device.type != "cpu":
                program.scalars[:, i, : len(piece)].copy_(piece.scalars)
        if self.pinned:
            self.sent = torch.cuda.current_stream(self.device).record_event()

    def _begin(self, size: int) -> None:
        if self.sent is not None:
            self.sent.synchronize()  # the last copies have read this memory
        if self.memory is None or len(self.memory) < size:
            with torch.inference_mode(False):
                self.memory = torch.empty(size, dtype=torch.uint8, pin_memory=self.pinned)
        self.used = 0

    def _cut(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = dtype.itemsize * torch.Size(shape).numel()
        start, self.used = self.used, -(-(self.used + size) // 16) * 16
        assert self.memory is not None, "_begin() makes it"
        return self.memory[start : start + size].view(dtype).view(shape)


def compact(units: Tensor, unit_indices: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Only the units that are read, at most ``most`` of them, and the indices into these."""
    low, high = int(unit_indices.min()), int(unit_indices.max())
    if high - low < most:
        return units[low : high + 1], unit_indices - low
    return units[unit_indices.long()], torch.arange(len(unit_indices), dtype=torch.int32)


def as_int64(seed: int) -> int:
    """The int64 with the same 64 bits as ``seed``."""
    seed &= 2**64 - 1
    return seed - 2**64 if seed >= 2**63 else seed
