"""Kernels of the bench's engine compiled where there is no GPU, to be carried to one that has an older Triton.

    python bench/ahead.py [work/ahead] [--arch 90] [--seconds 10,0.5,…]

Triton before 3.9 drops the cache hints of the vocoder's loads, so that its kernels read shared rows from the L2 cache
again and again. PyTorch pins its own Triton: kernels compiled by 3.9 come along instead, and cuda-bindings starts them.
`python bench/models.py FOLDER --target cpu --ahead work/ahead` puts them into the engine that it builds, if their
sources are those of the kernels there; bench/gpu.sh does so by itself.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from pathlib import Path

from bench import program

DEFAULT = Path("work/ahead")
SECONDS = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]


def launches(arch: int, seconds, steps, channels: int = 512, layers: int = 20, wide: int = 512):
    """The launches of bench.models' engine for recordings of these seconds, in float16."""
    import torch

    from bench import models
    from fastsvc.engine.buckets import EVEN_FRAMES, Buckets, even_needed
    from fastsvc.engine.cuda import launch_plan
    from fastsvc.model import schedule, vocoders

    acoustic, vocoder = models.acoustic(channels, layers), models.vocoder(wide)
    by_steps = {count: schedule.levels(acoustic, "consistency", count) for count in steps}
    frames = [max(1, round(length * acoustic.mel.frame_rate_hz)) for length in seconds]
    halo = acoustic.denoiser.halo_frames * max(schedule.evaluations("consistency", row) for row in by_steps.values())
    shapes = Buckets().needed([[1], *([count] for count in frames)], halo)
    audio = [(shape.batch, shape.frames) for shape in even_needed(frames, vocoders.halo_frames(vocoder))]
    audio.append((1, EVEN_FRAMES[0]))  # shorter ones, and the self-check
    return launch_plan.launches(
        acoustic, vocoder, "consistency", by_steps, False, torch.float16, arch, shapes, sorted(set(audio))
    )


def compiled(specs: dict[str, dict], arch: int) -> dict[str, bytes]:
    """The files of an engine's part for sm_``arch``. Raises EngineError where Triton is too old."""
    from fastsvc.build.cubins import hints
    from fastsvc.build.passes import target

    hints.require()
    listed, files = target.cubins(specs, arch)
    return {**files, **target.kernel_list(arch, listed)}


def install(engine: Path, folder: Path) -> list[str]:
    """Put the kernels in ``folder`` into an engine, under this user's seal; the architectures that it then has kernels
    for. Raises EngineError for kernels of other sources."""
    from fastsvc.artifact.device_part import DevicePart
    from fastsvc.artifact.engine_folder import Artifact
    from fastsvc.engine.cuda import kernel_list, launcher
    from fastsvc.errors import EngineError

    installed = []
    for part in sorted(folder.glob("sm_*")):
        listing, fault = kernel_list.parse((part / launcher.LIST).read_bytes(), int(part.name[3:]))
        if listing is None:
            raise EngineError(f"{part}: its list of kernels {fault}", "make it again with python bench/ahead.py")
        if listing["sources"] != launcher.sources():
            raise EngineError(f"{part}: its kernels are of other sources", "make it again with python bench/ahead.py")
        names = {launcher.LIST, *(entry["file"] for entry in listing["kernels"].values())}
        DevicePart(Artifact(engine), part.name).add({name: (part / name).read_bytes() for name in sorted(names)})
        installed.append(part.name)
    return installed


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT, help=f"Where to write (default: {DEFAULT}).")
    parser.add_argument("--arch", type=program.whole_number, default=90, help="90 for sm_90 (default: 90)")
    parser.add_argument("--seconds", type=program.listed(program.length), default=SECONDS)
    parser.add_argument("--steps", type=program.listed(program.whole_number), default=[1, 2, 4])
    parser.add_argument(
        "--sizes",
        type=program.listed(program.whole_number, 3),
        default=[512, 20, 512],
        help="channels, layers, vocoder's channels",
    )
    options = parser.parse_args()
    from fastsvc import files
    from fastsvc.build.passes import target

    specs = target.unique_specs(launches(options.arch, options.seconds, options.steps, *options.sizes))
    print(f"{len(specs)} kernels for sm_{options.arch}, some seconds each", file=sys.stderr, flush=True)
    folder = options.folder / f"sm_{options.arch}"
    contents = compiled(specs, options.arch)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.cubin"):
        old.unlink()
    for name, content in contents.items():
        files.write_bytes(folder / name, content)
    print(f"{folder}: {len(specs)} kernels, {sum(map(len, contents.values())) / 2**20:.1f} MB")


if __name__ == "__main__":
    program.start(main)
