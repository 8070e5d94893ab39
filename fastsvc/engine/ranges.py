"""NVTX ranges named after the stages, for Nsight Systems; nothing without :func:`enable` or without the package."""

from __future__ import annotations

import contextlib
import warnings

_nvtx = None


def enable(on: bool = True) -> bool:
    """Mark stages from now on; False, with a warning, where the package nvtx is not installed."""
    global _nvtx
    _nvtx = None
    if not on:
        return False
    try:
        import nvtx  # pyright: ignore[reportMissingImports]  # of the extra gpu
    except ImportError:
        warnings.warn("nvtx is not installed, so stages are not marked (pip install nvtx)", stacklevel=2)
        return False
    _nvtx = nvtx
    return True


def stage(name: str):
    """A context whose work is marked as the stage ``name``."""
    return contextlib.nullcontext() if _nvtx is None else _nvtx.annotate(name, domain="fastsvc")
