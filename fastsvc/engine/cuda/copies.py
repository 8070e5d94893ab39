"""Between ordinary memory and a GPU without anybody waiting: pinned memory, and a stream for the way home."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

PINNED_MOST = 64 * 2**20  # bytes of one tensor in pinned memory, which is dear


def host_stream(device: torch.device):
    """A stream for copies to ordinary memory; None for what is no GPU."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None


def to_device(value: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """``value`` on the device, in the order of its current stream, while the host goes on."""
    value = value.to(dtype or value.dtype)
    if device.type == "cuda" and value.device.type == "cpu" and value.nbytes <= PINNED_MOST:
        value = value.pin_memory()  # its memory is used again only after the copy: PyTorch keeps count
    return value.to(device, non_blocking=True)


class HostCopy:
    """The audio of one recording [samples] on its way, piece by piece, while the next piece is computed.

    A piece is cloned on the stream that made it, so that stream may go on and write over the piece's buffer. The copy
    waits for an event after the clone; the clone's memory counts as in use until the copy is done (record_stream);
    :meth:`wait` waits for an event after the last copy.
    """

    def __init__(self, samples: int, device: torch.device, stream):
        """``stream``: of :func:`host_stream`."""
        self.device, self.stream = device, stream
        with torch.inference_mode(False):
            pinned = stream is not None and 4 * samples <= PINNED_MOST
            self.audio = torch.empty(samples, dtype=torch.float32, pin_memory=pinned)
        self.held: list[tuple[int, int, Tensor]] = []
        self.ready = self.arrived = None

    def send(self, pieces: Iterable[tuple[int, int, Tensor]]) -> None:
        """(first sample, the one after the last, values): what was just computed on the current stream."""
        if self.stream is None:
            for first, last, values in pieces:
                self.audio[first:last].copy_(values)
            return
        cloned = [(first, last, values.clone()) for first, last, values in pieces]
        ready = torch.cuda.current_stream(self.device).record_event()
        self._leave()  # where memory is not pinned the host waits here, for pieces before those that are computed now
        self.held, self.ready = cloned, ready
        if self.audio.is_pinned():
            self._leave()

    def _leave(self) -> None:
        if not self.held:
            return
        self.stream.wait_event(self.ready)
        with torch.cuda.stream(self.stream):
            for first, last, values in self.held:
                values.record_stream(self.stream)
                self.audio[first:last].copy_(values, non_blocking=self.audio.is_pinned())
        self.held, self.arrived = [], self.stream.record_event()

    def wait(self) -> Tensor:
        """All of it, in ordinary memory."""
        if self.stream is not None:
            self._leave()
            if self.arrived is not None:
                self.arrived.synchronize()
        return self.audio
