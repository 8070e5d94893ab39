"""Audio to perturbed log-mels, and the labels of their frames."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from fastsvc.config import MelConfig
from fastsvc.training.augment.audio import reverberate, saturate
from fastsvc.training.augment.config import AugmentConfig
from fastsvc.training.augment.curves import band_limits, bends, smooth_curve
from fastsvc.training.augment.draws import log_uniform, uniform
from fastsvc.training.augment.spectra import holes, noise, spectrum, transform_samples, warped_banks
from fastsvc.training.repitch import repitched

CONTRAST_BINS = 15  # of the mean: wider than a formant


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
        spec = spec + noise(spec, hz, config, strength, generator)
    if config.codec:
        spec = holes(spec, generator, config.codec)
    gain = 10 ** (uniform(generator, *config.gain_db, batch, 1) / 20)
    shape = (gain * band_limits(generator, hz, batch, config.band_limit)).to(audio.device)
    power = (spec.real.square() + spec.imag.square()) * shape.square()[:, None]
    if tuple(config.pitch) != (1.0, 1.0):
        power = repitched(power, log_uniform(generator, *config.pitch, batch).to(audio.device), rate_hz)
    warp = log_uniform(generator, *config.warp, batch)
    if config.bend:
        warp = warp[:, None] * bends(generator, hz, batch, config.bend)
    bank = warped_banks(mel, rate_hz, warp).to(audio.device)
    out = torch.bmm((power + 1e-9).sqrt(), bank).clamp(min=mel.clip)
    out = torch.log10(out) if mel.log_base == "10" else torch.log(out)
    if tuple(config.contrast) != (1.0, 1.0):
        out = contrasted(out, log_uniform(generator, *config.contrast, batch).to(audio.device), mel)
    return mask_spans(out, generator, config.time_masks, config.mel_masks), hop


def contrasted(out: torch.Tensor, factor: torch.Tensor, mel: MelConfig) -> torch.Tensor:
    """Log-mels [B, T, M] whose deviation from a mean over bins is multiplied by ``factor`` [B]: some synthesisers and
    throats have blurred formants, others sharp ones."""
    mean = F.avg_pool1d(out, CONTRAST_BINS, 1, CONTRAST_BINS // 2, count_include_pad=False)
    lowest = math.log10(mel.clip) if mel.log_base == "10" else math.log(mel.clip)
    return (mean + (out - mean) * factor[:, None, None]).clamp(min=lowest)


def mask_spans(mel: torch.Tensor, generator: torch.Generator, time_masks: int, mel_masks: int) -> torch.Tensor:
    """SpecAugment (Park et al. 2019): spans of up to 12 frames, and of up to an eighth of the bins, take the mean."""
    batch, frames, bins = mel.shape
    hidden = torch.zeros(batch, frames, bins, dtype=torch.bool)
    for count, length, widest, axis in ((time_masks, frames, 12, 1), (mel_masks, bins, max(1, bins // 8), 2)):
        for _ in range(count):
            width = (uniform(generator, 0, widest + 1, batch, 1)).long()
            start = (uniform(generator, 0, 1, batch, 1) * (length - width).clamp(min=1)).long()
            index = torch.arange(length)
            span = (index >= start) & (index < start + width)
            hidden |= span[:, :, None] if axis == 1 else span[:, None]
    if not (time_masks or mel_masks):
        return mel
    return torch.where(hidden.to(mel.device), mel.mean((1, 2), keepdim=True), mel)


def labels_at(labels: torch.Tensor, label_hop: float, hop: float, frames: int) -> torch.Tensor:
    """Frame labels [B, T'] at hop ``label_hop`` (source samples) → labels of frames at hop ``hop``: [B, frames]."""
    index = ((torch.arange(frames) + 0.5) * (hop / label_hop)).long().clamp(max=labels.shape[1] - 1)
    return labels[:, index.to(labels.device)]
