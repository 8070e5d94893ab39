"""What is done when modules are imported: some are not found, after others something is changed."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Callable

# Of what setup.py names, as far as a lent machine has no such package.
LACKING = {"soundfile", "librosa", "soxr", "tqdm", "nvtx", "tensorrt", "tensorrt_rtx", "av", "pyworld", "parselmouth"}
LACKING |= {"torchcrepe", "torchfcpe", "pesto", "swift_f0", "pesq", "resemblyzer", "distillmos", "xls_r_sqa"}
LACKING |= {"fastapi", "starlette", "uvicorn", "websockets", "multipart", "prometheus_client", "httpx", "playwright"}
LACKING |= {"ray", "s3fs", "moto", "faiss", "moonshine_voice", "phonemizer"}
LACKING |= set(filter(None, os.environ.get("FASTSVC_LACKING", "").split(",")))  # "cuda": without cuda-bindings


class Finder:
    """A finder of modules that overlooks :data:`LACKING`, and calls a function once a module is there."""

    def __init__(self, finder, after: dict[str, Callable]):
        self.finder, self.after = finder, after

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKING or not hasattr(self.finder, "find_spec"):
            return None
        spec = self.finder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and name in self.after:
            _call_after(spec.loader, self.after.pop(name))
        return spec

    def __getattr__(self, name):
        return getattr(self.finder, name)


def _call_after(loader, function: Callable) -> None:
    run = loader.exec_module

    def exec_module(module) -> None:
        run(module)
        function(module)

    loader.exec_module = exec_module


def prepare(after: dict[str, Callable]) -> None:
    """``after``: module → what is called with it once it has been imported."""
    sys.meta_path[:] = [Finder(finder, after) for finder in sys.meta_path]
    distribution = importlib.metadata.Distribution.from_name.__func__

    def from_name(cls, name: str):
        if name.replace("-", "_").lower().removesuffix("_cu13").removesuffix("_bindings") in LACKING:
            raise importlib.metadata.PackageNotFoundError(name)
        return distribution(cls, name)

    importlib.metadata.Distribution.from_name = classmethod(from_name)
