"""What is prepared on a GPU: before the first recording of `fastsvc convert` kernels that are lacking, then graphs;
after `fastsvc build` the vocoder's backends are timed there."""

from __future__ import annotations

import time

from fastsvc.commands.common import say, verbosity
from fastsvc.errors import FastsvcError


def before_opening(path, device: str, jobs, steps: int | None, vocoder_backend: str, batch: int, keep_channels: bool):
    """(cpu or cuda; on a GPU the frames of what will be sung together, else nothing). Kernels that the engine lacks
    for these are compiled and kept; where that cannot be, it is said, and what is there is used."""
    from fastsvc.artifact import folder as artifact
    from fastsvc.engine import backends

    device = backends.choose(device)
    if device == "cpu":
        return device, []
    from fastsvc.convert.group import frames_of, groups

    folder = artifact.Artifact(path)
    manifest = folder.manifest
    needs = groups(frames_of(jobs, manifest.acoustic.mel, keep_channels), batch)
    steps = steps or manifest.default_steps
    if needs and steps in manifest.sampling.schedules and manifest.vocoder and manifest.content:
        _supply(folder, needs, steps, vocoder_backend)
    return device, needs


def _supply(folder, needs, steps: int, vocoder_backend: str) -> None:
    import torch

    from fastsvc.build.cubins.supply import supply
    from fastsvc.commands.show import bar
    from fastsvc.engine.cuda import driver, gpu_parts

    arch = gpu_parts.architecture(torch.device("cuda"))
    try:
        driver.bindings()  # who could not start them needs none
        with bar(f"compiling kernels for sm_{arch}", verbosity()) as progress:
            precision = gpu_parts.precision_of(folder.manifest, "auto")
            made = supply(folder, arch, precision, needs, steps, progress, vocoder_backend)
    except FastsvcError as error:
        say(f"note: no kernels are compiled beforehand: {error}")
        return
    if made is not None:
        say(f"compiled {made.kernels} kernels for sm_{arch} in {made.seconds:.1f} s, kept in {made.place}")


def before_converting(engine, needs, steps: int) -> None:
    """The graphs that these recordings will take, largest first."""
    from fastsvc.commands.show import bar

    start = time.perf_counter()
    with bar("making graphs", verbosity()) as progress:
        count = engine.warm_up(groups=needs, steps=[steps], progress=progress)
    say(f"{count} graphs made in {time.perf_counter() - start:.1f} s")


def after_building(path, target: str) -> None:
    """Times the vocoder's backends on this machine's GPU, if the engine was built for it; what fails there is said.

    Elsewhere, and for other GPUs, each bucket of lengths is timed when it is first used.
    """
    from fastsvc import faults
    from fastsvc.engine.cuda import support

    if support.why_no_cuda() is not None:
        return
    import torch

    from fastsvc.commands.show import bar
    from fastsvc.engine import Engine
    from fastsvc.engine.cuda import gpu_parts
    from fastsvc.engine.cuda.generators.choice import summary

    arch = gpu_parts.architecture(torch.device("cuda"))
    if target != "auto" and f"sm_{arch}" not in map(str.strip, target.split(",")):
        return
    try:
        engine = Engine.open(path, "cuda")
    except Exception as error:  # it is built, whatever a driver or a compiler says to this
        say(f"note: the engine does not run on this machine's GPU: {faults.told(error)}")
        return
    if engine.synthesiser is None or engine.synthesiser.choice.requested != "auto":  # built for one of them alone
        return
    try:
        with bar("timing the vocoder's backends", verbosity()) as progress:
            engine.synthesiser.measure(progress)
    except Exception as error:
        say(f"note: the vocoder's backends are timed on first use: {faults.told(error)}")
        return
    for line in summary(engine.synthesiser.choice.rows):
        say(f"vocoder: {line}")
