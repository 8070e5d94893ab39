"""Many recordings through one engine: the next is decoded while one is converted, and a bad one stops nothing."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastsvc.audio import io
from fastsvc.audio.encode import why
from fastsvc.audio.resample import resampled_length
from fastsvc.batch_plan import Job, Plan
from fastsvc.batch_report import DONE, FAILED, SKIPPED, Entry, Report
from fastsvc.errors import EngineError, FastsvcError, OutputError

_AHEAD_BYTES = 64 * 2**20  # longer recordings are not decoded ahead, so that two are never held at once


@dataclass(frozen=True)
class Settings:
    """How to convert. ``rate_hz`` None keeps each input's rate; ``keep_channels`` False gives mono results.

    The rest is as in :meth:`fastsvc.engine.Engine.convert`; ``name`` is that of the speaker, for
    reports; ``subtype`` (16, 24, float) holds for the formats that have it.
    """

    speaker: int | str | dict[str, float]
    name: str = ""
    steps: int | None = None
    transpose: float | str = 0
    formant: float = 0.0
    seed: int = 0
    f0_method: str | None = None
    f0_weights: str | None = None
    rate_hz: int | None = None
    subtype: str | None = None
    keep_channels: bool = False
    normalise: bool | None = None
    overwrite: bool = False


Progress = Callable[[float], None]  # gets the fraction done of one recording


def run(
    engine,
    plan: Plan,
    settings: Settings,
    tell: Callable[[Report, Entry], None] = lambda report, entry: None,
    progress: Progress = lambda fraction: None,
) -> Report:
    """Convert every job of ``plan``; ``tell(report, entry)`` is called after each, ``progress(fraction)`` during it.

    Failures, of whatever kind, become entries with a reason and the rest goes on. Ctrl-C ends the run at once:
    what is finished stays, nothing half-written does, and the report says ``interrupted``.
    """
    report = Report(planned=len(plan.jobs) + len(plan.problems))

    def add(entry: Entry) -> None:
        report.entries.append(entry)
        tell(report, entry)

    try:
        for path, reason in plan.problems:
            add(Entry(str(path), "", FAILED, reason))
        waiting = []
        for job in plan.jobs:
            if job.target.is_file() and not settings.overwrite:
                add(Entry(str(job.source), str(job.target), SKIPPED, "its result exists"))
            else:
                waiting.append(job)
        for job, decoded in _decoded(waiting, mono=not settings.keep_channels):
            add(_attempt(engine, job, decoded, settings, progress))
    except KeyboardInterrupt:
        report.interrupted = True
    return report


def check_output_folder(folder: str | os.PathLike) -> None:
    """Make ``folder`` and see that files can be written there. Raises OutputError."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: no files can be written there: {why(error)}", "choose another with -o") from None


class _Decoded:
    """A recording being read by another thread; it is handed out once, so that nothing else keeps it in memory."""

    def __init__(self, job: Job, mono: bool, pool: ThreadPoolExecutor):
        self._content = self._error = None
        self._done = pool.submit(self._read, job, mono)

    def _read(self, job: Job, mono: bool) -> None:
        start = time.perf_counter()
        try:
            self._content = (*io.read(job.source, mono=mono), time.perf_counter() - start)
        except Exception as error:
            self._error = error

    def wait(self) -> None:
        self._done.result()

    def take(self) -> tuple[np.ndarray, int, float]:
        """(audio, rate in Hz, seconds it took); raises what reading raised."""
        if self._error is not None:
            raise self._error
        content, self._content = self._content, None
        return content


def _decoded(jobs: list[Job], mono: bool) -> Iterator[tuple[Job, _Decoded]]:
    with ThreadPoolExecutor(1, "decode") as pool:
        ahead = None
        for i, job in enumerate(jobs):
            current = ahead or _Decoded(job, mono, pool)
            current.wait()
            fits = i + 1 < len(jobs) and _decoded_bytes(jobs[i + 1].source, mono) <= _AHEAD_BYTES
            ahead = _Decoded(jobs[i + 1], mono, pool) if fits else None
            yield job, current


def _decoded_bytes(path: Path, mono: bool) -> int:
    try:
        info = io.probe(path)
    except FastsvcError:
        return 0  # reading fails as fast
    return 4 * info.samples * (1 if mono else info.channels)


def _attempt(engine, job: Job, decoded: _Decoded, settings: Settings, progress: Progress) -> Entry:
    entry = Entry(str(job.source), str(job.target), FAILED, speaker=settings.name or str(settings.speaker))
    try:
        audio, rate_hz, entry.timings_s["read"] = decoded.take()
        _convert(engine, job, audio, rate_hz, settings, entry, progress)
        entry.status = DONE
    except FastsvcError as error:
        entry.reason = str(error)
    except Exception as error:
        entry.reason = f"unexpected {type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
        entry.traceback = traceback.format_exc()
    return entry


def _convert(engine, job: Job, audio: np.ndarray, rate_hz: int, settings: Settings, entry: Entry, progress) -> None:
    entry.rate_hz, entry.channels, entry.seconds = rate_hz, len(audio), audio.shape[1] / rate_hz
    wanted_hz = settings.rate_hz or rate_hz
    entry.output_rate_hz = io.writable_rate(job.format, wanted_hz)
    if entry.output_rate_hz != wanted_hz:
        entry.notes.append(f"written at {entry.output_rate_hz} Hz: {job.format} cannot carry {wanted_hz} Hz")
    start = time.perf_counter()
    result, entry.transpose = convert_channels(engine, audio, rate_hz, entry.output_rate_hz, settings, progress)
    converted = time.perf_counter()
    subtype = settings.subtype if settings.subtype in io.FORMATS[job.format][2] else None
    written = io.write(job.target, result, entry.output_rate_hz, job.format, subtype)
    entry.timings_s |= {"convert": converted - start, "write": time.perf_counter() - converted}
    entry.gain = written.gain
    if written.gain < 1:
        entry.notes.append(f"turned down by {-20 * np.log10(written.gain):.1f} dB: its peak was {written.peak:.2f}")


def convert_channels(
    engine, audio: np.ndarray, rate_hz: int, out_hz: int, settings: Settings, progress: Progress = lambda fraction: None
) -> tuple[np.ndarray, float]:
    """``audio [channels, samples]`` → (float32 ``[channels, resampled_length(samples)]`` at ``out_hz``, semitones).

    Every channel is converted with the same seed and, with an automatic transpose, by the semitones that fit the
    loudest. ``audio`` is written over where the rate stays: a long recording is held once.
    """
    samples = resampled_length(audio.shape[1], rate_hz, out_hz)
    result = audio if out_hz == rate_hz else np.empty((len(audio), samples), np.float32)
    loudest_first = sorted(range(len(audio)), key=lambda i: -float(np.dot(audio[i], audio[i])))
    transpose = settings.transpose
    for done, i in enumerate(loudest_first):
        made, made_hz = engine.convert(
            audio[i],
            rate_hz,
            settings.speaker,
            steps=settings.steps,
            transpose=transpose,
            formant=settings.formant,
            seed=settings.seed,
            f0_method=settings.f0_method,
            f0_weights=settings.f0_weights,
            rate_out_hz=out_hz,
            normalise=settings.normalise,
            progress=lambda fraction, done=done: progress((done + fraction) / len(audio)),
        )
        if made_hz != out_hz or made.shape != (samples,):
            raise EngineError(
                f"the engine returned {made.shape} samples at {made_hz} Hz instead of {samples} at {out_hz} Hz",
                "please report this",
            )
        result[i], transpose = made, engine.transposed
    return result, transpose
