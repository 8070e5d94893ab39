"""One recording: features and audio by channel, then joined and written. Its report entry keeps any failure."""

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
from fastsvc.convert.request_hash import subtype
from fastsvc.convert.settings import ConversionSettings

if TYPE_CHECKING:
    from fastsvc.convert.results import Results
    from fastsvc.engine.conversion import OutputSpec, RecordingFeatures

EXTRACTING = 0.3  # share of a conversion that finds features, for the progress bar alone


@dataclass
class Channel:
    """One channel: first its features; then, in their stead, the engine's audio at the model's rate."""

    recording: RecordingConversion
    features: RecordingFeatures | None
    place: OutputSpec
    audio: np.ndarray | None = None

    @property
    def frames(self) -> int:
        """Frames of the features; 0 once the audio is there."""
        return 0 if self.features is None else self.features.frames


@dataclass
class RecordingConversion:
    """``done``: the finished share of the conversion, 0 … 1; ``writing``: the future of :meth:`finish`, once running.

    ``results``: approves the new file before it gets its name.
    """

    job: Job
    settings: ConversionSettings
    results: Results | None = None
    entry: Entry = field(init=False)
    channels: dict[int, Channel] = field(default_factory=dict)  # by index
    channel_count: int = 0
    done: float = 0.0
    writing: Future | None = None

    def __post_init__(self):
        self.entry = Entry(str(self.job.source), str(self.job.target), FAILED, speaker=self.settings.voice)

    @property
    def failed(self) -> bool:
        return bool(self.entry.reason)

    @property
    def synthesized(self) -> bool:
        """Whether every channel has its audio, so that the recording can be written."""
        return 0 < self.channel_count == sum(channel.audio is not None for channel in self.channels.values())

    def fail(self, error: Exception) -> None:
        """Write the error into the entry and give the recording up. Faults of ours keep their traceback."""
        self.channels, self.done = {}, 1.0
        self.entry.reason = faults.line(error)
        if faults.user_error(error) is None:
            self.entry.traceback = faults.details(error)
        memory.release_frames(error)

    def extract(self, engine, decoded: Decoded) -> Iterator[Channel]:
        """The channels, the loudest first, each with its features when the iterator reaches it; none after a failure.

        With an automatic transpose all channels are moved by the semitones that fit the loudest.
        """
        try:
            audio, rate_hz, self.entry.timings_s["read"] = decoded.take()
            self.entry.notes += decoded.notes
            self._describe(audio, rate_hz)
            request = replace(self.settings.request, rate_out_hz=self.entry.output_rate_hz)
            loudest_first = sorted(range(len(audio)), key=lambda i: -float(np.dot(audio[i], audio[i])))
            for number, i in enumerate(loudest_first, 1):
                start = time.perf_counter()
                features = engine.extract(audio[i], rate_hz, request)
                self._add_time("convert", start)
                self.entry.transpose = features.semitones
                if number < self.channel_count:
                    request = replace(request, transpose=features.semitones)
                else:
                    del audio  # before the work on the last channel, which takes as much memory
                self.entry.notes += [note for note in features.notes if note not in self.entry.notes]
                self.channels[i] = Channel(self, features, features.output_spec)
                del features  # so that receive() frees them
                self.done += EXTRACTING / self.channel_count
                yield self.channels[i]
        except Exception as error:
            self.fail(error)

    def _describe(self, audio: np.ndarray, rate_hz: int) -> None:
        entry, target_hz = self.entry, self.settings.rate_hz or rate_hz
        self.channel_count = len(audio)
        entry.rate_hz, entry.channels, entry.seconds = rate_hz, len(audio), audio.shape[1] / rate_hz
        entry.output_rate_hz = io.writable_rate(self.job.format, target_hz)
        if entry.output_rate_hz != target_hz:
            why = f"{self.job.format} cannot carry {target_hz} Hz"
            entry.notes.append(f"its result is written at {entry.output_rate_hz} Hz: {why}")
        samples = resampled_length(audio.shape[1], rate_hz, entry.output_rate_hz)
        check_length(self.job.format, samples, entry.output_rate_hz)

    def _add_time(self, name: str, start: float) -> None:
        timings = self.entry.timings_s
        timings[name] = timings.get(name, 0.0) + time.perf_counter() - start

    def receive(self, channel: Channel, audio: np.ndarray, seconds: float) -> None:
        """Take over the audio of one channel, which took ``seconds``."""
        channel.audio, channel.features = audio, None
        self.done += (1 - EXTRACTING) / self.channel_count
        self.entry.timings_s["convert"] += seconds

    def finish(self, engine) -> None:
        """Join the channels at the output rate and length and write the file. May run in another thread."""
        try:
            start = time.perf_counter()
            result = self._joined(engine)
            self._add_time("convert", start)
            start = time.perf_counter()
            entry, job = self.entry, self.job
            bits = subtype(self.settings, job.format)
            new = self.results is not None and self.results.is_new(job)
            written = io.write(job.target, result, entry.output_rate_hz, job.format, bits, self._approve, new)
            self._add_time("write", start)
            entry.gain = written.gain
            if written.gain < 1:
                cut_db = -20 * np.log10(written.gain)
                entry.notes.append(f"its result is turned down by {cut_db:.1f} dB: the peak was {written.peak:.2f}")
            if written.large:
                entry.notes.append("its result is written as RF64, which is WAV for more than 4 GiB")
            entry.status = DONE
        except Exception as error:
            self.fail(error)

    def _approve(self, written: os.stat_result) -> None:
        if self.results is not None:
            self.results.approve(self.job, written, self.entry.notes)

    def _joined(self, engine) -> np.ndarray:
        """[channels, resampled_length(samples)]; each channel's audio is freed as soon as it is used."""
        channels, self.channels = self.channels, {}
        result, out_hz = None, self.entry.output_rate_hz
        for i in range(self.channel_count):
            channel = channels.pop(i)
            samples = resampled_length(channel.place.samples, self.entry.rate_hz, out_hz)
            audio = engine.join(channel.audio, *channel.place)
            channel.audio = None
            if audio.shape != (samples,):
                raise AssertionError(f"the engine returned {audio.shape} samples instead of {samples} at {out_hz} Hz")
            if self.channel_count == 1:
                return audio[None]
            result = np.empty((self.channel_count, samples), np.float32) if result is None else result
            result[i] = audio
        assert result is not None, "a recording has channels"
        return result
