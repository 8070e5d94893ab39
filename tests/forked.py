"""A call in a child of its own with limits on time and memory, and what became of it: for fuzzing, on Linux."""

import os
import resource
import signal
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

MEMORY = 3 * 2**30  # bytes beyond what the process has mapped already


@dataclass(frozen=True)
class Ended:
    """``how``: "done", "error" (an exception, told in ``text``), "signal N" (a crash) or "hung"."""

    how: str
    text: str
    seconds: float


def call(use, log: Path, seconds: float = 120.0) -> Ended:
    """``use()`` → a line, in a child; a failed allocation is a MemoryError there."""
    start, child = time.perf_counter(), os.fork()
    if child == 0:
        _child(use, log)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        spent = time.perf_counter() - start
        if done:
            text = log.read_text(errors="replace") if log.exists() else ""
            if os.WIFSIGNALED(status):
                return Ended(f"signal {os.WTERMSIG(status)}", text, spent)
            return Ended("error" if os.WEXITSTATUS(status) else "done", text, spent)
        if spent > seconds:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Ended("hung", "", spent)
        time.sleep(0.005)


def _child(use, log: Path) -> None:
    code = 1
    try:
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        log.write_text(str(use() or ""))
        code = 0
    except BaseException:  # told to whoever waits
        log.write_text(traceback.format_exc())
    finally:
        os._exit(code)
