"""`fastsvc train SINGERS/`: the stages one after another, with estimates before and one display over all."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from fastsvc import arguments, files, screen
from fastsvc.artifact import bundled, engine_folder
from fastsvc.errors import ConfigError, OutputError, ResourceError
from fastsvc.recipe import base, budget, measure, songs, stages
from fastsvc.recipe.progress import Progress
from fastsvc.recipe.state import State, continued, load

PREPARE_MINUTES = (0.3, 0.03)  # at least, and for each minute of recordings; two cores of 2026
BUILD_MINUTES = 0.5
MB_A_MINUTE = 4.5  # of recordings in a corpus
PHRASES_MINUTES = 5  # of the package's phrases
MB = 1e6
COPIES = 12  # of a network's tensors: in the training's checkpoint, base.pt, voice.pt, the engine, a file being written


def train(
    folder,
    out=None,
    *,
    minutes: float = 120.0,
    device: str = "auto",
    engine=None,
    say: Callable[[str], None] = print,
    quiet: bool = False,
) -> dict:
    """Make the engine ``out`` from a folder of songs, or continue a run → {"finished", "out", "folder", "singers"}.

    ``folder``: one folder per singer, or one singer's songs. ``out`` defaults to its name with .fsvc. The run's folder
    lies beside ``out`` and ends in .training. ``minutes``: the budget. ``engine``: whose network, vocoder and content
    encoder the voice starts from (default: the demo voices). Raises AudioError for a bad
    folder or too little audio, OutputError where ``out`` exists, ConfigError where its name does not end in .fsvc or
    the run was begun with another request, ResourceError without space on the disk.
    """
    folder, minutes = arguments.path("folder", folder), float(minutes)
    out = arguments.optional(arguments.path, "out", out) or Path(f"{folder.resolve().name}.fsvc")
    words = ["fastsvc", "train", str(folder), "-o", str(out), "--budget", f"{minutes:g}min"]
    words += ["--device", device] if device != "auto" else []
    words += ["--base", str(engine)] if engine else []
    engine = arguments.optional(arguments.path, "engine", engine) or bundled.VOICES
    if out.suffix != ".fsvc":
        raise ConfigError(f"{out}: an engine's name ends in .fsvc", f"use -o {out.name or 'NAME'}.fsvc")
    run_folder = out.with_suffix(".training")
    manifest = base.check(engine).manifest
    found = songs.look(folder)
    requested = State(str(folder.resolve()), found.fingerprint, minutes, str(engine.resolve()), device)
    state = load(run_folder)
    if state is not None:
        state = continued(state, requested, run_folder)
    if not _built_here(run_folder, out):
        _refuse_existing(out)
    with files.folder_lock(run_folder, "training a voice"):
        files.clear_leftovers(run_folder)
        run = stages.Run(run_folder, out, found, state or requested, say, shlex.join(words))
        _run(run, manifest, fresh=state is None, quiet=quiet)
        finished = stages.Build.name in run.state.done
        return {
            "finished": finished,
            "out": out,
            "folder": run_folder,
            "singers": list(found.seconds),
            "hint": run.hint,
        }


def _refuse_existing(out: Path) -> None:
    """Raises OutputError where ``out`` exists. `train` never replaces, so it offers no --force."""
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out} exists", "choose another name with -o")


def _built_here(run_folder: Path, out: Path) -> bool:
    """Whether ``out`` is the engine of this run."""
    voice = run_folder / stages.VOICE
    if not voice.exists() or not engine_folder.is_engine(out):
        return False
    return engine_folder.Artifact(out).manifest.source.sha256 == files.sha256(voice)


def _run(run: stages.Run, manifest, fresh: bool, quiet: bool) -> None:
    state = run.state
    least, each = PREPARE_MINUTES
    estimate = budget.Estimate(least + each * (run.songs.minutes + PHRASES_MINUTES), BUILD_MINUTES)
    expected = estimate.training(state.minutes)
    run.step_s = measure.step_seconds(manifest.acoustic, manifest.content.config, state.device)
    run.say(f"{run.songs.folder}: {run.songs.described()}")
    if fresh:
        _say_estimates(run, estimate, expected)
        _check_disk(run, manifest.acoustic)
        state.save(run.folder)
    else:
        state.save(run.folder)
        run.say(f"continuing in {run.folder}; done: {', '.join(state.done) or 'nothing yet'}")
    minutes = {"prepare": estimate.prepare, "student": state.training or expected, "build": estimate.build}
    progress = Progress(minutes, state.done, quiet)
    run.say = _above(progress, run.say)
    try:
        with screen.sharing(progress.part):
            for stage in stages.STAGES:
                if stage.name not in state.done and not _stage(run, stage, progress, estimate):
                    return
    except KeyboardInterrupt:  # within trainings it is no exception: they save and end by themselves
        run.say(f"interrupted; the same command continues: {run.hint}")
        raise
    finally:
        progress.close()


def _stage(run: stages.Run, stage, progress: Progress, estimate: budget.Estimate) -> bool:
    """Run one stage; → whether it has finished."""
    state, start = run.state, time.monotonic()
    progress.begin(stage.name, stage.parts)
    try:
        finished = stage.run(run)
    finally:
        state.seconds[stage.name] = state.seconds.get(stage.name, 0.0) + time.monotonic() - start
        state.save(run.folder)
    if not finished:
        return False
    if stage.name == "prepare":
        state.training = estimate.training(state.minutes, used=state.seconds["prepare"] / 60)
    state.done.append(stage.name)
    state.save(run.folder)
    progress.end()
    run.say(f"{stage.name}: done after {budget.shown(state.seconds[stage.name] / 60)}")
    return True


def _say_estimates(run: stages.Run, estimate: budget.Estimate, expected: float) -> None:
    before, after = budget.shown(estimate.prepare), budget.shown(estimate.build)
    steps = f"{round(60 * expected / run.step_s)} steps, {run.step_s:.2g} s each as measured now"
    whole = budget.shown(estimate.prepare + expected + estimate.build)
    run.say(f"about {whole} in all: prepare {before}, student {budget.shown(expected)} ({steps}), build {after}")


def _check_disk(run: stages.Run, network) -> None:
    """Say how much the run will need. Raises ResourceError where the disk has less."""
    from fastsvc.model.acoustic import AcousticModel
    from fastsvc.model.keys import skeleton

    weights = sum(value.numel() for value in skeleton(lambda: AcousticModel(network)).state_dict().values())
    needed = 4 * weights * COPIES + MB_A_MINUTE * MB * (run.songs.minutes + PHRASES_MINUTES)
    try:
        free = shutil.disk_usage(run.folder).free
    except OSError as error:
        raise OutputError(f"{run.folder}: {files.reason(error)}", "choose another -o") from None
    run.say(f"disk: about {needed / MB:.0f} MB in {run.folder} ({free / MB:.0f} MB are free)")
    if free < needed:
        raise ResourceError(
            f"{run.folder}: {free / MB:.0f} MB are free, about {needed / MB:.0f} MB are needed",
            "free some space, or choose another disk with -o",
        )


def _above(progress: Progress, say: Callable[[str], None]) -> Callable[[str], None]:
    """``say`` without tearing the display."""

    def above(line: str) -> None:
        progress.bar.clear()
        say(line)
        progress.bar.refresh()

    return above
