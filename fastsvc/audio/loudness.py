"""Loudness per frame."""

from __future__ import annotations

import torch

from fastsvc.audio.mel import reflect_pad


def frame_rms(audio: torch.Tensor, hop_samples: int) -> torch.Tensor:
    """``audio [B, samples]`` to the RMS ``[B, samples // hop]`` of windows of one hop, centred on sample i * hop.

    The ends are reflected by half a hop (the `volume` of CoMoSVC, so-vits and Diffusion-SVC).
    """
    if audio.dim() != 2:
        raise ValueError(f"frame_rms: audio [B, samples] is expected, got {tuple(audio.shape)}")
    frames = audio.shape[1] // hop_samples
    if frames == 0:
        return audio.new_zeros(audio.shape[0], 0)
    half = hop_samples // 2
    padded = reflect_pad(audio.float().square(), half, hop_samples - half)
    return padded[:, : frames * hop_samples].unflatten(1, (frames, hop_samples)).mean(dim=2).sqrt()
