"""Pitch outside the range that a model was trained on: heard, limited by --f0-range, said in a note, and sung."""

import importlib

import click
import engines
import numpy as np
import pytest
import torch
from recordings import put
from test_f0 import FORMANTS, HOP, RATE, sing

import fastsvc
from fastsvc.commands.common import PitchRange
from fastsvc.config import VocoderConfig
from fastsvc.engine import pitch_notes
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.request import Request
from fastsvc.errors import ConfigError
from fastsvc.features import f0
from fastsvc.features.f0 import beyond
from fastsvc.model import source

OWN, WIDE = f0.ranges(50.0, 1100.0, RATE)
SIREN = np.geomspace(400, 1493, RATE)
LOW = np.geomspace(40, 60, RATE)


def within(found, true_hz, cents=50, hop=HOP, shift=HOP // 2):
    """Share of the frames that are voiced and this near, but for three at each end."""
    f0_hz, voiced = found
    at = np.minimum(np.arange(len(f0_hz)) * hop + shift, len(true_hz) - 1)
    return np.mean((voiced & (np.abs(1200 * np.log2(np.maximum(f0_hz, 1) / true_hz[at])) < cents))[3:-3])


def track(audio, **options):
    return f0.extract(audio, RATE, HOP, len(audio) // HOP, **options)


@pytest.mark.parametrize("formants", FORMANTS)
@pytest.mark.parametrize("true_hz", [SIREN, LOW, np.full(RATE // 2, 1175.0), np.full(RATE // 2, 2100.0)])
def test_what_lies_outside_is_heard(true_hz, formants):
    audio = sing(true_hz, FORMANTS[formants])
    assert within(track(audio), true_hz) < 0.8
    assert within(track(audio, beyond=WIDE), true_hz) > 0.97


@pytest.mark.parametrize("rate_hz", [16000, 22050, 31500, 44100])
@pytest.mark.parametrize("pitch_hz", [41.2, 1500.0, 2000.0])
def test_it_is_right_to_ten_cents(rate_hz, pitch_hz):
    audio, hop = sing(np.full(rate_hz // 2, pitch_hz), noise=0.01, rate_hz=rate_hz), rate_hz // 100
    f0_hz, voiced = f0.extract(audio, rate_hz, hop, 50, beyond=WIDE)
    assert voiced[4:-4].all() and np.abs(1200 * np.log2(f0_hz[4:-4] / pitch_hz)).max() < 10


def test_what_lies_inside_stays_as_it_was():
    """Notes, noise and a breath through a narrow formant at 1500 Hz: the wide track is the narrow one."""
    rng = np.random.default_rng(0)
    breath = np.convolve(rng.normal(size=RATE), np.sin(np.pi / 8 * np.arange(400)) * 0.985 ** np.arange(400), "same")
    notes = [sing(np.full(RATE // 2, hz), FORMANTS["aa"]) for hz in (60, 146, 587, 1040)]
    audio = np.concatenate((*notes, 0.05 * rng.normal(size=RATE), 0.1 * breath / breath.std())).astype(np.float32)
    (want, want_voiced), (got, voiced) = track(audio), track(audio, beyond=WIDE)
    assert 0.4 < voiced.mean() < 0.9
    same = (voiced == want_voiced) & (np.abs(got / want - 1) < 1e-6)
    assert (~same).sum() <= 2, "but where one note jumps to the next"


@pytest.mark.slow
@pytest.mark.parametrize(
    "style, low_hz, high_hz", [("fastsvc", 50, 1100), ("comosvc", 50, 1100), ("diffusion_svc", 65, 800)]
)
@pytest.mark.parametrize("method", ["dio", "yin"])
def test_other_trackers_and_styles(method, style, low_hz, high_hz):
    """Up to 1493 Hz and down to 40 Hz; a tune inside is what the tracker alone hears."""
    pytest.importorskip("pyworld", reason="the package pyworld-prebuilt is not installed")
    own = {"method": method, "style": style, "low_hz": low_hz, "high_hz": high_hz}
    shift = HOP // 2 if style == "fastsvc" or method == "yin" else 0
    for true_hz in (SIREN, LOW):
        audio = sing(true_hz, FORMANTS["aa"])
        narrow, wide = (within(track(audio, **own, beyond=which), true_hz, shift=shift) for which in (None, WIDE))
        assert narrow < 0.9 and wide > 0.96
    audio = sing(np.geomspace(110, 440, RATE), FORMANTS["aa"])
    exact = 0.01 if (method, style) == ("yin", "diffusion_svc") else 1e-6  # of 65 Hz YIN's window would be too short
    np.testing.assert_allclose(track(audio, **own, beyond=WIDE)[0], track(audio, **own)[0], rtol=exact)


def test_a_network_that_hears_no_high_voices(monkeypatch):
    """Its own range is kept, and what it says outside of what is asked for is not believed."""
    module = importlib.import_module("fastsvc.features.f0.styles")
    monkeypatch.setattr(module.neural, "track", lambda method, audio, *a, **k: (np.full(101, 300.0), np.full(101, 1.0)))
    audio = sing(np.repeat((300.0, 1400.0), RATE // 2))
    own = {"method": "rmvpe", "style": "comosvc"}
    f0_hz, voiced = track(audio, **own, beyond=WIDE)
    assert voiced.all() and within((f0_hz, voiced), np.repeat((300.0, 1400.0), RATE // 2)) > 0.97
    f0_hz, voiced = track(audio, **own, low_hz=400, high_hz=1100, beyond=(400.0, 1100.0))
    assert not voiced.any()


def test_ranges():
    assert (OWN, WIDE) == ((50, 1100), (38, 2200))
    assert f0.ranges(30.0, 5000.0, RATE) == ((30, 5000), (30, 5000))
    assert f0.ranges(50.0, 1100.0, 8000)[1] == (38, 2000), "YIN needs four samples a period"
    assert f0.ranges(50.0, 1100.0, RATE, (60.0, 500.0)) == ((60, 500), (60, 500))
    assert f0.ranges(50.0, 1100.0, RATE, (40.0, 500.0)) == ((50, 500), (40, 500))
    assert f0.ranges(50.0, 1100.0, RATE, (1000.0, 3000.0)) == (None, (1000, 3000))


def test_accidents_are_left_out():
    heard_hz, heard = np.full(60, 1400.0), np.zeros(60, bool)
    heard[10:12] = heard[30:40] = True
    f0_hz, voiced = beyond.extended_track(np.zeros(60), np.zeros(60, bool), heard_hz, heard, 50, 1100, 0.01)
    assert np.flatnonzero(voiced).tolist() == list(range(30, 40)) and (f0_hz[voiced] == 1400).all()


def sung(f0_hz, semitones=0.0):
    """What the notes say of these frames (0: unvoiced), moved by ``semitones``."""
    voiced = torch.tensor(f0_hz) > 0
    moved = torch.tensor(f0_hz, dtype=torch.float32) * 2 ** (semitones / 12)
    return pitch_notes.notes(Features(None, None, moved, voiced, None), semitones, engines.ACOUSTIC)


def test_notes():
    song = [300.0] * 88 + [1175.0] * 12 + [0.0] * 50
    (note,) = sung(song)
    assert note == "12 % of its voiced frames lie above 1100 Hz, the highest that this model was trained on"
    (note,) = sung(song, -12.0)
    assert note.endswith("trained on; transposed by -12 semitones, none do") and note.startswith("12 %")
    (note,) = sung(song, 24.0)
    assert note.startswith("100 % of its voiced frames, transposed by +24 semitones, lie above 1100 Hz")
    assert sung([45.0] * 50 + [200.0] * 50)[0].startswith("50 % of its voiced frames lie below 50 Hz, the lowest")
    assert len(sung([45.0] * 50 + [1500.0] * 50)) == 2 and sung([0.0] * 9) == sung([300.0] * 9) == ()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return fastsvc.load(engines.build_engine(tmp_path_factory.mktemp("engine")), device="cpu")


def test_the_engine_hears_what_is_asked_for(engine):
    audio, rate = sing(np.full(12000, 1175.0)), 24000
    heard = {
        which: engine.extract(audio, rate, Request(0, f0_range=which))
        for which in (None, (50, 1100), (1000, 2000), (300, 2000))
    }
    median = {which: float(one.features.f0_hz[one.features.voiced].median()) for which, one in heard.items()}
    assert {which: round(hz / 1175, 2) for which, hz in median.items()} == {
        None: 1,
        (50, 1100): 0.5,
        (1000, 2000): 1,
        (300, 2000): 1,
    }
    assert heard[None].notes[0].startswith("100 %") and not heard[(50, 1100)].notes
    engine.convert(audio, rate, 0)
    assert engine.notes == heard[None].notes
    engine.convert(audio, rate, 0, transpose=-12)
    assert engine.notes[0].endswith("transposed by -12 semitones, none do")
    with pytest.raises(ConfigError, match=r"f0_range reaches to 7000 Hz, .* 24000 Hz is tracked to 6000 Hz"):
        engine.check_request(Request(0, f0_range=(50, 7000)))


def test_a_batch_says_it(engine, tmp_path):
    from fastsvc.convert import batch
    from fastsvc.convert.plan import plan

    put(tmp_path / "in" / "a.wav", sing(np.full(12000, 1175.0))[None])
    result = batch.run(engine, plan([tmp_path / "in"], tmp_path / "out", "wav"), batch.ConversionSettings(Request(0)))
    assert [note for note in result.entries[0].notes if "above 1100 Hz" in note]


def test_ranges_on_the_command_line():
    convert = PitchRange().convert
    assert convert("60:1400", None, None) == (60, 1400)
    assert convert("A1:A5", None, None) == (55, 880)
    assert convert("Bb2:C#6", None, None) == pytest.approx((116.54, 1108.73), abs=0.01)
    for text in ("60", "60:", "H2:C4", "880:440", "1:2:3", "nan:5"):
        with pytest.raises(click.BadParameter, match="is not LOW:HIGH"):
            convert(text, None, None)


@pytest.mark.parametrize("pitch_hz, harmonics", [(1300.0, 9), (1493.0, 8), (2100.0, 5)])
def test_the_source_folds_nothing_back(pitch_hz, harmonics):
    """At 24 kHz: the ninth harmonic of 1493 Hz lies at 13.4 kHz, and would come back at 10.6."""
    sines = source.seeded(torch.full((1, 188), pitch_hz), VocoderConfig())[0, :24000]
    spectrum = torch.fft.rfft(sines.T * torch.hann_window(24000)).abs()
    assert (spectrum.amax(1) > 100).tolist() == [True] * harmonics + [False] * (9 - harmonics)
    assert spectrum[:harmonics].argmax(1).tolist() == [pitch_hz * k for k in range(1, harmonics + 1)]


def growl(pitch_hz, depth):
    """Every second period weaker, as false vocal folds make it: AM at f0/2."""
    time = np.arange(RATE) / RATE
    audio = sing(np.full(RATE, pitch_hz), FORMANTS["aa"])
    return (audio * (1 + depth * np.cos(np.pi * pitch_hz * time)) / (1 + depth)).astype(np.float32)


@pytest.mark.parametrize("pitch_hz", [110.0, 220.0, 440.0, 1400.0])
def test_growl(pitch_hz):
    """What happens: AM of 0.5 repeats every two periods, and is heard so; 0.1 is not. All of it is voiced."""
    for depth, heard in ((0.1, pitch_hz), (0.5, pitch_hz / 2)):
        found = track(growl(pitch_hz, depth), beyond=WIDE)
        assert within(found, np.full(RATE, heard)) > 0.97, depth


def fry(low_hz, high_hz, seed=0, seconds=3):
    """Pulses at random distances through the formants of an open a."""
    rng, audio, at = np.random.default_rng(seed), np.zeros(seconds * RATE), 0.0
    while at < len(audio):
        audio[int(at)] = 1
        at += RATE / np.exp(rng.uniform(np.log(low_hz), np.log(high_hz)))
    time = np.arange(RATE // 10) / RATE
    ring = sum(
        np.exp(-np.pi * b * time) * np.sin(2 * np.pi * f * time) for f, b in ((700, 90), (1200, 110), (2600, 160))
    )
    audio = np.convolve(audio, ring)[: len(audio)]
    return (0.5 * audio / np.abs(audio).max() + 0.001 * rng.normal(size=len(audio))).astype(np.float32)


def test_fry():
    """What happens: about half of it voiced, most of that between its pulses' rates; regular fry is a low voice."""
    f0_hz, voiced = track(fry(30, 70), beyond=WIDE)
    assert 0.3 < voiced.mean() < 0.8 and 38 < np.median(f0_hz[voiced]) < 75
    f0_hz, voiced = track(fry(45, 45.001), beyond=WIDE)
    assert voiced.mean() > 0.95 and abs(np.median(f0_hz[voiced]) - 45) < 1
    narrow, voiced = track(fry(45, 45.001))
    assert np.median(narrow[voiced]) > 500, "a formant, where the range ends at 50 Hz"
