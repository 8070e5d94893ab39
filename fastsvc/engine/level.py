"""The result as loud as the recording, moment by moment: the last part of a conversion.

Models compress: what was sung softly comes out too loud, what was sung loudly too soft, and rests hiss. Between what
went in and what came out lies a gain of their powers' ratio over SLOW_S, raised to 1 − mix: RVC's ``rms_mix_rate``,
0 the recording's loudness and 1 the model's own. Windows are shorter than RVC's second, since a rest lasts less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsvc.audio import envelope

SLOW_S = 0.1  # chosen by bench/level.py
REST_S = 1.0  # how far around it a rest's loudest neighbour is looked for
REST_POWER = 10**-2.0  # 20 dB below that neighbour nothing is sung
FLOOR_POWER = 10**-4.5  # nor 45 dB below the recording's mean power
MOST_POWER = 10**1.2  # a moment is raised by 12 dB over the whole, which keeps drums from raising a silent voice's hiss
WHOLE_POWER = 10**3.0  # and the whole by 30 dB
FULL_SCALE = 1.0
CLICK_POWER = 4.0  # what is 6 dB above what lasts around it is a click


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
        """The result [samples], of the same duration, made as loud; in its own memory."""
        made, highest = envelope.powers(audio, rate_hz), envelope.peaks(audio, rate_hz)
        heard = np.pad(self.powers, (0, max(0, len(made) - len(self.powers))), mode="edge")[: len(made)]
        if not made.any():
            return audio
        gains = power_gains(heard, made, self.mix)
        gains = np.sqrt(gains)
        loudest = max(FULL_SCALE, self.peak)
        return envelope.amplify(audio, rate_hz, np.minimum(gains, loudest / np.maximum(highest, 1e-30)))


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
    """What keeps each block of a rest from being louder than it was heard; without limit where somebody sings."""
    around = envelope.highest(envelope.smoothed(heard, SLOW_S), REST_S)
    rest = heard < np.maximum(REST_POWER * around, FLOOR_POWER * heard.mean())
    return np.where(rest, np.divide(heard, made, out=np.full_like(made, np.inf), where=made > 0), np.inf)
