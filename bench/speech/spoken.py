"""Spoken English with known phones, by flite's voices: every sound of English that Russian lacks, in fluent speech.

Sentences come from Python's own help texts. flite's voices slt, rms and awb were made from recordings of people; their
licence, and that of flite, permits use without restriction. The same seed gives the same recordings.
"""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench.speech.fetch import FetchError
from fastsvc import children, files
from fastsvc.data.choir.phones import PHONES

VOICES = ("slt", "rms", "awb", "kal16")
WORDS = (5, 16)  # of a sentence
SECONDS_A_WORD = 0.36
_SENTENCE = re.compile(r"[A-Z][a-z]+(?:,? [a-z]{1,12}){4,15}[.,;:]")
_OURS = {"ax": "ah"}


def sentences(seed: int) -> list[str]:
    """English sentences of plain words, in an order that follows the seed."""
    from pydoc_data.topics import topics

    text = " ".join(re.sub(r"\s+", " ", topics[name]) for name in sorted(topics))
    found = sorted({found.rstrip(",;:.") + "." for found in _SENTENCE.findall(text)})
    return [found[index] for index in np.random.default_rng(seed).permutation(len(found))]


def speak(voice: str, text: str, path: Path) -> None:
    """``path`` (wav) and its transcript beside it. Raises FetchError where flite is missing or says another phone."""
    program = children.program("flite")
    if not program:
        raise FetchError("flite is not installed: spoken English comes from it", "apt-get install flite")
    command = [program, "-voice", voice, "-t", text, "-psdur", "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    phones, start = [], 0.0
    for item in done.stdout.split():
        name, _, end = item.rpartition(":")
        phones.append((_OURS.get(name, name), start, float(end)))
        start = float(end)
    unknown = {name for name, *_ in phones} - set(PHONES)
    if done.returncode or not phones or unknown:
        raise FetchError(f"flite failed on {text!r}: {done.stderr.strip()} {unknown or ''}", "use flite 2.2")
    files.write_json(path.with_suffix(".json"), {"phones": phones, "f0_hz": None, "f0_hop_s": None})


def spoken(out: Path, minutes: float, seed: int = 0, jobs: int = 1) -> dict[str, int]:
    """About ``minutes`` of each voice below ``out/spoken-VOICE``; -> how many recordings each has."""
    texts, counts = iter(sentences(seed)), {}
    with ThreadPoolExecutor(jobs) as pool:
        for voice in VOICES:
            folder, words, work = out / f"spoken-{voice}", 0, []
            folder.mkdir(parents=True, exist_ok=True)
            while words * SECONDS_A_WORD < 60 * minutes and (text := next(texts, None)):
                words += len(text.split())
                path = folder / f"{voice}-{len(work):04d}.wav"
                work.append((text, path))
            rest = [(text, path) for text, path in work if not path.with_suffix(".json").is_file()]
            list(pool.map(lambda one, voice=voice: speak(voice, *one), rest))
            counts[f"spoken-{voice}"] = len(work)
    return counts
