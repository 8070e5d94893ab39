"""Sound cards through PortAudio (the package sounddevice): their list, and live conversion behind one of them."""

from __future__ import annotations

import threading

import numpy as np

from fastsvc.convert.live import Live
from fastsvc.errors import EngineError, MissingPackageError


def library():
    """The module sounddevice. Raises MissingPackageError, also where the system's PortAudio is missing."""
    try:
        import sounddevice  # pyright: ignore[reportMissingImports]  # of the extra live
    except ImportError:
        raise MissingPackageError("sounddevice", "live conversion with sound cards", "live") from None
    except OSError:  # its own library is not found
        command = "apt install libportaudio2"
        raise MissingPackageError("PortAudio", "live conversion with sound cards", command=command) from None
    return sounddevice


def listed() -> list[str]:
    """A line for each device: number, name, channels in and out, usual rate; the defaults are marked."""
    sounddevice = library()
    default_in, default_out = sounddevice.default.device
    lines = []
    for number, device in enumerate(sounddevice.query_devices()):
        channels = f"{device['max_input_channels']} in, {device['max_output_channels']} out"
        uses = [use for use, index in (("input", default_in), ("output", default_out)) if index == number]
        default = f", default {' and '.join(uses)}" if uses else ""
        lines.append(f"{number} {device['name']} ({channels}, {device['default_samplerate']:.0f} Hz{default})")
    return lines


class SoundCard:
    """While open, ``live`` gets what the input device records, and the output device plays what it returns."""

    def __init__(self, live: Live, rate_hz: int, input_device=None, output_device=None):
        """Devices: a number or a part of a name; None: the system's default. Raises MissingPackageError, EngineError
        for devices that are missing or refuse the rate."""
        self.live, self.troubles, self.ended = live, 0, threading.Event()
        self.sounddevice, self.delay_ms = library(), 0.0
        options = {"samplerate": rate_hz, "channels": 1, "dtype": "float32", "latency": "low"}
        try:
            self.stream = self.sounddevice.Stream(
                device=(input_device, output_device),
                callback=self._call,
                finished_callback=self.ended.set,
                **options,
            )
        except (self.sounddevice.PortAudioError, ValueError) as error:  # ValueError: no device of that name
            raise EngineError(
                f"the sound card cannot be opened at {rate_hz} Hz: {error}",
                "choose other devices (fastsvc live --list) or another --rate",
            ) from None

    def __enter__(self) -> SoundCard:
        self.live.start()
        self.stream.start()
        self.delay_ms = 1000 * sum(self.stream.latency)
        return self

    def __exit__(self, *error) -> None:
        self.stream.close()
        self.live.stop()

    def wait(self, seconds: float) -> None:
        """Raises what ended the worker, or EngineError once the device is gone."""
        gone = self.ended.wait(seconds)
        if self.live.error is not None:
            raise self.live.error
        if gone:
            raise EngineError("the sound card has stopped", "connect it again and start anew")

    def _call(self, recorded: np.ndarray, played: np.ndarray, frames: int, time, status) -> None:
        self.troubles += bool(status)  # overflow or underflow in the driver
        played[:, 0] = self.live.exchange(recorded[:, 0])
