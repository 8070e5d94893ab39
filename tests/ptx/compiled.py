"""Launches to compiled kernels, by a process beside this one: each kernel once a session, kept in files.

This process interprets kernels (TRITON_INTERPRET in conftest.py), so it cannot compile them.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
import torch

from fastsvc.build.cubins.compiler import Cubin
from fastsvc.engine.cuda import launcher
from fastsvc.kernels.launch import Launch

LOWEST = 3, 6  # of Triton


class CompileError(AssertionError):
    """Triton refuses a kernel; the text is its own."""


class Compiler:
    """Compiles launches, and keeps the result in ``folder``, which other processes may share."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.process = folder, None
        self.sources = launcher.sources()
        self.by_name: dict[str, Cubin] = {}

    def compile(self, launch: Launch, arch: int) -> Cubin:
        """Raises CompileError."""
        return self.compile_spec(launch.spec(), arch)

    def compile_spec(self, spec: dict, arch: int) -> Cubin:
        name = hashlib.sha256(f"{arch} {launcher.key(spec)} {self.sources}".encode()).hexdigest()[:32]
        if name not in self.by_name:
            path = self.folder / f"{name}.json"
            if not path.exists():
                text = self._ask(json.dumps([spec, arch]))
                with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
                    file.write(text)
                os.replace(file.name, path)
            self.by_name[name] = _cubin(json.loads(path.read_text()))
        return self.by_name[name]

    def compile_kernels(self, jobs, *_options) -> list[Cubin]:
        """In place of fastsvc.build.cubins.compiler's."""
        return [self.compile_spec(spec, arch) for spec, arch in jobs]

    def _ask(self, job: str) -> str:
        if self.process is None:
            self.process = _started(self.folder)
            atexit.register(self.close)
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer or "error" in json.loads(answer):
            raise CompileError(f"{job[:300]}: {answer or 'the compiler has ended'}")
        return answer

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.communicate()
            self.process = None


def of_session(tmp_path_factory) -> Compiler:
    """With one folder for all files of a run, which pytest-xdist's processes share."""
    base = tmp_path_factory.getbasetemp()
    return Compiler((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled")


def why_not() -> str | None:
    """The reason why no kernels can be compiled and interpreted here; None if they can."""
    if torch.cuda.is_available():
        return "a GPU executes the compiled code itself"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    version = metadata.version("triton")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LOWEST:
        return f"triton {version} cannot compile without a GPU as the project does, 3.6 can"
    return None


NEEDED = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


def _started(folder: Path) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRITON_")}
    environment |= {"TRITON_CACHE_DIR": str(folder / "triton"), "TRITON_DISABLE_LINE_INFO": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "ptx.compile_worker"], env=environment, **pipes)


def _cubin(entry: dict) -> Cubin:
    parameters = tuple((name, kind) for name, kind in entry.pop("parameters"))
    return Cubin(code=base64.b64decode(entry.pop("code")), parameters=parameters, **entry)
