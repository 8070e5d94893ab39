"""A full-size CoMoSVC with its vocoder and random weights: times do not depend on the weights."""

from __future__ import annotations

import os
import sys

if not __package__:  # started as a file: bench/, whose names would hide others, gives way to the folder above it
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(here), *(path for path in sys.path if path != here)]

from pathlib import Path

from bench import program
from fastsvc.config import (
    AcousticConfig,
    ConditionConfig,
    DenoiserConfig,
    FeatureConfig,
    MelConfig,
    RecogniserConfig,
    VocoderConfig,
    to_dict,
)

UNITS = 768  # channels, as ContentVec's
SPEAKERS = ("low", "high")


def acoustic(channels: int = 512, layers: int = 20, dilation_cycle: int = 1) -> AcousticConfig:
    """CoMoSVC's sizes by default: 80 mel bins at 187.5 frames a second, 512 channels, 20 layers."""
    return AcousticConfig(
        features=FeatureConfig(encoder="recogniser", unit_channels=UNITS),
        condition=ConditionConfig(unit_channels=UNITS, channels=256, speakers=len(SPEAKERS)),
        denoiser=DenoiserConfig(channels=channels, layers=layers, cond_channels=256, dilation_cycle=dilation_cycle),
    )


def vocoder(channels: int = 512) -> VocoderConfig:
    """M4Singer's HiFi-GAN: 24 kHz, 128 samples a frame."""
    return VocoderConfig(initial_channels=channels)


def content() -> RecogniserConfig:
    """Our small recogniser with units as wide and as many a second (50) as ContentVec's."""
    mel = MelConfig(
        rate_hz=16000, hop_samples=320, fft_samples=512, window_samples=400, bins=64, low_hz=50.0, high_hz=7600.0
    )
    return RecogniserConfig(mel=mel, phones=("-", "a"), channels=64, layers=4, bottleneck=UNITS)


def make(folder: Path, channels: int, vocoder_channels: int, say=print, layers: int = 20, **options) -> Path:
    """Native checkpoints of all three parts and the engine built from them: ``folder``/bench.fsvc.

    ``options``: of fastsvc.build.compile; by default one step in float32.
    """
    from fastsvc import build

    parts = {"vocoder": vocoder(vocoder_channels), "recogniser": content(), "student": acoustic(channels, layers)}
    files = {kind: _checkpoint(folder / f"{kind}.pt", kind, config) for kind, config in parts.items()}
    return build.compile(
        files["student"],
        folder / "bench.fsvc",
        vocoder=files["vocoder"],
        content=files["recogniser"],
        progress=say,
        **{"steps": (1,), "precision": "fp32", **options},
    )


def _checkpoint(path: Path, kind: str, config) -> Path:
    import torch

    from fastsvc.model.modules import module

    generator = torch.Generator().manual_seed(0)
    state = module(kind, config).state_dict()
    for name, value in state.items():
        scale = 0.02 if name.endswith("bias") else value.shape[1:].numel() ** -0.5
        value.copy_(torch.randn(value.shape, generator=generator) * scale)
    singers = list(SPEAKERS) if kind == "student" else []
    torch.save(
        {
            "format": "fastsvc",
            "version": 1,
            "kind": kind,
            "step": 0,
            "config": {"model": to_dict(config), "train": {}},
            "speakers": singers,
            "speaker_f0_hz": [110.0, 220.0][: len(singers)],
            "model": state,
            "ema": {},
        },
        path,
    )
    return path


def main() -> None:
    """`python bench/models.py FOLDER`: the engine alone, to be measured by other programs."""
    parser = program.parser(main.__doc__)
    parser.add_argument("folder", type=program.folder)
    parser.add_argument(
        "--sizes",
        type=program.listed(program.whole_number, 3),
        default=[512, 20, 512],
        help="channels, layers, vocoder's channels",
    )
    parser.add_argument("--steps", type=program.listed(program.whole_number), default=[1, 2, 4])
    parser.add_argument("--precision", choices=("auto", "fp32", "fp16", "bf16"), default="auto")
    parser.add_argument("--target", default="auto")
    parser.add_argument("--ahead", type=program.folder, help="kernels compiled elsewhere, by bench/ahead.py")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    channels, layers, wide = options.sizes
    build_options = {"steps": tuple(options.steps), "precision": options.precision, "target": options.target}
    engine = make(options.folder, channels, wide, layers=layers, **build_options)
    if options.ahead:
        from bench import ahead

        print(f"kernels of {options.ahead}: {', '.join(ahead.install(engine, options.ahead)) or 'none'}")
    print(engine)


if __name__ == "__main__":
    program.start(main)
