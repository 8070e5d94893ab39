"""The acoustic part of a stream's block: features → mel, or for RVC's voices the latent that takes its place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastsvc.config import RvcConfig
from fastsvc.engine import rvc_options
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.request import Request
from fastsvc.engine.stream import reach
from fastsvc.engine.stream.mels import MelMaker, Mels
from fastsvc.engine.stream.settled import Settled, Span
from fastsvc.engine.stream.voice import Voice


def acoustic_of(engine, request: Request) -> ByLayers | Whole:
    return (Whole if isinstance(engine.config, RvcConfig) else ByLayers)(engine, request)


class ByLayers:
    """Mels: a frame's condition is settled in its block, so a change of voice leaves earlier frames as they were."""

    def __init__(self, engine, request: Request):
        steps = request.steps_of(engine)
        self.back, self.condition = reach.acoustic(engine, steps).past, engine.sampler.condition
        self.maker = MelMaker(engine.sampler, steps, request.noise(engine))
        self.found: Mels | None = None

    def clear(self) -> None:
        self.maker.clear()
        self.found = None

    def mel(
        self, features: dict[str, Tensor], settled: Settled, span: Span, last: int, voice: Voice
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Features of a block and its look-ahead → (the mel of the frames from the block's first one up to ``last``,
        the rows that later blocks read)."""
        f0_hz = features["f0_hz"] * 2 ** (voice.semitones / 12)
        cond = self.condition(features["units"], f0_hz, features["volume"], features["voiced"], voice.vector)
        rows, layers = {"cond": cond}, self.maker.rows(span, last)
        self.found = self.maker.make(settled.window(rows, "cond", span, layers.begin, layers.end), layers)
        return self.found.rows, rows

    def settle(self) -> None:
        """The mel found last is the block's."""
        if self.found is not None:
            self.maker.settle(self.found)


class Whole:
    """RVC's voices: every frame attends to its whole window, so nothing of it is final before its block."""

    def __init__(self, engine, request: Request):
        self.sampler, self.steps = engine.sampler, request.steps_of(engine)
        self.back = reach.acoustic(engine, self.steps).past
        options = rvc_options.of(engine, request)
        assert options is not None, "a voice of RVC"
        self.protect, self.draw = options.protect, request.noise(engine)

    def clear(self) -> None:
        """Nothing is carried from block to block."""

    def mel(
        self, features: dict[str, Tensor], settled: Settled, span: Span, last: int, voice: Voice
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As ByLayers.mel; the latent takes the mel's place."""
        begin = max(0, span.first - self.back)
        window: dict[str, Any] = {name: settled.window(features, name, span, begin, span.end) for name in features}
        window["f0_hz"] = window["f0_hz"] * 2 ** (voice.semitones / 12)
        heard = Features(unit_indices=torch.arange(span.end - begin), protect=self.protect, **window)

        def noise(step: int, first: int, last: int) -> Tensor:
            return self.draw(step, first + begin, last + begin)

        own = span.first - begin, last - begin
        return self.sampler.part(heard, voice.vector, self.steps, noise, *own), features

    def settle(self) -> None:
        """Nothing is carried from block to block."""
