"""Readers of checkpoints: one file per format, each returning a :class:`Checkpoint`."""

from fastsvc.checkpoints.checkpoint import Checkpoint
from fastsvc.checkpoints.read_options import ReadOptions
from fastsvc.checkpoints.registry import read

__all__ = ["Checkpoint", "ReadOptions", "read"]
