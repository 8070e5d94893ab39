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

SLOW_S = 0.2  # from 0.1 to 0.4 s little changes: bench/results/level.json
AROUND_S = 1.0  # how far around it a rest's loudest neighbour is looked for
REST_POWER = 10**-3.5  # 35 dB below that neighbour nothing is sung
FLOOR_POWER = 10**-3.5  # nor 35 dB below the recording's mean power
NOISE_S, NOISE_POWER = 3.0, 4.0  # what is less than 6 dB above the softest of so many seconds is no more than noise
NOISE_MIXED = 10**-4.0  # times that at mix 1: what is not brought to the recording's level may be soft singing as well
PULSES_S = 0.02  # pulses of a voice have shorter gaps between them
CLICK_S = 0.13  # what the model makes of a click, that long in all, tells nothing of the voice's level
MOST_POWER = 10**1.2  # a moment is raised by 12 dB over the whole, so that drums do not raise a silent voice's hiss
WHOLE_POWER = 10**3.0  # and the whole by 30 dB
FULL_SCALE = 0.99  # not 1: rounding, and coders, come after
SOFTENED = 2.0  # peaks up to so many times full scale are rounded off, higher ones turned down before
MADE_UP = 10**0.15  # power that rounding off took and that is given back at once: at most 1.5 dB


@dataclass(frozen=True, eq=False)
class LoudnessProfile:
    """Of a recording as it was heard: powers of its blocks (audio/envelope.py) and which click, its peak, the mix."""

    powers: np.ndarray  # of a block with a click: what lasts around it
    clicks: np.ndarray
    peak: float
    mix: float

    @staticmethod
    def of(audio: np.ndarray, rate_hz: int, mix: float) -> LoudnessProfile | None:
        """Of audio [samples] before it is brought to any level; None at mix 1, where nothing is changed."""
        if mix == 1.0:
            return None
        peak = float(max(audio.max(initial=0.0), -audio.min(initial=0.0)))
        powers = envelope.powers(audio, rate_hz)
        lasting = envelope.sustained(powers)
        clicks = envelope.clicks(audio, rate_hz, powers, lasting)
        return LoudnessProfile(np.where(clicks, lasting, powers), clicks, peak, mix)

    def follow(self, audio: np.ndarray, rate_hz: int) -> np.ndarray:
        """The result [samples], of the same duration, made as loud; in its own memory.

        Voices of models have higher peaks than people's at one loudness: peaks above full scale, or above the
        recording's where that is louder, are rounded off, so that nobody has to turn the whole down.
        """
        made = envelope.powers(audio, rate_hz)
        if not made.any():
            return audio
        more = 0, max(0, len(made) - len(self.powers))  # a block, at another rate
        heard, clicks = (np.pad(one, more, mode="edge")[: len(made)] for one in (self.powers, self.clicks))
        gains, ceiling = power_gains(heard, clicks, made, self.mix), max(FULL_SCALE, self.peak)
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
        if lost < 1.12:  # 0.5 dB
            break
        audio *= np.float32(math.sqrt(lost))
        envelope.round_off(audio, ceiling)
    return audio


def power_gains(heard: np.ndarray, clicks: np.ndarray, made: np.ndarray, mix: float) -> np.ndarray:
    """Gains of power [blocks] that bring ``made`` to ``heard``, both powers [blocks]; ``made`` is not all silence."""
    near = envelope.highest(clicks.astype(np.float64), CLICK_S)
    seen = 1.0 - near if near.min() == 0 else np.ones_like(near)
    total = (heard * seen).sum()
    overall = min(total / max((made * seen).sum(), total / WHOLE_POWER, 1e-300), WHOLE_POWER)
    gains = overall * _slow_ratio(heard, overall * made, seen) ** (1 - mix)
    most = _most(heard, made, near, mix)
    gains = np.minimum(gains, most)
    brought = (gains * made * seen).sum()
    return np.minimum(gains * min(total / brought, 2.0), most) if brought > 0 else gains


def _slow_ratio(heard: np.ndarray, made: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """heard / made over SLOW_S, of the blocks that are ``seen`` where there are such, and at most MOST_POWER."""
    pair = [[envelope.smoothed(power * share, SLOW_S) for share in (seen, 1.0)] for power in (heard, made)]
    there = envelope.smoothed(seen, SLOW_S) > 0
    a, b = (np.where(there, *one) for one in pair)
    with np.errstate(over="ignore"):
        return np.minimum(np.divide(a, b, out=np.full_like(a, MOST_POWER), where=b > 0), MOST_POWER)


def _most(heard: np.ndarray, made: np.ndarray, near: np.ndarray, mix: float) -> np.ndarray:
    """What keeps each block of a rest, or ``near`` a click, from being louder than it was heard: [blocks].

    The louder it was against a rest the more it may exceed it, so that nothing is switched.
    """
    slow, full = envelope.smoothed(heard, SLOW_S), envelope.closed(heard, PULSES_S)
    rest = np.maximum(REST_POWER * envelope.highest(slow, AROUND_S), FLOOR_POWER * heard.mean())
    rest = np.maximum(rest, NOISE_POWER * NOISE_MIXED**mix * envelope.lowest(slow, NOISE_S))
    above = np.divide(full, rest, out=np.zeros_like(heard), where=(rest > 0) & (near == 0))
    return np.divide(full * np.maximum(1.0, above), made, out=np.full_like(made, np.inf), where=made > 0)
