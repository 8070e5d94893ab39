"""Singers made from speech programs, where those are installed."""

import itertools
import logging

import numpy as np
import pytest
from test_choir import measured_f0, short_score, sung

from fastsvc.data.choir import perform, programs, render, roster
from fastsvc.data.choir.performance import F0_HOP_S
from fastsvc.data.choir.programs import VOICES, VoiceError, speak

TEXT = "s p r ih ng m eh zh er b oy ch oy s th ae ng k y uw hh aa r t f ow l d"
SAID = tuple(TEXT.split())


def needs(program):
    return pytest.mark.skipif(bool(programs.missing(program)), reason=programs.missing(program) or "installed")


PROGRAMS = [
    pytest.param("flite", "slt", marks=needs("flite")),
    pytest.param("flite", "kal16", marks=needs("flite")),
    pytest.param("espeak", "en-us+Annie", marks=needs("espeak")),
]


@pytest.mark.parametrize("program, voice", PROGRAMS)
def test_programs_say_each_phone_at_its_time(program, voice):
    audio, rate_hz, phones = speak(program, voice, SAID)
    assert [phone[0] for phone in phones] == ["pau", *SAID, "pau"]
    times = [start for _, start, _ in phones] + [phones[-1][2]]
    assert all(later > earlier for earlier, later in itertools.pairwise(times[1:-1]))
    assert times[-1] <= len(audio) / rate_hz + 0.02
    # The hiss of "s" has most treble of all, the vowels least.
    treble = np.abs(np.diff(audio, prepend=0.0))
    energy = {}
    for symbol, start, end in phones[1:-1]:
        part = slice(int((start + 0.3 * (end - start)) * rate_hz), int((end - 0.2 * (end - start)) * rate_hz))
        energy[symbol] = treble[part].mean() / (np.abs(audio[part]).mean() + 1e-4)
    assert energy["s"] > 3 * max(energy[symbol] for symbol in ("oy", "aa", "ow", "ih"))


@pytest.mark.parametrize("program, voice", PROGRAMS)
def test_saying_the_same_twice_is_the_same(program, voice):
    first = speak(program, voice, SAID[:5])
    speak(program, voice, SAID[5:9])
    again = speak(program, voice, SAID[:5])
    assert np.array_equal(first[0], again[0]) and first[2] == again[2]


@pytest.mark.parametrize(
    "name", [pytest.param("rms", marks=needs("flite")), pytest.param("faye", marks=needs("espeak"))]
)
def test_voices_sing_the_performance(name):
    singer = {singer.name: singer for singer in roster(0, 0)}[name]
    performance = perform(short_score(sung("s", "aa", notes=((0.0, 0.8), (3.0, 0.7)))), singer)
    audio = render(singer, performance)
    assert len(audio) == round(performance.seconds * 24000) and np.isfinite(audio).all()
    assert np.array_equal(audio, render(singer, performance))
    start, end = next((start, end) for symbol, start, end in performance.phones if symbol == "aa")
    cents = []
    for time in np.arange(start + 0.15, end - 0.15, 0.05):
        expected = np.interp(time, np.arange(len(performance.f0_hz)) * F0_HOP_S, performance.f0_hz)
        cents.append(1200 * np.log2(measured_f0(audio.astype(np.float64), time, expected) / expected))
    assert abs(np.median(cents)) < 4 and np.quantile(np.abs(cents), 0.9) < 25
    hiss = audio[int((performance.phones[1][1] + 0.03) * 24000) : int((start - 0.03) * 24000)]
    power = np.abs(np.fft.rfft(hiss * np.hanning(len(hiss)))) ** 2
    assert np.sum(power * np.fft.rfftfreq(len(hiss), 1 / 24000)) / power.sum() > 3000


def test_missing_programs_are_named_and_left_out(monkeypatch, caplog):
    monkeypatch.setattr(
        programs, "missing", lambda program: "the program is not installed" if program == "flite" else ""
    )
    with caplog.at_level(logging.WARNING):
        singers = roster(1, 0)
    assert "slt, rms, awb, kal: the program is not installed" in caplog.text
    assert {singer.kind for singer in singers} == {"source-filter", "espeak"}
    with pytest.raises(VoiceError, match="cannot sing"):
        speak("flite", "slt", ("aa",))


def test_every_voice_has_its_own_name():
    names = [name for name, _, _, _ in VOICES] + [singer.name for singer in roster(100, 0, voices=False)]
    assert len(set(names)) == len(names)


@needs("espeak")
def test_unknown_voices_and_phones_are_errors():
    with pytest.raises(VoiceError, match="no voice"):
        speak("espeak", "en-us+nobody-at-all", ("aa",))
    with pytest.raises(VoiceError, match="Phones that no voice has: xx"):
        speak("espeak", "en-us+Annie", ("aa", "xx"))
