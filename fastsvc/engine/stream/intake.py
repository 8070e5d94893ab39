"""The input of a stream at its own rate and, by the short resampler, at the rates of pitch tracker and encoder."""

from __future__ import annotations

from torch import Tensor

from fastsvc.audio.fir import ShortResampler
from fastsvc.audio.resample import resampled_length
from fastsvc.engine.stream.tape import Tape


class Intake:
    """Samples as they were pushed; ``at[rate]`` is the same audio at another rate. ``total``: known at the end only."""

    def __init__(self, rate_hz: int, rates: set[int]):
        self.rate_hz, self.pushed = rate_hz, Tape()
        self.total: int | None = None
        self.at = {rate: Resampled(self, rate) for rate in sorted(rates)}

    def needs(self, rate_hz: int, samples: int) -> int:
        """Samples of the input that the first ``samples`` at a rate are made of."""
        return max(0, self.at[rate_hz].resampler.needs(0, samples)[1]) if samples else 0

    def forget(self) -> None:
        self.pushed.forget(min(one.resampler.needs(one.tape.end, one.tape.end + 1)[0] for one in self.at.values()))


class Resampled:
    """Samples at one rate, computed up to where they were asked for: each once, in ranges that the grid fixes."""

    def __init__(self, intake: Intake, rate_hz: int):
        self.intake, self.rate_hz, self.tape = intake, rate_hz, Tape()
        self.resampler = ShortResampler(intake.rate_hz, rate_hz)

    @property
    def total(self) -> int | None:
        total = self.intake.total
        return None if total is None else resampled_length(total, self.intake.rate_hz, self.rate_hz)

    def samples(self, first: int, last: int) -> Tensor:
        """Samples first … last − 1; zeros before the first and after the last of the recording."""
        first_new, total = self.tape.end, self.total
        last_new = last if total is None else min(last, total)
        if last_new > first_new:
            audio = self.intake.pushed.rows(*self.resampler.needs(first_new, last_new))
            self.tape.append(self.resampler(audio, first_new, last_new))
        return self.tape.rows(first, last)
