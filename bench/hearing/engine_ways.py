"""A recording through an engine, whole and with one stage exchanged at a time.

Everything runs at the level that the engine gives its input, and is brought back as the engine brings its results
back, so that a vocoder which is too soft shows. Conversions are what users get, with the loudness of the input over
time where that is the engine's default; all else is left as loud as it came out.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from bench.hearing import copies
from fastsvc.audio import highpass
from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.engine.request import Request

BLUR_BINS = 2.0  # the student's mels are about that blurred, by their second difference


class Recording:
    """One recording with all that the ways need of it. audio [samples] at rate_hz."""

    def __init__(self, engine, audio: np.ndarray, rate_hz: int, seed: int = 0):
        self.engine, self.audio, self.rate_hz, self.seed = engine, audio, rate_hz, seed
        self.mel_config = engine.config.mel
        self.targets: dict[str, object] = {}

    @functools.cached_property
    def plain(self):
        """What the engine hears of it, without transposition."""
        return self._extracted(self.engine.speakers[0], 0)

    @functools.cached_property
    def mel(self) -> torch.Tensor:
        """Its own log-mel [T, M] at the engine's level."""
        config = self.mel_config
        level = highpass.high_passed(self.audio, self.rate_hz) / np.float32(self.plain.output_spec.gain)
        audio = resample(level, self.rate_hz, config.rate_hz)
        length = len(self.plain.features.f0_hz) * config.hop_samples
        audio = np.pad(audio[:length], (0, max(0, length - len(audio))))
        return log_mel(torch.from_numpy(audio)[None], config)[0]

    def converted(self, voice: str, steps: int, noise: bool = True) -> tuple[np.ndarray, torch.Tensor, float]:
        """(audio as Engine.convert gives it, log-mel, semitones); noise False: every draw is 0."""
        extracted = self._target(voice)
        features = extracted.features
        inputs = features.units[features.unit_indices], features.f0_hz, features.volume, voice
        draws = None if noise else torch.zeros(steps, len(features.f0_hz), self.mel_config.bins)
        settings = {"seed": self.seed, "voiced": features.voiced, "noise": draws}
        audio, mel = self.engine.synthesise(*inputs, steps, **settings)
        return self.engine.join(audio.numpy(), *extracted.output_spec), mel, extracted.semitones

    def vocoded(self, mel: torch.Tensor, voice: str | None = None) -> np.ndarray:
        """log-mel → audio by the engine's vocoder, with the recording's own pitch or as moved to ``voice``."""
        features = (self._target(voice) if voice else self.plain).features
        everywhere = self.engine.sources_everywhere
        f0_hz = features.f0_hz if everywhere else features.f0_hz * features.voiced
        device = self.engine.device
        with torch.inference_mode():
            return self._joined(self.engine.synthesiser(mel.to(device), f0_hz.to(device), self.seed).cpu().numpy())

    def by_formula(self, mel: torch.Tensor, voice: str | None = None) -> np.ndarray:
        features = (self._target(voice) if voice else self.plain).features
        audio = copies.formula(mel.numpy(), features.f0_hz.numpy(), features.voiced.numpy(), self.mel_config)
        return self._joined(audio)

    def by_griffin_lim(self, mel: torch.Tensor) -> np.ndarray:
        return self._joined(copies.griffin_lim(mel.numpy(), self.mel_config))

    def _target(self, voice: str):
        if voice not in self.targets:
            known = self.engine.table.median_f0_hz(self.engine.table.weights(voice))
            self.targets[voice] = self._extracted(voice, "auto" if known else 0)
        return self.targets[voice]

    def _extracted(self, voice: str, transpose):
        return self.engine.extract(self.audio, self.rate_hz, Request(voice, transpose=transpose))

    def _joined(self, audio: np.ndarray) -> np.ndarray:
        output_spec = self.plain.output_spec
        return self.engine.join(
            audio.copy(), output_spec.samples, output_spec.rate_hz, output_spec.rate_hz, output_spec.gain
        )


def blurred(mel: torch.Tensor, bins: float = BLUR_BINS) -> torch.Tensor:
    """log-mel [T, M] convolved over its bins with a Gaussian of that deviation; the edges are repeated."""
    reach = round(3 * bins)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / bins) ** 2)
    padded = torch.nn.functional.pad(mel[:, None], (reach, reach), mode="replicate")
    return torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]
