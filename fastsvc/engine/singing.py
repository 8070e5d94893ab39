"""Features → audio, by an engine's sampler and synthesiser: the second part of a conversion."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from fastsvc.engine import checks, ranges, shallow
from fastsvc.engine.conversion import between
from fastsvc.engine.cpu import sampler as runtime
from fastsvc.engine.request import Request

SAMPLED = 0.4  # for the progress bar alone: the mel's share


def sung(engine, features: Sequence[runtime.Features], request: Request, progress=None) -> list[np.ndarray]:
    """Audio [T·hop] of each recording, whose slices share a GPU's batches."""
    steps, seed, vector = request.steps_of(engine), request.seed, request.voice(engine)

    def sample(progress) -> list[Tensor]:
        return engine.sampler.many(features, vector, steps, [seed] * len(features), progress)

    with engine.lock:
        return [audio.numpy() for audio in _made(engine, features, seed, sample, progress)[0]]


def synthesised(engine, features: runtime.Features, request: Request, noise, mel) -> tuple[Tensor | None, Tensor]:
    """(audio [T·hop], None without a vocoder; log-mel [T, M]) of one recording, from draws or a mel that are handed in.

    Raises ConfigError for those that do not fit, EngineError for a result that is not finite.
    """
    steps, seed, vector = request.steps_of(engine), request.seed, request.voice(engine)
    frames = len(features.f0_hz)
    mel, noise = shallow.mel(engine, mel, frames), checks.noise(engine, noise, frames, steps)
    draw = runtime.seeded(seed, engine.config.mel.bins) if noise is None else runtime.given(noise)

    def sample(progress) -> list[Tensor]:
        return [engine.sampler(features, vector, steps, draw, progress=progress, mel=mel)]

    with engine.lock:
        audio, mels = _made(engine, [features], seed, sample)
    audio, mel = audio[0] if audio else None, mels[0].cpu()
    checks.finite(mel.numpy(), None if audio is None else audio.numpy())
    return audio, mel


def _made(
    engine,
    heard: Sequence[runtime.Features],
    seed: int,
    sample: Callable[[runtime.Progress | None], list[Tensor]],
    progress: runtime.Progress | None = None,
) -> tuple[list[Tensor], list[Tensor]]:
    """(audio of each recording, none without a vocoder; the mels that ``sample(progress)`` made of them)."""
    start = time.perf_counter()
    with ranges.stage("mel"):
        mels = sample(between(progress, 0.0, SAMPLED))
    sampled, begun = time.perf_counter(), []
    for i, (mel, features) in enumerate(zip(mels, heard, strict=True) if engine.synthesiser else ()):
        f0_hz = features.f0_hz if engine.sources_everywhere else features.f0_hz * features.voiced
        one = between(between(progress, SAMPLED, 1.0), i / len(heard), (i + 1) / len(heard))
        begun.append(engine.synthesiser.begin(mel, f0_hz, seed, progress=one))
    audio = [finish() for finish in begun]
    engine.timings = {"mel": sampled - start, "vocoder": time.perf_counter() - sampled}
    return audio, mels
