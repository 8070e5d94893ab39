"""Phones and their times in recordings without transcripts, by the phone recogniser of the package hama.

It was trained for English and Korean, and hears other languages with English ears. CTC gives each phone one spike of
20 ms, near the end of the phone (:data:`LAG`), so a phone reaches from the end of the one before to its own spike.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fastsvc.data import ipa
from fastsvc.data.choir.phones import TABLE
from fastsvc.errors import MissingPackageError

RATE_HZ = 16000
FRAME_S = 0.02
LAG = 0.65  # frames from the start of a spike to the end of its phone: median over festvox-ru and flite
QUIET_DB = 35.0  # below the loudest frame
PAUSE_FRAMES = 6  # quiet for that long is a pause, and a stop's closure is shorter
CLOSURE_FRAMES = 3  # of a stop after a pause, which is quiet too
LONGEST_FRAMES = {"vowel": 30, "glide": 12, "nasal": 15}  # beyond, phones were missed
LONGEST_OTHER = 15  # frames before are left without a label
PAUSE = "pau"

Span = tuple[str, float, float]


class HamaPhones:
    """``recognise``: audio [samples] at 16 kHz -> [(phone, start, end in seconds)]; gaps where nothing is certain."""

    def __init__(self):
        """Raises MissingPackageError without the package."""
        try:
            import hama
        except ImportError:
            raise MissingPackageError("hama", "labelling phones", "phones") from None
        from importlib.metadata import version

        self.name = f"hama {version('hama')}"
        self._open = hama.ASRModel

    @cached_property
    def _model(self):
        return self._open()

    @property
    def symbols(self) -> list[str]:
        """All that the recogniser can say."""
        return list(self._model.decoder_tokens)

    def recognise(self, audio: np.ndarray) -> list[Span]:
        if len(audio) < 2 * FRAME_S * RATE_HZ:
            return []
        said = self._model.transcribe_waveform(audio, RATE_HZ).frame_token_ids
        return spans(spikes(said, self._model.decoder_tokens), quiet(audio, len(said)))


def spikes(tokens: list[int], names: list[str]) -> list[tuple[int, str]]:
    """A token for each frame -> [(frame, symbol)] where a symbol begins; runs of one token are one symbol."""
    return [
        (frame, names[token])
        for frame, (before, token) in enumerate(zip([-1, *tokens], tokens))
        if token != before and ipa.phones(names[token])
    ]


def quiet(audio: np.ndarray, frames: int) -> np.ndarray:
    """Which frames of 20 ms are more than 35 dB below the loudest, bool [frames]."""
    samples = round(FRAME_S * RATE_HZ)
    whole = np.pad(audio[: frames * samples], (0, max(0, frames * samples - len(audio))))
    power = np.square(whole.reshape(frames, samples), dtype=np.float64).mean(1)
    return power < power.max(initial=0.0) * 10 ** (-QUIET_DB / 10)


def spans(found: list[tuple[int, str]], still: np.ndarray) -> list[Span]:
    """Spikes [(frame, symbol)] and the quiet frames -> phones with times that do not overlap."""
    result: list[tuple[str, float, float]] = []
    end = 0.0
    for frame, symbol in found:
        start, end = end, min(frame + LAG, float(len(still)))
        start = _after_pause(result, start, end, still, TABLE[ipa.phones(symbol)[0]].kind in ("stop", "affricate"))
        ours = ipa.phones(symbol)
        longest = len(ours) * LONGEST_FRAMES.get(TABLE[ours[-1]].kind, LONGEST_OTHER)
        start = max(start, end - longest)
        step = (end - start) / len(ours)
        result += [(phone, start + i * step, start + (i + 1) * step) for i, phone in enumerate(ours)]
    _after_pause(result, end, float(len(still)), still, False)
    return [(phone, start * FRAME_S, end * FRAME_S) for phone, start, end in result if end > start]


def _after_pause(result: list, start: float, end: float, still: np.ndarray, stop: bool) -> float:
    """Put the pause between ``start`` and ``end`` into the result, where there is one; -> where the next phone starts.

    What sounds before the pause is still the phone before.
    """
    first, last = int(np.ceil(start)), int(np.floor(end))
    runs = [run for run in _runs(still[first:last]) if run[1] - run[0] >= PAUSE_FRAMES]
    if not runs:
        return start
    begin, until = first + runs[0][0], first + runs[-1][1]
    until = max(begin, until - CLOSURE_FRAMES) if stop and until < len(still) else until
    if result and result[-1][2] == start:
        phone, since, _ = result.pop()
        result.append((phone, since, float(begin)))
    elif not result:
        begin = int(start) if still[int(start) : begin].all() else begin
    result.append((PAUSE, float(begin), float(until)))
    return float(until)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where flags are set: [(first, after the last)]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
