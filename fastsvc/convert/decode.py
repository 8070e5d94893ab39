"""Recordings read by other threads, some ahead of the one that is asked for."""

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
_AT_WORK = 16  # bytes for each sample at the model's rate of the channel that is at work: features, mel, audio


def bytes_needed(model_hz: int, out_hz: int | None, info: io.Info) -> float:
    """Memory that the conversion of a recording takes on a CPU, with its channels in turn; ``out_hz`` None: its own.

    Measured with the demo's voices, 5 to 15 minutes at 24 to 96 kHz: 0.75 to 0.9 of this, and 0.1 GB for any.
    """
    kept = info.channels * (info.rate_hz + model_hz + (out_hz or info.rate_hz))  # input, what is sung, result
    return info.seconds * (_FLOAT * kept + _AT_WORK * model_hz)


class Decoded:
    """A recording being read by another thread; it is handed out once, so that nothing else keeps it in memory.

    ``notes``: what its user should know of how it was read.
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
        """Until it is read; whether there was memory enough for it."""
        self._done.result()
        return not isinstance(self._error, io.TooLong)

    def take(self) -> tuple[np.ndarray, int, float]:
        """(audio, rate in Hz, seconds it took); raises what reading raised."""
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
    """Each job's recording in order, at most ``ahead`` more of them read meanwhile; ``needs`` as in io.read.

    ``begin`` is called before a recording is opened.
    """
    left, waiting = deque(jobs), deque()
    pool, read = ThreadPoolExecutor(min(ahead, THREADS), "decode"), partial(io.read, mono=mono, needs=needs)

    def start(job: Job, size: int) -> Decoded:
        begin(job.source)
        return Decoded(job, read, size, pool)

    try:
        while waiting or left:
            early = bool(waiting)
            current = waiting.popleft() if early else start(left.popleft(), 0)
            if not current.wait() and early:  # those before it are done by now, and their memory is free
                current = start(current.job, current.size)
                current.wait()
            while left and len(waiting) < ahead:
                size = _bytes(left[0].source, mono)
                if size + sum(one.size for one in waiting) > AHEAD_BYTES:
                    break
                waiting.append(start(left.popleft(), size))
            yield current
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(path: Path, mono: bool) -> int:
    try:
        info = io.probe(path, exact=False)
    except FastsvcError:
        return 0  # reading fails as fast
    return 4 * info.samples * (1 if mono else info.channels)
