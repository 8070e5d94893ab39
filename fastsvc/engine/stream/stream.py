"""Live conversion: samples in, converted samples out, a block at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fastsvc import arguments
from fastsvc.audio.fir import ShortResampler
from fastsvc.config import RvcConfig
from fastsvc.engine import checks, extraction
from fastsvc.engine.request import Request
from fastsvc.engine.stream.block import BlockMaker
from fastsvc.engine.stream.front import MelFront
from fastsvc.engine.stream.grid import Grid, Latency
from fastsvc.engine.stream.intake import Intake
from fastsvc.engine.stream.rvc import RvcFront
from fastsvc.engine.stream.settled import Block, Span
from fastsvc.engine.stream.tape import Tape
from fastsvc.engine.stream.voice import Voice
from fastsvc.errors import AudioError, ConfigError, EngineError

LOUDEST = 1e6  # of a sample: far above full scale, and far below where sums of squares overflow
FADE_S = 0.02  # from one voice to the next
MEASURED = 512  # blocks that the times are of
PIECE_S = 0.5  # of a push at a time, so that a long one needs no more memory


class Stream:
    """Made by :meth:`fastsvc.engine.Engine.stream`. Sample n of the output belongs to sample n of the input.

    Everything lies on one absolute grid of frames: how the input is cut into pushes changes no bit. Calls of one stream
    must not overlap; several streams may share an engine, whose computing they take in turns.
    """

    def __init__(self, engine, request: Request, rate_hz: int, grid: Grid, gain: float):
        self.engine, self.request, self.grid, self.gain = engine, request, grid, gain
        self.maker = BlockMaker(engine, request)
        self.front = (RvcFront if isinstance(engine.config, RvcConfig) else MelFront)(engine, request)
        self.voice = Voice.of(engine, request, gain)
        self.next_voice: Voice | None = None
        self.rate_hz = rate_hz
        self.outwards = ShortResampler(grid.rate_hz, self.rate_hz)
        self.seconds: deque[float] = deque(maxlen=MEASURED)
        self._clear()

    @classmethod
    def open(cls, engine, rate_hz, block_ms, lookahead_ms, gain, request: Request) -> Stream:
        """Raises SpeakerError, ConfigError, EngineError."""
        if engine.device.type != "cpu":
            raise EngineError(
                f"{engine.path} is open on {engine.device}, and streams run on the CPU for now",
                "open the engine with device cpu",
            )
        rate_hz = arguments.rate_hz(rate_hz)
        _check(engine, request)
        return cls(engine, request, rate_hz, Grid.of(engine.config.mel, block_ms, lookahead_ms), _gain(gain))

    @property
    def latency(self) -> Latency:
        """What delays the output; the time to compute is 0 before the first block."""
        resampling_s = self.outwards.reach_s + max(one.resampler.reach_s for one in self.intake.at.values())
        seconds = list(self.seconds)  # another thread may compute meanwhile
        compute = np.percentile(seconds, (50, 95)) * 1000 if seconds else np.zeros(2)
        median_ms, late_ms = map(float, compute)
        return Latency(self.grid.block_ms, self.grid.lookahead_ms, 1000 * resampling_s, (median_ms, late_ms))

    def set(self, *, speaker=None, transpose=None, gain=None) -> None:
        """Change the voice from the next block on; the change is faded over 20 ms. None leaves a value as it is.

        Raises SpeakerError, ConfigError, EngineError, and changes nothing then.
        """
        changes = {"speaker": speaker, "transpose": transpose}
        request = replace(self.request, **{name: value for name, value in changes.items() if value is not None})
        _check(self.engine, request)
        gain = self.gain if gain is None else _gain(gain)
        self.next_voice = Voice.of(self.engine, request, gain)
        self.request, self.gain = request, gain

    def push(self, samples) -> np.ndarray:
        """Any number of samples, mono, float → float32, all that is final now.

        Raises AudioError for samples that are not finite or not [samples]; then nothing was taken, and the stream goes
        on with the next push.
        """
        audio, pieces = torch.from_numpy(_mono(samples, self.rate_hz)), []
        for piece in audio.split(max(1, round(PIECE_S * self.rate_hz))) if len(audio) else ():
            self.intake.pushed.append(piece)
            while self.intake.pushed.end >= self.front.needs(self.intake, self._span(None).end):
                pieces.append(self._advance(self._span(None)))
        return _joined(pieces)

    def flush(self) -> np.ndarray:
        """The rest of the output, as the input has ended; the next push begins another recording."""
        intake, pieces = self.intake, []
        intake.total = samples = intake.pushed.end
        model_samples = math.ceil(samples * self.grid.rate_hz / self.rate_hz)
        frames = math.ceil(model_samples / self.grid.hop)
        while self.frame < frames:
            pieces.append(self._advance(self._span(frames), model_samples))
        pieces.append(self._outwards(samples))
        self._clear()
        return _joined(pieces)

    def _clear(self) -> None:
        self.intake, self.audio = Intake(self.rate_hz, self.front.rates), Tape()
        self.frame = self.written = 0  # frames computed, samples given out
        self.front.clear()
        self.maker.clear()
        if self.next_voice is not None:
            self.voice, self.next_voice = self.next_voice, None

    def _span(self, total: int | None) -> Span:
        last = self.frame + self.grid.block
        end = last + self.grid.lookahead
        if total is None:
            return Span(self.frame, last, end, None)
        return Span(self.frame, min(last, total), min(end, total), total)

    @torch.inference_mode()
    def _advance(self, span: Span, most: int | None = None) -> Tensor:
        """Compute a block; returns the output samples that became final. ``most``: samples of the whole result."""
        started = time.perf_counter()
        with self.engine.lock:
            audio = self._faded(span)
        if most is not None:
            audio = audio[: max(0, most - self.audio.end)]
        self.audio.append(audio)
        self.frame = span.last
        self.front.forget(self.intake, self.frame)
        self.intake.forget()
        output = self._outwards(self.outwards.final(self.audio.end)) if span.total is None else torch.zeros(0)
        self.seconds.append(time.perf_counter() - started)
        return output

    def _faded(self, span: Span) -> Tensor:
        """The block's audio; after a change, the old voice gives way to the new one."""
        block, before = self._block(span, self.voice), None
        if self.next_voice is not None:
            before, self.voice, self.next_voice = block, self.next_voice, None
            block = self._block(span, self.voice)
        self.maker.settle(block)
        if before is None:
            return block.audio
        fade = min(len(block.audio), round(FADE_S * self.grid.rate_hz))
        share = torch.arange(1, fade + 1) / (fade + 1)
        return torch.cat((before.audio[:fade].lerp(block.audio[:fade], share), block.audio[fade:]))

    def _block(self, span: Span, voice: Voice) -> Block:
        found = self.front.find(self.intake, span.first, span.end, voice.gain)
        return self.maker.make(found, span, voice)

    def _outwards(self, last: int) -> Tensor:
        """Samples of the output up to ``last`` that were not given out yet."""
        if last <= self.written:
            return torch.zeros(0)
        output = self.outwards(self.audio.rows(*self.outwards.needs(self.written, last)), self.written, last)
        self.written = last
        self.audio.forget(self.outwards.needs(last, last + 1)[0])
        return output


def _check(engine, request: Request) -> None:
    checks.streams(engine)
    if request.transpose in arguments.AUTO_TRANSPOSE:
        raise ConfigError(f"a stream cannot transpose by {request.transpose!r}", "use a number of semitones")
    checks.convertible(engine)
    request.check(engine)


def _gain(value) -> float:
    return arguments.number("gain", value, *arguments.GAIN)


def _mono(samples, rate_hz: int) -> np.ndarray:
    if getattr(samples, "ndim", 1) != 1:
        raise AudioError(f"a stream takes one channel, not shape {tuple(samples.shape)}", "push [samples]")
    audio = extraction.mono(samples, rate_hz)[0]
    if unusable(audio).any():
        raise AudioError(f"audio holds samples beyond {LOUDEST:g}", "scale it to −1 … 1")
    return audio


def unusable(samples: np.ndarray) -> np.ndarray:
    """Which samples :meth:`Stream.push` would refuse: NaN, infinite ones and ones beyond LOUDEST."""
    return ~(np.abs(samples) <= LOUDEST)


def _joined(pieces: list[Tensor]) -> np.ndarray:
    return torch.cat(pieces).numpy().copy() if pieces else np.zeros(0, np.float32)
