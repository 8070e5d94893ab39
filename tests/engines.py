"""Small engines with random weights, built through the public path from native checkpoints."""

from pathlib import Path

import torch
import weights

from fastsvc import build
from fastsvc.config import (
    AcousticConfig,
    ConditionConfig,
    DenoiserConfig,
    FeatureConfig,
    RecogniserConfig,
    VocoderConfig,
    to_dict,
)
from fastsvc.model.modules import module

SPEAKERS = ("Ada", "Bert", "Cleo")
ACOUSTIC = AcousticConfig(
    features=FeatureConfig(unit_channels=6),
    condition=ConditionConfig(unit_channels=6, channels=8, speakers=3, key_shift=False, voicing=True),
    denoiser=DenoiserConfig(channels=16, layers=3, cond_channels=8, dilation_cycle=2),
)
VOCODER = VocoderConfig(initial_channels=16)
CONTENT = RecogniserConfig(phones=("-", "a", "b"), channels=8, layers=2, bottleneck=6)


def native(path: Path, kind: str, config, /, seed: int = 0, **changes) -> Path:
    """A native checkpoint with random weights, of ``seed`` alone; ``changes`` replace entries of the dict."""
    if kind == "vocoder":
        state = weights.vocoder(config, seed)
    else:
        state = weights.random(module(kind, config).state_dict(), torch.Generator().manual_seed(seed))
    content = {
        "format": "fastsvc",
        "version": 1,
        "kind": kind,
        "step": 12,
        "config": {"model": to_dict(config), "train": {}},
        "speakers": list(SPEAKERS) if kind in ("teacher", "student", "dmo") else [],
        "speaker_f0_hz": [110.0, 220.0, 330.0] if kind in ("teacher", "student", "dmo") else [],
        "model": state,
        "ema": {},
    }
    torch.save({**content, **changes}, path)
    return path


def build_engine(folder: Path, steps=(1, 2), **options) -> Path:
    """An engine with vocoder and content encoder: ``folder``/engine.fsvc."""
    student = native(folder / "student.pt", "student", ACOUSTIC)
    options.setdefault("vocoder", native(folder / "vocoder.pt", "vocoder", VOCODER))
    options.setdefault("content", native(folder / "recogniser.pt", "recogniser", CONTENT))
    options.setdefault("progress", None)
    return build.compile(student, folder / "engine.fsvc", steps=steps, **options)
