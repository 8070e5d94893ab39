"""`fastsvc live` with a stand-in for PortAudio: what is opened, called and listed, and each way in which it ends."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import engines
import numpy as np
import pytest
from command_line import run

from fastsvc.convert import sound_card
from fastsvc.errors import MissingPackageError

DEVICES = [
    {"name": "Mic", "max_input_channels": 2, "max_output_channels": 0, "default_samplerate": 44100.0},
    {"name": "Speaker", "max_input_channels": 0, "max_output_channels": 2, "default_samplerate": 48000.0},
]


class Card:
    """sounddevice.Stream, which calls back a few times when it starts, and then ends as told."""

    opened: ClassVar[list] = []
    end = "gone"

    def __init__(self, callback, finished_callback, device, **options):
        if device[0] == "nothing":
            raise ValueError("No input device matching 'nothing'")
        Card.opened.append((device, options))
        self.callback, self.finished, self.latency = callback, finished_callback, (0.01, 0.02)

    def start(self):
        audio = 0.1 * np.random.default_rng(0).standard_normal((480, 1)).astype(np.float32)
        played = np.full((480, 1), np.nan, np.float32)
        for _ in range(5):
            self.callback(audio, played, 480, None, 0)
            assert np.isfinite(played).all()
        if Card.end == "ctrl-c":
            raise KeyboardInterrupt
        self.finished()

    def close(self):
        Card.opened.append("closed")


@pytest.fixture
def card(monkeypatch):
    default = SimpleNamespace(device=(0, 1))
    module = SimpleNamespace(Stream=Card, PortAudioError=OSError, default=default, query_devices=lambda: DEVICES)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    Card.opened, Card.end = [], "gone"
    return Card


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"), steps=(1,))


def test_devices_are_listed(card):
    lines = run("live", "--list").output.splitlines()
    assert lines == [
        "0 Mic (2 in, 0 out, 44100 Hz, default input)",
        "1 Speaker (0 in, 2 out, 48000 Hz, default output)",
    ]


@pytest.mark.slow
def test_a_card_that_stops_is_named_and_closed(card, model):
    result = run("live", "--spk", "Ada", "-m", model, "--rate", "24000", "--input", "0", "--output", "Speak", code=2)
    assert "error: the sound card has stopped (connect it again and start anew)" in result.output
    assert "speaker: Ada" in result.output and "live: " in result.output
    (device, options), closed = card.opened
    assert device == (0, "Speak") and options["samplerate"] == 24000 and options["channels"] == 1 and closed == "closed"
    card.end = "ctrl-c"
    result = run("live", "--spk", "Ada", "-m", model, code=130)
    assert result.output.splitlines()[-1] == "interrupted"
    result = run("live", "--spk", "Ada", "-m", model, "--input", "nothing", code=2)
    assert "cannot be opened at 48000 Hz: No input device matching 'nothing'" in result.output


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingPackageError, match=r"needs the package sounddevice.*fastsvc\[live\]"):
        sound_card.library()
    result = run("live", code=2)
    assert 'pip install "fastsvc[live]"' in result.output and "Traceback" not in result.output
