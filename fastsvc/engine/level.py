"""The output as loud as the recording, moment by moment: the last part of a conversion.

Models compress: soft passages come out too loud, loud passages too soft, and rests hiss. The gain is the ratio of the
recording's power to the output's over SLOW_S, raised to 1 − mix. ``mix`` is RVC's ``rms_mix_rate``: 0 is the
recording's loudness and 1 the model's own. Windows are shorter than RVC's second, because a rest lasts less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fastsvc.audio import envelope

SLOW_S = 0.2  # from 0.1 to 0.4 s little changes: bench/results/level.json
AROUND_S = 1.0  # the loudest neighbour of a rest is searched within this distance
REST_POWER = 10**-3.5  # 35 dB below that neighbour is a rest
FLOOR_POWER = 10**-3.5  # and so is 35 dB below the recording's mean power
NOISE_S, NOISE_POWER = 3.0, 4.0  # less than 6 dB above the softest block of NOISE_S is noise
NOISE_MIXED = 10**-4.0  # that bound's factor at mix 1, where soft blocks may be soft singing as well
PULSES_S = 0.02  # longer than the gaps between a voice's pulses
CLICK_S = 0.13  # the model's output for a click lasts this long and says nothing of the voice's level
MOST_POWER = 10**1.2  # a block rises at most 12 dB more than the whole: drums must not raise a silent voice's hiss
WHOLE_POWER = 10**3.0  # and the whole at most 30 dB
FULL_SCALE = 0.99  # not 1: rounding, and coders, come after
SOFTENED = 2.0  # peaks up to this multiple of full scale are rounded off, higher ones turned down first
ENOUGH = 1.12  # 0.5 dB of the power may be lost
MADE_UP = 10**0.15  # one pass restores at most 1.5 dB of the power that rounding off took


@dataclass(frozen=True, eq=False)
class LoudnessProfile:
    """Loudness of a recording: its blocks' powers (audio/envelope.py), which blocks hold clicks, its peak, the mix."""

    powers: np.ndarray  # [blocks]; for a block with a click, the power that lasts around it
    clicks: np.ndarray  # [blocks] bool
    peak: float
    mix: float
    _sources: dict[int, SourceLevel] = field(default_factory=dict, init=False, repr=False)

    @staticmethod
    def of(audio: np.ndarray, rate_hz: int, mix: float) -> LoudnessProfile | None:
        """The profile of audio [samples] at its original level; None at mix 1, where nothing is changed."""
        if mix == 1.0:
            return None
        peak = float(max(audio.max(initial=0.0), -audio.min(initial=0.0)))
        fine = envelope.powers(audio, rate_hz, envelope.FINE * envelope.BLOCKS_HZ)
        return LoudnessProfile.measured(envelope.powers(audio, rate_hz), fine, peak, mix)

    @staticmethod
    def measured(powers: np.ndarray, fine: np.ndarray, peak: float, mix: float) -> LoudnessProfile | None:
        """The same from powers of blocks [blocks], of blocks a FINE-th as long, and the peak."""
        if mix == 1.0:
            return None
        lasting = envelope.sustained(powers)
        clicks = envelope.clicks_among(fine, powers, lasting)
        return LoudnessProfile(np.where(clicks, lasting, powers), clicks, peak, mix)

    def follow(self, audio: np.ndarray, rate_hz: int) -> np.ndarray:
        """``audio`` [samples], an output of the same duration, made as loud as the recording, in its own memory.

        At equal loudness, models' voices have higher peaks than people's. Peaks above full scale, or above the
        recording's where it is louder, are rounded off, so that the whole need not be turned down.
        """
        output = envelope.powers(audio, rate_hz)
        if not output.any():
            return audio
        gains = self.gains(output)
        envelope.amplify(audio, rate_hz, self.amplitudes(gains, envelope.peaks(audio, rate_hz)))
        return _below(self.ceiling, audio, rate_hz, float((gains * output).sum()))

    @property
    def ceiling(self) -> float:
        """What peaks of the output stay below."""
        return max(FULL_SCALE, self.peak)

    def gains(self, output: np.ndarray) -> np.ndarray:
        """Gains of power [blocks] for an output with these powers [blocks], which are not all 0."""
        return self.source(len(output)).gains(output)

    def source(self, blocks: int) -> SourceLevel:
        """What the gains depend on besides the output, for an output of so many blocks; kept."""
        if blocks not in self._sources:
            padding = 0, max(0, blocks - len(self.powers))  # at another rate there may be one block more
            powers, clicks = (np.pad(one, padding, mode="edge")[:blocks] for one in (self.powers, self.clicks))
            self._sources[blocks] = SourceLevel.of(powers, clicks, self.mix)
        return self._sources[blocks]

    def amplitudes(self, gains: np.ndarray, highest: np.ndarray) -> np.ndarray:
        """Gains of amplitude [blocks]; ``highest``: the output's peaks, of which only so much is rounded off."""
        return np.minimum(np.sqrt(gains), SOFTENED * self.ceiling / np.maximum(highest, 1e-30))


def _below(ceiling: float, audio: np.ndarray, rate_hz: int, power: float) -> np.ndarray:
    """``audio`` itself, peaks above ``ceiling`` rounded off, then raised until its blocks' powers sum to about
    ``power`` again."""
    if max(audio.max(), -audio.min()) <= ceiling:
        return audio
    envelope.round_off(audio, ceiling)
    for _ in range(3):
        lost = min(power / envelope.powers(audio, rate_hz).sum(), MADE_UP)
        if lost < ENOUGH:
            break
        audio *= np.float32(math.sqrt(lost))
        envelope.round_off(audio, ceiling)
    return audio


@dataclass(frozen=True, eq=False)
class SourceLevel:
    """What gains depend on besides the output: the recording's part, which a GPU's host works out in advance."""

    total: float  # power of the counted blocks
    counted: np.ndarray  # [blocks]: 0 near clicks, 1 elsewhere
    any_counted: np.ndarray  # [blocks] bool: within SLOW_S
    slow: np.ndarray  # [blocks]: power over SLOW_S, of the counted blocks wherever there are any
    allowed: np.ndarray  # [blocks]: the power that a block of a rest, or near a click, may have
    mix: float

    @staticmethod
    def of(source: np.ndarray, clicks: np.ndarray, mix: float) -> SourceLevel:
        """``source``: the recording's powers [blocks]; ``clicks`` [blocks]: those that hold one."""
        near_click = envelope.highest(clicks.astype(np.float64), CLICK_S)
        counted = 1.0 - near_click if near_click.min() == 0 else np.ones_like(near_click)
        any_counted, total = envelope.smoothed(counted, SLOW_S) > 0, (source * counted).sum()
        slow = _counted_slow(source, counted, any_counted)
        return SourceLevel(total, counted, any_counted, slow, _allowed(source, near_click, mix), mix)

    def gains(self, output: np.ndarray) -> np.ndarray:
        """Gains of power [blocks] that bring ``output``, powers [blocks] of no silence, to the recording's."""
        counted, total = self.counted, self.total
        overall = min(total / max((output * counted).sum(), total / WHOLE_POWER, 1e-300), WHOLE_POWER)
        gains = overall * self._slow_ratio(overall * output) ** (1 - self.mix)
        # The gain at which a block of a rest, or near a click, is as loud as in the recording.
        limits = np.divide(self.allowed, output, out=np.full_like(output, np.inf), where=output > 0)
        gains = np.minimum(gains, limits)
        amplified = (gains * output * counted).sum()
        return np.minimum(gains * min(total / amplified, 2.0), limits) if amplified > 0 else gains

    def _slow_ratio(self, output: np.ndarray) -> np.ndarray:
        """The recording's power / the output's over SLOW_S, at most MOST_POWER."""
        a, b = self.slow, _counted_slow(output, self.counted, self.any_counted)
        with np.errstate(over="ignore"):
            return np.minimum(np.divide(a, b, out=np.full_like(a, MOST_POWER), where=b > 0), MOST_POWER)


def _counted_slow(power: np.ndarray, counted: np.ndarray, any_counted: np.ndarray) -> np.ndarray:
    return np.where(any_counted, *(envelope.smoothed(power * share, SLOW_S) for share in (counted, 1.0)))


def _allowed(source: np.ndarray, near_click: np.ndarray, mix: float) -> np.ndarray:
    """The power [blocks] to which a block of a rest, or near a click, may rise.

    The louder a block is against a rest, the more it may exceed its power in the recording, so that nothing switches
    abruptly.
    """
    slow, full = envelope.smoothed(source, SLOW_S), envelope.closed(source, PULSES_S)
    rest = np.maximum(REST_POWER * envelope.highest(slow, AROUND_S), FLOOR_POWER * source.mean())
    rest = np.maximum(rest, NOISE_POWER * NOISE_MIXED**mix * envelope.lowest(slow, NOISE_S))
    above = np.divide(full, rest, out=np.zeros_like(source), where=(rest > 0) & (near_click == 0))
    return full * np.maximum(1.0, above)
