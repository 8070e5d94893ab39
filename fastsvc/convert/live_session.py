"""`fastsvc live` while it runs: devices that go and return, pauses of the process, recordings, and its notes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastsvc.convert import sound_devices
from fastsvc.convert.live import HEADROOM_S, Counts, Live
from fastsvc.convert.live_record import Recorder
from fastsvc.convert.sound_card import SILENT_TAPS, SoundCard
from fastsvc.convert.sound_devices import INPUT, OUTPUT, Device
from fastsvc.errors import DeviceError, OutputError

STOOD_STILL_S = 1.0  # between two ticks
RETRY_S = 1.0
WARM_BLOCKS = 6


def warmed_up(stream, rate_hz: int) -> float:
    """Seconds that a block takes, in all but the worst case; the stream is as new afterwards."""
    latency, noise = stream.latency, np.random.default_rng(0)
    total_ms = latency.lookahead_ms + latency.resampling_ms + (2 + WARM_BLOCKS) * latency.block_ms
    for _ in range(10):
        stream.push(1e-3 * noise.standard_normal(round(total_ms * rate_hz / 10_000), dtype=np.float32))
    seconds = list(stream.seconds)[1:]  # the first one allocates
    stream.flush()
    stream.seconds.clear()
    return float(np.percentile(seconds, 95)) if seconds else 0.0


class GoneError(DeviceError):
    """A device went while live conversion ran, and did not return."""


class Session:
    """From :meth:`open` on, :meth:`tick` is to be called several times a second.

    ``rates``: of input and output. ``wait_s``: how long a device that went may stay away. ``record``: files for input
    and output, made once the devices are open.
    """

    def __init__(
        self,
        chain,
        devices: tuple[Device, Device],
        rates: tuple[int, int],
        compute_s: float,
        *,
        channel: int | None = None,
        wait_s: float = 30.0,
        headroom_s: float = HEADROOM_S,
        record: tuple[Path, Path] | None = None,
        clock=time.perf_counter,
    ):
        self.chain, self.devices, self.rates, self.channel = chain, devices, rates, channel
        self.wait_s, self.record, self.clock = wait_s, record, clock
        self.recorder: Recorder | None = None
        self.stream_s = chain.stream.latency.stream_ms / 1000
        self.compute_s, self.counts, self.earlier_xruns = compute_s + headroom_s, Counts(), 0
        self.card: SoundCard | None = None
        self.ticked = self.lost_at = self.tried_at = clock()
        self.told_replaced = 0

    @property
    def xruns(self) -> int:
        return self.earlier_xruns + (self.card.xruns if self.card else 0)

    @property
    def delay_ms(self) -> float:
        """From microphone to loudspeaker, as far as the devices say what they add."""
        assert self.card is not None, "no device is open"
        return self.card.live.delay.total_ms + self.card.delay_ms

    def open(self) -> None:
        """Raises DeviceError, and OutputError for files that cannot be recorded to."""
        one_clock = self.devices[0].number == self.devices[1].number and self.rates[0] == self.rates[1]
        live = Live(
            self.chain,
            self.rates,
            self.stream_s,
            self.compute_s,
            one_clock=one_clock,
            counts=self.counts,
            clock=self.clock,
        )
        card = SoundCard(live, *self.devices, channel=self.channel)
        try:
            if self.record:
                self.recorder, self.record = Recorder(self.record, self.rates), None
            if self.recorder:
                card.taps = tuple(tape.append for tape in self.recorder.tapes)
            card.start()
        except BaseException:
            card.close()
            raise
        self.card, self.ticked = card, self.clock()

    def close(self) -> None:
        self._close_card()
        if self.recorder is not None:
            self.recorder.write()
            recorder, self.recorder = self.recorder, None
            recorder.close()

    def _close_card(self) -> None:
        if self.card is not None:
            card, self.card = self.card, None
            self.earlier_xruns += card.xruns
            card.close()

    def set(self, **changes) -> None:
        """As Chain.set."""
        if self.card is not None:
            self.card.live.set(**changes)
        else:
            self.chain.set(**changes)

    def tick(self) -> list[str]:
        """What is new, a line each. Raises what ended the worker; GoneError where a device did not return."""
        now = self.clock()
        passed_s, self.ticked = now - self.ticked, now
        return list(self._news(now, passed_s))

    def _news(self, now: float, passed_s: float) -> Iterator[str]:
        if passed_s > STOOD_STILL_S:
            yield f"the process stood still for {passed_s:.1f} s: what was recorded in that time is lost"
            self.lost_at += passed_s
            if self.card is not None:
                self.card.woken()
        if self.chain.replaced > self.told_replaced:
            count, self.told_replaced = self.chain.replaced - self.told_replaced, self.chain.replaced
            yield f"{count} samples of the microphone were not finite or beyond all scale: taken as silence"
        if self.recorder is not None:
            note = self.recorder.write()
            if note is not None:
                yield note
                self._end_recording()
        if self.card is None:
            yield from self._return(now)
        elif self.card.live.error is not None:
            raise self.card.live.error
        elif self.card.gone():
            yield from self._loss(now)

    def _end_recording(self) -> None:
        assert self.recorder is not None, "it is recorded"
        if self.card is not None:
            self.card.taps = SILENT_TAPS
        recorder, self.recorder = self.recorder, None
        with contextlib.suppress(OutputError):  # of the disk again
            recorder.close()

    def _loss(self, now: float) -> Iterator[str]:
        assert self.card is not None, "a card was open"
        line = f"{' and '.join(self.card.gone())}: gone, or stopped"
        self._close_card()
        self.chain.clear()
        self.lost_at, self.tried_at = now, now
        if not self.wait_s:
            raise GoneError(line, "connect it again and start anew")
        yield f"{line}; waiting up to {self.wait_s:g} s for its return"

    def _return(self, now: float) -> Iterator[str]:
        if now - self.lost_at > self.wait_s:
            raise GoneError(f"the sound card did not return within {self.wait_s:g} s", "connect it and start anew")
        if now - self.tried_at < RETRY_S:
            return
        self.tried_at = now
        input, output = (sound_devices.again(use, device) for use, device in zip((INPUT, OUTPUT), self.devices))
        if input is None or output is None:
            return
        self.devices = input, output
        with contextlib.suppress(DeviceError):  # there already, but not ready
            self.open()
            yield f"there again: live, {self.delay_ms:.0f} ms from microphone to loudspeaker"
