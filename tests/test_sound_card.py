"""`fastsvc live` with a stand-in for PortAudio (tests/cards/): what is listed, chosen, opened, and how it ends."""

import importlib.util
import json
import sys
import threading
import time
from pathlib import Path

import engines
import pytest
from command_line import run

from fastsvc.audio import io
from fastsvc.convert import sound_devices
from fastsvc.errors import DeviceError, MissingPackageError

FAKE = Path(__file__).parent / "cards" / "sounddevice.py"
MIC, USB, SPEAKER = ["Mic", 2, 0, 44100.0], ["USB mic", 1, 0, 16000.0], ["Speaker", 0, 2, 48000.0]
HEADSET = ["Headset", 1, 2, 24000.0]


@pytest.fixture
def cards(monkeypatch, tmp_path):
    """A function that says which devices there are."""
    path = tmp_path / "cards.json"

    def set_cards(*devices, **more):
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"devices": devices, **more}), encoding="utf-8")
        part.replace(path)

    set_cards(MIC, SPEAKER, USB)
    monkeypatch.setenv("FAKE_CARDS", str(path))
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("sounddevice", FAKE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    spec.loader.exec_module(module)
    set_cards.module = module
    return set_cards


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return engines.build_engine(tmp_path_factory.mktemp("engine"), steps=(1,))


def test_devices_are_listed(cards):
    assert run("live", "--list").output.splitlines() == [
        "0 Mic (Fake; 2 in, 0 out, 44100 Hz, default input)",
        "1 Speaker (Fake; 0 in, 2 out, 48000 Hz, default output)",
        "2 USB mic (Fake; 1 in, 0 out, 16000 Hz)",
    ]


@pytest.mark.parametrize(
    "wanted, number", [(None, 0), ("2", 2), ("usb", 2), ("Mic", 0), ("mic", 0), ("MIC, fake", None), ("b m", 2)]
)
def test_a_device_is_chosen_by_number_name_or_a_part_of_it(cards, wanted, number):
    if number is None:  # both are called so
        with pytest.raises(DeviceError, match=r"several input devices .* \(choose by number: 0 Mic .*, 2 USB mic"):
            sound_devices.chosen("input", wanted)
    else:
        assert sound_devices.chosen("input", wanted).number == number


def test_of_a_name_in_two_systems_the_one_of_that_uses_default_is_chosen(cards, monkeypatch):
    """Also where the first output device records with as many channels as it plays."""
    cards(MIC, ["USB", 2, 2, 48000.0], ["USB", 2, 2, 48000.0], SPEAKER)
    cards.module._initialize()
    for device, system in zip(cards.module.query_devices(), (0, 0, 1, 1)):
        device["hostapi"] = system
    monkeypatch.setattr(cards.module, "query_hostapis", lambda number: {"name": ("ALSA", "Pulse")[number]})
    monkeypatch.setattr(cards.module.default, "device", [0, 3])
    assert [sound_devices.chosen(use, "usb").api for use in ("input", "output")] == ["ALSA", "Pulse"]


@pytest.mark.parametrize("wanted", ["1", "7", "speaker"])
def test_a_device_that_cannot_record_is_refused_with_those_that_can(cards, wanted):
    with pytest.raises(DeviceError, match=r"no input device is .* \(choose one of: 0 Mic \(Fake\), 2 USB mic \(Fake\)"):
        sound_devices.chosen("input", wanted)


def test_a_channel_that_is_not_there_is_refused(cards):
    assert sound_devices.chosen("input", "Mic", 2).channels == 2
    with pytest.raises(DeviceError, match="Mic has 2 channels of input, not 3"):
        sound_devices.chosen("input", "Mic", 3)
    cards(SPEAKER)
    cards.module._initialize()
    with pytest.raises(DeviceError, match="there is no input device"):
        sound_devices.chosen("input", None)


@pytest.mark.slow
def test_what_stands_in_the_way_at_the_start_is_one_line(cards, model):
    cards(MIC, SPEAKER, USB, busy=["Speaker"])
    result = run("live", "--spk", "Ada", "-m", model, "--record", "in.wav", "out.wav", code=2)
    assert "error: Speaker cannot be opened at 48000 Hz: it is busy: another program uses it" in result.output
    assert "input: Mic, 44100 Hz; output: Speaker, 48000 Hz" in result.output
    assert not list(Path().glob("*.wav"))
    Path("there.wav").write_bytes(b"mine")
    result = run("live", "--spk", "Ada", "-m", model, "--record", "in2.wav", "there.wav", code=2)
    assert "there.wav: exists already" in result.output and Path("there.wav").read_bytes() == b"mine"
    assert not Path("in2.wav").exists()
    assert "both recordings have this name" in run("live", "--record", "a.wav", "./a.wav", code=2).output
    assert "nowhere: no such folder" in run("live", "--record", "a.wav", "nowhere/b.wav", code=2).output


@pytest.mark.slow
@pytest.mark.parametrize("devices", [[MIC, SPEAKER], [HEADSET]])
def test_a_device_that_goes_returns_and_goes_for_good(cards, model, devices):
    """44.1 kHz stereo in, 48 kHz out, two clocks; then one headset: one clock."""
    cards(*devices, nan=0.1)
    cards.module._initialize()

    def later():
        wait_for(lambda: Path("in.wav").is_file() and Path("in.wav").stat().st_size > 40_000)
        cards(devices[-1]) if len(devices) > 1 else cards(USB)
        time.sleep(2)
        size = Path("in.wav").stat().st_size
        cards(USB, *devices, nan=0.1)  # under another number
        wait_for(lambda: Path("in.wav").stat().st_size > size + 40_000)
        cards(USB)

    thread = threading.Thread(target=later)
    thread.start()
    options = ["--record", "in.wav", "out.wav", "--wait", "8", "--block", "40"]
    result = run("live", "--spk", "Ada", "-m", model, *options, code=1)
    thread.join()
    gone = "Mic" if len(devices) > 1 else "Headset"
    assert f"{gone}: gone, or stopped; waiting up to 8 s for its return" in result.output, result.output
    assert result.output.count(": gone, or stopped") == 2 and result.output.count("there again: live, ") == 1
    assert "error: the sound card did not return within 8 s" in result.output
    assert "samples of the microphone were not finite or beyond all scale: taken as silence" in result.output
    rates = [round(device[3]) for device in (devices[0], devices[-1])]
    probes = [io.probe(f"{name}.wav") for name in ("in", "out")]
    assert [probe.rate_hz for probe in probes] == rates
    seconds = [probe.samples / probe.rate_hz for probe in probes]
    assert seconds[0] > 0.8 and abs(seconds[0] - seconds[1]) < 1.0


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingPackageError, match=r"needs the package sounddevice.*fastsvc\[live\]"):
        sound_devices.library()
    result = run("live", code=2)
    assert 'pip install "fastsvc[live]"' in result.output and "Traceback" not in result.output
