"""Spectra at the rate of the corpus with the bins of a mel, noise and holes in them, and warped filter banks."""

from __future__ import annotations

import math

import torch

from fastsvc.audio.mel import filter_bank, reflect_pad
from fastsvc.config import MelConfig
from fastsvc.errors import ConfigError
from fastsvc.training.augment.curves import smooth_curve
from fastsvc.training.augment.draws import often, uniform


def warped_banks(config: MelConfig, rate_hz: int, warp: torch.Tensor) -> torch.Tensor:
    """Filter banks [B, F, M] on the bins of the source rate that read frequency f where ``config`` reads f / warp.

    warp [B], or [B, F] over the bins. Above 1 it moves everything down, as a larger singer would: with 1.25, what lay
    at 1250 Hz appears at 1000.
    """
    bank = torch.from_numpy(filter_bank(config).T.copy())
    bins = transform_samples(config, rate_hz) // 2 + 1
    warp = warp if warp.dim() == 2 else warp[:, None]
    position = torch.arange(bins) / warp
    low = position.long().clamp(max=bank.shape[0] - 1)
    part = (position - low).clamp(max=1.0)[..., None]
    padded = torch.cat([bank, torch.zeros(1, bank.shape[1])])
    inside = (position < bank.shape[0])[..., None]
    return torch.where(inside, padded[low] * (1 - part) + padded[low + 1] * part, torch.zeros(())) / warp[..., None]


def transform_samples(config: MelConfig, rate_hz: int) -> int:
    """Length of the transform whose bins at ``rate_hz`` are those of ``config``; ConfigError if there is none."""
    if config.fft_samples * rate_hz % config.rate_hz:
        raise ConfigError(
            f"augment: audio at {rate_hz} Hz has no transform with the bins of {config.fft_samples} points "
            f"at {config.rate_hz} Hz",
            "choose mel.fft_samples so that fft_samples * corpus rate / mel rate is whole",
        )
    return config.fft_samples * rate_hz // config.rate_hz


def spectrum(audio: torch.Tensor, rate_hz: int, config: MelConfig, hop_samples: int) -> torch.Tensor:
    """Complex spectrum [B, T, F] of audio at ``rate_hz``, scaled as the one inside ``log_mel`` at ``config.rate_hz``.

    Frame i is centred on sample (i + 1/2) * hop_samples.
    """
    size = transform_samples(config, rate_hz)
    window_samples = round(config.window_samples * rate_hz / config.rate_hz)
    window = torch.hann_window(window_samples, device=audio.device)
    frames = audio.shape[1] // hop_samples
    left = (size - hop_samples) // 2
    right = max(0, (frames - 1) * hop_samples + size - left - audio.shape[1])
    padded = reflect_pad(audio, max(left, 0), right)
    out = torch.stft(padded, size, hop_samples, window_samples, window, center=False, return_complex=True)
    return out[..., :frames].transpose(1, 2) * (config.rate_hz / rate_hz)


def noise(spec, hz, config, strength, generator):
    """Coloured Gaussian noise for some items of ``spec [B, T, F]`` (0 for the others), steady but for a slow swell,
    at a random level below each item's mean power."""
    chosen = often(generator, config.noise, spec.shape[0])
    out = torch.zeros_like(spec)
    if chosen.any():
        rows = chosen.to(spec.device)
        out[rows] = _noise_below(spec[rows], hz, config, strength[chosen], generator)
    return out


def _noise_below(spec, hz, config, strength, generator):
    batch, frames, bins = spec.shape
    power = (spec.real.square() + spec.imag.square()).mean((1, 2))
    colour = smooth_curve(generator, hz, batch, 12.0, 0.0)
    slope = uniform(generator, -1.0, 0.1, batch, 1)  # -1: 6 dB an octave down (brown), 0: white
    colour = colour * (hz.clamp(min=60.0) / 1000).pow(slope)
    colour = colour / colour.square().mean(1, keepdim=True).sqrt()
    low_db, high_db = config.snr_db
    level = 10 ** (-(high_db - (high_db - low_db) * strength[:, 0]) / 20)
    phase, speed = uniform(generator, 0, 6.3, batch, 1), uniform(generator, 0.0, 0.1, batch, 1)
    swell = 1 + 0.5 * torch.sin(phase + speed * torch.arange(frames))
    swell = swell / swell.square().mean(1, keepdim=True).sqrt()
    amplitude = (colour[:, None] * (level[:, None] * swell)[..., None]).to(spec.device)
    white = torch.randn(batch, frames, bins, 2, generator=generator).to(spec.device) * math.sqrt(0.5)
    return torch.view_as_complex(white) * amplitude * power.sqrt()[:, None, None]


def holes(spec, generator, probability):
    """The effect of lossy codecs at low rates, in some items: bins far below the loudest of their frame go to zero."""
    chosen = often(generator, probability, spec.shape[0]).to(spec.device)
    if not chosen.any():
        return spec
    out, some = spec.clone(), spec[chosen]
    depth_db = uniform(generator, 25, 50, len(some)).to(spec.device)
    magnitude = some.abs()
    floor = magnitude.amax(2, keepdim=True) * (10 ** (-depth_db / 20))[:, None, None]
    out[chosen] = torch.where(magnitude < floor, torch.zeros((), dtype=spec.dtype, device=spec.device), some)
    return out
