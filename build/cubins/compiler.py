"""Kernels ahead of time: Triton's compiler in separate processes, from launches to cubins, without a GPU.

The processes are separate because one in which kernels are interpreted (TRITON_INTERPRET) cannot compile them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryDirectory, TemporaryFile

from fastsvc import children
from fastsvc.errors import EngineError

REMEDY = "please report it with what the same command prints with -v"


@dataclass(frozen=True)
class Cubin:
    """A compiled kernel and the values that a launch needs.

    ``registers`` and ``stack`` (bytes; 0: nothing spilled) are those of one thread. ``parameters``: (name, type) of the
    arguments in order; two null pointers follow them (Triton's scratch).
    """

    code: bytes
    ptx: str
    name: str
    arch: int
    shared: int
    warps: int
    registers: int
    stack: int
    parameters: tuple[tuple[str, str], ...]


def compile_kernels(
    jobs: Sequence[tuple[dict, int]], processes: int = 1, progress: Callable[[float], None] = lambda fraction: None
) -> list[Cubin]:
    """(``Launch.spec()``, architecture) pairs → cubins in the same order; a few seconds each.

    ``progress`` gets the fraction done, from several threads in turn. Raises EngineError with the compiler's last
    words.
    """
    shares = [list(jobs[i::processes]) for i in range(processes)]
    finished, lock = [], threading.Lock()

    def count_one() -> None:
        with lock:
            finished.append(1)
            progress(len(finished) / len(jobs))

    with ThreadPoolExecutor(processes) as pool:
        by_share = list(pool.map(lambda share: _compile_share(share, count_one), shares))
    result: list = [None] * len(jobs)
    for i, share in enumerate(by_share):
        result[i::processes] = share
    return result


def _compile_share(jobs: list[tuple[dict, int]], count_one: Callable[[], None]) -> list[Cubin]:
    if not jobs:
        return []
    environment = {k: value for k, value in children.environment().items() if not k.startswith("TRITON_")}
    with TemporaryDirectory() as cache:
        environment |= {
            "TRITON_CACHE_DIR": cache,
            "TRITON_DISABLE_LINE_INFO": "1",  # less than half the size, and no path of this machine inside
            "OMP_NUM_THREADS": "1",
        }
        command = children.python("fastsvc.build.cubins.worker")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        pipes |= {"env": environment, "cwd": children.scratch(cache)}
        with TemporaryFile("w+", dir=cache) as errors, subprocess.Popen(command, stderr=errors, **pipes) as worker:
            assert worker.stdin is not None and worker.stdout is not None  # pipes
            try:
                with contextlib.suppress(BrokenPipeError):
                    worker.stdin.write(json.dumps(jobs))
                    worker.stdin.close()
                cubins = []
                for line in worker.stdout:
                    cubins.append(_cubin(json.loads(line)))
                    count_one()
            except BaseException:
                worker.kill()
                raise
            if worker.wait():
                errors.seek(0)
                text = errors.read().strip()
                last_lines = text.splitlines()[-3:]
                remedy = (
                    "is Triton installed, and 3.6 or newer?"
                    if "ImportError" in text or "ModuleNotFound" in text
                    else REMEDY
                )
                raise EngineError(f"compiling kernels failed: {' '.join(last_lines)}", remedy) from RuntimeError(text)
    return cubins


def _cubin(entry: dict) -> Cubin:
    parameters = tuple((name, kind) for name, kind in entry.pop("parameters"))
    return Cubin(code=base64.b64decode(entry.pop("code")), parameters=parameters, **entry)
