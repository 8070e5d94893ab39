"""Networks of fixed shape on a GPU: the prepared lengths, and a captured graph for each length in use."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastsvc.engine.cuda.copies import to_device
from fastsvc.engine.cuda.graphs import Graphs, on, settle
from fastsvc.errors import EngineError

# Multiples of 16: attention's mask must be aligned, or it is copied in every layer.
LENGTHS = (32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 448, 512, 640, 768, 1024, 1280, 1536, 2048, 2560, 3072)


def prepared_length(rows: int) -> int:
    """The smallest prepared length that holds ``rows`` units or frames; beyond the longest one, multiples of 64."""
    return next((length for length in LENGTHS if length >= rows), -(-rows // 64) * 64)


def audio_to_device(audio, device: torch.device) -> Tensor:
    """A recording, tensor or array, as float32 on the device; the host does not wait for the copy."""
    if not isinstance(audio, Tensor):
        audio = torch.from_numpy(np.require(audio, requirements=["C", "W"]))
    return to_device(audio, device, torch.float32)


class Programs:
    """Networks of fixed shape and their replays, made on first use, in one pool of memory.

    ``make(shape)`` returns an object with static inputs and outputs, and ``run()``, which computes outputs from inputs.
    """

    def __init__(self, make: Callable[[Any], Any], device: torch.device, name: str = "the content encoder"):
        self.make, self.device, self.name = make, device, name
        self.release()

    def release(self) -> None:
        """Forget all programs and their memory."""
        settle(self.device)
        self.graphs, self.by_shape = Graphs(self.device), {}

    def prepared(self, shape) -> tuple[Any, Callable[[], None]]:
        """The program of a shape and its replay. Raises torch.OutOfMemoryError."""
        if shape not in self.by_shape:
            with torch.inference_mode(False):  # so that its inputs may be written in either mode
                program = self.make(shape)
            self.by_shape[shape] = program, self.graphs.capture(program.run)
        return self.by_shape[shape]

    def within_memory(self, work: Callable[[], Any]) -> Any:
        """``work()``; where memory is short, a second time after releasing the programs of all other shapes."""
        try:
            with on(self.device):
                return work()
        except torch.OutOfMemoryError:
            warnings.warn(f"GPU memory is short: {self.name} drops its graphs of other lengths", stacklevel=3)
            self.release()
        torch.cuda.empty_cache()
        try:
            with on(self.device):
                return work()
        except torch.OutOfMemoryError:
            self.release()
            raise EngineError("the GPU's memory is too small or in use by others", "use --device cpu") from None
