"""The features of a block for models of mels, each from a window of the input that the grid fixes."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsvc.audio import loudness
from fastsvc.engine import extraction
from fastsvc.engine.request import Request
from fastsvc.engine.stream.found import Found, scaled
from fastsvc.engine.stream.intake import Intake
from fastsvc.engine.stream.pitch import pitch_of
from fastsvc.engine.stream.units import units_of
from fastsvc.features import align


class MelFront:
    """Pitch and loudness at the mel's rate; units of the encoder, on its own absolute grid."""

    def __init__(self, engine, request: Request):
        self.config, self.encoder = engine.config, engine.encoder
        self.mel, self.rates = engine.config.mel, {engine.config.mel.rate_hz, engine.encoder.rate_hz}
        ratio = extraction.units_per_frame(engine.config, engine.encoder)
        assert ratio is not None, "an encoder has a hop"
        self.ratio = ratio
        self.pitch = pitch_of(engine, request)
        self.units = units_of(engine.encoder)

    def needs(self, intake: Intake, end: int) -> int:
        of_pitch = intake.needs(self.mel.rate_hz, self._samples(end))
        return max(of_pitch, intake.needs(self.encoder.rate_hz, self._encoder_samples(end)))

    def _samples(self, end: int) -> int:
        return end * self.mel.hop_samples

    def _encoder_samples(self, end: int) -> int:
        return self._samples(end) * self.encoder.rate_hz // self.mel.rate_hz

    def _places(self, frames: Tensor) -> Tensor:
        return align.by_hops(frames, self.ratio, self.config.features.unit_align)

    def find(self, intake: Intake, first: int, end: int, gain: float) -> Found:
        begin, hop = max(0, first - self.pitch.past), self.mel.hop_samples
        audio = scaled(intake.at[self.mel.rate_hz].samples(begin * hop, end * hop), gain)
        f0_hz, voiced = self.pitch.find(audio, begin, first, gain)
        volume = loudness.frame_rms(audio[None], hop)[0, first - begin :]
        return Found(self._content(intake, first, end, gain), f0_hz, voiced, volume)

    def _content(self, intake: Intake, first: int, end: int, gain: float) -> Tensor:
        resampled, last = intake.at[self.encoder.rate_hz], self._encoder_samples(end)
        if resampled.total is not None and end * self.mel.hop_samples >= intake.at[self.mel.rate_hz].total:
            last = resampled.total  # the recording ends in the last frame
        places = self._places(torch.arange(first, end))
        units, begin = self.units.find(resampled, int(places[0]), last, gain)
        return units[(places - begin).clamp_(0, len(units) - 1)].float()

    def clear(self) -> None:
        self.pitch.clear()
        self.units.clear()

    def forget(self, intake: Intake, first: int) -> None:
        self.pitch.settle()
        self.units.settle()
        first_unit = self.units.begin(int(self._places(torch.tensor(first))))
        kept = {self.encoder.rate_hz: first_unit * self.encoder.hop_samples}
        samples = self._samples(max(0, first - self.pitch.past))
        kept[self.mel.rate_hz] = min(samples, kept.get(self.mel.rate_hz, samples))
        for rate_hz, before in kept.items():
            intake.at[rate_hz].tape.forget(before)
