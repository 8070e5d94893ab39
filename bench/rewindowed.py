"""Streams that compute every window anew: what streams with kept rows are measured against, and tested against."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from fastsvc.audio.mel import log_mel
from fastsvc.engine.cpu.vocoder import Vocoder
from fastsvc.engine.stream.continued import continued, held
from fastsvc.engine.stream.found import scaled
from fastsvc.engine.stream.intake import Resampled
from fastsvc.engine.stream.mels import MelMaker, Mels
from fastsvc.engine.stream.pitch import WindowPitch
from fastsvc.engine.stream.settled import Span
from fastsvc.engine.stream.sound import KeptSound, WindowSound
from fastsvc.engine.stream.units import WindowUnits

WAYS = ("rewindowed", "trimmed", "kept")


@dataclass(frozen=True)
class Window:
    """Frames begin … end − 1, of which first … last − 1 are wanted."""

    begin: int
    first: int
    last: int
    end: int


class ContinuedUnits(WindowUnits):
    """The convolutional recogniser over a window whose spectrum goes on as in a stream."""

    def find(self, resampled: Resampled, first: int, last: int, gain: float) -> tuple[Tensor, int]:
        begin, mel, model = self.begin(first), self.encoder.config.mel, self.encoder.model
        audio = scaled(resampled.samples(begin * self.hop, last), gain)
        rows = log_mel(pad(audio, (0, max(0, self.hop - len(audio))))[None], mel)[0]
        exact = (last + (mel.fft_samples - self.hop) // 2 - mel.fft_samples) // self.hop + 1 - begin
        newest = held(resampled, last, mel, gain)
        more = continued(rows, newest, int(exact < len(rows)), model.future_frames)
        return model(more[None])[0][0, : len(rows)], begin


class WholeMels:
    """A MelMaker's part: the sampler as in offline conversion, over the wanted frames with all their halos."""

    def __init__(self, maker: MelMaker):
        self.model, self.levels, self.draw = maker.model, maker.levels, maker.noise.noise
        self.evaluations = len(maker.reaches) // len(maker.denoiser.reaches)
        self.past, self.ahead = (sum(side) for side in zip(*maker.reaches))

    def clear(self) -> None:
        pass

    def rows(self, span: Span, last: int) -> Window:
        return Window(max(0, span.first - self.past), span.first, last, span.within(last + self.ahead))

    def make(self, cond: Tensor, rows: Window) -> Mels:
        def noise(step: int) -> Tensor:
            return self.draw(step, rows.begin, rows.end)

        x = self.model._sample(cond, self.levels, noise, self.evaluations, None)
        x = x[rows.first - rows.begin : rows.last - rows.begin]
        return Mels(x.add(1).mul_((self.model.high - self.model.low) / 2).add_(self.model.low), [])

    def settle(self, mels: Mels) -> None:
        pass


class WholeGenerator:
    """A vocoder of which a window is computed whole."""

    def __init__(self, vocoder: Vocoder):
        self.vocoder, self.halo_frames, self.source = vocoder, vocoder.halo_frames, vocoder.source

    def __call__(self, *arguments) -> Tensor:
        return self.vocoder(*arguments)


def prepare(stream, way: str):
    """The stream, made to compute in one of WAYS; "rewindowed" changes its engine's vocoder, too."""
    if way != "kept" and isinstance(stream.maker.sound, KeptSound):
        stream.maker.sound = WindowSound(stream.engine, stream.request.seed)
        stream.maker.clear()
    if way == "rewindowed":
        stream.maker.acoustic.maker = WholeMels(stream.maker.acoustic.maker)
        stream.front.units = ContinuedUnits(stream.front.encoder)
        stream.front.pitch = WindowPitch(stream.engine, stream.request)
        if isinstance(stream.engine.synthesiser.vocoder, Vocoder):
            stream.engine.synthesiser.vocoder = WholeGenerator(stream.engine.synthesiser.vocoder)
    elif way == "trimmed":  # no row that the output does not depend on, but none is kept
        stream.maker.acoustic.maker.keeps = False
        stream.front.units.settle = stream.front.pitch.settle = lambda: None
    return stream
