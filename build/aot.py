"""Kernels ahead of time: Triton's compiler in processes of their own, from launches to cubins, without a GPU.

Processes of their own, because one in which kernels are interpreted (TRITON_INTERPRET) cannot compile them.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import fastsvc
from fastsvc.errors import EngineError


@dataclass(frozen=True)
class Cubin:
    """A compiled kernel and what starting it needs; ``registers`` and ``stack`` (bytes, 0: nothing spilled) a thread.

    ``parameters``: (name, type) of what is passed, in order; two null pointers follow them (Triton's scratch).
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


def compile(jobs: Sequence[tuple[dict, int]], processes: int = 1) -> list[Cubin]:
    """(``Launch.spec()``, architecture) pairs → cubins in the same order; a few seconds each.

    Raises EngineError with the compiler's last words.
    """
    shares = [list(jobs[i::processes]) for i in range(processes)]
    with ThreadPoolExecutor(processes) as pool:
        done = list(pool.map(_compile_share, shares))
    result: list = [None] * len(jobs)
    for i, share in enumerate(done):
        result[i::processes] = share
    return result


def _compile_share(jobs: list[tuple[dict, int]]) -> list[Cubin]:
    if not jobs:
        return []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    paths = [str(Path(fastsvc.__file__).parent.parent), environment.get("PYTHONPATH", "")]
    with TemporaryDirectory() as cache:
        environment |= {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "TRITON_CACHE_DIR": cache,
            "TRITON_DISABLE_LINE_INFO": "1",  # less than half the size, and no path of this machine inside
            "OMP_NUM_THREADS": "1",
        }
        run = subprocess.run(
            [sys.executable, "-m", "fastsvc.build.aot_worker"],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            env=environment,
        )
    if run.returncode:
        last = run.stderr.strip().splitlines()[-3:]
        raise EngineError(f"compiling kernels failed: {' '.join(last)}", "is Triton installed, and 3.6 or newer?")
    return [_cubin(entry) for entry in json.loads(run.stdout)]


def _cubin(entry: dict) -> Cubin:
    parameters = tuple((name, kind) for name, kind in entry.pop("parameters"))
    return Cubin(code=base64.b64decode(entry.pop("code")), parameters=parameters, **entry)
