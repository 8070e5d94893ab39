"""Several channels → one: the mean, except where the mean would lose the voice.

Stereo in antiphase cancels itself in the mean, and a voice in one of six channels loses 15.6 dB. Where the mean is
more than 6 dB below the loudest channel, the channels that repeat the loudest one are averaged with their signs turned
alike; if there are none, or if they would still lose more than 3 dB, the loudest channel is taken alone. The choice is
made once for the whole recording, from the power of the channels and what each two have in common.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsvc.errors import AudioError

LOST_DB, KEPT_DB = -6.0, -3.0  # of the mean against the loudest channel: lost below; of what is taken instead: kept
ALIKE = 0.9  # correlation, of either sign, from which on two channels hold the same
STATISTICS_HZ = 11_000  # lowest rate at which channels are compared
SEGMENT_SAMPLES = 2048  # at that rate
BLOCK_SAMPLES = 1 << 18  # of arrays that are in memory already
# High-passes (corner in Hz, order) under which power is measured. The first leaves out an offset and rumble, which say
# nothing of the voice; the second, for the choice of the loudest, also a subwoofer's channel (up to 120 Hz).
LEVEL, VOICE = (100.0, 3), (250.0, 4)


class Choice(NamedTuple):
    """``weights`` [channels] of the mix, None for the plain mean; ``note``: why it is another, for people."""

    weights: np.ndarray | None = None
    note: str = ""


class Statistics:
    """Power of the channels and what each two have in common, added up over blocks."""

    def __init__(self, rate_hz: int):
        self.factor = max(1, rate_hz // STATISTICS_HZ)
        self.rate_hz = rate_hz / self.factor
        self.level = self.voice = 0.0  # [channels, channels] each

    def add(self, block: np.ndarray) -> None:
        """block [samples, channels]."""
        factor = min(self.factor, max(1, len(block) // 64))  # very short recordings are compared as they are
        coarse = block[: len(block) // factor * factor].reshape(-1, factor, block.shape[1]).mean(axis=1)
        size = min(SEGMENT_SAMPLES, len(coarse))
        if size == 0:
            return
        starts = [*range(0, len(coarse) - size, size), len(coarse) - size]  # the last one may overlap
        segments = np.stack([coarse[start : start + size] for start in starts])
        window = np.hanning(size + 2)[1:-1].astype(np.float32)
        with np.errstate(all="ignore"):  # NaN and infinite samples are found by others
            spectrum = np.fft.rfft(segments * window[:, None], axis=1).astype(np.complex128)
            hz = np.fft.rfftfreq(size, factor / (self.rate_hz * self.factor))
            self.level = self.level + _common(spectrum, hz, *LEVEL)
            self.voice = self.voice + _common(spectrum, hz, *VOICE)

    def choice(self) -> Choice:
        """What to do with recordings like this."""
        level, voice = np.atleast_2d(self.level), np.atleast_2d(self.voice)
        channels, loudest = len(level), float(level.diagonal().max())
        mean = float(level.sum()) / channels**2
        if not (loudest > 0 and mean < _power(LOST_DB) * loudest):  # NaN: neither
            return Choice()
        first = int(voice.diagonal().argmax())
        alone = np.zeros(channels)
        alone[first] = 1.0
        strength = np.sqrt(voice.diagonal() * voice[first, first])
        likeness = np.divide(voice[first], strength, out=np.zeros(channels), where=strength > 0)
        alike = np.abs(likeness) >= ALIKE
        together = np.where(alike, np.sign(likeness), 0.0) / max(1, alike.sum())
        lost = f"the mean of its {channels} channels is {_decibels(loudest, mean)} below the loudest"
        if alike.sum() > 1 and together @ voice @ together >= _power(KEPT_DB) * voice[first, first]:
            if (together < 0).any():
                return Choice(together, f"its channels cancel each other (antiphase), {lost}: signs aligned")
            return Choice(together, f"{lost}: the {alike.sum()} that are alike are taken")
        return Choice(alone, f"{lost}: channel {first + 1} alone is taken")


def _common(spectrum: np.ndarray, hz: np.ndarray, corner_hz: float, order: int) -> np.ndarray:
    """Spectra [segments, bins, channels] → what each two channels have in common [channels, channels]."""
    with np.errstate(divide="ignore"):
        gain = 1 / np.sqrt(1 + (corner_hz / hz) ** (2 * order))  # 0 at 0 Hz
    weighted = (spectrum * gain[:, None]).reshape(-1, spectrum.shape[2])
    return (weighted.conj().T @ weighted).real


def _power(decibels: float) -> float:
    return 10 ** (decibels / 10)


def _decibels(loud: float, soft: float) -> str:
    return f"{10 * np.log10(loud / soft):.1f} dB" if soft > 1e-6 * loud else "more than 60 dB"


class Mixer:
    """Blocks [samples, channels] → [samples, 1], of a recording that is read once, or twice where :meth:`again` says.

    The first time all blocks are averaged, while their statistics are gathered: no more than one block of all channels
    is ever held.
    """

    def __init__(self) -> None:
        self.statistics: Statistics | None = None
        self.choice = Choice()

    def __call__(self, block: np.ndarray, rate_hz: int) -> np.ndarray:
        """Raises AudioError where the recording has not the channels that it had the first time."""
        weights = self.choice.weights
        if weights is None:
            if block.shape[1] > 1:
                self.statistics = self.statistics or Statistics(rate_hz)
                self.statistics.add(block)
            return block.mean(axis=1, keepdims=True)
        if block.shape[1] != len(weights):
            raise AudioError("the recording changed while it was read", "run this again")
        return (block @ weights.astype(np.float32))[:, None]

    def again(self) -> bool:
        """After the first time: whether its mean lost the voice, and all must be read once more."""
        self.choice = self.statistics.choice() if self.statistics else Choice()
        return self.choice.weights is not None


def mixed(audio: np.ndarray, rate_hz: int) -> tuple[np.ndarray, str]:
    """float32 [channels, samples] → (float32 [samples], a note or ""): what :class:`Mixer` does, in memory."""
    if len(audio) > 1:
        statistics = Statistics(rate_hz)
        for start in range(0, audio.shape[1], BLOCK_SAMPLES):
            statistics.add(audio[:, start : start + BLOCK_SAMPLES].T)
        choice = statistics.choice()
        if choice.weights is not None:
            return choice.weights.astype(np.float32) @ audio, choice.note
    return audio.mean(axis=0, dtype=np.float32), ""
