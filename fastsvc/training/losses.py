"""Losses of the recogniser and of the vocoder. All compute in float32, whatever autocast is around them."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from fastsvc.model.recogniser import BLANK, collapse


def frame_cross_entropy(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.1) -> torch.Tensor:
    """logits [B, T, P], labels [B, T] (-1: unknown) -> mean over the known frames; 0 if there are none."""
    known_frames = (labels >= 0).sum()
    if known_frames == 0:
        return logits.sum() * 0.0
    total = F.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=-1, label_smoothing=smoothing, reduction="sum"
    )
    return total / known_frames


def ctc(logits: torch.Tensor, labels: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """CTC (Graves et al. 2006) to the phone sequences that the frame labels collapse to, per frame of the items.

    logits [B, T, P], labels [B, T]; items with unknown frames (-1) do not count. valid [B, T]: 1 inside an item, 0 in
    the padding, whose logits and labels are ignored.
    """
    inside = torch.ones_like(labels, dtype=torch.bool) if valid is None else valid > 0
    usable = ((labels >= 0) | ~inside).all(1) & inside.any(1)
    if not bool(usable.any()):
        return torch.where(inside[..., None], logits, 0).sum() * 0.0
    frames = inside[usable].sum(1).cpu()
    sequences = [collapse(row[:count]) for row, count in zip(labels[usable].cpu().numpy(), frames.tolist())]
    lengths = torch.tensor([len(s) for s in sequences])
    flat = torch.tensor([p for s in sequences for p in s], dtype=torch.long, device=logits.device)
    log_p = F.log_softmax(torch.where(inside[usable][..., None], logits[usable].float(), 0), dim=-1).transpose(0, 1)
    loss = F.ctc_loss(log_p, flat, frames, lengths, blank=BLANK, reduction="sum", zero_infinity=True)
    return loss / float(frames.sum())


def confusion(logits: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence from uniform to the class posterior, mean over all but the last axis.

    Zero when the classifier learns nothing from its input.
    """
    log_p = F.log_softmax(logits.float(), dim=-1)
    return -log_p.mean() - torch.log(torch.tensor(float(logits.shape[-1])))


@functools.lru_cache(maxsize=16)
def _hann(samples: int, device: torch.device) -> torch.Tensor:
    return torch.hann_window(samples, device=device)


def magnitude(audio: torch.Tensor, size: int, hop: int) -> torch.Tensor:
    """``audio [B, S]`` -> magnitudes [B, F, T], Hann window of ``size``, with a floor that keeps gradients finite."""
    spec = torch.stft(audio.float(), size, hop, size, _hann(size, audio.device), center=True, return_complex=True)
    return (spec.real.square() + spec.imag.square() + 1e-8).sqrt()


def multi_resolution_stft(fake: torch.Tensor, real: torch.Tensor, sizes=(2048, 1024, 512, 128)) -> torch.Tensor:
    """Spectral convergence and log-magnitude L1, mean over resolutions (Yamamoto et al. 2020, eq. 4-6)."""
    total = fake.new_zeros((), dtype=torch.float32)
    for size in sizes:
        with torch.no_grad():
            real_magnitude = magnitude(real, size, size // 4)
        fake_magnitude = magnitude(fake, size, size // 4)
        level = real_magnitude.square().sum((1, 2)).sqrt().clamp(min=1e-3)
        error = (real_magnitude - fake_magnitude).square().sum((1, 2))
        convergence = (error + 1e-8).sqrt() / level  # sqrt has no gradient at 0
        total = total + convergence.mean() + (real_magnitude.log() - fake_magnitude.log()).abs().mean()
    return total / len(sizes)


def discriminator_loss(real: list[torch.Tensor], fake: list[torch.Tensor]) -> torch.Tensor:
    """Least squares (Mao et al. 2017): real to 1, fake to 0; mean over the discriminators."""
    return sum((1 - r.float()).square().mean() + f.float().square().mean() for r, f in zip(real, fake)) / len(real)


def generator_loss(fake: list[torch.Tensor]) -> torch.Tensor:
    """Least squares: fake to 1; mean over the discriminators."""
    return sum((1 - f.float()).square().mean() for f in fake) / len(fake)


def feature_matching(real: list[list[torch.Tensor]], fake: list[list[torch.Tensor]]) -> torch.Tensor:
    """L1 between the layers' activations, each relative to the real one's mean (HiFi-GAN eq. 6, scale-free)."""
    terms = [
        (r.detach().float() - f.float()).abs().mean() / r.detach().float().abs().mean().clamp(min=1e-4)
        for rs, fs in zip(real, fake)
        for r, f in zip(rs, fs)
    ]
    return sum(terms) / len(terms)
