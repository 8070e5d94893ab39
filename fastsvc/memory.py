"""How much memory this process may still take: of the machine, its container, its limits. Errors that hold none."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

_NO_LIMIT = 1 << 60  # cgroup v1 writes a number near 2^63


def free_bytes(root: Path = Path("/")) -> int | None:
    """The least of what machine, cgroups (v1 and v2) and RLIMIT_AS leave; None where nothing is known (not Linux).

    Swap counts, as the system uses it before it kills. ``root``: where proc and sys are found.
    """
    found = [_machine(root), *_cgroups(root), _address_space(root)]
    known = [value for value in found if value is not None]
    return max(0, min(known)) if known else None


def _machine(root: Path) -> int | None:
    values = _table(root / "proc/meminfo")
    return (values["MemAvailable:"] + values.get("SwapFree:", 0)) * 1024 if "MemAvailable:" in values else None


def _cgroups(root: Path) -> list[int | None]:
    """Of every cgroup that this process is in, from its own up to the root."""
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, kinds, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "/")
        first = number == "0" and not kinds
        if not first and "memory" not in kinds.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("" if first else "memory")
        names = ("memory.max", "memory.current", "inactive_file")
        names = names if first else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        inner = base / path.lstrip("/")
        # In a container the path may be the host's, where only the base is seen.
        folders = {inner, *inner.parents} if ".." not in inner.parts else {base}
        found += [_cgroup(folder, *names) for folder in folders if folder == base or base in folder.parents]
    return found


def _cgroup(folder: Path, limit: str, used: str, cache: str) -> int | None:
    most, now = _text(folder / limit).strip(), _text(folder / used).strip()
    if not (most.isdigit() and now.isdigit()) or int(most) >= _NO_LIMIT:
        return None
    return int(most) - int(now) + _table(folder / "memory.stat").get(cache, 0)


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


def emptied(error: BaseException) -> BaseException:
    """The same error, whose tracebacks (and those of its causes) no longer hold the variables of their functions.

    Else a recording that failed would be kept in memory for as long as its error.
    """
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        waiting += [one.__cause__, one.__context__]
    return error
