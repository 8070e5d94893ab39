"""The context of a figure: machine, versions, command and date; and writing all of it to a file."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BUSY = 0.25  # load for each core before a measurement; an idle machine has about 0.1


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
    return {
        **result,
        **_load("load_1min"),
        "command": f"{program} {shlex.join(sys.argv[1:])}".rstrip(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def load_after() -> dict:
    """The load at the end of a measurement, its own included."""
    return _load("load_1min_after")


def _load(name: str) -> dict:
    return {name: round(os.getloadavg()[0], 1)} if hasattr(os, "getloadavg") else {}


def load_line(result: dict) -> str:
    """The machine's load when the measurement began and ended, for people; where other work ran, it says so."""
    before, after, cores = result.get("load_1min"), result.get("load_1min_after"), result["machine"]["cores"] or 1
    if before is None:
        return "Load of the machine: not known."
    line = f"Load of the machine: {before:g} on {cores} cores" + ("" if after is None else f", {after:g} at the end")
    if before <= BUSY * cores:
        return line + "."
    return f"{line}. **It was busy with other work: times are too long, and only ratios of one run may be compared.**"


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
