"""One recording on its way: heard and sung by channels, then joined and written; whatever fails is its entry's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fastsvc import faults, memory
from fastsvc.audio import io
from fastsvc.audio.encode import check_length
from fastsvc.audio.resample import resampled_length
from fastsvc.convert.decode import Decoded
from fastsvc.convert.plan import Job
from fastsvc.convert.report import DONE, FAILED, Entry
from fastsvc.convert.request import subtype
from fastsvc.convert.settings import Settings

if TYPE_CHECKING:
    from fastsvc.convert.results import Results
    from fastsvc.engine.conversion import OutputSpec, RecordingFeatures

HEARD = 0.3  # the share of hearing in a conversion, for the progress bar alone


@dataclass
class Voice:
    """One channel: what the engine heard of it; then, in its stead, the audio that it made, at the model's rate."""

    recording: Recording
    heard: RecordingFeatures | None
    place: OutputSpec
    made: np.ndarray | None = None

    @property
    def frames(self) -> int:
        """Of what was heard; 0 once its audio is made."""
        return 0 if self.heard is None else self.heard.frames


@dataclass
class Recording:
    """``done``: how much of the conversion, 0 … 1; ``writing``: the future of :meth:`finish`, once that is called.

    ``results``: what lets its file take its place.
    """

    job: Job
    settings: Settings
    results: Results | None = None
    entry: Entry = field(init=False)
    voices: dict[int, Voice] = field(default_factory=dict)  # by channel
    channels: int = 0
    done: float = 0.0
    writing: Future | None = None

    def __post_init__(self):
        self.entry = Entry(str(self.job.source), str(self.job.target), FAILED, speaker=self.settings.voice)

    @property
    def failed(self) -> bool:
        return bool(self.entry.reason)

    @property
    def sung(self) -> bool:
        """Whether all of it waits to be written."""
        return 0 < self.channels == sum(voice.made is not None for voice in self.voices.values())

    def fail(self, error: Exception) -> None:
        """For whatever reason: the entry gets it, and the recording is given up. Faults of ours have a traceback."""
        self.voices, self.done = {}, 1.0
        self.entry.reason = faults.line(error)
        if faults.usual(error) is None:
            self.entry.traceback = faults.details(error)
        memory.emptied(error)

    def hear(self, engine, decoded: Decoded) -> Iterator[Voice]:
        """Its channels, the loudest first, each heard when it is asked for; none after a failure.

        With an automatic transpose all are moved by the semitones that fit the loudest.
        """
        try:
            audio, rate_hz, self.entry.timings_s["read"] = decoded.take()
            self.entry.notes += decoded.notes
            self._describe(audio, rate_hz)
            request = replace(self.settings.request, rate_out_hz=self.entry.output_rate_hz)
            loudest_first = sorted(range(len(audio)), key=lambda i: -float(np.dot(audio[i], audio[i])))
            for place, i in enumerate(loudest_first, 1):
                start = time.perf_counter()
                heard = engine.extract(audio[i], rate_hz, request)
                self._spent("convert", start)
                self.entry.transpose = heard.semitones
                request = replace(request, transpose=heard.semitones) if place < self.channels else request
                self.entry.notes += [note for note in heard.notes if note not in self.entry.notes]
                if place == self.channels:
                    del audio  # before the work on the last, which takes as much
                self.voices[i] = Voice(self, heard, heard.output_spec)
                del heard  # take() lets it go
                self.done += HEARD / self.channels
                yield self.voices[i]
        except Exception as error:
            self.fail(error)

    def _describe(self, audio: np.ndarray, rate_hz: int) -> None:
        entry, wanted_hz = self.entry, self.settings.rate_hz or rate_hz
        self.channels = len(audio)
        entry.rate_hz, entry.channels, entry.seconds = rate_hz, len(audio), audio.shape[1] / rate_hz
        entry.output_rate_hz = io.writable_rate(self.job.format, wanted_hz)
        if entry.output_rate_hz != wanted_hz:
            why = f"{self.job.format} cannot carry {wanted_hz} Hz"
            entry.notes.append(f"its result is written at {entry.output_rate_hz} Hz: {why}")
        samples = resampled_length(audio.shape[1], rate_hz, entry.output_rate_hz)
        check_length(self.job.format, samples, entry.output_rate_hz)

    def _spent(self, what: str, start: float) -> None:
        timings = self.entry.timings_s
        timings[what] = timings.get(what, 0.0) + time.perf_counter() - start

    def take(self, voice: Voice, made: np.ndarray, seconds: float) -> None:
        """The audio of one of its voices, which took ``seconds``."""
        voice.made, voice.heard = made, None
        self.done += (1 - HEARD) / self.channels
        self.entry.timings_s["convert"] += seconds

    def finish(self, engine) -> None:
        """All voices at their rate and length, into the file. May run in another thread."""
        try:
            start = time.perf_counter()
            result = self._joined(engine)
            self._spent("convert", start)
            start = time.perf_counter()
            entry, job = self.entry, self.job
            bits = subtype(self.settings, job.format)
            new = self.results is not None and self.results.is_new(job)
            written = io.write(job.target, result, entry.output_rate_hz, job.format, bits, self._approve, new)
            self._spent("write", start)
            entry.gain = written.gain
            if written.gain < 1:
                turned_down = -20 * np.log10(written.gain)
                how = f"turned down by {turned_down:.1f} dB: the peak was {written.peak:.2f}"
                entry.notes.append(f"its result is {how}")
            if written.large:
                entry.notes.append("its result is written as RF64, which is WAV for more than 4 GiB")
            entry.status = DONE
        except Exception as error:
            self.fail(error)

    def _approve(self, made: os.stat_result) -> None:
        if self.results is not None:
            self.results.take_place(self.job, made, self.entry.notes)

    def _joined(self, engine) -> np.ndarray:
        """[channels, resampled_length(samples)]; what was made is let go as it is used."""
        voices, self.voices = self.voices, {}
        result, out_hz = None, self.entry.output_rate_hz
        for i in range(self.channels):
            voice = voices.pop(i)
            samples = resampled_length(voice.place.samples, self.entry.rate_hz, out_hz)
            made = engine.join(voice.made, *voice.place)
            voice.made = None
            if made.shape != (samples,):
                raise AssertionError(f"the engine returned {made.shape} samples instead of {samples} at {out_hz} Hz")
            if self.channels == 1:
                return made[None]
            result = np.empty((self.channels, samples), np.float32) if result is None else result
            result[i] = made
        assert result is not None, "a recording has channels"
        return result
