"""Several channels → one: the mean, except where the mean would lose the voice.

Stereo in antiphase cancels itself in the mean, and a voice in one of six channels loses 15.6 dB. Where the mean is
more than 6 dB below the loudest channel, the channels that repeat the loudest one are averaged with aligned signs. If
there are none, or if that mean still loses more than 3 dB, the loudest channel is taken alone. The choice is made once
for the whole recording, from the power of the channels and the correlation of each pair.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastsvc.errors import AudioError

LOST_DB, KEPT_DB = (
    -6.0,
    -3.0,
)  # mean against the loudest channel: below, the voice is lost; another mix: above, it is kept
ALIKE = 0.9  # correlation, of either sign, from which two channels count as the same
STATISTICS_HZ = 6_000  # lowest rate at which channels are compared
SEGMENT_SAMPLES, STEP_VALUES = 1024, 1 << 17  # at that rate: of one spectrum, and of all channels' spectra together
MOST_ALIGNED = 64  # channels: beyond, correlations would need too much memory, and the loudest is taken
BLOCK_SAMPLES = 1 << 18  # of arrays that are in memory already
# High-passes (corner in Hz, order) before power is measured. The first removes an offset and rumble, which are not
# voice; the second, for the choice of the loudest, also removes a subwoofer's channel (up to 120 Hz).
LEVEL, VOICE = (100.0, 3), (250.0, 4)


class ChannelMix(NamedTuple):
    """``weights`` [channels] of the mix, None for the plain mean; ``note``: the reason for weights, for people."""

    weights: np.ndarray | None = None
    note: str = ""


class ChannelStatistics:
    """Power of the channels and products of each pair, summed over blocks."""

    def __init__(self, rate_hz: int):
        self.factor = max(1, rate_hz // STATISTICS_HZ)
        self.rate_hz = rate_hz
        self.power, self.mean = np.zeros(()), 0.0  # of each channel, and of their mean, without rumble
        self.common = np.zeros(())  # [channels, channels] without a subwoofer's band; its diagonal, where they are many

    @np.errstate(all="ignore")  # NaN and infinite samples are rejected elsewhere
    def add(self, block: np.ndarray) -> None:
        """Add a block [samples, channels]."""
        samples, channels = block.shape
        factor = min(self.factor, max(1, samples // 64))  # very short recordings are compared as they are
        lowered = _coarse(block, factor)
        size = min(SEGMENT_SAMPLES, max(64, STEP_VALUES // channels), lowered.shape[1])
        if size == 0:
            return
        window = np.hanning(size + 2)[1:-1].astype(np.float32)
        hz = np.fft.rfftfreq(size, factor / self.rate_hz)
        starts = [*range(0, lowered.shape[1] - size, size), lowered.shape[1] - size]  # the last one may overlap
        segments_at_once = max(1, STEP_VALUES // (size * channels))
        for first in range(0, len(starts), segments_at_once):
            segments = np.stack(
                [lowered[:, start : start + size] for start in starts[first : first + segments_at_once]], axis=1
            )
            spectrum = np.fft.rfft(segments * window).astype(np.complex64, copy=False)
            band = (spectrum * _gain(hz, *LEVEL)).reshape(channels, -1).view(np.float32)
            self.power = self.power + np.einsum("cf,cf->c", band, band).astype(np.float64)
            self.mean += float(np.square(band.mean(axis=0)).sum())
            band = (spectrum * _gain(hz, *VOICE)).reshape(channels, -1).view(np.float32)
            with_pairs = channels <= MOST_ALIGNED
            common = band @ band.T if with_pairs else np.einsum("cf,cf->c", band, band)
            self.common = self.common + common.astype(np.float64)

    def choice(self) -> ChannelMix:
        """The mix for a recording with these statistics."""
        power = np.atleast_1d(self.power)
        channels, loudest = len(power), float(power.max())
        if not (loudest > 0 and self.mean < _power(LOST_DB) * loudest):  # NaN: neither
            return ChannelMix()
        common = self.common if self.common.ndim == 2 else np.zeros((channels, 0))
        voice_power = common.diagonal() if common.size else self.common
        loudest_channel, single = int(voice_power.argmax()), np.zeros(channels)
        single[loudest_channel] = 1.0
        reason = f"the mean of its {channels} channels is {_decibels(loudest, self.mean)} below the loudest"
        if common.size:
            strength = np.sqrt(voice_power * voice_power[loudest_channel])
            correlation = np.divide(common[loudest_channel], strength, out=np.zeros(channels), where=strength > 0)
            alike = np.abs(correlation) >= ALIKE
            aligned = np.where(alike, np.sign(correlation), 0.0) / max(1, alike.sum())
            if alike.sum() > 1 and aligned @ common @ aligned >= _power(KEPT_DB) * voice_power[loudest_channel]:
                if (aligned < 0).any():
                    return ChannelMix(aligned, f"its channels cancel each other (antiphase), {reason}: signs aligned")
                return ChannelMix(aligned, f"{reason}: the {alike.sum()} that are alike are taken")
        return ChannelMix(single, f"{reason}: channel {loudest_channel + 1} alone is taken")


def _coarse(block: np.ndarray, factor: int) -> np.ndarray:
    """[samples, channels] → [channels, samples // factor], means of as many samples."""
    samples, channels = block.shape
    block = block[: samples // factor * factor]
    if channels > MOST_ALIGNED:
        return np.ascontiguousarray(block.reshape(-1, factor, channels).mean(axis=1).T)
    mean = np.tile(np.eye(channels, dtype=np.float32) / np.float32(factor), (factor, 1))
    return np.ascontiguousarray((block.reshape(-1, factor * channels) @ mean).T)


def _gain(hz: np.ndarray, corner_hz: float, order: int) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return (1 / np.sqrt(1 + (corner_hz / hz) ** (2 * order))).astype(np.float32)  # 0 at 0 Hz


def _power(decibels: float) -> float:
    return 10 ** (decibels / 10)


def _decibels(loud: float, soft: float) -> str:
    return f"{10 * np.log10(loud / soft):.1f} dB" if soft > 1e-5 * loud else "more than 50 dB"


class Mixer:
    """Blocks [samples, channels] → [samples, 1], of a recording that is read once, or twice if :meth:`again`.

    The first time all blocks are averaged while their statistics are gathered, so never more than one block of all
    channels is in memory.
    """

    def __init__(self) -> None:
        self.statistics: ChannelStatistics | None = None
        self.choice = ChannelMix()

    def __call__(self, block: np.ndarray, rate_hz: int) -> np.ndarray:
        """Mix one block. Raises AudioError where the number of channels differs from the first time."""
        weights = self.choice.weights
        if weights is None:
            if block.shape[1] > 1:
                self.statistics = self.statistics or ChannelStatistics(rate_hz)
                self.statistics.add(block)
            return block.mean(axis=1, keepdims=True)
        if block.shape[1] != len(weights):
            raise AudioError("the recording changed while it was read", "run this again")
        return (block @ weights.astype(np.float32))[:, None]

    def again(self) -> bool:
        """After the first time: whether the mean lost the voice, so that all must be read again."""
        self.choice = self.statistics.choice() if self.statistics else ChannelMix()
        return self.choice.weights is not None


def mixed(audio: np.ndarray, rate_hz: int) -> tuple[np.ndarray, str]:
    """float32 [channels, samples] → (float32 [samples], a note or ""): :class:`Mixer` for audio in memory."""
    if len(audio) > 1:
        statistics = ChannelStatistics(rate_hz)
        for start in range(0, audio.shape[1], BLOCK_SAMPLES):
            statistics.add(audio[:, start : start + BLOCK_SAMPLES].T)
        choice = statistics.choice()
        if choice.weights is not None:
            return choice.weights.astype(np.float32) @ audio, choice.note
    return audio.mean(axis=0, dtype=np.float32), ""
