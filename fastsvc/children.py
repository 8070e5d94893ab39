"""Programs and Python processes that fastsvc starts: nothing comes from the folder that one happens to stand in.

Python looks there before its own library (`-m`, `-c`, and so every spawned worker), and so does a `PATH` with an empty
entry or a `.`: a stranger's `json.py` or `flite` would run, and an innocent `random.py` would break the work.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from fastsvc import screen

SAFE_PATH = "PYTHONSAFEPATH"  # heeded from Python 3.11 on, by grandchildren too
_HEEDED = sys.version_info >= (3, 11) and not sys.flags.ignore_environment


def python(module: str) -> list[str]:
    """The command that runs ``main()`` of one of our modules. Its working folder should be an empty one of its own."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # First in line for the package alone: what lies beside it must not come before Python's own library.
    found = f"sys.path[:] = [{root!r}, *filter(None, sys.path)]; import fastsvc; del sys.path[0]"
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-c", f"import sys; {found}; from {module} import main; main()"]


def environment() -> dict[str, str]:
    """This process's, for a Python that works in another folder: relative places would be another's there."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = os.pathsep.join(entry for entry in entries if os.path.isabs(entry))
    rest = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return rest | {SAFE_PATH: "1"} | ({"PYTHONPATH": kept} if kept else {})


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def program(name: str) -> str | None:
    """The path of a program, from the absolute folders of ``PATH`` alone; None where there is none."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = (shutil.which(os.path.join(folder, name)) for folder in folders if os.path.isabs(folder))
    return next(filter(None, found), None)


class Pool(ProcessPoolExecutor):
    """Spawned workers, which end with their parent. Not forked: a fork of a process that has used PyTorch's threads may
    hang."""

    def __init__(self, jobs: int, initializer: Callable[[], None] | None = None):
        # Where Python heeds no safe path, workers begin in an empty folder.
        self._empty = None if _HEEDED else tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        begin = functools.partial(_begin, os.getcwd(), screen.level(), initializer)
        with self._safe():
            super().__init__(jobs, mp_context=get_context("spawn"), initializer=begin)

    def submit(self, fn, /, *args, **kwargs) -> Future:
        with self._safe():  # workers are started here
            return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait and self._empty is not None:
            self._empty.cleanup()

    @contextlib.contextmanager
    def _safe(self) -> Iterator[None]:
        """What multiprocessing starts meanwhile does not look into the current folder for modules."""
        if self._empty is not None:
            here = os.getcwd()
            os.chdir(self._empty.name)
            try:
                yield
            finally:
                os.chdir(here)
            return
        before = os.environ.get(SAFE_PATH)
        os.environ[SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[SAFE_PATH]
            else:
                os.environ[SAFE_PATH] = before


def _begin(folder: str, level: int, initializer: Callable[[], None] | None) -> None:
    """A worker's first step: into the folder that its pool was made in, its lines on the screen as its parent's."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    os.chdir(folder)
    screen.worker(level)
    if initializer is not None:
        initializer()


def _end_with_parent() -> None:
    """A worker whose parent was killed would work on, in a folder whose lock is free again."""
    connection.wait([parent_process().sentinel])
    os._exit(1)


def scratch(folder: str | os.PathLike) -> Path:
    """An empty folder in ``folder`` for a child to work in."""
    made = Path(folder) / "empty"
    made.mkdir()
    return made
