"""Parts of `fastsvc live`: gate, mix, resampling by a ratio that varies, splices, WAV files that grow, keys, meters."""

import os

import numpy as np
import pytest
from test_live import RATE_HZ, Echo, noise

from fastsvc.audio import io
from fastsvc.audio.growing_wav import GrowingWav
from fastsvc.audio.varying import VaryingResampler
from fastsvc.commands.live_keys import split
from fastsvc.commands.live_settings import Settings, meter
from fastsvc.convert import live_record
from fastsvc.convert.live_chain import Chain
from fastsvc.convert.live_gate import Gate
from fastsvc.convert.live_pace import Pace, spliced
from fastsvc.errors import OutputError


@pytest.mark.parametrize("from_hz, to_hz, ratio", [(44100, 48000, 1.0), (48000, 44100, 1.0002), (48000, 48000, 0.9995)])
def test_a_ratio_that_varies(from_hz, to_hz, ratio):
    """Tones come out as they would be at those places, however the input is cut, to 75 dB."""
    for hz in (100, 4000, 17000):
        tone = np.sin(2 * np.pi * hz / from_hz * np.arange(from_hz // 4)).astype(np.float32)
        whole = VaryingResampler(from_hz, to_hz)(tone, ratio)
        places = np.arange(len(whole)) * from_hz / to_hz * ratio
        off = np.abs(whole - np.sin(2 * np.pi * hz / from_hz * places))
        assert off[50:].max() < 1.8e-4
        resampler = VaryingResampler(from_hz, to_hz)
        cut = np.concatenate([resampler(tone[start : start + 777], ratio) for start in range(0, len(tone), 777)])
        assert len(cut) == len(whole) and np.abs(cut - whole).max() < 1e-5
        assert len(whole) == pytest.approx((len(tone) - resampler.reach) * to_hz / from_hz / ratio, abs=2)


def test_equal_rates_change_nothing():
    audio, resampler = noise(0.5), VaryingResampler(RATE_HZ, RATE_HZ)
    got = resampler(audio)
    assert np.abs(got - audio[: len(got)]).max() < 1e-6 and len(audio) - len(got) == resampler.reach


def test_the_pace_follows_small_errors_and_jumps_at_large_ones():
    pace = Pace()
    for _ in range(101):
        pace.note(0.002, 0.01)
    assert 1 < pace.ratio <= 1.001 and not pace.jump_s
    pace = Pace()
    for _ in range(101):
        pace.note(-0.05, 0.01)
    assert pace.jump_s == pytest.approx(-0.05)
    pace.jumped()
    assert not pace.jump_s


@pytest.mark.parametrize("skip", [200, -200, 5000, -5000, 0])
def test_a_splice_leaves_out_or_repeats_and_does_not_click(skip):
    tone = np.sin(2 * np.pi * 50 / 8000 * np.arange(1600)).astype(np.float32)
    got, skipped = spliced(tone, skip, 80)
    assert len(got) == len(tone) - skipped and abs(skipped) == min(abs(skip), 1520)
    assert np.abs(np.diff(got)).max() < 2 * np.abs(np.diff(tone)).max()
    assert skipped == 1520 or (np.array_equal(got[-50:], tone[-50:]) and abs(got[0] - tone[0]) < 0.05)


def test_the_gate_opens_before_a_sound_and_closes_after_it():
    audio = 1e-4 * np.random.default_rng(0).standard_normal(2 * RATE_HZ).astype(np.float32)
    audio[RATE_HZ // 2 : RATE_HZ] += 0.1
    gate, got = Gate(RATE_HZ, -50), []
    for start in range(0, len(audio), 777):
        gate.hear(audio[start : start + 777])
        if start:  # the output is a piece behind
            got.append(gate.apply(audio[start - 777 : start]))
    got = np.concatenate(got)
    first, last = np.flatnonzero(got)[[0, -1]]
    assert -0.03 * RATE_HZ < first - RATE_HZ // 2 <= 0 and 0.2 * RATE_HZ < last - RATE_HZ < 0.3 * RATE_HZ
    assert np.array_equal(got[RATE_HZ // 2 : RATE_HZ], audio[RATE_HZ // 2 : RATE_HZ]) and not gate.open
    assert np.abs(np.diff(got[: RATE_HZ // 2])).max() < 1e-3


def test_between_threshold_and_hysteresis_the_gate_stays_as_it_is():
    for first, stays in ((0.1, True), (1e-5, False)):
        gate = Gate(RATE_HZ, -40)
        gate.hear(np.full(800, first, np.float32))
        gate.hear(np.full(8000, 0.007, np.float32))  # -43 dB
        assert gate.open is stays
    assert np.array_equal(Gate(RATE_HZ, None).apply(noise(0.1)), noise(0.1))


def test_the_share_of_the_input_lies_at_its_place():
    class Negative(Echo):
        def push(self, samples):
            return -super().push(samples)

    audio = noise(1)
    chain, got = Chain(Negative(), RATE_HZ, mix=0.25), []
    for start in range(0, len(audio), 333):
        got.append(chain.push(audio[start : start + 333].copy()))
        if start > len(audio) / 2:
            chain.set(mix=1.0)
    got = np.concatenate(got)
    assert np.allclose(got[: len(audio) // 2], 0.5 * audio[: len(audio) // 2], atol=1e-6)
    assert np.array_equal(got[-200:], -audio[len(got) - 200 : len(got)])
    assert chain.peak_in == np.abs(audio).max() and not chain.stream.settings


def test_a_growing_file_is_whole_after_each_write(tmp_path):
    path, audio = tmp_path / "a.wav", noise(0.5)
    wav = GrowingWav(path, RATE_HZ)
    for count in range(4):
        assert io.probe(path).samples == count * 1000
        wav.write(audio[count * 1000 : (count + 1) * 1000])
    read, rate_hz = io.read(path)
    assert rate_hz == RATE_HZ and np.abs(read[0] - audio[:4000]).max() < 3e-5
    wav.write(np.array([9, -9, np.nan], np.float32))
    wav.close()
    assert io.read(path)[0][0, -3:] == pytest.approx([1, -1, 0], abs=1e-4)
    with pytest.raises(OutputError, match=r"a\.wav: exists already"):
        GrowingWav(path, RATE_HZ)
    assert io.probe(path).samples == 4003


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_ends_the_recording_with_one_line(tmp_path, monkeypatch):
    recorder = live_record.Recorder((tmp_path / "a.wav", tmp_path / "b.wav"), (8000, 8000))
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), recorder.files[1].file.fileno())
    for tape in recorder.tapes:
        tape.append(noise(0.1))
    assert recorder.write() == f"the recording has ended: {tmp_path / 'b.wav'}: cannot be written: the disk is full"
    assert io.probe(tmp_path / "a.wav").samples == 800
    with pytest.raises(OutputError, match="the disk is full"):
        recorder.close()


def test_keys_change_what_they_say():
    settings = Settings(("Ada", "Bert", "Eva"), "Ada", 0.0, 1.0, 1.0)
    pressed = [settings.press(key) for key in split("vV-\x1b[A+m \x1b[5~gGx") if key != "~"]
    assert pressed[:5] == [
        {"speaker": "Bert"},
        {"speaker": "Ada"},
        {"transpose": -1},
        {"transpose": 0},
        {"transpose": 1},
    ]
    assert pressed[5:7] == [{"mix": 0.9}, {"mix": 0.0}]
    assert pressed[7]["gain"] == pytest.approx(10 ** (-1 / 20)) and pressed[8] == {"gain": 1.0} and pressed[9] == {}
    assert settings.press("q") is None and settings.press(" ") == {"mix": 0.9}
    mixture = Settings(("Ada", "Bert"), "0.5 Ada + 0.5 Bert", 60.0, 0.0, 1.0)
    assert mixture.press("+") == {"transpose": 60.0} and mixture.press("m") == {"mix": 0.0}
    assert mixture.press("v") == {"speaker": "Ada"}
    assert Settings(("Ada",), "Ada", 0, 1.0, 1.0).press("v") == {}


def test_meters():
    assert meter(1.0) == "[############]   0 dB" and meter(0.0) == "[            ]  -- dB"
    assert meter(10 ** (-30 / 20)) == "[######      ] -30 dB"
    assert {len(meter(level)) for level in (1e-7, 1e-3, 0.5, 1.0)} == {21}
