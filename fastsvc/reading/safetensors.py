"""Safetensors files, recognised by their first bytes whatever their suffix, and checked by the package."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from fastsvc.errors import CheckpointError

HEADER = 16 * 2**20  # bytes of a header; real ones stay below one megabyte


def looks_like(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins with ``head`` can be safetensors: a length, then that many bytes of
    JSON. The package trusts the length, so it is bounded here."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= min(HEADER, size - 8)


def damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read as a safetensors file: its header is damaged", "download the file again"
    )


def load(path: Path) -> dict[str, Tensor]:
    """The tensors by name; the package checks that their offsets tile the file exactly. Raises CheckpointError."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except MemoryError:
        raise CheckpointError(
            f"{path} asks for more memory than there is", "free memory, or do not trust the file"
        ) from None
    except Exception as error:  # a damaged file can make the package raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"{path} cannot be read as a safetensors file: {reason}", "download the file again"
        ) from None
