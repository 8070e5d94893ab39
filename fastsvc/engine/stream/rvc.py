"""The features of a block for RVC's voices, on their grid at 16 kHz (engine/rvc_front.py)."""

from __future__ import annotations

import math

import torch

from fastsvc.engine import rvc_front, rvc_options
from fastsvc.engine.request import Request
from fastsvc.engine.rvc_front import HALF, HOP, RATE_HZ, REACH
from fastsvc.engine.stream import reach
from fastsvc.engine.stream.found import Found, scaled
from fastsvc.engine.stream.intake import Intake


class RvcFront:
    """Pitch at the frames' starts, units of the embedder over a window of PAST_S and what is ahead, the index.

    Neither the recording's peak nor the reflected margins of an offline conversion are there: what lies before the
    start is silence.
    """

    def __init__(self, engine, request: Request):
        self.engine, self.request, self.rates = engine, request, {RATE_HZ}
        options = rvc_options.of(engine, request)
        assert options is not None, "the engine is not a voice of RVC"
        self.options, self.method = options, rvc_options.f0_method(engine, request)
        self.past = math.ceil(reach.PAST_S * RATE_HZ / HOP)  # frames
        self.per_unit = engine.encoder.hop_samples // HOP  # frames

    def needs(self, intake: Intake, end: int) -> int:
        return intake.needs(RATE_HZ, end * HOP)

    def find(self, intake: Intake, first: int, end: int, gain: float) -> Found:
        frames, begin, at_16k = end - first, self._begin(first), intake.at[RATE_HZ]
        ended = at_16k.total is not None and end * HOP >= at_16k.total
        last = end * HOP + (REACH if ended else 0)  # so that the last frame has a unit of its own
        audio = scaled(at_16k.samples(begin * HOP - HALF, last), gain)
        f0_hz, voiced = torch.zeros(frames), torch.zeros(frames, dtype=torch.bool)
        if self.method is not None:
            tracked = rvc_front.pitch(self.engine, audio, end - begin, self.method, self.request)
            f0_hz, voiced = (row[first - begin :] for row in tracked)
        units = self.engine.encoder.encode(audio[HALF:])
        places = (torch.arange(first, end) // self.per_unit - begin // self.per_unit).clamp_(max=len(units) - 1)
        used, places = places.unique(return_inverse=True)
        units = original = units[used]  # the index is asked once for each
        if self.options.uses_index:
            units = self.engine.index.blend(units, self.options.index_rate, self.options.index_search)
        original = original[places].float() if self.options.uses_index else None
        return Found(units[places].float(), f0_hz, voiced, torch.zeros(frames), original)

    def _begin(self, first: int) -> int:
        """The window's first frame, which a unit begins with."""
        return max(0, first - self.past) // self.per_unit * self.per_unit

    def forget(self, intake: Intake, first: int) -> None:
        intake.at[RATE_HZ].tape.forget(self._begin(first) * HOP - HALF)

    def clear(self) -> None:
        """Nothing is carried from block to block."""
