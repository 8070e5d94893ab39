"""A stream behind a sound card: the card's thread hands samples over and never computes; one worker does.

The delay stays constant. Where the worker is late, the latest output is repeated and faded, and the samples that come
too late are left out. Input that waits for longer than BACKLOG_S, after a pause of the process, is left out as well.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from fastsvc.engine.stream import unusable

HEADROOM_S = 0.02  # of output that waits: what a block may take longer than the first, with a call of the card
BACKLOG_S = 1.0
FADE_S = 0.02  # of a repetition that ends in silence
RESUMED_S = 0.005  # of the output after it


@dataclass
class Counts:
    """Since the start, in calls of the card or in samples; peaks since they were last read."""

    late: int = 0  # calls whose output was not ready
    repeated: int = 0  # samples
    dropped: int = 0  # samples of the input
    replaced: int = 0  # samples that were not finite, or huge
    peak_in: float = 0.0
    peak_out: float = 0.0


class Live:
    """``stream``: a fastsvc.engine.stream.Stream; its worker runs from :meth:`start` to :meth:`stop`."""

    def __init__(self, stream, rate_hz: int):
        self.stream, self.rate_hz, self.counts = stream, rate_hz, Counts()
        self.error: BaseException | None = None  # that ended the worker
        self.changed = threading.Condition()  # guards everything below
        self.incoming: deque[np.ndarray] = deque()
        self.outgoing: deque[np.ndarray] = deque()
        self.changes: list[dict] = []
        self.owed = 0  # samples that were repeated and are still to come
        self.stopped = self.busy = False
        self.headroom = round(HEADROOM_S * rate_hz)  # of silence between the first output and its playing
        self.recent = np.zeros(max(1, round(FADE_S * rate_hz)), np.float32)
        self.silent = False  # whether the latest output was repeated
        self.worker = threading.Thread(target=self._work, name="live conversion", daemon=True)

    @property
    def headroom_ms(self) -> float:
        return 1000 * HEADROOM_S

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify()
        self.worker.join()

    def set(self, **changes) -> None:
        """As Stream.set, from the worker's next turn on; a value that it refuses ends the worker (:attr:`error`)."""
        with self.changed:
            self.changes.append(changes)

    def exchange(self, samples: np.ndarray) -> np.ndarray:
        """For the card's thread: float32 [n] that were recorded → float32 [n] to be played, at once."""
        samples = np.array(samples, np.float32)
        with self.changed:
            self.incoming.append(samples)
            waiting = sum(map(len, self.incoming))
            while waiting > BACKLOG_S * self.rate_hz and len(self.incoming) > 1:
                size = len(self.incoming.popleft())
                waiting -= size
                self.counts.dropped += size
                self.owed -= size  # nothing will come for them
            self.changed.notify()
            output = self._output(len(samples))
        self.counts.peak_in = max(self.counts.peak_in, float(np.abs(samples).max(initial=0.0)))
        self.counts.peak_out = max(self.counts.peak_out, float(np.abs(output).max(initial=0.0)))
        return output

    def _output(self, count: int) -> np.ndarray:
        if self.headroom > 0:  # playing has not begun
            self.headroom -= count if self.outgoing else 0
            return np.zeros(count, np.float32)
        output = np.zeros(count, np.float32)
        place = 0
        while place < count and self.outgoing:
            piece = self.outgoing.popleft()
            if len(piece) > count - place:
                self.outgoing.appendleft(piece[count - place :])
                piece = piece[: count - place]
            output[place : place + len(piece)] = piece
            place += len(piece)
        if self.silent and place:
            fade = min(place, max(1, round(RESUMED_S * self.rate_hz)))
            output[:fade] *= np.arange(1, fade + 1, dtype=np.float32) / (fade + 1)
        if place < count:
            self._repeat(output, place)
        else:
            self.silent = False
            self.recent = np.concatenate((self.recent, output))[-len(self.recent) :]
        return output

    def _repeat(self, output: np.ndarray, place: int) -> None:
        """Fill ``output`` from ``place`` on: the latest output backwards, which begins where it ended, and fades."""
        self.counts.late += 1
        self.counts.repeated += len(output) - place
        self.owed += len(output) - place
        if not self.silent:
            latest = np.concatenate((self.recent, output[:place]))[-len(self.recent) :]
            echo = latest[::-1] * np.linspace(1, 0, len(latest), dtype=np.float32)
            size = min(len(echo), len(output) - place)
            output[place : place + size] = echo[:size]
        self.silent, self.recent = True, np.zeros_like(self.recent)

    def _work(self) -> None:
        try:
            while True:
                with self.changed:
                    while not self.incoming and not self.stopped:
                        self.changed.wait()
                    if self.stopped:
                        return
                    samples = np.concatenate(self.incoming)
                    self.incoming.clear()
                    self.busy = True
                    changes, self.changes = self.changes, []
                for change in changes:
                    self.stream.set(**change)
                wrong = unusable(samples)
                if wrong.any():
                    self.counts.replaced += int(wrong.sum())
                    samples[wrong] = 0
                made = self.stream.push(samples)
                with self.changed:
                    self.busy = False
                    late = min(max(self.owed, 0), len(made))
                    self.owed -= late
                    if len(made) > late:
                        self.outgoing.append(made[late:])
        except BaseException as error:  # whoever watches the card raises it
            self.error = error
