"""Speech programs as sources of voices: flite and espeak-ng say a string of phones and tell when.

Both are found at run time; a voice whose program is missing is left out of the roster with a message.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from fastsvc import children
from fastsvc.data.choir import espeak
from fastsvc.data.choir.phones import PHONES, TABLE
from fastsvc.errors import FastsvcError

# name in the roster, program, its voice, natural pitch in Hz to sing around
VOICES = (
    ("slt", "flite", "slt", 205.0),
    ("rms", "flite", "rms", 118.0),
    ("awb", "flite", "awb", 136.0),
    ("kal", "flite", "kal16", 110.0),
    ("annie", "espeak", "en-us+Annie", 225.0),
    ("mark", "espeak", "en-us+m3", 118.0),
    ("faye", "espeak", "en-us+f2", 208.0),
    ("michel", "espeak", "en-us+michel", 128.0),
    ("steph", "espeak", "en-us+steph", 190.0),
    ("klaas", "espeak", "en-us+klatt4", 110.0),
)

# Our phones in espeak-ng's notation of American English.
_ESPEAK_NOTATION = """aa A: ae a ah V ao O: aw aU ay aI eh E er 3: ey eI ih I iy i: ow oU oy OI uh U uw u:
b b ch tS d d dh D f f g g hh h jh dZ k k l l m m n n ng N p p r r s s sh S t t th T v v w w y j z z zh Z"""
_ESPEAK = dict(zip(_ESPEAK_NOTATION.split()[::2], _ESPEAK_NOTATION.split()[1::2]))


class VoiceError(FastsvcError):
    """A speech program's voice cannot be used."""


Phones = tuple[tuple[str, float, float], ...]


@cache
def missing(program: str) -> str:
    """Why the program's voices are not available here; empty if they are."""
    try:
        import pyworld  # noqa: F401
    except ImportError:
        return "the package pyworld is not installed (pip install pyworld-prebuilt)"
    if program == "flite":
        return "" if children.program("flite") else "the program flite is not installed"
    try:
        ctypes.CDLL(espeak.LIBRARY)
    except OSError:
        return f"the library {espeak.LIBRARY} is not installed"
    return ""


def speak(program: str, voice: str, symbols: tuple[str, ...]) -> tuple[np.ndarray, int, Phones]:
    """The voice says these phones: (float64 [samples], rate in Hz, phones with times; pauses at both ends).

    Raises VoiceError if the program is missing or does not say what it was asked.
    """
    reason = missing(program)
    if reason:
        raise VoiceError(f"The voice {voice} cannot sing: {reason}", "install the program, or use --no-voices")
    wrong = [symbol for symbol in symbols if symbol not in PHONES]
    if wrong or not symbols:
        raise VoiceError(f"Phones that no voice has: {' '.join(wrong) or 'none given'}", f"use {' '.join(PHONES)}")
    return _flite(voice, symbols) if program == "flite" else _espeak(voice, symbols)


def _flite(voice: str, symbols: tuple[str, ...]) -> tuple[np.ndarray, int, Phones]:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        text = " ".join(("pau", *symbols, "pau"))
        command = [children.program("flite"), "-voice", voice, "-p", text, "-psdur", "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not path.exists():
            raise VoiceError(
                f"flite failed on '{text}': {done.stderr.strip()}", "use flite 2.2, which is known to work"
            )
        audio, rate_hz = soundfile.read(path, dtype="float64")
    phones, now = [], 0.0
    for item in done.stdout.split():
        symbol, end = item.rsplit(":", 1)
        phones.append((symbol, now, min(float(end), len(audio) / rate_hz)))
        now = phones[-1][2]
    if [phone[0] for phone in phones] != ["pau", *symbols, "pau"]:
        raise VoiceError(f"flite said {done.stdout.strip()} instead of {text}", "use flite 2.2, which is known to work")
    return audio, rate_hz, tuple(phones)


def _say(voice: str, text: str) -> tuple[np.ndarray, int, list[tuple[str, int]]]:
    """What espeak-ng says in a process of its own: (samples, rate in Hz, phonemes with their first sample)."""
    command = [sys.executable, "-I", "-S", espeak.__file__, voice, text]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise VoiceError(f"espeak-ng failed on '{text}': {reason}", "use espeak-ng 1.51, which is known to work")
    head, pcm = done.stdout.split(b"\n", 1)
    about = json.loads(head)
    return np.frombuffer(pcm, "<i2") / 32768.0, about["rate_hz"], about["events"]


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
        after_vowel = index and TABLE[asked[index - 1]].kind == "vowel"
        if symbol in ("l", "r") and after_vowel and starts[index + 1] - starts[index] < 0.04:
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
    audio, rate_hz, events = _say(voice, "[[" + "|".join(marks) + "]]")
    heard = [(name, sample / rate_hz) for name, sample in events if name and not name.startswith("_")]
    heard = _without_glides(heard, [_ESPEAK[symbol] for symbol in asked])
    if len(heard) != len(asked):
        said = " ".join(name for name, _ in heard)
        raise VoiceError(
            f"espeak-ng said '{said}' for '{' '.join(asked)}'", "use espeak-ng 1.51, which is known to work"
        )
    pauses = [sample / rate_hz for name, sample in events if name.startswith("_") and sample / rate_hz > heard[-1][1]]
    end = pauses[0] if pauses else len(audio) / rate_hz
    starts = _with_closures(audio, rate_hz, asked, [time for _, time in heard] + [end])
    said = list(zip(asked, starts, starts[1:]))
    return audio, rate_hz, (("pau", 0.0, starts[0]), *said, ("pau", end, max(end, len(audio) / rate_hz)))
