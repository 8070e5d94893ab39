"""The output as loud as the recording, moment by moment: the last part of a conversion.

Models compress: soft passages come out too loud, loud passages too soft, and rests hiss. The gain is the ratio of the
recording's power to the output's over SLOW_S, raised to 1 − mix. ``mix`` is RVC's ``rms_mix_rate``: 0 is the
recording's loudness and 1 the model's own. Windows are shorter than RVC's second, because a rest lasts less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        padding = 0, max(0, len(output) - len(self.powers))  # at another rate there may be one block more
        source, clicks = (np.pad(values, padding, mode="edge")[: len(output)] for values in (self.powers, self.clicks))
        return power_gains(source, clicks, output, self.mix)

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


def power_gains(source: np.ndarray, clicks: np.ndarray, output: np.ndarray, mix: float) -> np.ndarray:
    """Gains of power [blocks] that bring ``output`` to ``source``, both powers [blocks]; ``output`` is not silence."""
    near_click = envelope.highest(clicks.astype(np.float64), CLICK_S)
    counted = 1.0 - near_click if near_click.min() == 0 else np.ones_like(near_click)
    total = (source * counted).sum()
    overall = min(total / max((output * counted).sum(), total / WHOLE_POWER, 1e-300), WHOLE_POWER)
    gains = overall * _slow_ratio(source, overall * output, counted) ** (1 - mix)
    limits = _limits(source, output, near_click, mix)
    gains = np.minimum(gains, limits)
    amplified = (gains * output * counted).sum()
    return np.minimum(gains * min(total / amplified, 2.0), limits) if amplified > 0 else gains


def _slow_ratio(source: np.ndarray, output: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """source / output over SLOW_S, at most MOST_POWER; of the ``counted`` blocks wherever there are any."""
    pairs = [[envelope.smoothed(power * share, SLOW_S) for share in (counted, 1.0)] for power in (source, output)]
    any_counted = envelope.smoothed(counted, SLOW_S) > 0
    a, b = (np.where(any_counted, *pair) for pair in pairs)
    with np.errstate(over="ignore"):
        return np.minimum(np.divide(a, b, out=np.full_like(a, MOST_POWER), where=b > 0), MOST_POWER)


def _limits(source: np.ndarray, output: np.ndarray, near_click: np.ndarray, mix: float) -> np.ndarray:
    """The gains [blocks] at which a block of a rest, or near a click, is as loud as in the recording.

    The louder a block is against a rest, the more its gain may exceed that, so that nothing switches abruptly.
    """
    slow, full = envelope.smoothed(source, SLOW_S), envelope.closed(source, PULSES_S)
    rest = np.maximum(REST_POWER * envelope.highest(slow, AROUND_S), FLOOR_POWER * source.mean())
    rest = np.maximum(rest, NOISE_POWER * NOISE_MIXED**mix * envelope.lowest(slow, NOISE_S))
    above = np.divide(full, rest, out=np.zeros_like(source), where=(rest > 0) & (near_click == 0))
    return np.divide(full * np.maximum(1.0, above), output, out=np.full_like(output, np.inf), where=output > 0)
