"""Kernels that an opened engine lacks: compiled on first use and kept with it (fastsvc/artifact/device_part.py).

Only the kernels for the recordings at hand are compiled, about a third of all. Kernels for other lengths are added when
such recordings come.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.artifact.manifest import Manifest
from fastsvc.build.passes import target
from fastsvc.config import AcousticConfig, AnyVocoderConfig, SourceFilterConfig
from fastsvc.engine import margins
from fastsvc.engine.buckets import EVEN_FRAMES, Buckets, Shape, even_needed
from fastsvc.engine.cuda import launch_plan, launcher
from fastsvc.errors import MissingPackageError
from fastsvc.kernels.launch import Launch
from fastsvc.model import schedule, vocoders


@dataclass(frozen=True)
class Supplied:
    """``kernels`` compiled in ``seconds`` and kept in ``folder``."""

    kernels: int
    seconds: float
    folder: Path


def supply(
    folder: Artifact,
    arch: int,
    precision: str,
    groups: Sequence[Sequence[int]],
    steps: int,
    progress: Callable[[float], None] = lambda fraction: None,
    vocoder_backend: str = "auto",
) -> Supplied | None:
    """Compile the missing kernels for recordings of these frames, each group in one batch; None if none is missing.

    precision: fp32, fp16 or bf16, in which the GPU sm_``arch`` will compute. vocoder_backend: the one that the engine
    will be opened with. Raises MissingPackageError without Triton, EngineError where compiling fails, OutputError where
    the kernels cannot be kept.
    """
    part = DevicePart(folder, f"sm_{arch}")
    specs = target.unique_specs(needed_launches(folder.manifest, arch, precision, groups, steps, vocoder_backend))
    kernel_list, _ = launcher.usable_listing(part, arch)
    missing = {name: spec for name, spec in specs.items() if not _is_available(part, kernel_list, name)}
    if not missing:
        return None
    if importlib.util.find_spec("triton") is None:
        raise MissingPackageError("triton", f"compiling {len(missing)} kernels for sm_{arch}", "gpu")
    part.check()
    start = time.perf_counter()
    listed, files = target.cubins(missing, arch, progress=progress)
    part.refresh()  # other processes may have added kernels meanwhile
    kernel_list, _ = launcher.usable_listing(part, arch)
    listed = {**(kernel_list["kernels"] if kernel_list else {}), **listed}
    folder_used = part.add({**files, **target.kernel_list(arch, listed)})
    return Supplied(len(missing), time.perf_counter() - start, folder_used)


def _is_available(part: DevicePart, kernel_list: dict | None, name: str) -> bool:
    """Whether a kernel is listed and its code is under this user's seal."""
    kernels = kernel_list["kernels"] if kernel_list else {}
    return name in kernels and part.read(kernels[name]["file"]) is not None


def needed_launches(
    manifest: Manifest,
    arch: int,
    precision: str,
    groups: Sequence[Sequence[int]],
    steps: int,
    vocoder_backend: str = "auto",
) -> list[Launch]:
    """The launches that opening the engine and converting such recordings make."""
    acoustic, vocoder, sampling = manifest.acoustic, manifest.vocoder, manifest.sampling
    config = vocoder and vocoder.config
    shapes: list[Shape] = []
    if isinstance(acoustic, AcousticConfig):  # that of RVC's voices has no kernels
        halo = acoustic.denoiser.halo_frames * schedule.evaluations(sampling.method, sampling.schedules[steps])
        shapes = Buckets().needed([[1], *groups], halo)  # one frame: the shape of the self-check
    if config:
        groups = margins.widened(groups, margins.vocoder(margins.acoustic(acoustic), config))
    model = acoustic, config, sampling.method, sampling.schedules, sampling.depth is not None
    audio = []
    if vocoder:
        backend = vocoder.backend if vocoder_backend == "auto" else vocoder_backend
        audio = audio_shapes(vocoder.config, groups, backend)
    return list(launch_plan.launches(*model, target.DTYPES[precision], arch, shapes, audio))


def audio_shapes(config: AnyVocoderConfig, groups: Sequence[Sequence[int]], backend: str) -> list[tuple[int, int]]:
    """(batch, frames) of the vocoder's launches for these groups; none where another backend computes it."""
    if isinstance(config, SourceFilterConfig):  # no kernels compute it
        return []
    if backend not in ("auto", "triton", "onnxruntime"):  # onnxruntime is a CPU's backend: a GPU takes auto instead
        return []
    frames = [count for group in groups for count in group]
    prepared = [(shape.batch, shape.frames) for shape in even_needed(frames, vocoders.halo_frames(config))]
    # The shortest shape also serves shorter recordings and the self-check; where backends are timed, PyTorch does.
    return [(1, EVEN_FRAMES[0])] * (backend == "triton") + prepared
