"""One row for each clip and way, with what every ear says of it."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.hearing import copies
from bench.hearing.clips import Sample
from bench.hearing.engine_ways import Recording, blurred
from fastsvc.evaluation.ears import columns, faults, melody, opinion, voice, words

INPUT, WORLD, GRIFFIN_LIM, FORMULA, COPY = "input", "WORLD copy", "Griffin-Lim", "formula", "copy-synthesis"
Way = Callable[[], tuple[np.ndarray, float]]  # audio at the clip's rate, semitones that it was moved by
Ways = dict[tuple[str, str], Way]  # (system, voice, "" for the clip's own) → way
LEAST_WORDS = 5  # of a reference, below which a word error rate says little
# column: (heading, decimals, what is better)
COLUMNS = {
    "mos": columns.COLUMNS["mos"],
    "wer": ("WER", 3, "low"),
    "to_source": ("similarity to source", 3, "high"),
    "to_target": ("to target", 3, "high"),
    "closer_to_target": ("closer to target", 2, "high"),
    **{name: columns.COLUMNS[name] for name in ("f0_within_50", "level_db", "pauses_db", "smear_db", "sharpness")},
}


@dataclass(frozen=True, eq=False)
class JudgedInput:
    """What the ears say of a clip itself, once: its voice, its pitch, and the words that it should have."""

    sample: Sample
    voice: np.ndarray
    track: tuple[np.ndarray, np.ndarray]
    words: list[str]
    reference: str

    @staticmethod
    def of(sample: Sample) -> JudgedInput:
        own = sample.audio, sample.rate_hz
        text, kind = [], "none"
        if sample.english and sample.transcript:
            text, kind = words.split(sample.transcript), "its transcript"
        elif sample.english:
            text, kind = words.words(*own), "what is heard in the input"
        text, kind = (text, kind) if len(text) >= LEAST_WORDS else ([], "none")
        return JudgedInput(sample, voice.embed(*own), melody.track(*own), text, kind)

    def row(self, system: str, audio: np.ndarray, semitones: float = 0.0, target: np.ndarray | None = None) -> dict:
        """The figures of ``audio`` [samples] at the clip's rate, moved by ``semitones``, into the voice ``target``."""
        sample, made = self.sample, (audio, self.sample.rate_hz)
        row = {"clip": sample.name, "group": sample.group, "system": system, "semitones": semitones}
        row["mos"] = opinion.mos(*made)
        if self.words:
            row["wer"] = words.word_error_rate(words.words(*made), self.words)
        own = voice.embed(*made)
        row["to_source"] = voice.similarity(own, self.voice)
        if target is not None:
            row["to_target"] = voice.similarity(own, target)
            row["closer_to_target"] = float(row["to_target"] > row["to_source"])
        row["f0_within_50"] = melody.within(melody.track(*made), self.track, semitones)
        return row | faults.all_faults(made, (sample.audio, sample.rate_hz))


def lacking() -> list[str]:
    """A line for each row that cannot be made here."""
    found = [("pyworld", (WORLD, FORMULA), "pyworld-prebuilt"), ("librosa", (GRIFFIN_LIM,), "librosa")]
    return [
        f"{' and '.join(names)} left out: pip install {package}"
        for module, names, package in found
        if importlib.util.find_spec(module) is None
    ]


def copies_of(recording: Recording) -> Ways:
    """The rows that keep the clip's own voice."""
    own = recording.audio, recording.rate_hz
    ways = {
        INPUT: ("torch", lambda: (own[0], 0.0)),
        WORLD: ("pyworld", lambda: (copies.world(*own), 0.0)),
        GRIFFIN_LIM: ("librosa", lambda: (recording.by_griffin_lim(recording.mel), 0.0)),
        FORMULA: ("pyworld", lambda: (recording.by_formula(recording.mel), 0.0)),
    }
    if recording.engine.synthesiser:
        ways[COPY] = ("torch", lambda: (recording.vocoded(recording.mel), 0.0))
    return _possible(ways)


def conversions(recording: Recording, steps: Sequence[int], voices: Sequence[str]) -> Ways:
    """A row for each voice and number of steps."""

    def way(voice: str, count: int) -> Way:
        def make() -> tuple[np.ndarray, float]:
            audio, _, semitones = recording.converted(voice, count)
            return audio, semitones

        return make

    return {(f"{n} step{'s' * (n > 1)}", voice): way(voice, n) for voice in voices for n in steps}


def stages(recording: Recording, voice: str) -> Ways:
    """One stage exchanged at a time: whose mel, and what makes it sound. Own mels unblurred are among the copies."""

    @functools.cache
    def student(noise: bool) -> tuple[torch.Tensor, float]:
        return recording.converted(voice, min(recording.engine.steps), noise)[1:]

    @functools.cache
    def blur() -> torch.Tensor:
        return blurred(recording.mel)

    def of_student(way: Callable, noise: bool = True, **more) -> Way:
        return lambda: (way(student(noise)[0], **more), student(noise)[1])

    ways = {
        "own mel, blurred: formula": ("pyworld", lambda: (recording.by_formula(blur()), 0.0)),
        "own mel, blurred: vocoder": ("torch", lambda: (recording.vocoded(blur()), 0.0)),
        "student's mel: formula": ("pyworld", of_student(recording.by_formula, voice=voice)),
        "student's mel: Griffin-Lim": ("librosa", of_student(recording.by_griffin_lim)),
        "student's mel: vocoder": ("torch", of_student(recording.vocoded, voice=voice)),
        "student's mel, no noise: formula": ("pyworld", of_student(recording.by_formula, noise=False, voice=voice)),
    }
    return _possible(ways)


def _possible(ways: Mapping[str, tuple[str, Way]]) -> Ways:
    """Those whose package is there, none of them into another voice."""
    return {(name, ""): way for name, (module, way) in ways.items() if importlib.util.find_spec(module) is not None}
