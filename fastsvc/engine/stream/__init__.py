"""Streams: live conversion in blocks on one absolute grid of frames."""

from fastsvc.engine.stream.stream import Stream, unusable

__all__ = ["Stream", "unusable"]
