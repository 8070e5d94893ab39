"""The context of a figure: machine, versions, command and date; and writing all of it to a file."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def describe(program: str, device: torch.device) -> dict:
    """Machine, versions, command and date of this process; ``program`` as typed by the user."""
    import torch

    from fastsvc import machine
    from fastsvc.version import VERSION

    versions = {"fastsvc": VERSION, "python": platform.python_version(), "torch": torch.__version__}
    for package in (
        "triton",
        "numpy",
        "cuda-bindings",
        "soxr",
        "onnx",
        "onnxruntime",
        "tensorrt-rtx-cu13",
        "tensorrt",
        "pesq",
    ):
        versions[package] = _version(package)
    result = {"machine": {**machine.describe(), "cores": os.cpu_count()}, "versions": versions}
    if device.type == "cuda":
        result["machine"]["gpu"] = machine.gpu(device)
        versions["cuda"] = torch.version.cuda
    if hasattr(os, "getloadavg"):
        result["load_1min"] = round(os.getloadavg()[0], 1)
    return {
        **result,
        "command": " ".join([program, *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def keep(result: dict, path: Path | None) -> None:
    """Write the result so far, so that an interrupted run leaves its figures; nothing without a path."""
    if path is not None:
        from fastsvc import files

        files.write_json(path, result)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
