"""Work before the first recording: once on noise, or the graphs that a GPU will replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from fastsvc import arguments
from fastsvc.engine import checks, shallow
from fastsvc.engine.conversion import between

DENOISER = 0.3  # its graphs' share of the time, for the progress bar alone: cuDNN tries algorithms for the vocoder's


def warm_up(engine, seconds: float, groups, steps: Iterable[int] | None, progress) -> int:
    """As :meth:`fastsvc.engine.Engine.warm_up`. Raises ConfigError, EngineError."""
    seconds, groups = arguments.number("seconds", seconds, *checks.WARM_UP_S), checks.groups(groups)
    wanted = (None,) if steps is None else arguments.several(arguments.whole_number, "steps", steps)
    steps = [checks.steps(engine, one) for one in wanted]
    if groups is None or not engine.shares_batches:
        noise(engine, seconds)
        return 0
    with engine.lock:
        return graphs(engine, None if isinstance(groups, str) else groups, steps, progress)


def noise(engine, seconds: float) -> None:
    """All that this engine can do, on so much noise."""
    if engine.encoder is not None and engine.synthesiser is not None and not shallow.refines(engine):
        generator = np.random.default_rng(0)
        audio = generator.standard_normal(int(seconds * engine.rate_hz)).astype(np.float32) * 0.01
        engine.convert(audio, engine.rate_hz, engine.table.base)
        return
    frames = max(1, int(seconds * engine.config.mel.frame_rate_hz))
    units = torch.zeros(frames, engine.config.condition.unit_channels)
    mel = shallow.stand_in(engine, frames)
    engine.synthesise(units, torch.full((frames,), 200.0), torch.zeros(frames), engine.table.base, mel=mel)


@torch.inference_mode()
def graphs(engine, groups: Sequence[Sequence[int]] | None, steps: Sequence[int], progress=None) -> int:
    """A GPU's graphs: of all shapes, or those that recordings of so many frames need; how many there are then."""
    sampler, synthesiser = engine.sampler, engine.synthesiser
    heard = _ears(engine, None if groups is None else {one for group in groups for one in group})
    sampler.warm_up(steps, groups, between(progress, 0.0, DENOISER if synthesiser else 1.0))
    if synthesiser:
        frames = None if groups is None else [one for group in groups for one in group]
        synthesiser.warm_up(frames, between(progress, DENOISER, 1.0))
    return heard + len(sampler.network.replays) + (len(synthesiser.replays) if synthesiser else 0)


def _ears(engine, frames: Iterable[int] | None) -> int:
    """The graphs that recordings are heard with; an engine that hears none, or a part that has none, makes none."""
    if engine.encoder is None or engine.yin is None:
        return 0
    spec, mel = engine.config.features, engine.config.mel
    ears = []
    if hasattr(engine.encoder, "programs"):
        ears.append(engine.encoder)
        engine.encoder.warm_up(None if frames is None else [one * mel.hop_samples / mel.rate_hz for one in frames])
    if engine.yin.knows(spec.f0_method, spec.f0_style):
        ears.append(engine.yin)
        engine.yin.warm_up(frames)
    return sum(len(ear.programs.held) for ear in ears)
