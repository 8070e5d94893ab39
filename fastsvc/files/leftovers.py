"""Temporary names, and what processes that died have left under them.

A name is short whatever stands beside it, so names of 255 bytes can be written. It tells the process: which machine
(and boot, and container), which number. So the next start can tell leftovers from a neighbour's work.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from pathlib import Path

_NAME = re.compile(r"\.fastsvc-(?P<machine>[0-9a-f]{6})-(?P<process>\d{1,10})-[0-9a-f]{8}\.tmp")
_ELSEWHERE_S = 24 * 3600.0  # after so long another machine's temporary is a leftover, too
LOCK, IN_WORK = ".fastsvc.lock", ".fastsvc-in-work.jsonl"
NEW, OLD = "new", "old"  # inside a temporary folder: what is being made, and what stood in its place
_own: set[str] = set()


def temporary_name() -> str:
    """A new name for a temporary sibling, 35 to 41 characters."""
    name = f".fastsvc-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    _own.add(name)
    return name


def forget(name: str) -> None:
    """The temporary is gone."""
    _own.discard(name)


@functools.lru_cache(maxsize=1)
def _machine() -> str:
    """This machine since it was started, and this container of it: numbers of processes mean something within it."""
    known = [platform.node()]
    with contextlib.suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        known.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:6]


def process_name() -> str:
    """This process, for :func:`runs`."""
    return f"{_machine()}-{os.getpid()}"


def runs(name: object) -> bool:
    """Whether the process of this :func:`process_name` runs now: on this machine, and not as this one."""
    machine, _, number = name.partition("-") if isinstance(name, str) else ("", "", "")
    plain = number.isascii() and number.isdigit() and len(number) <= 10
    return machine == _machine() and plain and int(number) != os.getpid() and _alive(int(number))


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is a temporary of fastsvc (of a process that may still run)."""
    return _NAME.fullmatch(name) is not None


def clear_leftovers(folder: str | os.PathLike, deep: bool = False) -> None:
    """Remove temporaries of processes that are dead from ``folder``, with ``deep`` from all folders below it, too.

    A folder that such a process was exchanging gets its name back. What cannot be removed stays, without a word.
    """
    folder = Path(folder)
    with contextlib.suppress(OSError):
        for parent, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                if _dead(Path(parent, name)):
                    _remove(Path(parent, name))
            folders[:] = [name for name in folders if deep and not is_leftover(name)]


def free_or_ours(folder: str | os.PathLike) -> bool:
    """Whether ``folder`` is missing, empty, or holds nothing but leftovers and our own notes. Raises OSError."""
    folder = Path(folder)
    if not (folder.exists() or folder.is_symlink()):
        return True
    return folder.is_dir() and all(is_leftover(name) or name in (LOCK, IN_WORK) for name in os.listdir(folder))


def _dead(path: Path) -> bool:
    found = _NAME.fullmatch(path.name)
    if not found or path.name in _own:
        return False
    if found["machine"] != _machine():
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > _ELSEWHERE_S
        return False
    process = int(found["process"])
    return process == os.getpid() or not _alive(process)  # our own number, but not our name: from an earlier life of it


def _alive(process: int) -> bool:
    if os.name == "nt":  # there os.kill would end the process
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, process)
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        old = path / OLD
        # Never through a link: a stranger's folder may hold such a temporary, with a link to a folder of the user's.
        for held in old.iterdir() if old.is_dir() and not old.is_symlink() else ():
            place = path.parent / held.name  # died between the two renames of an exchange
            if not (place.exists() or place.is_symlink()):
                os.rename(held, place)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
