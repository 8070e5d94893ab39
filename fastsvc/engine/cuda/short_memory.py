"""What is done on a GPU where memory is short: the same work again, in smaller pieces."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from fastsvc.engine.cuda.graphs import on
from fastsvc.errors import EngineError

Result = TypeVar("Result")


def within_memory(device: torch.device, work: Callable[[], Result], shrink: Callable[[], str | None]) -> Result:
    """``work()``, repeated after ``shrink()`` whenever memory does not suffice.

    ``shrink`` releases memory, makes the next try smaller and says with what it continues; None: it cannot be smaller.
    Raises EngineError.
    """
    while True:
        try:
            with on(device):
                return work()
        except torch.OutOfMemoryError:
            smaller = shrink()
            if smaller is None:
                raise EngineError("the GPU's memory is too small or in use by others", "use --device cpu") from None
            warnings.warn(f"GPU memory is short: {smaller}", stacklevel=5)
        torch.cuda.empty_cache()
