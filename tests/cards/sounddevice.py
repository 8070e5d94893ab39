"""A stand-in for the package sounddevice: devices that a JSON file lists, and that call back in real time.

$FAKE_CARDS names the file: {"devices": [[name, inputs, outputs, rate], …], "busy": [name, …], "nan": share}. A device
that is no longer listed stops. What is recorded is a tone; a call's samples are the share "nan" of it not a number.
"""

import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

CALL_S = 0.02
BEHIND_S = 0.2  # after which a driver has lost samples


class PortAudioError(Exception):
    pass


def _state() -> dict:
    return json.loads(Path(os.environ["FAKE_CARDS"]).read_text(encoding="utf-8"))


def _initialize() -> None:
    names = ("name", "max_input_channels", "max_output_channels", "default_samplerate")
    _listed[:] = [dict(zip(names, device), hostapi=0) for device in _state()["devices"]]
    inputs, outputs = ([i for i, one in enumerate(_listed) if one[names[use]]] for use in (1, 2))
    default.device = [inputs[0] if inputs else -1, outputs[0] if outputs else -1]


def _terminate() -> None:
    _listed.clear()


def query_devices():
    return list(_listed)


def query_hostapis(number):
    return {"name": "Fake"}


class Stream:
    """``device``, ``channels``: one, or those of input and output."""

    uses = (0, 1)

    def __init__(self, *, device, channels, samplerate, dtype, latency, callback, finished_callback):
        self.names = [_listed[number]["name"] for number in (device if isinstance(device, tuple) else (device,))]
        for name in self.names:
            if name in _state().get("busy", []):
                raise PortAudioError("Error opening Stream: Device unavailable", -9985)
        self.channels = channels if isinstance(channels, tuple) else (channels,)
        self.rate_hz, self.callback, self.finished = samplerate, callback, finished_callback
        self.latency = (0.01,) * len(self.uses) if len(self.uses) > 1 else 0.01
        self.closed, self.thread = threading.Event(), threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def close(self, ignore_errors=True) -> None:
        self.closed.set()
        if self.thread.ident is not None:
            self.thread.join()

    def _run(self) -> None:
        size = round(CALL_S * self.rate_hz)
        due, place = time.monotonic(), 0
        while not self.closed.wait(max(0.0, due - time.monotonic())):
            state, lost = _state(), time.monotonic() - due > BEHIND_S
            if not set(self.names) <= {device[0] for device in state["devices"]}:
                break
            due = time.monotonic() + CALL_S if lost else due + CALL_S
            recorded = 0.2 * np.sin(2 * np.pi * 220 / self.rate_hz * np.arange(place, place + size))
            recorded[: round(state.get("nan", 0) * size)] = np.nan
            place += size
            buffers = [np.full((size, count), np.nan, np.float32) for count in self.channels]
            if 0 in self.uses:
                buffers[0][:] = recorded[:, None]
            self.callback(*buffers, size, SimpleNamespace(), lost)
            assert 1 not in self.uses or np.isfinite(buffers[-1]).all()
        self.finished()


class InputStream(Stream):
    uses = (0,)


class OutputStream(Stream):
    uses = (1,)


_listed: list[dict] = []
default = SimpleNamespace(device=[-1, -1])
_initialize()
