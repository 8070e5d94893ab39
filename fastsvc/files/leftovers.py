"""Temporary names, and leftovers of dead processes under such names.

A temporary name does not contain the final one, so final names of 255 bytes can be written. It names the process: its
machine (and boot, and container) and its number. So the next start can distinguish leftovers from a neighbour's work.
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
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"\.fastsvc-(?P<machine>[0-9a-f]{6})-(?P<process>\d{1,10})-[0-9a-f]{8}\.tmp")
_ELSEWHERE_S = 24 * 3600.0  # after this time another machine's temporary is a leftover, too
LOCK, IN_WORK = ".fastsvc.lock", ".fastsvc-in-work.jsonl"
NEW, OLD = "new", "old"  # inside a temporary folder: the new folder, and the one that it replaces
_our_names: set[str] = set()


def temporary_name() -> str:
    """A new name for a temporary sibling, 35 to 41 characters."""
    name = f".fastsvc-{machine_name()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    _our_names.add(name)
    return name


def forget(name: str) -> None:
    """Note that the temporary is gone."""
    _our_names.discard(name)


@functools.lru_cache(maxsize=1)
def machine_name() -> str:
    """A hash of this machine, its boot and its container: process numbers are unique within them."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:6]


def process_name() -> str:
    """This process, for :func:`is_running`."""
    return f"{machine_name()}-{os.getpid()}"


def is_running(name: object) -> bool:
    """Whether ``name`` is the :func:`process_name` of another process that runs now on this machine."""
    machine, _, number = name.partition("-") if isinstance(name, str) else ("", "", "")
    is_number = number.isascii() and number.isdigit() and len(number) <= 10
    return machine == machine_name() and is_number and int(number) != os.getpid() and _alive(int(number))


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is a temporary of fastsvc (of a process that may still run)."""
    return _NAME.fullmatch(name) is not None


def clear_leftovers(folder: str | os.PathLike, deep: bool = False) -> None:
    """Remove temporaries of processes that are dead from ``folder``, with ``deep`` from all folders below it, too.

    A folder that such a process was exchanging gets its name back. Failures to remove are ignored.
    """
    folder = Path(folder)
    with contextlib.suppress(OSError):
        for parent, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                if _dead(Path(parent, name)):
                    _remove(Path(parent, name))
            folders[:] = [name for name in folders if deep and not is_leftover(name)]


def clear_process(folders: Iterable[str | os.PathLike], process: str) -> None:
    """Remove the temporaries of a process that is known to be dead, by its :func:`process_name`, on any machine.

    Failures to remove are ignored.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                match = _NAME.fullmatch(name)
                if match and f"{match['machine']}-{match['process']}" == process:
                    _remove(Path(folder, name))


def free_or_ours(folder: str | os.PathLike) -> bool:
    """Whether ``folder`` is missing, empty, or holds nothing but leftovers and our own notes. Raises OSError."""
    folder = Path(folder)
    if not (folder.exists() or folder.is_symlink()):
        return True
    return folder.is_dir() and all(is_leftover(name) or name in (LOCK, IN_WORK) for name in os.listdir(folder))


def _dead(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    if not match or path.name in _our_names:
        return False
    if match["machine"] != machine_name():
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > _ELSEWHERE_S
        return False
    process = int(match["process"])
    # Our own number without our name belonged to an earlier process.
    return process == os.getpid() or not _alive(process)


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
        for entry in old.iterdir() if old.is_dir() and not old.is_symlink() else ():
            target = path.parent / entry.name  # the process died between the two renames of an exchange
            if not (target.exists() or target.is_symlink()):
                os.rename(entry, target)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
