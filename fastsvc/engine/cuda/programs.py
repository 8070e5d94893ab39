"""Networks of fixed shape on a GPU: the ladder of prepared lengths, and a captured graph for each that was met."""

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

# Multiples of 16: attention's mask must be aligned, else it is copied in every layer.
LENGTHS = (32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 448, 512, 640, 768, 1024, 1280, 1536, 2048, 2560, 3072)


def prepared_length(rows: int) -> int:
    """The prepared length for so many units or frames; past the ladder multiples of 64."""
    return next((length for length in LENGTHS if length >= rows), -(-rows // 64) * 64)


def sent(audio, device: torch.device) -> Tensor:
    """A recording, tensor or array, on its way to the device; the host goes on."""
    return to_device(audio if isinstance(audio, Tensor) else torch.from_numpy(np.asarray(audio)), device, torch.float32)


class Programs:
    """Networks of fixed shape and their replays, made when first met, in one pool of memory.

    ``make(shape)`` gives an object with static inputs and outputs, and ``run()`` from the ones to the others.
    """

    def __init__(self, make: Callable[[Any], Any], device: torch.device, name: str = "the content encoder"):
        self.make, self.device, self.name = make, device, name
        self.release()

    def release(self) -> None:
        """Forget all of them and their memory."""
        settle(self.device)
        self.graphs, self.by_shape = Graphs(self.device), {}

    def prepared(self, shape) -> tuple[Any, Callable[[], None]]:
        """The network and its replay. Raises torch.OutOfMemoryError."""
        if shape not in self.by_shape:
            with torch.inference_mode(False):  # so that its inputs may be written in either mode
                program = self.make(shape)
            self.by_shape[shape] = program, self.graphs.capture(program.run)
        return self.by_shape[shape]

    def within_memory(self, work: Callable[[], Any]) -> Any:
        """``work()``; where memory is short once more, with nothing held but what it needs."""
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
