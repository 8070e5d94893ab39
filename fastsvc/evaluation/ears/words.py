"""English words as a small public recogniser hears them: Moonshine tiny-en (MIT), the weights inside the wheel.

moonshine-voice is pinned to 0.0.49: later wheels carry no weights. It cuts a recording at pauses by itself.
"""

from __future__ import annotations

import functools
import re

import numpy as np

from fastsvc.audio.resample import resample
from fastsvc.evaluation.ears import packages
from fastsvc.model.recogniser import edit_distance

RATE_HZ = 16000
PAD_S = 0.5  # silence on both sides: words at the very edge of a recording are missed otherwise


@functools.lru_cache(maxsize=1)
def _recogniser():
    path = packages.weights("moonshine_voice").parent
    from moonshine_voice.moonshine_api import ModelArch
    from moonshine_voice.transcriber import Transcriber

    return Transcriber(str(path), ModelArch.TINY)


def transcript(audio: np.ndarray, rate_hz: int) -> str:
    """audio [samples] → what is heard, with its punctuation. Raises MissingPackageError, CheckpointError."""
    audio = resample(np.asarray(audio, np.float32), rate_hz, RATE_HZ)
    peak = float(np.abs(audio).max()) if len(audio) else 0.0
    if not peak > 1e-6:
        return ""
    pad = round(PAD_S * RATE_HZ)
    padded = np.pad(audio * np.float32(0.9 / peak), pad)  # its own speech detector is deaf to quiet recordings
    lines = _recogniser().transcribe_without_streaming(padded.tolist(), RATE_HZ).lines
    return " ".join(line.text for line in lines)


def words(audio: np.ndarray, rate_hz: int) -> list[str]:
    """audio [samples] → the words heard, as :func:`split` gives them."""
    return split(transcript(audio, rate_hz))


def split(text: str) -> list[str]:
    """Lower-case words without punctuation: "It's 5 o'clock." → it's, 5, o'clock."""
    return re.findall(r"[a-z0-9]+(?:'[a-z0-9]+)*", text.lower().replace("’", "'"))


def word_error_rate(words: list[str], reference: list[str]) -> float:
    """Edit distance / length of the reference; may exceed 1. NaN for an empty reference."""
    return edit_distance(words, reference) / len(reference) if reference else float("nan")
