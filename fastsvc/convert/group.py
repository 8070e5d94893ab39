"""Voices of several recordings that are sung together, so that their slices share a GPU's batches."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence

from fastsvc import faults, memory
from fastsvc.audio import io
from fastsvc.audio.resample import resampled_length
from fastsvc.config import MelConfig
from fastsvc.convert.plan import Job
from fastsvc.convert.recording import Voice
from fastsvc.convert.settings import Settings
from fastsvc.errors import FastsvcError

MOST_FRAMES = 65536  # of a group: features, mels and audio of so many are held at once (6 minutes at 24 kHz, hop 128)


class Room:
    """How full a group is: of ``most`` recordings, and of frames."""

    def __init__(self, most: int):
        self.most = most
        self.clear()

    def clear(self) -> None:
        self.frames = self.recordings = 0

    def add(self, frames: int) -> bool:
        """One more voice; whether the group is full."""
        self.frames += frames
        return self.most == 1 or self.frames >= MOST_FRAMES

    def end(self) -> bool:
        """All voices of a recording are there; whether the group is full."""
        self.recordings += self.frames > 0
        return self.recordings >= self.most


def groups(recordings: Iterable[Sequence[int]], most: int) -> list[list[int]]:
    """Frames of the voices that are sung together, from those of each recording's channels, if none fails."""
    room, found = Room(most), [[]]
    for channels in recordings:
        for frames in channels:
            found[-1].append(frames)
            if room.add(frames):
                found.append([])
                room.clear()
        if room.end():
            found.append([])
            room.clear()
    return [group for group in found if group]


def frames_of(jobs: Iterable[Job], mel: MelConfig, keep_channels: bool) -> list[list[int]]:
    """Frames of the channels of each recording, by its header; those that cannot be read are left out."""
    found = []
    for job in jobs:
        try:
            info = io.probe(job.source)
        except FastsvcError:
            continue
        samples = resampled_length(info.samples, info.rate_hz, mel.rate_hz)
        if samples:
            found.append([math.ceil(samples / mel.hop_samples)] * (info.channels if keep_channels else 1))
    return found


def sing(engine, voices: Sequence[Voice], settings: Settings, progress: Callable[[float], None]) -> None:
    """Give every voice its audio. If that fails together, each is sung alone, so that a failure is its own's only."""
    voices = [voice for voice in voices if not voice.recording.failed]
    if len(voices) > 1:
        try:
            return _together(engine, voices, settings, progress)
        except Exception as error:
            together = memory.emptied(error)
    for voice in voices:
        try:
            _together(engine, [voice], settings, progress)
        except Exception as error:
            voice.recording.fail(error)
    if len(voices) > 1 and not any(voice.recording.failed for voice in voices):
        warnings.warn(
            f"{len(voices)} recordings failed together and went well alone: {faults.told(together)}", stacklevel=2
        )


def _together(engine, voices: Sequence[Voice], settings: Settings, progress: Callable[[float], None]) -> None:
    start = time.perf_counter()
    heard = [voice.heard for voice in voices]
    made = engine.synthesise_many(heard, settings.request, progress=progress)
    spent, frames = time.perf_counter() - start, sum(voice.frames for voice in voices)
    for voice, audio in zip(voices, made, strict=True):
        voice.recording.take(voice, audio, spent * voice.frames / frames)
