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
        self.given: dict[str, object] = {}

    @functools.cached_property
    def plain(self):
        """What the engine hears of it, without transposition."""
        return self._heard(self.engine.speakers[0], 0)

    @functools.cached_property
    def mel(self) -> torch.Tensor:
        """Its own log-mel [T, M] at the engine's level."""
        config = self.mel_config
        level = highpass.high_passed(self.audio, self.rate_hz) / np.float32(self.plain.place.gain)
        audio = resample(level, self.rate_hz, config.rate_hz)
        length = len(self.plain.features.f0_hz) * config.hop_samples
        audio = np.pad(audio[:length], (0, max(0, length - len(audio))))
        return log_mel(torch.from_numpy(audio)[None], config)[0]

    def converted(self, voice: str, steps: int, noise: bool = True) -> tuple[np.ndarray, torch.Tensor, float]:
        """(audio as Engine.convert gives it, log-mel, semitones); noise False: every draw is 0."""
        heard = self._target(voice)
        features = heard.features
        sung = features.units[features.places], features.f0_hz, features.volume, voice
        draws = None if noise else torch.zeros(steps, len(features.f0_hz), self.mel_config.bins)
        settings = {"seed": self.seed, "voiced": features.voiced, "noise": draws}
        audio, mel = self.engine.synthesise(*sung, steps, **settings)
        return self.engine.join(audio.numpy(), *heard.place), mel, heard.semitones

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
        made = copies.formula(mel.numpy(), features.f0_hz.numpy(), features.voiced.numpy(), self.mel_config)
        return self._joined(made)

    def by_griffin_lim(self, mel: torch.Tensor) -> np.ndarray:
        return self._joined(copies.griffin_lim(mel.numpy(), self.mel_config))

    def _target(self, voice: str):
        if voice not in self.given:
            known = self.engine.table.median_f0_hz(self.engine.table.weights(voice))
            self.given[voice] = self._heard(voice, "auto" if known else 0)
        return self.given[voice]

    def _heard(self, voice: str, transpose):
        return self.engine.hear(self.audio, self.rate_hz, Request(voice, transpose=transpose))

    def _joined(self, made: np.ndarray) -> np.ndarray:
        place = self.plain.place
        return self.engine.join(made.copy(), place.samples, place.rate_hz, place.rate_hz, place.gain)


def blurred(mel: torch.Tensor, bins: float = BLUR_BINS) -> torch.Tensor:
    """log-mel [T, M] convolved over its bins with a Gaussian of that deviation; the edges are repeated."""
    reach = round(3 * bins)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / bins) ** 2)
    padded = torch.nn.functional.pad(mel[:, None], (reach, reach), mode="replicate")
    return torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]
