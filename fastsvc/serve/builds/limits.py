"""What a build may take: memory and time of its process, and the size of what an upload unpacks to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fastsvc import reading
from fastsvc.errors import CheckpointError, ResourceError
from fastsvc.reading import folder_zip

GROWTH, BASE_BYTES = 4, 600 * 10**6  # memory of a build: that many times its files, and Python with PyTorch
CPU_S = 4 * 3600
REMEDY = "build it with `fastsvc build` and send the engine, or start the server with more --memory"


def check(paths: Iterable[Path], memory_bytes: int) -> None:
    """Raises ResourceError for files whose build would need more memory than the server may use, before anything is
    unpacked; CheckpointError for files that cannot be read."""
    needed = GROWTH * sum(map(unpacked_bytes, paths)) + BASE_BYTES
    if needed > memory_bytes:
        have = f"the server may use {memory_bytes / 1e9:.1f} GB"
        raise ResourceError(f"the voice needs about {needed / 1e9:.1f} GB of memory to build, and {have}", REMEDY)


def unpacked_bytes(path: Path) -> int:
    """The size of a file, or of all that a zip unpacks to according to its own list."""
    with reading.open_file(path, CheckpointError) as file:
        size = os.fstat(file.fileno()).st_size
        archive = folder_zip.open_folder(file, path, size)
        return size if archive is None else size + sum(entry.file_size for entry in archive.archive.infolist())


def apply(memory_bytes: int) -> None:
    """Let the system hold this process to its limits, whatever a file makes of the estimate. Nothing on Windows."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_DATA: memory_bytes + 2 * BASE_BYTES,
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_FSIZE: 4 * memory_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
