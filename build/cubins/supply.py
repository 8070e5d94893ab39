"""Kernels that an opened engine lacks, compiled on first use and kept with it (fastsvc/artifact/device_part.py).

Only those that the recordings at hand need, about a third of all. What other lengths need is added when they come.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastsvc.artifact.device_part import DevicePart
from fastsvc.artifact.folder import Artifact
from fastsvc.artifact.manifest import Manifest
from fastsvc.build.passes import target
from fastsvc.config import AnyVocoderConfig, SourceFilterConfig
from fastsvc.engine.buckets import EVEN_FRAMES, Buckets, Shape, even_needed
from fastsvc.engine.cuda import launch_plan, launcher
from fastsvc.errors import MissingPackageError
from fastsvc.kernels.launch import Launch
from fastsvc.model import schedule, vocoders


@dataclass(frozen=True)
class Supplied:
    """``kernels`` compiled in ``seconds``, kept in the folder ``place``."""

    kernels: int
    seconds: float
    place: Path


def supply(
    folder: Artifact,
    arch: int,
    precision: str,
    groups: Sequence[Sequence[int]],
    steps: int,
    progress: Callable[[float], None] = lambda fraction: None,
    vocoder_backend: str = "auto",
) -> Supplied | None:
    """Compile what is lacking for recordings of so many frames, those of each group together; None if nothing is.

    precision: fp32, fp16 or bf16, what the GPU sm_``arch`` will compute in. vocoder_backend: what the engine is going
    to be opened with. Raises MissingPackageError without Triton, EngineError where compiling fails, OutputError where
    nothing can be kept.
    """
    part = DevicePart(folder, f"sm_{arch}")
    specs = target.unique(needed(folder.manifest, arch, precision, groups, steps, vocoder_backend))
    known, _ = launcher.usable_listing(part, arch)
    missing = {name: spec for name, spec in specs.items() if not _there(part, known, name)}
    if not missing:
        return None
    if importlib.util.find_spec("triton") is None:
        raise MissingPackageError("triton", f"compiling {len(missing)} kernels for sm_{arch}", "gpu")
    part.check()
    start = time.perf_counter()
    listed, files = target.cubins(missing, arch, progress=progress)
    part.refresh()  # others may have been at work meanwhile
    known, _ = launcher.usable_listing(part, arch)
    listed = {**(known["kernels"] if known else {}), **listed}
    place = part.add({**files, **target.listing(arch, listed)})
    return Supplied(len(missing), time.perf_counter() - start, place)


def _there(part: DevicePart, known: dict | None, name: str) -> bool:
    """Whether a kernel is listed, and its code is under this user's seal."""
    return known is not None and name in known["kernels"] and part.read(known["kernels"][name]["file"]) is not None


def needed(
    manifest: Manifest,
    arch: int,
    precision: str,
    groups: Sequence[Sequence[int]],
    steps: int,
    vocoder_backend: str = "auto",
) -> list[Launch]:
    """What opening the engine and converting such recordings starts."""
    acoustic, vocoder, sampling = manifest.acoustic, manifest.vocoder, manifest.sampling
    halo = acoustic.denoiser.halo_frames * schedule.evaluations(sampling.method, sampling.schedules[steps])
    shapes: list[Shape] = Buckets().needed([[1], *groups], halo)  # one frame: the shape of the self-check
    config = vocoder and vocoder.config
    told = acoustic, config, sampling.method, sampling.schedules, sampling.depth is not None
    audio = []
    if vocoder:
        wanted = vocoder.backend if vocoder_backend == "auto" else vocoder_backend
        audio = audio_shapes(vocoder.config, groups, wanted)
    return list(launch_plan.launches(*told, target.DTYPES[precision], arch, shapes, audio))


def audio_shapes(config: AnyVocoderConfig, groups: Sequence[Sequence[int]], backend: str) -> list[tuple[int, int]]:
    """(batch, frames) in which the vocoder's kernels run these; none where another backend does."""
    if isinstance(config, SourceFilterConfig):  # no kernels compute it
        return []
    if backend not in ("auto", "triton", "onnxruntime"):  # built for onnxruntime, which no GPU has: auto here
        return []
    frames = [count for group in groups for count in group]
    prepared = [(shape.batch, shape.frames) for shape in even_needed(frames, vocoders.halo_frames(config))]
    # shorter recordings, and the self-check's: the shortest stands for them, and where it is timed they go by PyTorch
    return [(1, EVEN_FRAMES[0])] * (backend == "triton") + prepared
