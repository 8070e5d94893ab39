"""Readers of checkpoints: one file per format, all giving a :class:`Checkpoint`."""

from fastsvc.checkpoints.checkpoint import Checkpoint, read

__all__ = ["Checkpoint", "read"]
