"""Programs and Python processes that fastsvc starts: none of them loads code from the current folder.

Python searches the current folder before its own library (`-m`, `-c`, and so every spawned worker), and so does a
`PATH` with an empty entry or a `.`. A stranger's `json.py` or `flite` would run, and an innocent `random.py` would
break the work.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
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
    """The command that runs ``main()`` of one of our modules; start it in an empty folder."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # The root is first only while fastsvc is imported: files beside the package must not shadow Python's own library.
    find_package = f"sys.path[:] = [{root!r}, *filter(None, sys.path)]; import fastsvc; del sys.path[0]"
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-c", f"import sys; {find_package}; from {module} import main; main()"]


def environment() -> dict[str, str]:
    """This process's environment for a Python in another folder, where relative paths would mean other files."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    absolute = os.pathsep.join(entry for entry in entries if os.path.isabs(entry))
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return others | {SAFE_PATH: "1"} | ({"PYTHONPATH": absolute} if absolute else {})


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def program(name: str) -> str | None:
    """The path of a program, from the absolute folders of ``PATH`` alone; None where it is missing."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = (shutil.which(os.path.join(folder, name)) for folder in folders if os.path.isabs(folder))
    return next(filter(None, paths), None)


class Pool(ProcessPoolExecutor):
    """Spawned workers, which end with their parent. Not forked: a fork of a process that has used PyTorch's threads may
    hang."""

    def __init__(self, jobs: int, initializer: Callable[[], None] | None = None):
        # Where Python ignores PYTHONSAFEPATH, workers begin in an empty folder.
        self._empty = None if _HEEDED else tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        begin = functools.partial(_begin, os.getcwd(), screen.level(), initializer)
        with self._safe():
            super().__init__(jobs, mp_context=get_context("spawn"), initializer=begin)
        _one_at_a_time(self._executor_manager_thread_wakeup)

    def submit(self, fn, /, *args, **kwargs) -> Future:
        with self._safe():  # workers are started here
            return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait and self._empty is not None:
            self._empty.cleanup()

    @contextlib.contextmanager
    def _safe(self) -> Iterator[None]:
        """Processes that multiprocessing starts meanwhile do not search the current folder for modules, and heed Ctrl-C
        only once they have begun (:func:`_heed_interrupts`): imports would answer it with a traceback."""
        with _interrupts_wait(), self._from_safe_path():
            yield

    @contextlib.contextmanager
    def _from_safe_path(self) -> Iterator[None]:
        if self._empty is not None:
            folder = os.getcwd()
            os.chdir(self._empty.name)
            try:
                yield
            finally:
                os.chdir(folder)
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


def _one_at_a_time(wakeup) -> None:
    """Never close the pipe that wakes the pool's thread while something is written to it.

    When Python ends, it writes there without the pool's lock, and a pool whose worker has died may be closing it: the
    write then fails with "Broken pipe" or "Bad file descriptor" (seen with Python 3.11.7, in 1 of 200 runs).
    """
    lock = threading.Lock()

    def locked(method: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            with lock:
                method()

        return call

    wakeup.wakeup, wakeup.close = locked(wakeup.wakeup), locked(wakeup.close)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """SIGINT waits for the end of this block, and in processes that are started within it until they let it in."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heed_interrupts() -> None:
    """End this worker, without a word, if SIGINT came while it started; from now on it is raised as usual."""
    usual = signal.getsignal(signal.SIGINT)
    if hasattr(signal, "pthread_sigmask") and usual not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, usual)


def _begin(folder: str, level: int, initializer: Callable[[], None] | None) -> None:
    """A worker's first step: enter the folder in which its pool was created, and print as its parent does."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    os.chdir(folder)
    screen.worker(level)
    if initializer is not None:
        initializer()
    _heed_interrupts()


def _end_with_parent() -> None:
    """End this worker with its parent: otherwise it would work on in a folder whose lock is free again."""
    connection.wait([parent_process().sentinel])
    os._exit(1)


def scratch(folder: str | os.PathLike) -> Path:
    """An empty folder in ``folder`` for a child to work in."""
    path = Path(folder) / "empty"
    path.mkdir()
    return path
