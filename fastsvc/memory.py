"""How much memory this process may still take, by the machine, its container and its limits; errors that hold none."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

_NO_LIMIT = 1 << 60  # cgroup v1 writes a number near 2^63


def free_bytes(root: Path = Path("/")) -> int | None:
    """The least that the machine, cgroups (v1 and v2) and RLIMIT_AS leave; None where nothing is known (not Linux).

    Swap counts, because the system uses it before it kills. ``root``: the folder that holds proc and sys.
    """
    limits = [_machine(root), *_cgroups(root), _address_space(root)]
    known_limits = [value for value in limits if value is not None]
    return max(0, min(known_limits)) if known_limits else None


def _machine(root: Path) -> int | None:
    values = _table(root / "proc/meminfo")
    return (values["MemAvailable:"] + values.get("SwapFree:", 0)) * 1024 if "MemAvailable:" in values else None


def _cgroups(root: Path) -> list[int | None]:
    """Free bytes of every cgroup of this process, from its own up to the root."""
    free = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        hierarchy, controllers, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        version_2 = hierarchy == "0" and not controllers
        if not version_2 and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("" if version_2 else "memory")
        names = ("memory.max", "memory.current", "inactive_file")
        names = names if version_2 else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        own_folder = base / path.lstrip("/")
        # In a container the path may be the host's, of which only the base is visible.
        folders = {own_folder, *own_folder.parents} if ".." not in own_folder.parts else {base}
        free += [_cgroup(folder, *names) for folder in folders if folder == base or base in folder.parents]
    return free


def _cgroup(folder: Path, limit: str, used: str, cache: str) -> int | None:
    limit_text, used_text = _text(folder / limit).strip(), _text(folder / used).strip()
    if not (limit_text.isdigit() and used_text.isdigit()) or int(limit_text) >= _NO_LIMIT:
        return None
    return int(limit_text) - int(used_text) + _table(folder / "memory.stat").get(cache, 0)


def _address_space(root: Path) -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _text(root / "proc/self/statm").split()
    if limit == resource.RLIM_INFINITY or not pages:
        return None
    return limit - int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _table(path: Path) -> dict[str, int]:
    """{first word: number} of each line."""
    rows = [line.split() for line in _text(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def release_frames(error: BaseException) -> BaseException:
    """The same error; its tracebacks, and those of its causes, no longer hold the variables of their functions.

    Otherwise a failed recording would stay in memory for as long as its error.
    """
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        traceback.clear_frames(current.__traceback__)
        waiting += [current.__cause__, current.__context__]
    return error
