"""Two devices of PortAudio, open: what one records goes to a :class:`Live`, what that returns the other plays."""

from __future__ import annotations

import threading

import numpy as np

from fastsvc.convert.live import Live
from fastsvc.convert.sound_devices import Device, library
from fastsvc.errors import DeviceError

GONE_S = 3.0  # without a call
CHANNELS = 2  # that are opened at most: a microphone of many channels is rarely one of music
SILENT_TAPS = (lambda samples: None,) * 2
# PortAudio's codes, and what they mean here
REASONS = {
    -9985: "it is busy: another program uses it",
    -9996: "it is gone",
    -9997: "it refuses this rate",
    -9998: "it refuses this number of channels",
}


class SoundCard:
    """While open, ``live`` is called by the devices' threads, which only copy.

    ``channel``: of the input, from 1 on; None: the mean of the first two. ``taps``: two functions that get what was
    recorded and what is played. ``xruns``: times that a driver had no room or no samples.
    """

    def __init__(self, live: Live, input: Device, output: Device, channel: int | None = None):
        """Raises MissingPackageError; DeviceError for devices that are busy or refuse their rate or channels."""
        self.live, self.channel, self.xruns = live, channel, 0
        self.names, self.ended = (input.name, output.name), (threading.Event(), threading.Event())
        self.taps: tuple = SILENT_TAPS
        self.called = [live.clock(), live.clock()]  # when the devices called last
        self.streams = []
        channels = channel or min(CHANNELS, input.channels)
        try:
            self._open(input, output, channels, min(CHANNELS, output.channels))
        except BaseException:
            self.close()
            raise

    def _open(self, input: Device, output: Device, channels_in: int, channels_out: int) -> None:
        sounddevice = library()
        options = {"dtype": "float32", "latency": "low"}
        if self.live.pace is None:  # one device, one clock
            both = (channels_in, channels_out)
            whole = {"device": (input.number, output.number), "channels": both, "samplerate": self.live.rate_hz}
            ended = {"finished_callback": self.ended[0].set}
            self._opened(input, sounddevice.Stream, callback=self._exchange, **whole, **ended, **options)
            return
        for device, kind, callback, channels, rate_hz, ended in (
            (input, sounddevice.InputStream, self._record, channels_in, self.live.rate_hz, self.ended[0]),
            (output, sounddevice.OutputStream, self._play, channels_out, self.live.out_hz, self.ended[1]),
        ):
            one = {"device": device.number, "channels": channels, "samplerate": rate_hz}
            self._opened(device, kind, callback=callback, finished_callback=ended.set, **one, **options)

    def _opened(self, named: Device, kind, **options) -> None:
        try:
            self.streams.append(kind(**options))
        except (library().PortAudioError, ValueError) as error:
            raise refused(named, options["samplerate"], error) from None

    def start(self) -> None:
        """Raises DeviceError."""
        self.live.start()
        for stream in self.streams:
            try:
                stream.start()
            except library().PortAudioError as error:
                raise DeviceError(f"a device does not start: {_reason(error)}", "choose another one") from None
        self.woken()

    def close(self) -> None:
        for stream in self.streams:
            stream.close(ignore_errors=True)
        self.streams = []
        self.live.stop()

    @property
    def delay_ms(self) -> float:
        """Of the devices' own buffers, as they say."""
        latencies = [stream.latency for stream in self.streams]
        return 1000 * sum(sum(one) if isinstance(one, (tuple, list)) else one for one in latencies)

    def woken(self) -> None:
        """The process stood still: that the devices have not called meanwhile says nothing."""
        self.called = [self.live.clock()] * 2

    def gone(self) -> list[str]:
        """The names of devices that stopped, or have not called for long."""
        silent_s = [self.live.clock() - called for called in self.called]
        stopped = [ended.is_set() or silent > GONE_S for ended, silent in zip(self.ended, silent_s)]
        return list(dict.fromkeys(name for name, gone in zip(self.names, stopped) if gone))

    def _record(self, recorded: np.ndarray, frames: int, time, status) -> None:
        self.called[0] = self.live.clock()
        self.xruns += bool(status)
        samples = recorded[:, self.channel - 1].copy() if self.channel else recorded.mean(axis=1, dtype=np.float32)
        self.taps[0](samples)
        self.live.record(samples)

    def _play(self, played: np.ndarray, frames: int, time, status) -> None:
        self.called[1] = self.live.clock()
        self.xruns += bool(status)
        samples = self.live.play(frames)
        self.taps[1](samples)
        played[:] = samples[:, None]

    def _exchange(self, recorded: np.ndarray, played: np.ndarray, frames: int, time, status) -> None:
        self._record(recorded, frames, time, status)
        self._play(played, frames, time, None)


def refused(device: Device, rate_hz: int, error: Exception) -> DeviceError:
    return DeviceError(
        f"{device.name} cannot be opened at {rate_hz} Hz: {_reason(error)}",
        "choose another device (fastsvc live --list) or another --rate, or end the other program",
    )


def _reason(error: Exception) -> str:
    code = error.args[1] if len(error.args) > 1 else None
    text = str(error.args[0] if error.args else error)
    return f"{REASONS[code]} ({text})" if code in REASONS else text
