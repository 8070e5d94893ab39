"""Copies between host and GPU for which neither waits: pinned memory, and a stream for copies to the host."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

PINNED_MOST = 64 * 2**20  # bytes of one tensor in pinned memory, which is expensive


def host_stream(device: torch.device):
    """A stream for copies to the host, or other work beside the current one's; None for a device that is not a GPU."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None


def to_device(value: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """``value`` copied to the device, in order on its current stream; the host does not wait."""
    value = value.to(dtype or value.dtype)
    if device.type == "cuda" and value.device.type == "cpu" and value.nbytes <= PINNED_MOST:
        value = value.pin_memory()  # PyTorch reuses its memory only after the copy
    return value.to(device, non_blocking=True)


class HostValues:
    """A small tensor on its way to the host, for which nobody waits before its values are needed."""

    def __init__(self, value: Tensor):
        self.arrived = None
        if value.device.type != "cuda":
            self.value = value.detach().cpu().clone()
            return
        with torch.inference_mode(False):
            self.value = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        self.value.copy_(value, non_blocking=True)
        self.arrived = torch.cuda.current_stream(value.device).record_event()

    def wait(self) -> np.ndarray:
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.value.numpy()


class DeviceAudio:
    """The audio of one recording [samples] where it stays on the device; used as :class:`HostCopy`."""

    def __init__(self, samples: int, device: torch.device):
        with torch.inference_mode(False):
            self.audio = torch.empty(samples, device=device)

    def send(self, chunks: Iterable[tuple[int, int, Tensor]]) -> None:
        for first, last, values in chunks:
            self.audio[first:last].copy_(values)

    def wait(self) -> Tensor:
        """The whole audio, on which the current stream may still be at work."""
        return self.audio


class HostCopy:
    """The audio of one recording [samples] on its way to the host, chunk by chunk, while the next chunk is computed.

    A chunk is cloned on the stream that computed it, so that this stream may go on and write over the chunk's buffer.
    The copy waits for an event after the clone. The clone's memory counts as in use until the copy is done
    (record_stream). :meth:`wait` waits for an event after the last copy.
    """

    def __init__(self, samples: int, device: torch.device, stream):
        """``stream``: from :func:`host_stream`."""
        self.device, self.stream = device, stream
        with torch.inference_mode(False):
            pinned = stream is not None and 4 * samples <= PINNED_MOST
            self.audio = torch.empty(samples, dtype=torch.float32, pin_memory=pinned)
        self.cloned: list[tuple[int, int, Tensor]] = []
        self.ready = self.arrived = None

    def send(self, chunks: Iterable[tuple[int, int, Tensor]]) -> None:
        """Copy chunks (first sample, the one after the last, values) that the current stream has just computed."""
        if self.stream is None:
            for first, last, values in chunks:
                self.audio[first:last].copy_(values)
            return
        cloned = [(first, last, values.clone()) for first, last, values in chunks]
        ready = torch.cuda.current_stream(self.device).record_event()
        self._copy()  # without pinned memory the host waits here, for the chunks before those being computed now
        self.cloned, self.ready = cloned, ready
        if self.audio.is_pinned():
            self._copy()

    def _copy(self) -> None:
        if not self.cloned:
            return
        self.stream.wait_event(self.ready)
        with torch.cuda.stream(self.stream):
            for first, last, values in self.cloned:
                values.record_stream(self.stream)
                self.audio[first:last].copy_(values, non_blocking=self.audio.is_pinned())
        self.cloned, self.arrived = [], self.stream.record_event()

    def wait(self) -> Tensor:
        """The whole audio, on the host."""
        if self.stream is not None:
            self._copy()
            if self.arrived is not None:
                self.arrived.synchronize()
        return self.audio
