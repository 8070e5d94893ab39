"""The engine: the .fsvc folder, the runtime, and one backend per device.

``Engine`` and ``Request`` are imported on first use, because reading a folder's manifest needs no PyTorch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.engine.engine import Engine
    from fastsvc.engine.request import Request

__all__ = ["Engine", "Request"]


def __getattr__(name: str):
    if name == "Engine":
        from fastsvc.engine.engine import Engine

        return Engine
    if name == "Request":
        from fastsvc.engine.request import Request

        return Request
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
