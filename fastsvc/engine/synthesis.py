"""Features → audio, by an engine's sampler and synthesiser: the second part of a conversion."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from fastsvc.config import AnyVocoderConfig
from fastsvc.engine import checks, margins, ranges, shallow
from fastsvc.engine.conversion import Recording, progress_between
from fastsvc.engine.cpu.sampler import Features, Progress, noise_from
from fastsvc.engine.request import Request

MEL_SHARE = 0.4  # for the progress bar alone: the mel's share of the time


def synthesise_many(engine, recordings: Sequence[Recording], request: Request, progress=None) -> list[np.ndarray]:
    """Audio [T·hop] of each recording, whose slices share a GPU's batches."""
    return [one.numpy() for one in audio_of(engine, recordings, request, progress)]


def audio_of(engine, recordings: Sequence[Recording], request: Request, progress=None, to_host=True) -> list[Tensor]:
    """The same; without ``to_host`` the audio stays on a GPU, which may still be at work on it."""
    steps, vector, noise = request.steps_of(engine), request.voice(engine), request.noise(engine)

    def started(features: list[Features], progress) -> list[Callable[[], Tensor]]:
        def sample(progress) -> list[Tensor]:
            return engine.sampler.many(features, vector, steps, [noise] * len(features), progress)

        return _pending_and_mels(engine, features, request, sample, progress, to_host)[0]

    with engine.lock:
        pending = started([recording.features for recording in recordings], progress)
        # While a GPU works, the host looks at what was not known of the features when they were used.
        again = {i: features for i, one in enumerate(recordings) if (features := one.regated()) is not None}
        if again and pending:
            for i, finish in zip(again, started(list(again.values()), None)):
                pending[i] = finish
        return _finished(engine, pending)


def synthesise_one(engine, features: Features, request: Request, noise, mel) -> tuple[Tensor | None, Tensor]:
    """(audio [T·hop], None without a vocoder; log-mel [T, M]) of one recording; the caller may supply noise and mel.

    Raises ConfigError for a noise or mel that does not fit, EngineError for a result that is not finite.
    """
    steps, vector, frames = request.steps_of(engine), request.voice(engine), len(features.f0_hz)
    mel, noise = shallow.mel(engine, mel, frames), checks.noise(engine, noise, frames, steps)
    draw = request.noise(engine) if noise is None else noise_from(noise)

    def sample(progress) -> list[Tensor]:
        return [engine.sampler(features, vector, steps, draw, progress=progress, mel=mel)]

    with engine.lock:
        pending, mels = _pending_and_mels(engine, [features], request, sample)
        audio = _finished(engine, pending)
    audio, mel = audio[0] if audio else None, mels[0].cpu()
    checks.finite(mel.numpy(), None if audio is None else audio.numpy())
    return audio, mel


def _pending_and_mels(
    engine,
    recordings: Sequence[Features],
    request: Request,
    sample: Callable[[Progress | None], list[Tensor]],
    progress: Progress | None = None,
    to_host: bool = True,
) -> tuple[list[Callable[[], Tensor]], list[Tensor]]:
    """(calls that wait for the audio of each recording, none without a vocoder; the mels that ``sample(progress)``
    returned)."""
    start = time.perf_counter()
    with ranges.stage("mel"):
        mels = sample(progress_between(progress, 0.0, MEL_SHARE))
    sampled, pending, count = time.perf_counter(), [], len(recordings)
    vocoder_progress = progress_between(progress, MEL_SHARE, 1.0)
    weights = engine.table.weights(request.speaker)
    speaker = engine.synthesiser.speaker(weights) if engine.synthesiser else None
    where = {} if to_host else {"to_host": False}
    for i, (mel, features) in enumerate(zip(mels, recordings, strict=True) if engine.synthesiser else ()):
        f0_hz = features.f0_hz if engine.sources_everywhere else features.f0_hz * features.voiced
        own_progress = progress_between(vocoder_progress, i / count, (i + 1) / count)
        mel, f0_hz, beyond = without_margin(mel, f0_hz, features.margin, engine.synthesiser.config)
        finish = engine.synthesiser.begin(mel, f0_hz, request.seed, progress=own_progress, speaker=speaker, **where)
        pending.append(functools.partial(_cut, finish, beyond))
    engine.timings = {"mel": sampled - start, "vocoder": time.perf_counter() - sampled}
    return pending, mels


def _finished(engine, pending: Sequence[Callable[[], Tensor]]) -> list[Tensor]:
    """The audio that is waited for, which is the vocoder's time."""
    start = time.perf_counter()
    audio = [wait() for wait in pending]
    engine.timings["vocoder"] += time.perf_counter() - start
    return audio


def without_margin(mel: Tensor, f0_hz: Tensor, margin: int, vocoder: AnyVocoderConfig) -> tuple[Tensor, Tensor, int]:
    """(mel, f0_hz) without what the vocoder does not need of ``margin`` frames at both ends, and the samples at both
    ends of its audio that are no part of the recording."""
    kept = margins.vocoder(margin, vocoder)
    own = slice(margin - kept, len(mel) - (margin - kept))
    return mel[own], f0_hz[own], kept * vocoder.mel.hop_samples


def _cut(finish: Callable[[], Tensor], samples: int) -> Tensor:
    audio = finish()
    return audio[samples : len(audio) - samples]
