"""Audio to perturbed log-mels, and the labels of their frames."""

from __future__ import annotations

import torch

from fastsvc.config import MelConfig
from fastsvc.training.augment.audio import reverberate, saturate
from fastsvc.training.augment.config import AugmentConfig
from fastsvc.training.augment.curves import band_limits, smooth_curve
from fastsvc.training.augment.draws import log_uniform, uniform
from fastsvc.training.augment.spectra import holes, noise, spectrum, transform_samples, warped_banks
from fastsvc.training.repitch import repitched


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
    bank = warped_banks(mel, rate_hz, log_uniform(generator, *config.warp, batch)).to(audio.device)
    out = torch.bmm((power + 1e-9).sqrt(), bank).clamp(min=mel.clip)
    out = torch.log10(out) if mel.log_base == "10" else torch.log(out)
    return mask_spans(out, generator, config.time_masks, config.mel_masks), hop


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
