"""Perturbed log-mels: rooms, microphones, noise, band limits, other throats and tempos.

The synthetic choir is clean and its singers are few, while recordings of people are neither. Nearly everything
here acts on one short-time spectrum, by item and vectorised, so that it costs less than the smallest network:

* the spectrum is taken at the corpus' own rate with a transform whose bins fall on those of ``MelConfig``, so
  nothing is resampled (768 points at 24 kHz have the bins of 512 points at 16 kHz);
* another hop is another tempo; labels follow by time;
* another throat (and pitch) is a mel filter bank read at stretched frequencies, the vocal tract length
  perturbation of Jaitly and Hinton (2013);
* equaliser, tilt, band limits are curves over frequency; noise is complex Gaussian with such a curve.

Random numbers come from the ``torch.Generator`` that is passed in, and from nowhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fastsvc.audio.mel import filter_bank, reflect_pad
from fastsvc.config import MelConfig
from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError
from fastsvc.training.repitch import repitched


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges and probabilities; :data:`NONE` changes nothing. ``*_db`` are peak values of random curves.

    Each item has a strength of its own, uniform in 0 ... 1, by which curves and noise (in dB) are scaled: most items
    are perturbed a little and some a lot, without which a network is slow to learn anything.
    """

    gain_db: tuple[float, ...] = (-30.0, 6.0)
    equaliser_db: float = 10.0
    tilt_db: float = 12.0  # over the whole range, log frequency
    band_limit: float = 0.4  # how often; half of them at 3.4-4 kHz, as telephones and 8 kHz recordings
    noise: float = 0.6
    snr_db: tuple[float, ...] = (5.0, 40.0)
    reverb: float = 0.25
    saturation: float = 0.15
    codec: float = 0.15
    warp: tuple[float, ...] = (0.82, 1.22)
    tempo: tuple[float, ...] = (0.85, 1.2)
    time_masks: int = 1
    mel_masks: int = 1
    pitch: tuple[float, ...] = (1.0, 1.0)  # of the harmonics, while the formants stay

    def __post_init__(self):
        for name in ("gain_db", "snr_db", "warp", "tempo", "pitch"):
            if len(getattr(self, name)) != 2:
                raise ConfigError(f"task.augment: {name} is {getattr(self, name)}", "set the lowest and the highest")
        within("task.augment", self, gain_db=(-120, 120), equaliser_db=(0, 120), tilt_db=(0, 120), snr_db=(-60, 120))
        within("task.augment", self, band_limit=SHARE, noise=SHARE, reverb=SHARE, saturation=SHARE, codec=SHARE)
        within("task.augment", self, warp=(0.25, 4), tempo=(0.25, 4), pitch=(0.25, 4))
        within("task.augment", self, time_masks=(0, 1000), mel_masks=(0, 1000))


NONE = AugmentConfig((0.0, 0.0), 0, 0, 0, 0, (60.0, 60.0), 0, 0, 0, (1.0, 1.0), (1.0, 1.0), 0, 0)


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Uniform in [low, high), float32, on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Uniform in the logarithm."""
    return torch.exp(uniform(generator, math.log(low), math.log(high), *shape))


def often(generator: torch.Generator, probability: float, *shape: int) -> torch.Tensor:
    """True with ``probability``."""
    return torch.rand(shape, generator=generator) < probability


def smooth_curve(generator: torch.Generator, hz: torch.Tensor, batch: int, bumps_db: float, tilt_db: float):
    """Amplitude gains [B, F]: three bumps of a third to two octaves and a tilt, over log frequency."""
    octave = torch.log2(hz.clamp(min=30.0) / 30.0)
    span = float(octave[-1])
    centre, width = uniform(generator, 0, span, batch, 3, 1), uniform(generator, 0.3, 2.0, batch, 3, 1)
    height = uniform(generator, -bumps_db, bumps_db, batch, 3, 1)
    bumps = (height * torch.exp(-0.5 * ((octave - centre) / width) ** 2)).sum(1)
    tilt = uniform(generator, -tilt_db, tilt_db, batch, 1) * (octave / span - 0.5)
    return 10 ** ((bumps + tilt) / 20)


def band_limits(generator: torch.Generator, hz: torch.Tensor, batch: int, probability: float) -> torch.Tensor:
    """Amplitude gains [B, F] of low-passes (3.4-8 kHz) and, half as often, gentle high-passes (40-250 Hz)."""
    narrow = often(generator, 0.5, batch, 1)
    cutoff = torch.where(narrow, uniform(generator, 3400, 4000, batch, 1), log_uniform(generator, 4000, 8000, batch, 1))
    steep = log_uniform(generator, 10, 100, batch, 1)
    low_pass = 1 / (1 + (hz / cutoff).pow(steep).clamp(max=1e6))
    corner = log_uniform(generator, 40, 250, batch, 1)
    high_pass = (hz / corner).square() / (1 + (hz / corner).square())
    gain = torch.where(often(generator, probability, batch, 1), low_pass, torch.ones(()))
    return gain * torch.where(often(generator, probability / 2, batch, 1), high_pass, torch.ones(()))


def reverberate(audio: torch.Tensor, rate_hz: int, generator: torch.Generator, probability: float) -> torch.Tensor:
    """``audio [B, S]`` in small rooms: noise that decays by 60 dB in 0.1-0.6 s, 3-20 dB below the direct sound."""
    batch, samples = audio.shape
    length = int(0.3 * rate_hz)
    time = torch.arange(length) / rate_hz
    decay = torch.exp(-6.9 * time / log_uniform(generator, 0.1, 0.6, batch, 1))
    tail = torch.randn(batch, length, generator=generator) * decay * (time > 0.002)
    level = 10 ** (-uniform(generator, 3, 20, batch, 1) / 20) * often(generator, probability, batch, 1)
    tail = tail / tail.square().sum(1, keepdim=True).sqrt() * level
    tail[:, 0] += 1.0
    size = _fast_length(samples + length)
    return torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(tail.to(audio.device), size), size)[:, :samples]


def _fast_length(samples: int) -> int:
    size = 2 ** math.floor(math.log2(samples))
    return next(n for n in (size, size * 9 // 8, size * 5 // 4, size * 3 // 2, 2 * size) if n >= samples)


def saturate(audio: torch.Tensor, generator: torch.Generator, probability: float) -> torch.Tensor:
    """Peaks of some items are bent or nearly clipped, as by a microphone too close."""
    batch = audio.shape[0]
    drive = log_uniform(generator, 0.5, 4.0, batch, 1) * often(generator, probability, batch, 1)
    drive = (drive / audio.abs().amax(1, keepdim=True).clamp(min=1e-4)).to(audio.device)
    return torch.where(drive > 0, torch.tanh(audio * drive) / drive.clamp(min=1e-6), audio)


def random_equaliser(audio: torch.Tensor, rate_hz: int, generator: torch.Generator, bumps_db: float, tilt_db: float):
    """``audio [B, S]`` through smooth zero-phase curves, scaled down where it would pass full scale."""
    samples = audio.shape[1]
    size = _fast_length(samples + rate_hz // 50)
    hz = torch.linspace(0, rate_hz / 2, size // 2 + 1)
    curve = smooth_curve(generator, hz, audio.shape[0], bumps_db, tilt_db).to(audio.device)
    out = torch.fft.irfft(torch.fft.rfft(audio, size) * curve, size)[:, :samples]
    return out / (out.abs().amax(1, keepdim=True) / 0.99).clamp(min=1.0)


def warped_banks(config: MelConfig, rate_hz: int, warp: torch.Tensor) -> torch.Tensor:
    """Filter banks [B, F, M] on the bins of the source rate that read frequency f where ``config`` reads f / warp.

    A warp above 1 moves everything down, as a larger singer would: with 1.25, what lay at 1250 Hz appears at 1000.
    """
    bank = torch.from_numpy(filter_bank(config).T.copy())
    bins = transform_samples(config, rate_hz) // 2 + 1
    position = torch.arange(bins) / warp[:, None]
    low = position.long().clamp(max=bank.shape[0] - 1)
    part = (position - low).clamp(max=1.0)[..., None]
    padded = torch.cat([bank, torch.zeros(1, bank.shape[1])])
    inside = (position < bank.shape[0])[..., None]
    return torch.where(inside, padded[low] * (1 - part) + padded[low + 1] * part, torch.zeros(())) / warp[:, None, None]


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


def perturbed_mel(
    audio: torch.Tensor, rate_hz: int, mel: MelConfig, config: AugmentConfig, generator: torch.Generator
) -> tuple[torch.Tensor, float]:
    """``audio [B, S]`` at ``rate_hz`` -> (log-mel [B, T, M] as ``mel``, hop in source samples).

    One tempo for the batch, all else by item. Frame i is centred on source sample (i + 1/2) * hop.
    """
    batch = audio.shape[0]
    step = mel.hop_samples * rate_hz / mel.rate_hz
    hop = round(step * float(log_uniform(generator, *config.tempo, 1)))
    if config.reverb:
        audio = reverberate(audio, rate_hz, generator, config.reverb)
    if config.saturation:
        audio = saturate(audio, generator, config.saturation)
    spec = spectrum(audio, rate_hz, mel, hop)
    hz = torch.arange(spec.shape[2]) * (rate_hz / transform_samples(mel, rate_hz))
    strength = uniform(generator, 0, 1, batch, 1)
    curve = smooth_curve(generator, hz, batch, config.equaliser_db, config.tilt_db).pow(strength).to(audio.device)
    spec = spec * curve[:, None]
    if config.noise:
        spec = spec + _noise(spec, hz, config, strength, generator)
    if config.codec:
        spec = _holes(spec, generator, config.codec)
    gain = 10 ** (uniform(generator, *config.gain_db, batch, 1) / 20)
    shape = (gain * band_limits(generator, hz, batch, config.band_limit)).to(audio.device)
    power = (spec.real.square() + spec.imag.square()) * shape.square()[:, None]
    if tuple(config.pitch) != (1.0, 1.0):
        power = repitched(power, log_uniform(generator, *config.pitch, batch).to(audio.device), rate_hz)
    bank = warped_banks(mel, rate_hz, log_uniform(generator, *config.warp, batch)).to(audio.device)
    out = torch.bmm((power + 1e-9).sqrt(), bank).clamp(min=mel.clip)
    out = torch.log10(out) if mel.log_base == "10" else torch.log(out)
    return mask_spans(out, generator, config.time_masks, config.mel_masks), hop


def _noise(spec, hz, config, strength, generator):
    """Coloured Gaussian noise, steady but for a slow swell, at a random level below each item's mean power."""
    batch, frames, bins = spec.shape
    power = (spec.real.square() + spec.imag.square()).mean((1, 2))
    colour = smooth_curve(generator, hz, batch, 12.0, 0.0)
    slope = uniform(generator, -1.0, 0.1, batch, 1)  # -1: 6 dB an octave down (brown), 0: white
    colour = colour * (hz.clamp(min=60.0) / 1000).pow(slope)
    colour = colour / colour.square().mean(1, keepdim=True).sqrt()
    low_db, high_db = config.snr_db
    snr_db = high_db - (high_db - low_db) * strength[:, 0]
    level = 10 ** (-snr_db / 20) * often(generator, config.noise, batch)
    phase, speed = uniform(generator, 0, 6.3, batch, 1), uniform(generator, 0.0, 0.1, batch, 1)
    swell = 1 + 0.5 * torch.sin(phase + speed * torch.arange(frames))
    swell = swell / swell.square().mean(1, keepdim=True).sqrt()
    amplitude = (colour[:, None] * (level[:, None] * swell)[..., None]).to(spec.device)
    white = torch.randn(batch, frames, bins, 2, generator=generator).to(spec.device) * math.sqrt(0.5)
    return torch.view_as_complex(white) * amplitude * power.sqrt()[:, None, None]


def _holes(spec, generator, probability):
    """What lossy codecs at low rates do: bins far below the loudest of their frame go to zero."""
    batch = spec.shape[0]
    depth = torch.where(often(generator, probability, batch), uniform(generator, 25, 50, batch), torch.full((), 400.0))
    magnitude = spec.abs()
    floor = magnitude.amax(2, keepdim=True) * (10 ** (-depth / 20)).to(spec.device)[:, None, None]
    return torch.where(magnitude < floor, torch.zeros((), dtype=spec.dtype, device=spec.device), spec)


def mask_spans(mel: torch.Tensor, generator: torch.Generator, time_masks: int, mel_masks: int) -> torch.Tensor:
    """SpecAugment (Park et al. 2019): spans of up to 12 frames, and of up to an eighth of the bins, take the mean."""
    batch, frames, bins = mel.shape
    hidden = torch.zeros(batch, frames, bins, dtype=torch.bool)
    for count, length, widest, axis in ((time_masks, frames, 12, 1), (mel_masks, bins, max(1, bins // 8), 2)):
        for _ in range(count):
            width = (uniform(generator, 0, widest + 1, batch, 1)).long()
            start = (uniform(generator, 0, 1, batch, 1) * (length - width).clamp(min=1)).long()
            place = torch.arange(length)
            span = (place >= start) & (place < start + width)
            hidden |= span[:, :, None] if axis == 1 else span[:, None]
    if not (time_masks or mel_masks):
        return mel
    return torch.where(hidden.to(mel.device), mel.mean((1, 2), keepdim=True), mel)


def labels_at(labels: torch.Tensor, label_hop: float, hop: float, frames: int) -> torch.Tensor:
    """Frame labels [B, T'] at hop ``label_hop`` (source samples) read at frames of hop ``hop``: [B, frames]."""
    place = ((torch.arange(frames) + 0.5) * (hop / label_hop)).long().clamp(max=labels.shape[1] - 1)
    return labels[:, place.to(labels.device)]
