"""Checkpoints in openvpi's layout, generated: every key and shape as documented, random weights."""

import json
import math
from pathlib import Path

import torch

from fastsvc.config import VocoderConfig
from fastsvc.model.vocoder import Generator

FULL = {
    "resblock": "1",
    "upsample_rates": [8, 8, 2, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4, 4],
    "upsample_initial_channel": 512,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "discriminator_periods": [3, 5, 7, 11, 17, 23, 37],
    "sampling_rate": 44100,
    "num_mels": 128,
    "hop_size": 512,
    "n_fft": 2048,
    "win_size": 2048,
    "fmin": 40,
    "fmax": 16000,
}


def documented(config: dict) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a generator of resblock "1" with weight norm in place, written out from the documentation."""
    shapes = {}

    def normed(name, shape, bias):
        gains = (shape[0], *[1] * (len(shape) - 1))
        shapes.update({f"{name}.bias": (bias,), f"{name}.weight_g": gains, f"{name}.weight_v": shape})

    width, rates = config["upsample_initial_channel"], config["upsample_rates"]
    normed("conv_pre", (width, config["num_mels"], 7), width)
    if not config.get("mini_nsf"):
        shapes |= {"m_source.l_linear.weight": (1, 9), "m_source.l_linear.bias": (1,)}
    for i, kernel in enumerate(config["upsample_kernel_sizes"]):
        normed(f"ups.{i}", (width, width // 2, kernel), width // 2)
        width //= 2
        stride = math.prod(rates[i + 1 :])
        if not config.get("mini_nsf"):
            size = 2 * stride if stride > 1 else 1
            shapes |= {f"noise_convs.{i}.weight": (width, 1, size), f"noise_convs.{i}.bias": (width,)}
        elif i == 1:
            shapes |= {"source_conv.weight": (width, 1, 1), "source_conv.bias": (width,)}
        for j, size in enumerate(config["resblock_kernel_sizes"]):
            for part in ("convs1", "convs2"):
                for unit in range(3):
                    normed(f"resblocks.{3 * i + j}.{part}.{unit}", (width, width, size), width)
    normed("conv_post", (1, width, 7), 1)
    return shapes


def full(folder: Path, **changes) -> Path:
    """A checkpoint of full size: 57 MB."""
    config = FULL | changes
    state = {}
    for name, shape in documented(config).items():
        state[name] = torch.ones(shape) if name.endswith("_g") else torch.randn(shape) / max(1, shape[-1]) ** 0.5
    return write(folder, state, config)


def write(folder: Path, state: dict, config: dict) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save({"generator": state}, folder / "model")
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    return folder / "model"


def small(folder: Path, config: VocoderConfig) -> Path:
    """A checkpoint for a small configuration, weight norm folded."""
    mel = config.mel
    plain = {
        "resblock": config.resblock,
        "upsample_rates": config.upsample_rates,
        "upsample_kernel_sizes": config.upsample_kernels,
        "upsample_initial_channel": config.initial_channels,
        "resblock_kernel_sizes": config.resblock_kernels,
        "resblock_dilation_sizes": config.resblock_dilations,
        "sampling_rate": mel.rate_hz,
        "num_mels": mel.bins,
        "hop_size": mel.hop_samples,
        "n_fft": mel.fft_samples,
        "win_size": mel.window_samples,
        "fmin": mel.low_hz,
        "fmax": mel.high_hz,
        "mini_nsf": config.source == "sine",
        "noise_sigma": config.noise_sigma,
    }
    return write(folder, Generator(config).state_dict(), plain)
