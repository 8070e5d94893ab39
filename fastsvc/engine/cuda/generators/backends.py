"""The vocoder's backends on a GPU, and the circumstances that their measurements hold for."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable

import torch

from fastsvc.artifact import engine_folder
from fastsvc.config import SourceFilterConfig
from fastsvc.config.source_filter import INSTEAD_OF_TRITON, NOT_BY_TRITON
from fastsvc.engine.cpu.generators import torch_generator
from fastsvc.engine.cuda.generators.choice import BackendChoice
from fastsvc.engine.cuda.generators.tensorrt_backend import TensorRTGenerator
from fastsvc.engine.cuda.generators.torch_backend import TorchGenerator
from fastsvc.engine.cuda.generators.triton_backend import TritonGenerator
from fastsvc.engine.cuda.launcher import sources
from fastsvc.engine.tensorrt import trt_packages
from fastsvc.errors import EngineError, OutputError

FILE = "vocoder.json"  # in the device's part


def backend_choice(model, tensors, dtype, device, arch: int, launcher, part, requested: str = "auto") -> BackendChoice:
    """The backends for a fastsvc.engine.parts.Model in ``dtype``; ``part``: fastsvc.artifact.device_part.DevicePart.

    Raises FastsvcError if the ``requested`` backend cannot run.
    """
    config = model.vocoder

    def store(files: dict[str, bytes]) -> None:
        try:
            part.add(files)
        except OutputError as error:  # the backend runs all the same, and the files are made again the next time
            warnings.warn(f"{', '.join(files)} cannot be kept: {error}", stacklevel=2)

    def plain(kind: torch.dtype, search: bool) -> TorchGenerator:
        with torch.inference_mode(False):
            return TorchGenerator(torch_generator(tensors, config, kind, device), search)

    def kernels() -> TritonGenerator:
        if isinstance(config, SourceFilterConfig):
            raise EngineError(NOT_BY_TRITON, INSTEAD_OF_TRITON)
        return TritonGenerator(tensors, config, dtype, device, arch, launcher)

    def tensorrt(package: str, graph: str) -> Callable:
        engine = config, model.folder, device, arch
        return lambda: TensorRTGenerator(*engine, graph=graph, package=package, read=part.read, store=store)

    makers: dict[str, Callable] = {
        "torch": lambda: plain(dtype, search=True),
        "triton": kernels,
    }
    for package in trt_packages.PACKAGES:
        makers[package] = tensorrt(package, engine_folder.GRAPHS[dtype == torch.float16])
    built = model.folder.manifest.vocoder.backend
    if requested == "auto" and built in makers:
        requested = built
    return BackendChoice(
        makers,
        lambda: plain(torch.float32, search=False),  # it runs once
        requested,
        circumstances(device, dtype),
        lambda: part.read(FILE),
        lambda table: store({FILE: table}),
    )


def circumstances(device: torch.device, dtype: torch.dtype) -> dict:
    """The circumstances of a measurement: the card, the precision, and the versions of the measured packages."""
    from fastsvc.version import VERSION

    about = {"fastsvc": VERSION, "torch": torch.__version__, "precision": str(dtype).removeprefix("torch.")}
    about |= {"kernels": sources()[:16], "triton": _triton()}
    about |= {name: package.version() for name, package in trt_packages.PACKAGES.items()}
    if device.type == "cuda":
        about["gpu"] = torch.cuda.get_device_name(device)
    return about


def _triton() -> str | None:
    """Triton's version, part of the circumstances because without Triton some kernels may be missing."""
    if importlib.util.find_spec("triton") is None:
        return None
    import triton

    return triton.__version__
