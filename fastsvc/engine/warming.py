"""Work before the first recording: one conversion of noise, or the graphs that a GPU will replay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from fastsvc import arguments
from fastsvc.engine import checks, margins, shallow
from fastsvc.engine.conversion import progress_between
from fastsvc.engine.cpu.sampler import Progress

# Share of the denoiser's graphs, for the progress bar alone: cuDNN tries algorithms for the vocoder's.
DENOISER_SHARE = 0.3


def warm_up(
    engine,
    seconds: float = 1.0,
    *,
    groups: Sequence[Sequence[int]] | str | None = None,
    steps: Iterable[int] | None = None,
    progress: Progress | None = None,
) -> int:
    """Convert noise once, so that the first real call finds memory and libraries ready: a method of an Engine.

    With ``groups`` a GPU instead makes its graphs beforehand, the largest first, for these numbers of ``steps`` (None:
    the default one). "all": the graphs of every prepared shape; [[T, …], …]: those for recordings of these numbers of
    frames, each inner list being synthesised together. ``progress`` gets the fraction done.
    Returns how many graphs there are then. Raises ConfigError, EngineError.
    """
    seconds, groups = arguments.number("seconds", seconds, *checks.WARM_UP_S), checks.groups(groups)
    requested = (None,) if steps is None else arguments.several(arguments.whole_number, "steps", steps)
    steps = [checks.steps(engine, number) for number in requested]
    if groups is None or not engine.shares_batches:
        noise(engine, seconds)
        return 0
    with engine.lock:
        return graphs(engine, None if isinstance(groups, str) else groups, steps, progress)


def noise(engine, seconds: float) -> None:
    """Run every part that this engine has on noise of this duration."""
    if engine.encoder is not None and engine.synthesiser is not None and not shallow.refines(engine):
        generator = np.random.default_rng(0)
        audio = generator.standard_normal(int(seconds * engine.rate_hz)).astype(np.float32) * 0.01
        engine.convert(audio, engine.rate_hz, engine.table.base)
        return
    frames = max(1, int(seconds * engine.config.mel.frame_rate_hz))
    units = torch.zeros(frames, engine.config.unit_channels)
    mel = shallow.stand_in(engine, frames)
    engine.synthesise(units, torch.full((frames,), 200.0), torch.zeros(frames), engine.table.base, mel=mel)


@torch.inference_mode()
def graphs(engine, groups: Sequence[Sequence[int]] | None, steps: Sequence[int], progress=None) -> int:
    """Make a GPU's graphs: of all shapes, or those for recordings of these numbers of frames. Returns their number."""
    sampler, synthesiser, margin = engine.sampler, engine.synthesiser, margins.acoustic(engine.config)
    groups = groups and margins.widened(groups, margin)
    frames = None if groups is None else [number for group in groups for number in group]
    extraction_graphs = _extraction_graphs(engine, None if frames is None else set(frames))
    sampler.warm_up(steps, groups, progress_between(progress, 0.0, DENOISER_SHARE if synthesiser else 1.0))
    if synthesiser:
        unread = margin - margins.vocoder(margin, synthesiser.config)
        frames = frames and [number - 2 * unread for number in frames]
        synthesiser.warm_up(frames, progress_between(progress, DENOISER_SHARE, 1.0))
    return extraction_graphs + len(sampler.network.replays) + (len(synthesiser.replays) if synthesiser else 0)


def _extraction_graphs(engine, frames: Iterable[int] | None) -> int:
    """Make the graphs of the content encoder and of YIN, where these run as graphs; returns their number."""
    spec, mel = engine.config.features, engine.config.mel
    extractors = []
    if hasattr(engine.encoder, "programs"):
        extractors.append(engine.encoder)
        seconds = None if frames is None else [number * mel.hop_samples / mel.rate_hz for number in frames]
        engine.encoder.warm_up(seconds)
    if engine.yin is not None and engine.yin.tracks(spec.f0_method, spec.f0_style):
        extractors.append(engine.yin)
        engine.yin.warm_up(frames)
    return sum(len(extractor.programs.by_shape) for extractor in extractors)
