"""Speech programs as sources of voices: flite and espeak-ng say a string of phones and tell when.

Both are found at run time; a voice whose program is missing is left out of the roster with a message.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from fastsvc.data.choir.phones import PHONES, TABLE
from fastsvc.errors import FastsvcError

# name in the roster, program, its voice, natural pitch in Hz to sing around
VOICES = (
    ("slt", "flite", "slt", 205.0),
    ("rms", "flite", "rms", 118.0),
    ("awb", "flite", "awb", 136.0),
    ("kal", "flite", "kal16", 110.0),
    ("annie", "espeak", "en-us+Annie", 225.0),
    ("adam", "espeak", "en-us+Adam", 112.0),
    ("linda", "espeak", "en-us+linda", 240.0),
    ("michel", "espeak", "en-us+Michel", 128.0),
    ("steph", "espeak", "en-us+steph", 212.0),
    ("klaas", "espeak", "en-us+klatt4", 122.0),
)

# Our phones in espeak-ng's notation of American English.
_ESPEAK = dict(
    zip(
        "aa ae ah ao aw ay eh er ey ih iy ow oy uh uw".split(),
        "A: a V O: aU aI E 3: eI I i: oU OI U u:".split(),
    )
)
_ESPEAK |= dict(
    zip(
        "b ch d dh f g hh jh k l m n ng p r s sh t th v w y z zh".split(),
        "b tS d D f g h dZ k l m n N p r s S t T v w j z Z".split(),
    )
)


class VoiceError(FastsvcError):
    """A speech program's voice cannot be used."""


Phones = tuple[tuple[str, float, float], ...]


@lru_cache(maxsize=None)
def missing(program: str) -> str:
    """Why the program's voices are not available here; empty if they are."""
    try:
        import pyworld  # noqa: F401
    except ImportError:
        return "the package pyworld is not installed"
    if program == "flite":
        return "" if shutil.which("flite") else "the program flite is not installed"
    try:
        ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        return "the library libespeak-ng.so.1 is not installed"
    return ""


def speak(program: str, voice: str, symbols: tuple[str, ...]) -> tuple[np.ndarray, int, Phones]:
    """The voice says these phones: (float64 [samples], rate in Hz, phones with times; pauses at both ends).

    Raises VoiceError if the program is missing or does not say what it was asked.
    """
    reason = missing(program)
    if reason:
        raise VoiceError(
            f"The voice {voice} cannot sing: {reason}", "install it, or leave the voices out (--no-voices)"
        )
    wrong = [symbol for symbol in symbols if symbol not in PHONES]
    if wrong or not symbols:
        raise VoiceError(f"Phones that no voice has: {' '.join(wrong) or 'none given'}", f"use {' '.join(PHONES)}")
    return _flite(voice, symbols) if program == "flite" else _espeak(voice, symbols)


def _flite(voice: str, symbols: tuple[str, ...]) -> tuple[np.ndarray, int, Phones]:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        text = " ".join(("pau", *symbols, "pau"))
        command = ["flite", "-voice", voice, "-p", text, "-psdur", "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            raise VoiceError(
                f"flite failed on '{text}': {done.stderr.strip()}", "see flite --version; 2.2 is known to work"
            )
        audio, rate_hz = soundfile.read(path, dtype="float64")
    phones, now = [], 0.0
    for item in done.stdout.split():
        symbol, end = item.rsplit(":", 1)
        phones.append((symbol, now, min(float(end), len(audio) / rate_hz)))
        now = phones[-1][2]
    if [phone[0] for phone in phones] != ["pau", *symbols, "pau"]:
        raise VoiceError(f"flite said {done.stdout.strip()} instead of {text}", "flite 2.2 is known to work")
    return audio, rate_hz, tuple(phones)


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    class _Id(ctypes.Union):
        _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_PHONEME_EVENT, _SYNCHRONOUS, _PHONEME_EVENTS, _PHONEMES_AND_UTF8 = 7, 2, 1, 0x101
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """The library, once a process."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate_hz = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        self.audio: list[bytes] = []
        self.events: list[tuple[str, int]] = []
        self._callback = _CALLBACK(self._receive)  # kept alive as long as the library may call it
        self.library.espeak_SetSynthCallback(self._callback)
        self.voice = ""

    def _receive(self, samples, count, events) -> int:
        if samples and count > 0:
            self.audio.append(ctypes.string_at(samples, 2 * count))
        place = 0
        while events[place].type:
            if events[place].type == _PHONEME_EVENT:
                name = ctypes.string_at(ctypes.addressof(events[place].id), 8).split(b"\0")[0]
                self.events.append((name.decode("utf-8", "replace"), events[place].sample))
            place += 1
        return 0

    def say(self, voice: str, text: str) -> tuple[np.ndarray, list[tuple[str, int]]]:
        if voice != self.voice:
            if self.library.espeak_SetVoiceByName(voice.encode()):
                raise VoiceError(f"espeak-ng has no voice {voice}", "espeak-ng --voices=variant lists those installed")
            self.voice = voice
        self.audio, self.events = [], []
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _PHONEMES_AND_UTF8, None, None)
        self.library.espeak_Synchronize()
        return np.frombuffer(b"".join(self.audio), np.int16) / 32768.0, self.events


@lru_cache(maxsize=1)
def _library() -> _Espeak:
    return _Espeak()


def _without_glides(heard: list[tuple[str, float]], asked: list[str]) -> list[tuple[str, float]]:
    """espeak-ng puts short glides between some phones (";" before a vowel): they count to the phone before."""
    kept, extra = [], len(heard) - len(asked)
    for name, time in heard:
        expected = asked[len(kept)] if len(kept) < len(asked) else ""
        if extra > 0 and name[:1] != expected[:1]:
            extra -= 1
        else:
            kept.append((name, time))
    return kept


def _with_closures(audio: np.ndarray, rate_hz: int, asked: list[str], starts: list[float]) -> list[float]:
    """espeak-ng marks a stop where it bursts: move its start to where the treble before it falls silent."""
    block = rate_hz // 500
    treble = np.abs(np.diff(audio, prepend=0.0))[: len(audio) // block * block].reshape(-1, block).mean(axis=1)
    quiet = treble < 0.08 * np.quantile(treble, 0.9)
    moved = list(starts)
    for index, symbol in enumerate(asked):
        if symbol in ("l", "r") and index and TABLE[asked[index - 1]].kind == "vowel" and starts[index + 1] - starts[index] < 0.04:
            # After a vowel it glides into l and r and marks them at their end.
            moved[index] = starts[index - 1] + 0.62 * (starts[index + 1] - starts[index - 1])
        if TABLE[symbol].kind not in ("stop", "affricate"):
            continue
        limit = starts[index] - 0.090 if index == 0 else 0.5 * (starts[index - 1] + starts[index])
        place = int(starts[index] * 500) - 1
        while place > 0 and place / 500 > limit and quiet[min(place, len(quiet) - 1)]:
            place -= 1
        moved[index] = max(min((place + 1) / 500, starts[index]), 0.0)
    return moved


def _espeak(voice: str, symbols: tuple[str, ...]) -> tuple[np.ndarray, int, Phones]:
    # Every vowel is stressed: unstressed ones would be weakened and their t's flapped.
    marks = ["'" + _ESPEAK[s] if TABLE[s].kind == "vowel" else _ESPEAK[s] for s in symbols if s != "pau"]
    asked = [symbol for symbol in symbols if symbol != "pau"]
    audio, events = _library().say(voice, "[[" + "|".join(marks) + "]]")
    rate_hz = _library().rate_hz
    heard = [(name, sample / rate_hz) for name, sample in events if name and not name.startswith("_")]
    heard = _without_glides(heard, [_ESPEAK[symbol] for symbol in asked])
    if len(heard) != len(asked):
        said = " ".join(name for name, _ in heard)
        raise VoiceError(f"espeak-ng said '{said}' for '{' '.join(asked)}'", "espeak-ng 1.51 is known to work")
    pauses = [sample / rate_hz for name, sample in events if name.startswith("_") and sample / rate_hz > heard[-1][1]]
    end = pauses[0] if pauses else len(audio) / rate_hz
    starts = _with_closures(audio, rate_hz, asked, [time for _, time in heard] + [end])
    phones = (
        [("pau", 0.0, starts[0])]
        + list(zip(asked, starts, starts[1:]))
        + [("pau", end, max(end, len(audio) / rate_hz))]
    )
    return audio, rate_hz, tuple(phones)
