"""Whether Triton passes the cache hints of loads on to the code: from 3.9 on. Earlier ones drop them without a word."""

from __future__ import annotations

import re
from importlib import metadata

from fastsvc.errors import EngineError

LEAST = (3, 9)


def version() -> str | None:
    """Triton's version; None where it is not installed."""
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return None


def why_none(triton: str | None) -> str | None:
    """What this version of Triton loses; None if nothing."""
    numbers = re.match(r"(\d+)\.(\d+)", triton or "")
    if triton is None or (numbers and (int(numbers[1]), int(numbers[2])) >= LEAST):
        return None
    return f"triton {triton} drops the vocoder's cache hints, which 3.9 keeps"


def require() -> None:
    """Raises EngineError where kernels compiled here would lack their hints."""
    why = why_none(version())
    if why:
        raise EngineError(f"kernels are not compiled here: {why}", "install triton>=3.9 in an environment of its own")
