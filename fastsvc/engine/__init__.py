"""The engine: the .fsvc folder, the runtime, and one backend per device.

``Engine`` is imported when it is first asked for: looking at a folder's manifest needs no PyTorch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsvc.engine.engine import Engine

__all__ = ["Engine"]


def __getattr__(name: str):
    if name == "Engine":
        from fastsvc.engine.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
