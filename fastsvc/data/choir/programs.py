"""Speech programs as sources of voices: flite and espeak-ng say a string of phones and report the times.

Both are looked for at run time; a voice whose program is missing is left out of the roster with a message.
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
    """Why the program's voices are not available here; "" if they are."""
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

    Raises VoiceError if the program is missing or says other phones.
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
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode or not path.exists():
            reason = process.stderr.strip()
            raise VoiceError(f"flite failed on '{text}': {reason}", "use flite 2.2, which is known to work")
        audio, rate_hz = soundfile.read(path, dtype="float64")
    phones, time = [], 0.0
    for item in process.stdout.split():
        symbol, end = item.rsplit(":", 1)
        phones.append((symbol, time, min(float(end), len(audio) / rate_hz)))
        time = phones[-1][2]
    if [phone[0] for phone in phones] != ["pau", *symbols, "pau"]:
        output = process.stdout.strip()
        raise VoiceError(f"flite said {output} instead of {text}", "use flite 2.2, which is known to work")
    return audio, rate_hz, tuple(phones)


def _run_espeak(voice: str, text: str) -> tuple[np.ndarray, int, list[tuple[str, int]]]:
    """espeak-ng in a process of its own: (samples, rate in Hz, phonemes with their first sample)."""
    command = [sys.executable, "-I", "-S", espeak.__file__, voice, text]
    process = subprocess.run(command, capture_output=True, check=False)
    if process.returncode:
        reason = process.stderr.decode(errors="replace").strip()
        raise VoiceError(f"espeak-ng failed on '{text}': {reason}", "use espeak-ng 1.51, which is known to work")
    head, pcm = process.stdout.split(b"\n", 1)
    header = json.loads(head)
    return np.frombuffer(pcm, "<i2") / 32768.0, header["rate_hz"], header["events"]


def _without_glides(phonemes: list[tuple[str, float]], expected: list[str]) -> list[tuple[str, float]]:
    """The phonemes without the short glides that espeak-ng puts between some phones (";" before a vowel).

    A glide's time counts to the phone before it.
    """
    without_glides, extra = [], len(phonemes) - len(expected)
    for name, time in phonemes:
        symbol = expected[len(without_glides)] if len(without_glides) < len(expected) else ""
        if extra > 0 and name[:1] != symbol[:1]:
            extra -= 1
        else:
            without_glides.append((name, time))
    return without_glides


def _with_closures(audio: np.ndarray, rate_hz: int, symbols: list[str], starts: list[float]) -> list[float]:
    """The starts, moved for stops: espeak-ng marks the burst, but the closure begins where the treble falls silent."""
    block = rate_hz // 500
    treble = np.abs(np.diff(audio, prepend=0.0))[: len(audio) // block * block].reshape(-1, block).mean(axis=1)
    quiet = treble < 0.08 * np.quantile(treble, 0.9)
    moved = list(starts)
    for index, symbol in enumerate(symbols):
        after_vowel = index and TABLE[symbols[index - 1]].kind == "vowel"
        if symbol in ("l", "r") and after_vowel and starts[index + 1] - starts[index] < 0.04:
            # After a vowel espeak-ng glides into l and r and marks them at their end.
            moved[index] = starts[index - 1] + 0.62 * (starts[index + 1] - starts[index - 1])
        if TABLE[symbol].kind not in ("stop", "affricate"):
            continue
        limit = starts[index] - 0.090 if index == 0 else 0.5 * (starts[index - 1] + starts[index])
        block_index = int(starts[index] * 500) - 1
        while block_index > 0 and block_index / 500 > limit and quiet[min(block_index, len(quiet) - 1)]:
            block_index -= 1
        moved[index] = max(min((block_index + 1) / 500, starts[index]), 0.0)
    return moved


def _espeak(voice: str, symbols: tuple[str, ...]) -> tuple[np.ndarray, int, Phones]:
    # Every vowel is stressed: espeak-ng weakens unstressed vowels and flaps the t before them.
    marks = ["'" + _ESPEAK[s] if TABLE[s].kind == "vowel" else _ESPEAK[s] for s in symbols if s != "pau"]
    spoken = [symbol for symbol in symbols if symbol != "pau"]
    audio, rate_hz, events = _run_espeak(voice, "[[" + "|".join(marks) + "]]")
    phonemes = [(name, sample / rate_hz) for name, sample in events if name and not name.startswith("_")]
    phonemes = _without_glides(phonemes, [_ESPEAK[symbol] for symbol in spoken])
    if len(phonemes) != len(spoken):
        names = " ".join(name for name, _ in phonemes)
        raise VoiceError(
            f"espeak-ng said '{names}' for '{' '.join(spoken)}'", "use espeak-ng 1.51, which is known to work"
        )
    last = phonemes[-1][1]
    pauses = [sample / rate_hz for name, sample in events if name.startswith("_") and sample / rate_hz > last]
    end = pauses[0] if pauses else len(audio) / rate_hz
    starts = _with_closures(audio, rate_hz, spoken, [time for _, time in phonemes] + [end])
    timed = list(zip(spoken, starts, starts[1:]))
    return audio, rate_hz, (("pau", 0.0, starts[0]), *timed, ("pau", end, max(end, len(audio) / rate_hz)))
