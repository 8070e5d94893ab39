"""Work on a GPU around a command: before `fastsvc convert` missing kernels, then graphs; after `fastsvc build` the
vocoder's backends are timed."""

from __future__ import annotations

import time

from fastsvc.commands.common import say, verbosity
from fastsvc.errors import FastsvcError


def before_opening(
    path,
    device: str,
    jobs,
    steps: int | None,
    vocoder_backend: str,
    precision: str,
    batch: int,
    keep_channels: bool,
):
    """(cpu, cuda or cuda:1; on a GPU the frames of each group that is synthesized together, else nothing). Missing
    kernels for these groups are compiled and kept. If that fails, a message says so and the engine uses the kernels it
    has."""
    from fastsvc.artifact import engine_folder
    from fastsvc.engine import backends

    device = backends.choose(device)
    if device == "cpu":
        return device, []
    from fastsvc.convert import group

    folder = engine_folder.Artifact(path)
    manifest = folder.manifest
    groups = group.groups(group.frames_of(jobs, manifest.acoustic.mel, keep_channels), batch)
    steps = steps or manifest.default_steps
    if groups and steps in manifest.sampling.schedules and manifest.vocoder and manifest.content:
        _supply(folder, device, groups, steps, vocoder_backend, precision)
    return device, groups


def _supply(folder, device: str, groups, steps: int, vocoder_backend: str, precision: str) -> None:
    import torch

    from fastsvc.build.cubins.supply import supply
    from fastsvc.commands.show import bar
    from fastsvc.engine.cuda import driver, gpu_parts

    arch = gpu_parts.architecture(torch.device(device))
    try:
        driver.bindings()  # without the bindings no kernel could be started
        with bar(f"compiling kernels for sm_{arch}", verbosity()) as progress:
            precision = gpu_parts.precision_of(folder.manifest, precision)
            supplied = supply(folder, arch, precision, groups, steps, progress, vocoder_backend)
    except FastsvcError as error:
        say(f"note: no kernels are compiled beforehand: {error}")
        return
    if supplied is not None:
        kernels = f"{supplied.kernels} kernels for sm_{arch}"
        say(f"compiled {kernels} in {supplied.seconds:.1f} s, kept in {supplied.folder}")


def before_converting(engine, groups, steps: int) -> None:
    """Make the graphs for these groups of frames, largest first."""
    from fastsvc.commands.show import bar

    start = time.perf_counter()
    with bar("making graphs", verbosity()) as progress:
        count = engine.warm_up(groups=groups, steps=[steps], progress=progress)
    say(f"{count} graphs made in {time.perf_counter() - start:.1f} s")


def after_building(path, target: str) -> None:
    """Times the vocoder's backends on this machine's GPU, if the engine was built for it; prints any failure.

    On other GPUs each bucket is timed when it is first used.
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
    except Exception as error:  # the engine is built, even if a driver or a compiler fails here
        say(f"note: the engine does not run on this machine's GPU: {faults.line_with_report(error)}")
        return
    if engine.synthesiser is None or engine.synthesiser.choice.requested != "auto":  # built for one backend alone
        return
    try:
        with bar("timing the vocoder's backends", verbosity()) as progress:
            engine.synthesiser.measure(progress)
    except Exception as error:
        say(f"note: the vocoder's backends are timed on first use: {faults.line_with_report(error)}")
        return
    for line in summary(engine.synthesiser.choice.rows):
        say(f"vocoder: {line}")
