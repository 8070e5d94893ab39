"""A stream between two sound cards: their threads only hand samples over and never compute; one worker does.

The delay is decided when playing begins and stays. Where the worker is late, the latest output is repeated and faded,
and the samples that come too late are left out. Where the two cards' clocks drift apart, the output is resampled by a
little more or less (live_pace.py). Input that waits for longer than BACKLOG_S, after a pause of the process, is left
out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from fastsvc.audio.varying import VaryingResampler
from fastsvc.convert.live_pace import SPLICE_S, Pace, spliced

HEADROOM_S = 0.02  # what a block may take longer than expected
BACKLOG_S = 1.0
SILENT_S = 0.5  # a card that has not called for so long says nothing of its clock
FADE_S = 0.02  # of a repetition that ends in silence
RESUMED_S = 0.005  # of the output after it


@dataclass
class Counts:
    """Since the start, in calls of the output or in samples."""

    late: int = 0  # calls whose output was not ready
    repeated: int = 0  # samples of the output
    dropped: int = 0  # samples of the input
    jumps: int = 0  # times that the delay was set right at once


@dataclass(frozen=True)
class Delay:
    """From a sample's arrival to its playing, in milliseconds, without the cards' own buffers."""

    stream_ms: float  # block, look-ahead, filters
    compute_ms: float  # that a block may take
    calls_ms: float  # the longest call of either card

    @property
    def total_ms(self) -> float:
        return self.stream_ms + self.compute_ms + self.calls_ms


class Live:
    """``chain``: a fastsvc.convert.live_chain.Chain at the first of ``rates`` (in, out); its worker runs from
    :meth:`start` to :meth:`stop`. ``one_clock``: both cards are one, and what drifts is not the cards."""

    def __init__(self, chain, rates, stream_s, compute_s, *, one_clock=True, counts=None, clock=time.perf_counter):
        self.chain, (self.rate_hz, self.out_hz), self.clock = chain, rates, clock
        self.stream_s, self.compute_s, self.counts = stream_s, compute_s, counts or Counts()
        self.resampler = None if one_clock and self.rate_hz == self.out_hz else VaryingResampler(*rates)
        self.pace = None if one_clock else Pace()
        self.error: BaseException | None = None  # that ended the worker
        self.changed = threading.Condition()  # guards everything below
        self.incoming: deque[np.ndarray] = deque()
        self.outgoing: deque[np.ndarray] = deque()
        self.changes: list[dict] = []
        self.recorded, self.recorded_at, self.played_at = 0, 0.0, 0.0  # samples; when the cards called last
        self.made = 0.0  # of the input, up to where the output was given, or was left out
        self.longest = [0.0, 0.0]  # calls, in seconds
        self.owed = 0  # samples that were repeated and are still to come
        self.begun = self.stopped = self.busy = False
        self.recent = np.zeros(max(1, round(FADE_S * self.out_hz)), np.float32)
        self.silent = False  # whether the latest output was repeated
        self.worker = threading.Thread(target=self._work, name="live conversion", daemon=True)

    @property
    def delay(self) -> Delay:
        reach_s = self.resampler.reach / self.rate_hz if self.resampler else 0.0
        return Delay(1000 * (self.stream_s + reach_s), 1000 * self.compute_s, 1000 * sum(self.longest))

    def start(self) -> None:
        self.worker.start()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify()
        if self.worker.ident is not None:
            self.worker.join()

    def set(self, **changes) -> None:
        """As Chain.set, from the worker's next turn on; a value that it refuses ends the worker (:attr:`error`)."""
        with self.changed:
            self.changes.append(changes)

    def record(self, samples: np.ndarray) -> None:
        """For the input card's thread: float32 [n]; the array is kept."""
        with self.changed:
            self.incoming.append(samples)
            self.recorded, self.recorded_at = self.recorded + len(samples), self.clock()
            self.longest[0] = self.longest[0] if self.begun else max(self.longest[0], len(samples) / self.rate_hz)
            waiting = sum(map(len, self.incoming))
            while waiting > BACKLOG_S * self.rate_hz and len(self.incoming) > 1:
                size = len(self.incoming.popleft())
                waiting -= size
                self.counts.dropped += size
                self.made += size
                self.owed -= round(size * self.out_hz / self.rate_hz)  # nothing will come for them
            self.changed.notify()

    def play(self, count: int) -> np.ndarray:
        """For the output card's thread: float32 [count], at once."""
        with self.changed:
            now = self.clock()
            passed_s, self.played_at = now - self.played_at, now
            heard_s = self.recorded / self.rate_hz + min(now - self.recorded_at, self.longest[0])  # not yet in a call
            quiet = 0
            if not self.begun:
                self.longest[1] = max(self.longest[1], count / self.out_hz)
                due_s = self.delay.total_ms / 1000 - heard_s
                quiet = count if not self.recorded else min(count, max(0, round(due_s * self.out_hz)))
                if quiet == count:
                    return np.zeros(count, np.float32)
                self.begun = True
            elif self.pace is not None and now - self.recorded_at < SILENT_S and passed_s < SILENT_S:
                waiting = sum(map(len, self.outgoing)) - self.owed
                delay_s = heard_s - self.made / self.rate_hz + waiting / self.out_hz
                self.pace.note(delay_s - self.delay.total_ms / 1000, passed_s)
            return np.concatenate((np.zeros(quiet, np.float32), self._output(count - quiet)))

    def _output(self, count: int) -> np.ndarray:
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
            fade = min(place, max(1, round(RESUMED_S * self.out_hz)))
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

    def take(self) -> np.ndarray:
        """For the worker: the input that waits; it is busy until :meth:`give`."""
        with self.changed:
            samples = np.concatenate([np.zeros(0, np.float32), *self.incoming])
            self.incoming.clear()
            self.busy = True
            changes, self.changes = self.changes, []
        for change in changes:
            self.chain.set(**change)
        return samples

    def make(self, samples: np.ndarray) -> tuple[np.ndarray, float]:
        """(output at the output's rate, of how many input samples); may take long."""
        made = self.chain.push(samples)
        if self.resampler is None:
            return made, len(made)
        before = self.resampler.position
        output = self.resampler(made, self.pace.ratio if self.pace else 1.0)
        return output, self.resampler.position - before

    def give(self, output: np.ndarray, inputs: float) -> None:
        """What was made, for the output card."""
        with self.changed:
            self.busy = False
            self.made += inputs
            if self.pace is not None and self.pace.jump_s and len(output):
                output = self._jumped(output)
            late = min(max(self.owed, 0), len(output))
            self.owed -= late
            if len(output) > late:
                self.outgoing.append(output[late:])

    def _jumped(self, output: np.ndarray) -> np.ndarray:
        assert self.pace is not None, "two clocks"
        fade = min(round(SPLICE_S * self.out_hz), len(output) // 2)
        wanted = round(self.pace.jump_s * self.out_hz)
        output, skipped = spliced(output, wanted, fade)
        self.pace.jump_s = (wanted - skipped) / self.out_hz
        if wanted == skipped:
            self.pace.jumped()
            self.counts.jumps += 1
        return output

    def _work(self) -> None:
        try:
            while True:
                with self.changed:
                    while not self.incoming and not self.stopped:
                        self.changed.wait()
                    if self.stopped:
                        return
                self.give(*self.make(self.take()))
        except BaseException as error:  # whoever watches the card raises it
            self.error = error
