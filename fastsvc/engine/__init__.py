"""The engine: the .fsvc folder, the runtime, and one backend per device."""

from fastsvc.engine.engine import Engine

__all__ = ["Engine"]
