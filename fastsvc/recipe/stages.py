"""The stages from songs to an engine. Each may be killed at any time; run again, it continues where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastsvc import build
from fastsvc.artifact import engine_folder
from fastsvc.audio import encode
from fastsvc.children import cores
from fastsvc.data.corpus import Corpus
from fastsvc.data.prepare import prepare
from fastsvc.data.units import add_units
from fastsvc.engine import Engine
from fastsvc.recipe import base, configs, own
from fastsvc.recipe.songs import Songs
from fastsvc.recipe.state import State
from fastsvc.training import loop
from fastsvc.training.resume import NAMES

PREVIEWS_S = (30.0, 300.0)  # seconds between previews
SAVE_S = 30.0
TEACHER = "teacher.pt"  # with the user's singers alone


@dataclass
class Run:
    """All that the stages share. ``folder``: of the run; ``out``: the engine to write; ``hint``: the command that
    continues; ``step_s``: measured seconds of a step of each training."""

    folder: Path
    out: Path
    songs: Songs
    state: State
    say: Callable[[str], None]
    hint: str = ""
    step_s: dict[str, float] = field(default_factory=dict)

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"


class Prepare:
    """The recordings as a corpus with the base engine's units, and the base engine as checkpoints."""

    name, parts = "prepare", 2

    def run(self, run: Run) -> bool:
        engine = Engine.open(run.state.base, "cpu", "built")
        base.write(Path(run.state.base), run.folder, engine.encoder)
        report = prepare(
            run.songs.folder,
            run.corpus,
            jobs=cores(),
            mel=engine.config.mel,
            features=engine.config.features,
            singer=run.songs.only,
            split_pieces=True,
        )
        for path, why in report.bad:
            run.say(f"not used: {why if why.startswith(path) else f'{path}: {why}'}")
        for refusal in report.refusals:
            run.say(f"warning: {refusal}")
        add_units(run.corpus, engine.encoder)
        run.say(f"prepared {report.seconds / 60:.1f} min in {report.items} pieces: {run.corpus}")
        return True


class Training:
    """One training of the recipe, by its configuration in the package."""

    parts = 1

    def __init__(self, name: str):
        self.name = name

    def run(self, run: Run) -> bool:
        out, path = run.folder / self.name, run.folder / f"{self.name}.yaml"
        if not path.exists():
            configs.write(path, self.name, self._changes(run, out), self._task(run))
        previews = Previews(run, self.name)
        resume = any((out / name).exists() for name in NAMES)
        result = loop.run(self.name, path, resume=resume, on_samples=previews.write, hint=run.hint)
        finished = result["finished"] or bool(result["reason"])
        if finished and self.name == "teacher":
            own.write(_best(out), run.folder / TEACHER, list(run.songs.seconds))
        return finished

    def _changes(self, run: Run, out: Path) -> dict:
        minutes, step_s = run.state.plan[self.name], run.step_s[self.name]
        least, most = PREVIEWS_S
        preview_s = min(most, max(least, 60 * minutes / 5))
        return {
            "corpus": str(run.corpus),
            "out": str(out),
            "minutes": minutes,
            "device": run.state.device,
            "validate_every": max(2, round(preview_s / step_s)),
            "save_every": max(1, round(SAVE_S / step_s)),
        }

    def _task(self, run: Run) -> dict:
        task: dict = {"vocoder": str(run.folder / base.VOCODER)}
        if self.name == "teacher":
            return task | {"init": str(run.folder / base.NETWORK)}
        task["teacher"] = str(run.folder / TEACHER)
        if self.name == "dmo":  # without listeners, which would need trainings of their own
            weights = {loss: {"weight": 0.0} for loss in ("ctc", "frames", "pitch", "singer")}
            task |= {"init": str(_best(run.folder / "student")), "listeners": {}, "guard": {}}
            task |= {"losses": {"adversarial": {"weight": 1.0}} | weights}
            task |= {"conversion": 0.5 if len(run.songs.seconds) > 1 else 0.0}
        return task


class Build:
    """The engine, from the last student; then a phrase through it, to be heard."""

    name, parts = "build", 1

    def run(self, run: Run) -> bool:
        if not engine_folder.is_engine(run.out):  # else it was built, and this run was killed right after
            parts = {"vocoder": run.folder / base.VOCODER, "content": run.state.base}
            build.compile(student_of(run.folder), run.out, progress=lambda line: None, **parts)
        corpus = Corpus(run.corpus)
        item = corpus.items[corpus.of("valid")[0]]
        engine = Engine.open(run.out, "cpu")
        audio, rate_hz = engine.convert(item.audio.astype(np.float32) / 32768, corpus.mel.rate_hz, engine.speakers[0])
        path = run.folder / "previews" / "engine.wav"
        encode.write(path, audio, rate_hz)
        run.say(f"a held-out phrase through the engine: {path}")
        return True


class Previews:
    """Writes the samples of each validation as sound, and says where."""

    def __init__(self, run: Run, stage: str):
        self.run, self.stage, self.folder = run, stage, run.folder / "previews"

    def write(self, step: int, samples: dict) -> None:
        latest = None
        for name, sample in samples.items():
            kind, _, number = name.partition("/")
            if sample.audio is None or kind == "teacher":
                continue
            path = self.folder / f"{self.stage}-{step:06d}-{kind}-{number}.wav"
            if kind == "true":  # always the same phrases
                path = self.folder / f"true-{number}.wav"
            elif latest is None or kind == "converted":
                latest = path
            encode.write(path, sample.audio, sample.rate_hz)
        if latest is not None:
            self.run.say(f"preview at step {step}: {latest}")


def _best(folder: Path) -> Path:
    """The checkpoint of least validation error, where one was found."""
    return folder / "best.pt" if (folder / "best.pt").exists() else folder / "last.pt"


def student_of(folder: Path) -> Path:
    """The checkpoint that the engine is built from."""
    last = folder / "dmo" / "last.pt"
    return last if last.exists() else _best(folder / "student")


def of(kinds: list[str]) -> list:
    """The stages in their order; ``kinds``: the trainings."""
    return [Prepare(), *map(Training, kinds), Build()]
