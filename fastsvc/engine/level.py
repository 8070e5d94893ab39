"""The result as loud as the recording, moment by moment: the last part of a conversion.

Models compress: what was sung softly comes out too loud, what was sung loudly too soft, and rests hiss. Between what
went in and what came out lies a gain of their powers' ratio over SLOW_S, raised to 1 − mix: RVC's ``rms_mix_rate``,
0 the recording's loudness and 1 the model's own. Windows are shorter than RVC's second, since a rest lasts less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastsvc.audio import envelope

SLOW_S = 0.2
AROUND_S = 1.0  # how far around it a rest's loudest neighbour is looked for
REST_POWER = 10**-3.5  # 35 dB below that neighbour nothing is sung
FLOOR_POWER = 10**-4.5  # nor 45 dB below the recording's mean power
CLICK_POWER = 4.0  # what is 6 dB above what lasts around it is a click
MOST_POWER = 10**1.2  # a moment is raised by 12 dB over the whole, so that drums do not raise a silent voice's hiss
WHOLE_POWER = 10**3.0  # and the whole by 30 dB
FULL_SCALE = 0.99  # not 1: rounding, and coders, come after
SOFTENED = 2.0  # peaks up to so many times full scale are rounded off, higher ones turned down before
MADE_UP = 10**0.15  # power that rounding off took and that is given back at once: at most 1.5 dB


@dataclass(frozen=True, eq=False)
class Level:
    """Of a recording as it was heard: the power of its blocks (audio/envelope.py), its peak, and the mix."""

    powers: np.ndarray
    peak: float
    mix: float

    @staticmethod
    def of(audio: np.ndarray, rate_hz: int, mix: float) -> Level | None:
        """Of audio [samples] before it is brought to any level; None at mix 1, where nothing is changed."""
        if mix == 1.0:
            return None
        peak = float(max(audio.max(initial=0.0), -audio.min(initial=0.0)))
        return Level(envelope.powers(audio, rate_hz), peak, mix)

    def follow(self, audio: np.ndarray, rate_hz: int) -> np.ndarray:
        """The result [samples], of the same duration, made as loud; in its own memory.

        Voices of models have higher peaks than people's at one loudness: peaks above full scale, or above the
        recording's where that is louder, are rounded off, so that nobody has to turn the whole down.
        """
        made = envelope.powers(audio, rate_hz)
        if not made.any():
            return audio
        heard = np.pad(self.powers, (0, max(0, len(made) - len(self.powers))), mode="edge")[: len(made)]
        gains, ceiling = power_gains(heard, made, self.mix), max(FULL_SCALE, self.peak)
        highest = envelope.peaks(audio, rate_hz)
        envelope.amplify(audio, rate_hz, np.minimum(np.sqrt(gains), SOFTENED * ceiling / np.maximum(highest, 1e-30)))
        return _below(ceiling, audio, rate_hz, float((gains * made).sum()))


def _below(ceiling: float, audio: np.ndarray, rate_hz: int, power: float) -> np.ndarray:
    """``audio`` itself, its peaks rounded off where they are too high, and raised until its blocks' powers sum to
    ``power`` again, or nearly."""
    if max(audio.max(), -audio.min()) <= ceiling:
        return audio
    envelope.round_off(audio, ceiling)
    for _ in range(3):
        lost = min(power / envelope.powers(audio, rate_hz).sum(), MADE_UP)
        if lost < 1.05:
            break
        audio *= np.float32(math.sqrt(lost))
        envelope.round_off(audio, ceiling)
    return audio


def power_gains(heard: np.ndarray, made: np.ndarray, mix: float) -> np.ndarray:
    """Gains of power [blocks] that bring ``made`` to ``heard``, both powers [blocks]; ``made`` is not all silence."""
    whole = np.minimum(heard, CLICK_POWER * envelope.sustained(heard))
    sung = envelope.smoothed(whole, SLOW_S)
    overall = min(whole.sum() / made.sum(), WHOLE_POWER)
    gains = overall * _ratio(sung, overall * envelope.smoothed(made, SLOW_S)) ** (1 - mix)
    gains = np.minimum(gains, _most(whole, made))
    brought = (gains * made).sum()
    return gains * min(whole.sum() / brought, 2.0) if brought > 0 else gains


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, at most MOST_POWER, which it is where b is 0."""
    return np.minimum(np.divide(a, b, out=np.full_like(a, MOST_POWER), where=b > 0), MOST_POWER)


def _most(heard: np.ndarray, made: np.ndarray) -> np.ndarray:
    """What keeps each block of a rest from being louder than it was heard: [blocks]. The louder it was against those
    around it the more it may exceed it, so that nothing is switched."""
    around = envelope.highest(envelope.smoothed(heard, SLOW_S), AROUND_S)
    rest = np.maximum(REST_POWER * around, FLOOR_POWER * heard.mean())
    most = heard * np.maximum(1.0, np.divide(heard, rest, out=np.zeros_like(heard), where=rest > 0))
    return np.divide(most, made, out=np.full_like(made, np.inf), where=made > 0)
