"""A Ray cluster: connecting to it, and what it has room for, before anything hangs for want of it."""

from __future__ import annotations

import logging
import math
import os
import re
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fastsvc import children
from fastsvc.errors import ConfigError, MissingPackageError, ResourceError

AUTO, LOCAL = "auto", "local"
_AUTH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_DETAIL = re.compile(r"(?:Worker exit detail|exit detail|death_cause_error|Error message|error_message): *(.+)", re.I)
_BREAK = re.compile(r"\.\s|\n")


@dataclass(frozen=True)
class Room:
    """``workers`` with ``gpus`` each."""

    workers: int
    gpus: float


def connect(address: str) -> str:
    """Connect to a cluster; returns how it is called. ``address``: HOST:PORT, ray://HOST:PORT, auto (the cluster of
    $RAY_ADDRESS or of this machine, else one is started here) or local (one is started here).

    Ray sends no usage statistics unless $RAY_USAGE_STATS_ENABLED says so. A cluster that is started here asks for a
    token, which is made for it alone: anybody who reaches a cluster's ports without one runs code on it. For a running
    cluster $RAY_AUTH_MODE and $RAY_AUTH_TOKEN (or ~/.ray/auth_token) stay the user's. Raises MissingPackageError,
    ResourceError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # from then on Ray's default, and a warning else
    address = LOCAL if address == AUTO and not _running() else address
    if address == LOCAL and "ray" not in sys.modules and not any(name in os.environ for name in _AUTH):
        # Before Ray is imported, which reads them once. Ray's own way would write a token into the home folder.
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    try:
        import ray  # pyright: ignore[reportMissingImports]  # of the extra ray
    except ImportError:
        raise MissingPackageError("ray", "--ray", extra="ray") from None
    options: dict = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": True}
    if ray.is_initialized():
        return "the cluster that this process is connected to"
    if address != LOCAL:
        try:
            _begin(address=address, **options)
            return address if address != AUTO else ray.get_runtime_context().gcs_address
        except ConnectionError as error:
            why = " ".join(str(error).split())[:300]
            raise ResourceError(
                f"{address}: no Ray cluster answers: {why}",
                "check the address, start one by `ray start --head`, or use --ray local",
            ) from None
        except Exception as error:
            raise ResourceError(
                f"{address}: the Ray cluster cannot be used: {' '.join(str(error).split())[:300]}",
                "use the cluster's versions of Python and Ray, and its RAY_AUTH_MODE and RAY_AUTH_TOKEN",
            ) from None
    _begin(address="local", num_cpus=children.cores(), include_dashboard=False, **options)
    return "started on this machine"


def _running() -> bool:
    """Whether a cluster is named, or was started on this machine and has not been stopped."""
    note = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray", "ray_current_cluster")
    return "RAY_ADDRESS" in os.environ or note.exists()


def _begin(**options) -> None:
    """Begin in an empty folder: Ray's workers search the driver's current one for modules, before Python's own, and a
    folder of songs may hold anything."""
    import ray  # pyright: ignore[reportMissingImports]  # of the extra ray

    folder = os.getcwd()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
        os.chdir(empty)
        try:
            ray.init(**options)
        finally:
            os.chdir(folder)


def disconnect() -> None:
    """Leave the cluster; one that was started here ends."""
    import ray  # pyright: ignore[reportMissingImports]  # of the extra ray

    ray.shutdown()


def room(workers: int | None, gpus: float | None, device: str) -> Room:
    """The workers that fit. ``workers`` None: as many as fit; ``gpus`` None: one each where the cluster has any and
    ``device`` is not cpu. Raises ResourceError with what is missing, ConfigError for a share that is none."""
    import ray  # pyright: ignore[reportMissingImports]  # of the extra ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus_there = [float(node.get("GPU", 0)) for node in nodes]
    if gpus is None:
        gpus = 1.0 if device == "cuda" or (device == "auto" and sum(gpus_there)) else 0.0
    if gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"{gpus:g} GPUs per worker cannot be shared out", "use a whole number, or a share below 1")
    if gpus and device == "cpu":
        raise ConfigError(f"{gpus:g} GPUs per worker, but the device is cpu", "omit --device or --gpus-per-worker")
    fits = sum(_fitting(node, gpus) for node in nodes)
    if fits < (workers or 1):
        has = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes) or "no nodes"
        needs = f"{workers or 1} workers need 1 CPU" + (f" and {gpus:g} GPU" if gpus else "") + " each"
        lacking = "no GPU" if gpus and not sum(gpus_there) else f"room for {fits} workers only"
        how = f"use --workers {fits}, " if fits else "convert on CPUs with --device cpu, " if gpus else ""
        raise ResourceError(f"the Ray cluster has {lacking}: {needs}, its nodes have {has}", f"{how}or add nodes")
    return Room(workers or fits, gpus)


def _fitting(node: dict, gpus: float) -> int:
    """Workers that fit on one node; a share of a GPU is one of a single GPU."""
    cpus = int(node.get("CPU", 0))
    if not gpus:
        return cpus
    there = int(node.get("GPU", 0))
    by_gpu = there * math.floor(1 / gpus + 1e-6) if gpus < 1 else there // int(gpus)
    return min(cpus, by_gpu)


def cause(error: Exception) -> str:
    """Why an actor is gone, in one line from Ray's text of many."""
    text = str(error)
    found = _DETAIL.search(text)
    line = _BREAK.split(found[1] if found else text.strip())[0]
    return " ".join(line.split())[:200] or type(error).__name__
