"""The cases of `bench.rvc`, a function each, run in a process of its own: a peak of memory is per process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bench.cases import converted, relative, turns
from fastsvc.checkpoints import read
from fastsvc.engine.cpu import sampler as cpu_sampler
from fastsvc.engine.cpu.rvc import encoder
from fastsvc.engine.cpu.rvc import sampler as rvc_sampler
from fastsvc.engine.cpu.sampler import Features, SeededNoise
from fastsvc.engine.engine import Engine
from fastsvc.features import align
from fastsvc.model import source
from fastsvc.model.modules import module
from fastsvc.model.noise import gaussian

ENCODER_RATE_HZ = 16000


class Plain:
    """HuBERT, acoustic part and generator as they are specified, in plain PyTorch."""

    def __init__(self, folder: Path):
        voice, hubert = read(folder / "voice.pth"), read(folder / "hubert")
        parts = voice, voice.vocoder, hubert
        assert voice.vocoder is not None, "a voice of RVC has a generator"
        self.acoustic, self.generator, self.hubert = (_module(part) for part in parts)
        self.hubert.encoder.layers = self.hubert.encoder.layers[: 12 if voice.config.version == "v2" else 9]
        if voice.config.version == "v2":
            self.hubert.final_proj = None

    def latent(self, features: Features) -> torch.Tensor:
        config, coarse = self.acoustic.config, self.acoustic.coarse_pitch(features.f0_hz * features.voiced)
        noise = gaussian(0, 0, 0, len(coarse), config.mel.bins)
        units, speaker = features.units[features.unit_indices], self.acoustic.speaker(torch.tensor([0]))
        return self.acoustic.latent(units[None], coarse[None], speaker, noise[None])[0]

    def audio(self, latent: torch.Tensor, features: Features) -> torch.Tensor:
        sines = source.seeded((features.f0_hz * features.voiced)[None], self.generator.config)
        return self.generator(latent[None], self.generator.source(sines), self.generator.speakers.weight[:1, None])[0]


class Compiled:
    """The same by the engine."""

    def __init__(self, folder: Path):
        engine = self.engine = Engine.open(folder / "rvc.fsvc", device="cpu", precision="built")
        self.hubert = lambda audio: engine.encoder.encode(audio[0])[None]
        self.voice, self.speaker = (part.speaker({0: 1.0}) for part in (engine.sampler.condition, engine.synthesiser))

    def latent(self, features: Features) -> torch.Tensor:
        return self.engine.sampler(features, self.voice, 1, SeededNoise(0, self.engine.config.mel.bins))

    def audio(self, latent: torch.Tensor, features: Features) -> torch.Tensor:
        return self.engine.synthesiser(latent, features.f0_hz * features.voiced, speaker=self.speaker)


def _module(checkpoint):
    model = module(checkpoint.kind, checkpoint.config)
    model.load_state_dict(checkpoint.tensors)
    return model.eval()


def features_of(units: torch.Tensor, frames: int) -> Features:
    """A melody over an octave, unvoiced for 0.4 s in every 3 s."""
    time_s = torch.arange(frames) / 100
    f0_hz, voiced = 200 * 2 ** torch.sin(time_s), (time_s % 3) > 0.4
    return Features(units, align.indices(len(units), frames, "left"), f0_hz, voiced, torch.zeros(frames))


def random_features(seconds: float, channels: int) -> Features:
    torch.manual_seed(0)
    return features_of(torch.randn(round(50 * seconds), channels), round(100 * seconds))


def run(part: str, made: Plain | Compiled, seconds: float) -> Callable:
    """``part``: latent (text encoder, draw, flow), generator (source included), or whole (HuBERT first; no pitch)."""
    channels = (made.engine if isinstance(made, Compiled) else made.acoustic).config.unit_channels
    given = random_features(seconds, channels)
    if part == "latent":
        return lambda: made.latent(given)
    if part == "generator":
        torch.manual_seed(1)
        mel = (made.engine if isinstance(made, Compiled) else made.acoustic).config.mel
        latent = torch.randn(len(given.f0_hz), mel.bins)
        return lambda: made.audio(latent, given)
    audio = 0.1 * torch.randn(1, round(seconds * ENCODER_RATE_HZ), generator=torch.Generator().manual_seed(2))

    def whole() -> torch.Tensor:
        heard = features_of(made.hubert(audio)[0], len(given.f0_hz))
        return made.audio(made.latent(heard), heard)

    return whole


@torch.inference_mode()
def timed(part: str, folder: Path, seconds: float, repeats: int) -> dict:
    """Times of plain and compiled in turns, and the largest difference of their outputs."""
    runs = {"plain": run(part, Plain(folder), seconds), "compiled": run(part, Compiled(folder), seconds)}
    difference = relative(runs["compiled"](), runs["plain"]())
    return {"audio_s": seconds, **turns(runs, repeats), "difference": difference}


def long(folder: Path, minutes: float) -> dict:
    """Time and memory of a synthetic recording through :meth:`Engine.convert`, pitch by yin."""
    return converted(Engine.open(folder / "rvc.fsvc", device="cpu", precision="built"), minutes, 0, f0_method="yin")


@torch.inference_mode()
def excerpt(folder: Path, seconds: float) -> dict:
    """The same features in one block and in the blocks of a long file: largest difference over the largest value."""
    made = Compiled(folder)
    given = random_features(seconds, made.engine.config.unit_channels)
    latent = made.latent(given)
    audio, default = made.audio(latent, given), (rvc_sampler.FLOW_BLOCK, cpu_sampler.VOCODER_BLOCK)
    rvc_sampler.FLOW_BLOCK = cpu_sampler.VOCODER_BLOCK = len(given.f0_hz)
    whole_latent = made.latent(given)
    whole = made.audio(whole_latent, given)
    rvc_sampler.FLOW_BLOCK, cpu_sampler.VOCODER_BLOCK = default
    return {
        "audio_s": seconds,
        "blocks_frames": dict(zip(("flow", "generator"), default)),
        "difference": {"latent": relative(latent, whole_latent), "audio": relative(audio, whole)},
        "spread": {"latent": round(float(whole_latent.std()), 4), "audio": round(float(whole.std()), 4)},
    }


@torch.inference_mode()
def stretches(folder: Path, seconds: float) -> dict:
    """The text encoder in stretches against one stretch of everything: RMS of the difference over that of the values.

    Weights are random, so attention is nearly even over all frames: an upper bound. ``sharp``: queries a hundred times
    as large, so that each frame attends to few others, anywhere in the recording.
    """
    made, result = Compiled(folder), {}
    given, whole = random_features(seconds, made.engine.config.unit_channels), encoder.WHOLE
    for name, factor in (("even", 1.0), ("sharp", 100.0)):
        for layer in made.engine.sampler.encoder.layers:
            for kind in ("weight", "bias"):
                layer[f"qkv.{kind}"][..., : made.engine.config.hidden] *= factor
        parts = made.latent(given)
        encoder.WHOLE = len(given.f0_hz)
        one = made.latent(given)
        encoder.WHOLE = whole
        result[name] = {"latent": _rms(parts - one) / _rms(one)}
        if name == "even":
            audio = made.audio(one, given)
            result[name]["audio"] = _rms(made.audio(parts, given) - audio) / _rms(audio)
    rounded = {name: {part: round(value, 4) for part, value in row.items()} for name, row in result.items()}
    sizes = {name.lower(): getattr(encoder, name) for name in ("WHOLE", "KEEP", "CONTEXT", "FADE")}
    return {"audio_s": seconds, "frames": sizes, "difference": rounded}


def _rms(values: torch.Tensor) -> float:
    return float(values.double().pow(2).mean().sqrt())
