"""Safetensors files, whatever their name ends with: recognised by their first bytes, and checked by the package."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fastsvc.errors import CheckpointError

HEADER = 16 * 2**20  # bytes of a header; real ones stay below one megabyte


def is_one(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins like this can be one: a length, and that many bytes of JSON. The
    package believes the length, so that it is bounded here."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= min(HEADER, size - 8)


def damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read as a safetensors file: its header is damaged", "download the file again"
    )


def load(path: Path) -> dict[str, Tensor]:
    """The package checks that names, shapes and offsets tile the file exactly. Raises CheckpointError."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except MemoryError:
        raise CheckpointError(
            f"{path} asks for more memory than there is", "free memory, or do not trust the file"
        ) from None
    except Exception as error:  # the package raises whatever a damaged file leads it to
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"{path} cannot be read as a safetensors file: {reason}", "download the file again"
        ) from None
