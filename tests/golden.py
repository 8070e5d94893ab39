"""Upstream-format checkpoints with random weights, inputs, noise, and what the upstream code made of them."""

from pathlib import Path

import numpy as np
import torch

from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, VocoderConfig

FOLDER = Path(__file__).parent / "data" / "golden"


def arrays(name: str) -> dict[str, torch.Tensor]:
    with np.load(FOLDER / f"{name}.npz") as data:
        return {key: torch.from_numpy(data[key]) for key in data.files}


def draws(case: dict) -> list[torch.Tensor]:
    """The Gaussian draws [1, T, M] in order; upstream draws the first one transposed."""
    later = [case[f"noise{i}"] for i in range(1, 64) if f"noise{i}" in case]
    return [case["noise0"].transpose(1, 2), *later]


def acoustic_config(name: str) -> AcousticConfig:
    channels, layers, hidden, speakers = {"comosvc_small": (64, 4, 32, 6), "comosvc_wide": (96, 3, 48, 1)}[name]
    return AcousticConfig(
        condition=ConditionConfig(channels=hidden, speakers=speakers),
        denoiser=DenoiserConfig(channels=channels, layers=layers, cond_channels=hidden),
    )


VOCODER = VocoderConfig(initial_channels=64)


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    """Largest difference over the largest deviation of ``want`` from its mean, as a constant part hides faults."""
    got, want = got.double(), want.double()
    return float((got - want).abs().max() / (want - want.mean()).abs().max())


def relative_rms(got: torch.Tensor, want: torch.Tensor) -> float:
    """RMS difference over the RMS of ``want`` about its mean."""
    got, want = got.double(), want.double()
    return float((got - want).norm() / (want - want.mean()).norm())
