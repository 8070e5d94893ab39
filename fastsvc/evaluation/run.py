"""The evaluation of one engine: both tables, written with everything needed to repeat them."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fastsvc import arguments, screen
from fastsvc.config import from_dict
from fastsvc.errors import ConfigError, FastsvcError
from fastsvc.evaluation import (
    choir_table,
    clips,
    content,
    judges,
    machine,
    plots,
    recordings_table,
    report,
    singers,
    systems,
)
from fastsvc.evaluation.ears import columns as ears
from fastsvc.evaluation.settings import EvaluationSettings, read_settings
from fastsvc.evaluation.training_audio import TrainingAudio

CENTROID_SECONDS, CENTROID_SONGS = 60.0, 3  # of training audio for each target
WARM_UP_SECONDS = 1.0


def evaluate(
    model,
    out,
    *,
    teacher=None,
    recogniser=None,
    verifier=None,
    clips: int = 40,
    recordings=None,
    seed: int = 0,
    progress: bool = True,
    command: str | None = None,
    **more,
) -> dict:
    """Evaluate an engine (path or opened); returns the content of evaluation.json in ``out``.

    ``more``: the other fields of :class:`EvaluationSettings`. Writes evaluation.json, evaluation.md and pictures. A
    recording that cannot be read or converted is left out and named, with its reason, in ["recordings"]["failed"].
    Raises ConfigError, CheckpointError, EngineError, AudioError, MissingPackageError, OutputError.
    """
    paths = {"teacher": teacher, "recogniser": recogniser, "verifier": verifier, "recordings": recordings}
    checked_paths = {key: None if value is None else str(arguments.path(key, value)) for key, value in paths.items()}
    seed, clips = arguments.seed(seed), arguments.whole_number("clips", clips, *arguments.CLIPS)
    name = model if isinstance(model, (str, Path)) else getattr(model, "path", "")
    settings = from_dict(
        EvaluationSettings, {"model": str(name), "clips": clips, "seed": seed, **checked_paths, **more}, "evaluate"
    )
    return evaluate_settings(
        settings, out, None if isinstance(model, (str, Path)) else model, progress=progress, command=command
    )


def evaluate_config(config, out, *, progress: bool = True, command: str | None = None) -> dict:
    """The same with everything from a YAML file, such as configs/demo/evaluate.yaml."""
    return evaluate_settings(read_settings(arguments.path("config", config)), out, progress=progress, command=command)


def evaluate_settings(
    settings: EvaluationSettings, out, engine=None, *, progress: bool = True, command: str | None = None
) -> dict:
    """:func:`evaluate` with checked settings."""
    from fastsvc.engine import Engine
    from fastsvc.engine.checks import makes_mels

    out = arguments.path("out", out)
    arguments.flag("progress", progress)
    engine = Engine.open(settings.model, precision="built") if engine is None else engine
    makes_mels(engine)
    evaluation = _Evaluation(settings, engine, out, progress)
    command = command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    result = machine.describe() | {"command": command, "settings": asdict(settings), "notes": evaluation.notes}
    manifest = engine.manifest.to_dict()
    result["model"] = {
        "name": Path(settings.model).name,
        "voices": len(engine.speakers),
        **{key: manifest.get(key) for key in ("source", "vocoder", "content", "precision")},
    }
    report.write(out, result)  # now, so that an unwritable folder is an error before the work
    engine.warm_up(WARM_UP_SECONDS)
    if settings.clips:
        result["choir"] = evaluation.choir()
        report.write(out, result)
    if settings.recordings:
        result["recordings"] = evaluation.recordings()
    report.write(out, result)
    return result


class _Evaluation:
    """Both tables, with the judges, centroids and notes that they share."""

    def __init__(self, settings: EvaluationSettings, engine, out: Path, progress: bool):
        self.settings, self.engine, self.out, self.progress = settings, engine, out, progress
        self.notes: list[str] = []
        self.recogniser = judges.recogniser(settings.recogniser, engine) if settings.recogniser else None
        self.verifier = judges.verifier(settings.verifier) if settings.verifier else None
        if self.recogniser is None:
            self.notes.append("No held-out recogniser was given: phone error rates are not measured.")
        if self.verifier is None:
            self.notes.append("No held-out verifier was given: singers are not measured.")
        self.teacher = systems.teacher_of(engine, settings)  # now: one that does not fit is an error before the work
        self.public, note = ears.wanted(settings.ears)
        self.notes += [note] if note else []
        names = settings.voices or engine.speakers
        self.voices = [engine.speakers[engine.table.row(name)] for name in names]
        self.centroids: dict[str, np.ndarray] = {}

    def choir(self) -> dict:
        settings, engine = self.settings, self.engine
        f0_by_voice = dict(zip(engine.speakers, engine.table.f0_hz))
        pitches = [f0_by_voice.get(name, 0.0) for name in self.voices]
        singing, left_out = clips.targets(self.voices, pitches, settings.choir_seed, settings.choir_dry)
        self.notes += [f"Not a target: {line}." for line in left_out]
        self._add_centroids([singer.name for singer in singing], {singer.name: singer for singer in singing})
        compared = self._systems()
        drawn = clips.draw(
            singing, settings.clips, settings.clip_seconds, settings.choir_seed, settings.seed, engine.rate_hz
        )
        rows, recognised, example = [], [], None
        judging = {"recogniser": self.recogniser, "verifier": self.verifier, "centroids": self.centroids}
        judging["public"] = self.public
        measured = choir_table.rows(drawn, compared, engine.config, seed=settings.seed, **judging)
        for clip_rows, clip, outputs in self._bar(measured, "choir", settings.clips, "clip"):
            rows += clip_rows
            recognised.append(content.recognised_phones(engine, self.recogniser, clip))
            example = example or (clip, outputs)
        words = content.missed_shares(recognised)
        if words:
            self.notes.append(f"The content encoder itself mishears {words['misheard']:.1%} of the sources' phones.")
        if "lost" in words:
            self.notes[-1] += f" It or, in the true target, the judge mishears {words['lost']:.1%}."
        against = self._against(compared)
        pictures = [
            plots.systems(self.out / "choir.png", rows, choir_table.COLUMNS),
            plots.example(self.out / "example.png", *example, engine.config),
        ]
        return {
            "summary": report.summarise(rows, choir_table.COLUMNS, settings.seed),
            "against": against,
            "differences": report.differences(rows, against, choir_table.COLUMNS, settings.seed),
            "seconds": sum(row["seconds"] for row in rows) / len(compared),
            "words": words,
            "pictures": [path.name for path in pictures],
            "rows": rows,
        }

    def _against(self, compared: list[systems.System]) -> str:
        """The row that others are compared with: the last before the students, else the first of them."""
        references = len(compared) - len(self.engine.steps)
        return compared[max(references - 1, 0)].name

    def _systems(self) -> list[systems.System]:
        compared = [systems.truth(), systems.copy_synthesis(self.engine)] if self.settings.references else []
        compared += [self.teacher] if self.teacher else []
        if not self.teacher and not self.settings.engines:
            self.notes.append("No teacher was given: its row is not measured.")
        for path, name in systems.named(self.settings.engines, bool(self.settings.teacher)).items():
            other = self._other(path)
            compared += [systems.student(other, steps, name, self.engine.config.mel) for steps in other.steps]
        return compared + [systems.student(self.engine, steps) for steps in self.engine.steps]

    def _other(self, path: str):
        """Another engine to compare with. Raises ConfigError where the voices or the rate are not the same."""
        from fastsvc.engine import Engine
        from fastsvc.engine.checks import makes_mels

        other = Engine.open(path, precision="built")
        makes_mels(other)
        if other.speakers != self.engine.speakers or other.rate_hz != self.engine.rate_hz:
            raise ConfigError(
                f"{path} and {self.engine.path} have other voices or another rate",
                "compare engines that were trained on one corpus",
            )
        other.warm_up(WARM_UP_SECONDS)
        return other

    def recordings(self) -> dict:
        settings = self.settings
        paths = recordings_table.recordings(settings.recordings)
        try:
            singing = {s.name: s for s in clips.targets(self.voices, (), settings.choir_seed, settings.choir_dry)[0]}
        except ConfigError:
            singing = {}
        self._add_centroids(self.voices, singing)
        voices = [name for name in self.voices if self.verifier is None or name in self.centroids]
        judging = {"verifier": self.verifier, "centroids": self.centroids, "seed": self.settings.seed}
        failures: dict[str, str] = {}

        def failed(path: Path, error: FastsvcError) -> None:
            failures[str(path)] = str(error)

        measured = recordings_table.rows(self.engine, paths, voices, public=self.public, failed=failed, **judging)
        rows = list(self._bar(measured, "recordings", len(paths) * len(voices), "file"))
        everyone = [row | {"system": "all"} for row in rows] + [row | {"system": row["target"]} for row in rows]
        return {
            "summary": report.summarise(everyone, recordings_table.COLUMNS, self.settings.seed),
            "pictures": [plots.similarities(self.out / "recordings.png", rows).name] if self.verifier and rows else [],
            "rows": rows,
            "failed": failures,
        }

    def _add_centroids(self, names: Sequence[str], singing: dict) -> None:
        """Centroids of those voices that have none yet, from training audio."""
        if self.verifier is None:
            return
        settings = self.settings
        for name in self._bar([name for name in names if name not in self.centroids], "voices", unit="voice"):
            centroid = None
            if settings.corpus is not None:
                centroid = _corpus_centroid(settings.verifier, settings.corpus, name)
            elif name in singing:
                audio = clips.renditions(singing[name], CENTROID_SONGS, settings.choir_seed, self.engine.rate_hz)
                centroid = singers.centroid(
                    singers.embed(self.verifier, rendition, self.engine.rate_hz) for rendition in audio
                )
            if centroid is not None:
                self.centroids[name] = centroid
            else:
                self.notes.append(f"No training audio of {name} at hand: left out of singer accuracy.")

    def _bar(self, items, description: str, total: int | None = None, unit: str = "it"):
        return screen.bar(items, desc=description, total=total, unit=unit, disable=not self.progress)


@functools.lru_cache(maxsize=256)  # an ablation evaluates many engines by one verifier
def _corpus_centroid(verifier: str, corpus: str, name: str) -> np.ndarray | None:
    """A voice's centroid from its training audio; None where the corpus has none of it."""
    network, training_audio = judges.verifier(verifier), TrainingAudio(corpus)
    recordings = training_audio.recordings(name, CENTROID_SECONDS)
    return (
        singers.centroid(singers.embed(network, recording, training_audio.rate_hz) for recording in recordings)
        if recordings
        else None
    )
