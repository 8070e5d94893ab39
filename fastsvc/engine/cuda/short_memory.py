"""What a sampler on a GPU does where memory is short: the same work in smaller batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from fastsvc.engine.buckets import Buckets
from fastsvc.engine.cuda.graphs import on
from fastsvc.errors import EngineError

Result = TypeVar("Result")


class HalvesBatches:
    """A sampler whose ``network`` can release its memory, and whose batches are those of ``buckets``."""

    device: torch.device
    buckets: Buckets
    network: Any

    def _within_memory(self, work: Callable[[], Result]) -> Result:
        """``work()``, repeated with half the rows whenever memory does not suffice. Raises EngineError."""
        while True:
            try:
                with on(self.device):
                    return work()
            except torch.OutOfMemoryError:
                buckets = self.buckets.halved()
                if buckets is None:
                    raise EngineError("the GPU's memory is too small or in use by others", "use --device cpu") from None
                warnings.warn(f"GPU memory is short: continuing with batches of {buckets.rows} frames", stacklevel=4)
                self.network.release()
                self.buckets = buckets
            torch.cuda.empty_cache()
