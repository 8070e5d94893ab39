"""Recordings read by other threads, some of them ahead of time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from fastsvc import memory
from fastsvc.audio import io
from fastsvc.convert.plan import Job
from fastsvc.errors import FastsvcError

AHEAD_BYTES = 64 * 2**20  # longer recordings are not decoded ahead, so that two are never held at once
THREADS = 4
_FLOAT = 4  # bytes
_AT_WORK = 16  # bytes a sample, at the model's rate, of the channel being converted: features, mel, audio


def bytes_needed(model_hz: int, out_hz: int | None, info: io.Info) -> float:
    """Bytes that converting a recording takes on a CPU, one channel after another; ``out_hz`` None: its own rate.

    Measured with the demo's voices, 5 to 15 minutes at 24 to 96 kHz: 0.75 to 0.9 of this, and 0.1 GB for any.
    """
    samples_per_s = info.channels * (
        info.rate_hz + model_hz + (out_hz or info.rate_hz)
    )  # input, engine's output, result
    return info.seconds * (_FLOAT * samples_per_s + _AT_WORK * model_hz)


class Decoded:
    """A recording being read by another thread. It is handed out once, so that nothing else keeps it in memory.

    ``notes``: lines for the user about how it was read.
    """

    def __init__(self, job: Job, read: Callable, size: int, pool: ThreadPoolExecutor):
        self.job, self.size, self.notes = job, size, []  # size: bytes
        self._content = self._error = None
        self._done = pool.submit(self._read, job, read)

    def _read(self, job: Job, read: Callable) -> None:
        start = time.perf_counter()
        try:
            self._content = (*read(job.source, note=self.notes.append), time.perf_counter() - start)
        except Exception as error:
            self._error = memory.release_frames(error)  # it may stay for long

    def wait(self) -> bool:
        """Wait until it is read; whether there was enough memory for it."""
        self._done.result()
        return not isinstance(self._error, io.TooLong)

    def take(self) -> tuple[np.ndarray, int, float]:
        """(audio, rate in Hz, seconds of reading); raises the error of reading."""
        if self._error is not None:
            raise self._error
        content, self._content = self._content, None
        assert content is not None, "a recording is handed out once"
        return content


def decoded(
    jobs: Sequence[Job],
    mono: bool,
    ahead: int = 1,
    needs: Callable[[io.Info], float] | None = None,
    begin: Callable[[Path], None] = lambda source: None,
) -> Iterator[Decoded]:
    """Each job's recording in order, while at most ``ahead`` more are read; ``needs`` as in io.read.

    ``begin`` is called before a recording is opened.
    """
    remaining, waiting = deque(jobs), deque()
    pool, read = ThreadPoolExecutor(min(ahead, THREADS), "decode"), partial(io.read, mono=mono, needs=needs)

    def start(job: Job, size: int) -> Decoded:
        begin(job.source)
        return Decoded(job, read, size, pool)

    try:
        while waiting or remaining:
            early = bool(waiting)
            current = waiting.popleft() if early else start(remaining.popleft(), 0)
            if not current.wait() and early:  # earlier recordings are done by now, and their memory is free
                current = start(current.job, current.size)
                current.wait()
            while remaining and len(waiting) < ahead:
                size = _bytes(remaining[0].source, mono)
                if size + sum(recording.size for recording in waiting) > AHEAD_BYTES:
                    break
                waiting.append(start(remaining.popleft(), size))
            yield current
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(path: Path, mono: bool) -> int:
    try:
        info = io.probe(path, exact=False)
    except FastsvcError:
        return 0  # reading will fail as fast
    return 4 * info.samples * (1 if mono else info.channels)
