"""Live streams in a worker that holds one engine: one stream at a time, one thread of computation."""

from __future__ import annotations

import os
import threading
import time
from collections import deque

import numpy as np
import torch

from fastsvc.engine import Engine
from fastsvc.engine.stream import unusable
from fastsvc.errors import FastsvcError
from fastsvc.serve.workers.child import Parent, failure, rss_bytes

BACKLOG_S = 1.0  # of input that waits; beyond it the oldest is dropped
STATS_S = 1.0
FLUSH, STOP = "flush", "stop"
SAMPLE = np.dtype("<f4")


def work(parent: Parent, role: dict) -> None:
    """Open role["engine"], tell {"ready", "rss"}; then each {"start": arguments} is a stream until {"stop": true}.

    Within one: bytes are samples, {"change": values} and {"flush": true} act in their order among them.
    """
    if "OMP_NUM_THREADS" not in os.environ:  # blocks are small: beside other work threads wait for each other
        torch.set_num_threads(1)
    engine = Engine.open(role["engine"], device="cpu", precision="built")
    engine.check_convertible()
    intake = Intake()
    parent.on_message = intake.put
    parent.tell({"ready": True, "rss": rss_bytes()})
    while True:
        arguments = intake.next()
        if not (isinstance(arguments, dict) and "start" in arguments):
            continue  # what was sent before the server knew that a stream had ended
        try:
            Session(parent, engine, intake, arguments["start"]).run()
        except FastsvcError as error:
            parent.tell({"failed": failure(error)})


class Intake:
    """Messages in their order. Audio that waits for longer than BACKLOG_S gives way to newer audio, and to a number of
    samples of silence in its place."""

    def __init__(self):
        self.rate_hz = 0  # of the stream that runs
        self.items: deque = deque()
        self.samples = self.dropped = 0
        self.changed = threading.Condition()

    def put(self, message) -> None:
        """For the thread that reads messages."""
        item = np.frombuffer(message, SAMPLE).astype(np.float32) if isinstance(message, bytes) else message
        with self.changed:
            self.items.append(item)
            if isinstance(item, np.ndarray):
                self.samples += len(item)
                if self.rate_hz and self.samples > BACKLOG_S * self.rate_hz:
                    self._drop()
            self.changed.notify()

    def _drop(self) -> None:
        kept: deque = deque()
        while self.items and self.samples > BACKLOG_S * self.rate_hz:
            item = self.items.popleft()
            if isinstance(item, np.ndarray) and len(self.items):
                self.samples -= len(item)
                self.dropped += len(item)
                item = len(item)
            if isinstance(item, int) and kept and isinstance(kept[-1], int):
                item += kept.pop()
            kept.append(item)
            if isinstance(item, np.ndarray):
                break  # the latest is never dropped
        self.items.extendleft(reversed(kept))

    def next(self, timeout: float | None = None):
        """The next item: audio [samples], a number of samples of silence, or a message; None after ``timeout``."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.items) > 0, timeout):
                return None
            item = self.items.popleft()
            if isinstance(item, np.ndarray):
                self.samples -= len(item)
            return item

    def begin(self, rate_hz: int) -> None:
        """A stream begins: what waits is of this stream alone."""
        with self.changed:
            self.rate_hz, self.dropped = rate_hz, 0


class Session:
    """One stream. Raises what Engine.stream raises."""

    def __init__(self, parent: Parent, engine, intake: Intake, arguments: dict):
        self.parent, self.intake = parent, intake
        self.stream = engine.stream(**arguments)
        intake.begin(self.stream.rate_hz)
        latency = self.stream.latency
        self.block_s = latency.block_ms / 1000
        self.late = 0
        self.replaced = 0
        self.told_at = time.monotonic()
        parent.tell(
            {
                "ready": {
                    "block_ms": latency.block_ms,
                    "lookahead_ms": latency.lookahead_ms,
                    "resampling_ms": latency.resampling_ms,
                    "rate_hz": self.stream.rate_hz,
                }
            }
        )

    def run(self) -> None:
        while True:
            item = self.intake.next(STATS_S)
            if isinstance(item, np.ndarray):
                self._push(item)
            elif isinstance(item, int):
                self._tell_audio(np.zeros(item, np.float32))
            elif isinstance(item, dict) and "change" in item:
                self._change(item["change"])
            elif isinstance(item, dict) and FLUSH in item:
                self._tell_audio(self.stream.flush())
                self.parent.tell({"type": "flushed"})
            elif isinstance(item, dict) and STOP in item:
                self.intake.begin(0)
                self.parent.tell({"stopped": True, "rss": rss_bytes()})
                return
            self._tell_stats()

    def _push(self, samples: np.ndarray) -> None:
        wrong = unusable(samples)
        if wrong.any():
            self.replaced += int(wrong.sum())
            samples[wrong] = 0
        started = time.perf_counter()
        audio = self.stream.push(samples)
        blocks = len(audio) / self.stream.rate_hz / self.block_s
        if blocks > 0 and time.perf_counter() - started > self.block_s * max(1.0, blocks):
            self.late += 1
        self._tell_audio(audio)

    def _tell_audio(self, audio: np.ndarray) -> None:
        if len(audio):
            self.parent.tell(audio.astype(SAMPLE).tobytes())

    def _change(self, values: dict) -> None:
        try:
            self.stream.set(**values)
        except FastsvcError as error:
            told = failure(error)
            what, _, why = told["message"].partition(": ")
            self.parent.tell({"type": "error", "what": what, "why": why, "remedy": told["remedy"]})

    def _tell_stats(self) -> None:
        now = time.monotonic()
        if now - self.told_at < STATS_S:
            return
        self.told_at = now
        median_ms, late_ms = self.stream.latency.compute_ms
        self.parent.tell(
            {
                "type": "stats",
                "compute_ms": {"p50": round(median_ms, 2), "p95": round(late_ms, 2)},
                "late": self.late,
                "dropped": self.intake.dropped,
                "replaced": self.replaced,
            }
        )
