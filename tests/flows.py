"""Rectified flows in training: a corpus for the golden voice of DDSP-SVC 6, settings of runs, and a tiny teacher."""

import json

import ddsp_golden
import numpy as np
import torch
from teachers import write_config

from fastsvc.config import DdspConfig, FeatureConfig, to_dict
from fastsvc.data.corpus import Corpus
from fastsvc.training.flow.model import FlowModel

MEL, FRAMES = ddsp_golden.SMALL_MEL, 60
SINGERS = ("1", "2")  # folders named by the ids of the voice's speakers
PLAIN = {"unit_noise": 0.0, "unit_dropout": 0.0, "gain_db": 0.0}
FEW = {"valid_crops": 2, "valid_frames": 24, "augment": PLAIN}


def corpus(folder, mel=MEL, channels: int = 24, encoder: str = "vec768l12", singers=SINGERS) -> Corpus:
    """Tones with random units: enough to train on for two steps."""
    rng, items = np.random.default_rng(0), []
    (folder / "items").mkdir(parents=True)
    for i, singer in enumerate(singers):
        time = np.arange(FRAMES * mel.hop_samples) / mel.rate_hz
        f0_hz = 180.0 * (i + 1)
        audio = 0.2 * np.sin(2 * np.pi * f0_hz * time) + 0.05 * rng.standard_normal(len(time))
        np.savez(
            folder / "items" / f"{i}.npz",
            audio=(32767 * audio).astype(np.int16),
            f0_hz=np.full(FRAMES, f0_hz, np.float32),
            voiced=np.ones(FRAMES, bool),
            volume=np.full(FRAMES, 0.14, np.float32),
            units=rng.standard_normal((FRAMES // 3, channels)).astype(np.float16),
            units_hash="toy",
        )
        item = {"song": f"{i}", "singer": singer, "file": f"items/{i}.npz", "frames": FRAMES, "samples": len(audio)}
        items += [{"id": f"{i}-{split}", "split": split, **item} for split in ("train", "valid")]
    described = {
        "format": 1,
        "mel": to_dict(mel),
        "features": to_dict(FeatureConfig(encoder, channels, "round")),
        "singers": sorted(singers),
        "phones": [],
        "singer_f0_hz": {singer: 180.0 * (i + 1) for i, singer in enumerate(singers)},
        "mel_mean": [0.0] * mel.bins,
        "mel_std": [1.0] * mel.bins,
        "encoder": {"name": encoder, "rate_hz": 16000, "hop_samples": 320, "channels": channels, "hash": "toy"},
        "items": items,
    }
    (folder / "corpus.json").write_text(json.dumps(described))
    return Corpus(folder)


def settings(path, corpus, task, **changes):
    """A YAML of two steps at 24 frames."""
    common = {"steps": 2, "batch": {"size": 2, "frames": 24}, "log_every": 1, "validate_every": 2}
    return write_config(path, corpus, **(common | changes), task=task)


def model(version: str = "6.1", **changes) -> FlowModel:
    """A random flow of the golden sizes; ``changes`` of its configuration."""
    torch.manual_seed(3)
    plain = to_dict(ddsp_golden.SMALL) | {"version": version, "hidden_layers": 1, "layers": 2, **changes}
    from fastsvc.config import from_dict

    return FlowModel(from_dict(DdspConfig, plain)).eval()


def batch(frames: int = 20, size: int = 3) -> dict:
    """Conditions and mels for :func:`model`."""
    generator = torch.Generator().manual_seed(5)
    return {
        "mel": -5 + torch.randn(size, frames, MEL.bins, generator=generator),
        "valid": torch.ones(size, frames),
        "units": torch.randn(size, frames, 24, generator=generator),
        "f0_hz": torch.full((size, frames), 200.0),
        "volume": torch.full((size, frames), 0.1),
        "singer": torch.arange(size) % 3,
        "source": torch.randn(size, frames * MEL.hop_samples, generator=generator),
    }
