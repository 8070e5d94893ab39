"""Recordings read by other threads, some ahead of the one that is asked for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from fastsvc.audio import io
from fastsvc.batch_plan import Job
from fastsvc.errors import FastsvcError

AHEAD_BYTES = 64 * 2**20  # longer recordings are not decoded ahead, so that two are never held at once
THREADS = 4


class Decoded:
    """A recording being read by another thread; it is handed out once, so that nothing else keeps it in memory."""

    def __init__(self, job: Job, mono: bool, size: int, pool: ThreadPoolExecutor):
        self.job, self.size = job, size  # bytes
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


def decoded(jobs: Sequence[Job], mono: bool, ahead: int = 1) -> Iterator[Decoded]:
    """Each job's recording in order, at most ``ahead`` more of them read meanwhile."""
    left, waiting = deque(jobs), deque()
    pool = ThreadPoolExecutor(min(ahead, THREADS), "decode")
    try:
        while waiting or left:
            current = waiting.popleft() if waiting else Decoded(left.popleft(), mono, 0, pool)
            current.wait()
            while left and len(waiting) < ahead:
                size = _bytes(left[0].source, mono)
                if size + sum(one.size for one in waiting) > AHEAD_BYTES:
                    break
                waiting.append(Decoded(left.popleft(), mono, size, pool))
            yield current
    finally:
        pool.shutdown(cancel_futures=True)


def _bytes(path: Path, mono: bool) -> int:
    try:
        info = io.probe(path)
    except FastsvcError:
        return 0  # reading fails as fast
    return 4 * info.samples * (1 if mono else info.channels)
