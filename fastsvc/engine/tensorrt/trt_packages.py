"""TensorRT's two packages: which one serves a GPU, how to install it, and its messages when something fails.

`tensorrt` serves every NVIDIA GPU and builds its plans on the GPU that will run them. `tensorrt_rtx` (TensorRT for RTX)
serves GeForce and RTX cards, installs completely from the public index and builds plans for a named GPU without having
one. Both have the same interface, so functions here take either module. Neither is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import warnings
from dataclasses import dataclass
from types import ModuleType

from fastsvc.errors import EngineError, MissingPackageError

RTX_ARCHS = (75, 80, 86, 89, 120, 121)  # of tensorrt_rtx.ComputeCapability in 1.7
SERVED_FROM = 75  # the oldest that TensorRT 10 and 11 serve; our kernels: kernels/tiles.py
BUILD = "fastsvc build CHECKPOINT -o VOICE.fsvc --force"


@dataclass(frozen=True)
class Package:
    """``module`` is the name to import, ``extra`` our extra that installs the package."""

    module: str
    title: str
    extra: str
    distributions: tuple[str, ...]

    @property
    def command(self) -> str:
        return f'pip install "fastsvc[gpu,{self.extra}]"'

    def version(self) -> str | None:
        """The version of the installed package, without importing it; None: not installed."""
        if importlib.util.find_spec(self.module) is None:
            return None
        for name in self.distributions:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(name)
        return "of unknown version"

    def refusal(self, arch: int) -> str | None:
        """Why it does not serve GPUs of this architecture (89 for sm_89), or None."""
        if self.module == "tensorrt_rtx" and arch not in RTX_ARCHS:
            served = ", ".join(f"sm_{number}" for number in RTX_ARCHS)
            return f"{self.title} serves {served}, not sm_{arch}"
        return f"{self.title} serves sm_{SERVED_FROM} and newer, not sm_{arch}" if arch < SERVED_FROM else None


RTX = Package(
    "tensorrt_rtx", "TensorRT for RTX", "tensorrt-rtx", ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx")
)
FULL = Package("tensorrt", "TensorRT", "tensorrt", ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"))
PACKAGES = {package.module: package for package in (RTX, FULL)}


def verdict(package: Package, arch: int | None, why_no_gpu: str | None = None) -> str:
    """For people: what the package does on this machine's GPU, or why it does not run and which commands change that.

    ``arch`` None: there is no GPU, because of ``why_no_gpu``.
    """
    version = package.version()
    if arch is None:
        ahead = f"; {version} builds plans for other GPUs" if version and package is RTX else ""
        return f"does not run: {why_no_gpu}{ahead}"
    refusal = package.refusal(arch)
    if refusal:
        return f"does not run: {refusal}"
    if version:
        return f"runs: {package.title} {version} serves sm_{arch}, where onnx is installed"
    return f"does not run: {steps(package, arch)}"


def steps(package: Package, arch: int) -> str:
    """The two commands after which the package runs (docs/gpu.md has them too)."""
    return f"{package.title} serves sm_{arch} and is not installed: {package.command}, then {BUILD}"


def choose(arch: int, name: str | None = None) -> Package:
    """The package for a GPU: ``name``, or the first that is installed and serves it.

    Raises EngineError where the named package does not serve the GPU, MissingPackageError where no installed one does.
    """
    if name is not None and name not in PACKAGES:
        raise EngineError(f"unknown TensorRT package {name!r}", f"use {' or '.join(PACKAGES)}")
    candidates = list(PACKAGES.values()) if name is None else [PACKAGES[name]]
    refusals = [package.refusal(arch) for package in candidates]
    serving = [package for package, refusal in zip(candidates, refusals) if refusal is None]
    if not serving:
        others = [package for package in PACKAGES.values() if package.refusal(arch) is None]
        remedy = f"{others[0].title} does: {others[0].command}" if others else "use another vocoder backend"
        raise EngineError("; ".join(refusal for refusal in refusals if refusal is not None), remedy)
    for package in serving:
        if package.version() is not None:
            return package
    best = serving[0]
    raise MissingPackageError(best.module, f"the TensorRT vocoder on sm_{arch}", best.extra)


def load(package: Package) -> ModuleType:
    """Import the package. Raises MissingPackageError, or EngineError where it is installed but cannot be loaded."""
    if package.version() is None:
        raise MissingPackageError(package.module, "the TensorRT vocoder", package.extra)
    try:
        module = importlib.import_module(package.module)
    except Exception as error:  # its libraries are loaded here, and may fail in any way
        why = f"{package.title} is installed but cannot be loaded: {error}"
        raise EngineError(why, f"install it again: {package.command}") from error
    if not hasattr(module, "Builder"):
        raise EngineError(f"{package.title} is installed without its libraries", f"install it again: {package.command}")
    return module


def require_device(package: Package) -> None:
    """Raises EngineError without a GPU, where reading a plan may end the whole process."""
    import torch

    if not torch.cuda.is_available():
        why = "this is a CPU build of PyTorch" if torch.version.cuda is None else "PyTorch finds no usable GPU"
        raise EngineError(f"{package.title} is installed, but there is no GPU: {why}", "see `fastsvc doctor`")


def capability(module: ModuleType, arch: int):
    """The module's constant for an architecture, for building ahead of time. Raises EngineError where it has none."""
    capabilities = getattr(module, "ComputeCapability", None)
    capability = getattr(capabilities, f"SM{arch}", None)
    if capability is None:
        names = [name for name in getattr(capabilities, "__members__", ()) if name.startswith("SM")]
        listed = f"it lists {', '.join(names)}" if names else "it builds on the GPU itself alone"
        why = f"{module.__name__} cannot build for sm_{arch}: {listed}"
        raise EngineError(why, "use another vocoder backend there")
    return capability


def journal(module: ModuleType):
    """A logger that stores TensorRT's errors: ``.last()`` is the last one, in one line."""

    class Journal(module.ILogger):
        def __init__(self):
            module.ILogger.__init__(self)
            self.complaints: list[str] = []

        def log(self, severity, message: str) -> None:
            if severity in (module.ILogger.Severity.INTERNAL_ERROR, module.ILogger.Severity.ERROR):
                self.complaints.append(" ".join(message.split()))

        def last(self) -> str:
            return self.complaints[-1][:400] if self.complaints else "it does not say why"

    return Journal()


@contextlib.contextmanager
def quiet():
    """No deprecation warnings: both packages warn of calls that one of them will drop; we use calls that both have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
