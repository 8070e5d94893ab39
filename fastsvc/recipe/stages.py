"""The stages from songs to an engine. Each may be killed at any time; run again, it continues where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastsvc import build
from fastsvc.artifact import bundled, engine_folder
from fastsvc.audio import encode
from fastsvc.children import cores
from fastsvc.data.corpus import Corpus
from fastsvc.data.prepare import prepare
from fastsvc.data.units import add_units
from fastsvc.engine import Engine
from fastsvc.errors import AudioError, FastsvcError
from fastsvc.recipe import base, configs, own
from fastsvc.recipe.songs import Songs
from fastsvc.recipe.state import State
from fastsvc.training import loop, rows
from fastsvc.training.resume import NAMES

PREVIEWS_S = (30.0, 300.0)  # seconds between previews
SAVE_S = 30.0
OTHERS = "others"  # the package's phrases as a corpus
CONVERSION = 0.25  # share of the batch, where there are singers to convert to
DISGUISED = 0.5  # share of the crops
HELD = {"features": {"weight": 2.0}, "adversarial": {"weight": 0.5}, "hold": {"weight": 0.25}}  # without the encoder
VOICE = "voice.pt"  # the student with the user's singers alone


@dataclass
class Run:
    """All that the stages share. ``folder``: of the run; ``out``: the engine to write; ``hint``: the command that
    continues; ``step_s``: measured seconds of a step of the training."""

    folder: Path
    out: Path
    songs: Songs
    state: State
    say: Callable[[str], None]
    hint: str = ""
    step_s: float = 1.0

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"


class Prepare:
    """The recordings, and the package's phrases, as corpora with the base engine's units; the base engine as
    checkpoints."""

    name, parts = "prepare", 4

    def run(self, run: Run) -> bool:
        engine = Engine.open(run.state.base, "cpu", "built")
        base.write(Path(run.state.base), run.folder, engine.encoder)
        common = {"jobs": cores(), "mel": engine.config.mel, "features": engine.config.features}
        report = prepare(run.songs.folder, run.corpus, singer=run.songs.only, split_pieces=True, **common)
        for path, why in report.bad:
            run.say(f"not used: {why if why.startswith(path) else f'{path}: {why}'}")
        for refusal in report.refusals:
            run.say(f"warning: {refusal}")
        add_units(run.corpus, engine.encoder)
        _check_singers(run)
        phrases = prepare(bundled.PHRASES, run.folder / OTHERS, valid=0, test=0, **common)
        if phrases.bad:
            raise FastsvcError(f"{phrases.bad[0][0]}: a file of fastsvc itself cannot be read", "install fastsvc again")
        add_units(run.folder / OTHERS, engine.encoder)
        run.say(f"prepared {report.seconds / 60:.1f} min in {report.items} pieces: {run.corpus}")
        return True


def _check_singers(run: Run) -> None:
    """Raises AudioError for a singer of whose recordings none can be used: before the training."""
    corpus = Corpus(run.corpus)
    present = {rows.key(corpus.singers[corpus.items[i].singer]) for i in corpus.of("train")}
    absent = [name for name in run.songs.seconds if rows.key(name) not in present]
    if absent:
        raise AudioError(
            f"{run.songs.folder}: no recording of {', '.join(absent)} can be used (the lines above say why)",
            "mend or remove these folders, and run the command again",
        )


class Training:
    """The student goes on with the user's singers, by the configuration in the package."""

    name, parts = "student", 1

    def run(self, run: Run) -> bool:
        out, path = run.folder / self.name, run.folder / f"{self.name}.yaml"
        if not path.exists():
            configs.write(path, configs.PAIRED, self._changes(run, out), self._task(run))
        previews = Previews(run)
        resume = any((out / name).exists() for name in NAMES)
        result = loop.run("student", path, resume=resume, on_samples=previews.write, hint=run.hint)
        if result["finished"]:
            own.write(out / "last.pt", run.folder / VOICE, list(run.songs.seconds))
        return result["finished"]

    def _changes(self, run: Run, out: Path) -> dict:
        minutes, step_s = run.state.training, run.step_s
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
        task = {"init": base.NETWORK, "vocoder": base.VOCODER, "others": OTHERS}
        return {key: str(run.folder / name) for key, name in task.items()} | {
            **self._encoder(run.folder / base.CONTENT),
            "conversion": CONVERSION if len(run.songs.seconds) > 1 else 0.0,
        }

    @staticmethod
    def _encoder(content: Path) -> dict:
        """What the base's content encoder does in the training; a HuBERT does nothing, and ``init`` holds instead."""
        if content.exists():
            return {
                "disguise": {"content": str(content), "share": DISGUISED},
                "listeners": {"phones": str(content)},
            }
        return {"disguise": {}, "listeners": {}, "losses": HELD}


class Build:
    """The engine, from the last student; then a phrase through it, to be heard."""

    name, parts = "build", 1

    def run(self, run: Run) -> bool:
        if not engine_folder.is_engine(run.out):  # else it was built, and this run was killed right after
            parts = {"vocoder": run.folder / base.VOCODER, "content": run.state.base}
            build.compile(run.folder / VOICE, run.out, progress=lambda line: None, **parts)
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

    def __init__(self, run: Run):
        self.run, self.folder = run, run.folder / "previews"

    def write(self, step: int, samples: dict) -> None:
        latest = None
        for name, sample in samples.items():
            kind, _, number = name.partition("/")
            if sample.audio is None:
                continue
            path = self.folder / f"{Training.name}-{step:06d}-{kind}-{number}.wav"
            if kind == "true":  # always the same phrases
                path = self.folder / f"true-{number}.wav"
            elif latest is None or kind == "converted":
                latest = path
            encode.write(path, sample.audio, sample.rate_hz)
        if latest is not None:
            self.run.say(f"preview at step {step}: {latest}")


STAGES = Prepare(), Training(), Build()  # in their order
