"""One row for each clip and way, with what every ear says of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.hearing import copies
from bench.hearing.clips import Sample
from bench.hearing.engine_ways import Recording, blurred
from fastsvc.evaluation.ears import faults, melody, opinion, voice, words

INPUT, WORLD, GRIFFIN_LIM, FORMULA, COPY = "input", "WORLD copy", "Griffin-Lim", "formula", "copy-synthesis"
LEAST_WORDS = 5  # of a reference, below which a word error rate says little
# column: (heading, decimals, what is better)
COLUMNS = {
    "mos": ("MOS", 2, "high"),
    "wer": ("WER", 3, "low"),
    "to_source": ("similarity to source", 3, "high"),
    "to_target": ("to target", 3, "high"),
    "closer_to_target": ("closer to target", 2, "high"),
    "f0_within_50": ("f0 within 50 cents", 3, "high"),
    "level_db": ("level dB", 1, "zero"),
    "pauses_db": ("pauses dB", 1, "zero"),
    "smear_db": ("before onsets dB", 1, "zero"),
    "sharpness": ("sharpness", 2, "high"),
}


@dataclass(frozen=True, eq=False)
class Heard:
    """What the ears say of a clip itself, once: its voice, its pitch, and the words that it should have."""

    sample: Sample
    voice: np.ndarray
    track: tuple[np.ndarray, np.ndarray]
    words: list[str]
    reference: str

    @staticmethod
    def of(sample: Sample) -> Heard:
        own = sample.audio, sample.rate_hz
        text, kind = [], "none"
        if sample.english and sample.transcript:
            text, kind = words.split(sample.transcript), "transcript"
        elif sample.english:
            text, kind = words.words(*own), "as heard in the input"
        text, kind = (text, kind) if len(text) >= LEAST_WORDS else ([], "none")
        return Heard(sample, voice.embed(*own), melody.track(*own), text, kind)

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


def copies_of(heard: Heard, recording: Recording) -> Iterator[dict]:
    """The rows that keep the clip's own voice."""
    sample, has = heard.sample, importlib.util.find_spec
    ways: dict[str, Callable[[], np.ndarray]] = {INPUT: lambda: sample.audio}
    if has("pyworld"):
        ways[WORLD] = lambda: copies.world(sample.audio, sample.rate_hz)
    if has("librosa"):
        ways[GRIFFIN_LIM] = lambda: recording.by_griffin_lim(recording.mel)
    if has("pyworld"):
        ways[FORMULA] = lambda: recording.by_formula(recording.mel)
    if recording.engine.synthesiser:
        ways[COPY] = lambda: recording.vocoded(recording.mel)
    return (heard.row(name, way()) for name, way in ways.items())


def conversions(heard: Heard, recording: Recording, steps: Sequence[int], targets: Mapping) -> Iterator[dict]:
    """A row for each voice (name → its vector, or None) and number of steps."""
    for name, target in targets.items():
        for count in steps:
            audio, _, semitones = recording.converted(name, count)
            row = heard.row(f"{count} step{'s' * (count > 1)}", audio, semitones, target)
            yield row | {"target": name}


def stages(heard: Heard, recording: Recording, target: str) -> Iterator[dict]:
    """One stage exchanged at a time: whose mel, and what makes it sound. Own mels unblurred are among the copies."""
    step = min(recording.engine.steps)
    _, student, semitones = recording.converted(target, step)
    _, silent, _ = recording.converted(target, step, noise=False)
    mels = {
        "own mel, blurred": (blurred(recording.mel), None, 0.0),
        "student's mel": (student, target, semitones),
        "student's mel, no noise": (silent, target, semitones),
    }
    for name, (mel, moved, shift) in mels.items():
        sounding = {
            GRIFFIN_LIM: ("librosa", lambda mel=mel: recording.by_griffin_lim(mel)),
            FORMULA: ("pyworld", lambda mel=mel, moved=moved: recording.by_formula(mel, moved)),
            "vocoder": ("torch", lambda mel=mel, moved=moved: recording.vocoded(mel, moved)),
        }
        for what, (module, way) in sounding.items():
            if importlib.util.find_spec(module) is not None:
                yield heard.row(f"{name}: {what}", way(), shift)
