"""Readers of checkpoints: one file per format, all giving a :class:`Checkpoint`."""

from fastsvc.checkpoints.checkpoint import Checkpoint, read
from fastsvc.checkpoints.given import Given

__all__ = ["Checkpoint", "Given", "read"]
