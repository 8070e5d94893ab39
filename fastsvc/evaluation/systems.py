"""The systems that are compared: ways from a source clip to audio. All but the truth use the same vocoder.

A system is called with (clip, seed) and returns a :class:`SystemOutput`. The student is the engine as users have it;
the teacher is the plain PyTorch model of a checkpoint, with the engine's features and the engine's vocoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fastsvc.artifact import content_encoder
from fastsvc.artifact.engine_folder import Artifact
from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.checkpoints import read
from fastsvc.config import AcousticConfig, MelConfig
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.request import Request
from fastsvc.engine.speakers import Speakers
from fastsvc.errors import CheckpointError
from fastsvc.evaluation.clips import Clip
from fastsvc.evaluation.machine import timed
from fastsvc.evaluation.settings import EvaluationSettings
from fastsvc.features import f0
from fastsvc.model import noise
from fastsvc.model.acoustic import AcousticModel


@dataclass(frozen=True)
class SystemOutput:
    """audio [samples] at rate_hz; seconds of the whole conversion, and of features to mel alone (NaN: no mel).

    mel: log-mel [T, M] from the acoustic model to the vocoder; None without an acoustic model.
    """

    audio: np.ndarray
    rate_hz: int
    seconds: float
    mel_seconds: float
    mel: torch.Tensor | None = None


@dataclass(frozen=True)
class System:
    """``name`` for tables, ``evaluations`` of the denoiser for one result (0: none)."""

    name: str
    evaluations: int
    make: Callable[[Clip, int], SystemOutput]


def truth() -> System:
    """The true target itself: the judges' figures for a faultless conversion."""
    return System("true target", 0, lambda clip, seed: SystemOutput(clip.truth, clip.rate_hz, math.nan, math.nan))


def copy_synthesis(engine) -> System:
    """The true target's own mel, and pitch as tracked, through the vocoder: the best any acoustic model could do."""

    def make(clip: Clip, seed: int) -> SystemOutput:
        mel = engine.config.mel
        audio = _whole_frames(resample(clip.truth, clip.rate_hz, mel.rate_hz), mel.hop_samples)
        output, seconds = timed(lambda: _copy(engine, audio, seed))
        return SystemOutput(output, mel.rate_hz, seconds, math.nan)

    return System("copy-synthesis", 0, make)


def named(paths: Sequence[str], with_teacher: bool = False) -> dict[str, str]:
    """Path of an engine → a name of its own: the path's stem, or where that is another row's, the path."""
    paths = list(dict.fromkeys(paths))
    stems = [Path(path).stem for path in paths]
    taken = ["student", *["teacher"] * with_teacher, *stems]
    return {path: path if taken.count(stem) > 1 else stem for path, stem in zip(paths, stems)}


def student(engine, steps: int, name: str = "student", mel: MelConfig | None = None) -> System:
    """The engine with that many steps. ``mel``: the judges' recipe, where it may be another than the engine's."""
    with_mel = mel is None or engine.config.mel == mel

    def convert(clip: Clip, seed: int) -> tuple[np.ndarray, torch.Tensor]:
        """The parts of Engine.convert, for the mel between them."""
        extracted = engine.extract(clip.audio, clip.rate_hz, Request(clip.target, transpose=clip.semitones))
        features = extracted.features
        inputs = features.units, features.f0_hz, features.volume, clip.target
        audio, mel = engine.synthesise(*inputs, steps, seed=seed, voiced=features.voiced)
        return engine.join(audio.numpy(), *extracted.output_spec), mel

    def make(clip: Clip, seed: int) -> SystemOutput:
        (audio, mel), seconds = timed(lambda: convert(clip, seed))
        return SystemOutput(
            audio, clip.rate_hz, seconds, engine.timings.get("mel", math.nan), mel if with_mel else None
        )

    return System(f"{name}, {steps} step{'s' * (steps > 1)}", steps, make)


def teacher(engine, checkpoint, steps: int = 50) -> System:
    """Euler steps of the specification, with the checkpoint's weights. Raises CheckpointError where it does not fit."""
    checkpoint = read(checkpoint).require(("teacher",), "the teacher")
    config = checkpoint.config
    if not isinstance(config, AcousticConfig):
        raise CheckpointError(
            f"{checkpoint.path} is a rectified flow, which is compared as an engine",
            "build it, and name it in `engines`",
        )
    engine_config = engine.config
    if (config.mel, config.features) != (engine_config.mel, engine_config.features):
        raise CheckpointError(
            f"{checkpoint.path} and the engine differ in mel or features", "use the teacher of the engine's student"
        )
    if content_encoder.is_another(Artifact(engine.path), checkpoint.encoder):
        raise CheckpointError(
            f"{checkpoint.path} was trained on units of another content encoder than the engine's",
            "use the teacher of the engine's student",
        )
    model = AcousticModel(config)
    model.load_state_dict(checkpoint.tensors)
    model.eval().requires_grad_(False)
    speakers = Speakers(checkpoint.speakers, checkpoint.speaker_base)

    @torch.inference_mode()
    def convert(clip: Clip, seed: int) -> tuple[np.ndarray, float, torch.Tensor]:
        extracted = engine.extract(clip.audio, clip.rate_hz, Request(clip.target, transpose=clip.semitones))
        features = extracted.features
        mel, mel_seconds = timed(lambda: _sample(model, features, speakers.row(clip.target), steps, seed))
        audio = _vocode(engine, mel, features.f0_hz, features.voiced, seed)
        return engine.join(audio, *extracted.output_spec), mel_seconds, mel

    def make(clip: Clip, seed: int) -> SystemOutput:
        (audio, mel_seconds, mel), seconds = timed(lambda: convert(clip, seed))
        return SystemOutput(audio, clip.rate_hz, seconds, mel_seconds, mel)

    return System(f"teacher, {steps} Euler steps", steps, make)


def teacher_of(engine, settings: EvaluationSettings) -> System | None:
    """The teacher's row, where one is asked for."""
    if not settings.teacher or not settings.clips:
        return None
    return teacher(engine, settings.teacher, settings.teacher_steps)


def _sample(model: AcousticModel, features: Features, speaker: int, steps: int, seed: int) -> torch.Tensor:
    """Features → log-mel [T, M]."""
    frames, bins = len(features.f0_hz), model.config.mel.bins
    units = features.units.cpu()[features.unit_indices].float()
    cond = model.condition(
        units[None],
        features.f0_hz[None],
        features.volume[None],
        torch.tensor([speaker]),
        voiced=features.voiced[None].float(),
    )
    return model.sample(cond, steps, lambda step: noise.gaussian(seed, step, 0, frames, bins)[None], "euler")[0]


@torch.inference_mode()
def _copy(engine, audio: np.ndarray, seed: int) -> np.ndarray:
    mel, spec = engine.config.mel, engine.config.features
    wave = torch.from_numpy(audio)
    frames = len(audio) // mel.hop_samples
    f0_hz, voiced = f0.extract(
        wave,
        mel.rate_hz,
        mel.hop_samples,
        frames,
        method=spec.f0_method,
        low_hz=spec.f0_low_hz,
        high_hz=spec.f0_high_hz,
        style=spec.f0_style,
    )
    return _vocode(engine, log_mel(wave[None], mel)[0], f0_hz, voiced, seed)


def _vocode(engine, mel: torch.Tensor, f0_hz: torch.Tensor, voiced: torch.Tensor, seed: int) -> np.ndarray:
    """Log-mel [T, M] → audio [T * hop] through the engine's vocoder, with f0 as the engine gives it."""
    return engine.synthesiser(mel, f0_hz if engine.sources_everywhere else f0_hz * voiced, seed).numpy()


def _whole_frames(audio: np.ndarray, hop_samples: int) -> np.ndarray:
    return np.pad(audio, (0, -len(audio) % hop_samples))
