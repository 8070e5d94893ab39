"""Log-mel spectrogram in torch, differentiable, the recipe of CoMoSVC (utils/mel_processing.py).

Reflect padding, no centring, magnitude sqrt(|S|^2 + 1e-9), Slaney filters, log with a floor.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F

from fastsvc.config import MelConfig

_BLOCK_FRAMES = 8192  # long recordings are processed in blocks of spectra: about 17 MB each at 512 points


def log_mel(audio: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """``audio [B, samples]`` at ``config.rate_hz`` to log-mel ``[B, frames, bins]``, frames = samples // hop.

    Frame i is centred on sample (i + 1/2) * hop. Gradients flow to ``audio``. Half precision is computed
    in float32. Input shorter than the padding is first extended with zeros, because a reflection needs that length.
    """
    if audio.dim() != 2:
        raise ValueError(f"log_mel: audio [B, samples] is expected, got {tuple(audio.shape)}")
    audio = audio.float() if audio.dtype in (torch.float16, torch.bfloat16) else audio
    frames = audio.shape[1] // config.hop_samples
    if frames == 0:
        return audio.new_zeros(audio.shape[0], 0, config.bins)
    return log_mel_of_padded(reflect_pad(audio, *_padding(config)), config)


def log_mel_of_padded(padded: torch.Tensor, config: MelConfig) -> torch.Tensor:
    """:func:`log_mel` of audio that goes on at both ends as far as the first and the last window reach."""
    frames = (padded.shape[1] - config.fft_samples) // config.hop_samples + 1
    bank, window = _tables(config, padded.device, padded.dtype)
    blocks = []
    for first in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - first)
        start = first * config.hop_samples
        piece = padded[:, start : start + (count - 1) * config.hop_samples + config.fft_samples]
        blocks.append(_log_mel_block(piece, config, bank, window))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)


def _log_mel_block(piece, config, bank, window):
    spectrum = torch.stft(
        piece,
        config.fft_samples,
        config.hop_samples,
        config.window_samples,
        window,
        center=False,
        return_complex=True,
    )
    magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)
    mel = torch.matmul(magnitude.transpose(1, 2), bank).clamp(min=config.clip)
    return torch.log10(mel) if config.log_base == "10" else torch.log(mel)


def _padding(config: MelConfig) -> tuple[int, int]:
    # A window shorter than the transform lies in its middle, so padding by the transform's length has the same effect
    # as padding by (window - hop) / 2.
    total = config.fft_samples - config.hop_samples
    return total // 2, total - total // 2


def reflect_pad(audio: torch.Tensor, left: int, right: int) -> torch.Tensor:
    """``[B, samples]`` with reflected ends; audio too short to be reflected is first extended with zeros."""
    missing = max(left, right) + 1 - audio.shape[1]
    if missing > 0:
        audio = F.pad(audio, (0, missing))
        # The zeros already are a part of the right-hand padding.
        right = max(0, right - missing)
    return F.pad(audio[:, None], (left, right), mode="reflect")[:, 0]


@functools.lru_cache(maxsize=32)
def _tables(config: MelConfig, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    # Normal tensors even when first asked for under inference_mode, so that training can use them too.
    with torch.inference_mode(False):
        bank = torch.from_numpy(filter_bank(config).T.copy()).to(device=device, dtype=dtype)
        window = torch.hann_window(config.window_samples, dtype=torch.float64).to(device=device, dtype=dtype)
    return bank, window


def filter_bank(config: MelConfig) -> np.ndarray:
    """Triangular filters ``[bins, fft // 2 + 1]`` on the Slaney mel scale, of unit area.

    Equal to librosa.filters.mel(htk=False, norm="slaney"), whose import would cost a second.
    """
    return triangles(edges_hz(config), config.rate_hz, config.fft_samples)


def edges_hz(config: MelConfig, bins: int | None = None) -> np.ndarray:
    """``[bins + 2]``: where the filters begin, have their centres, and end; ``bins``: of another number of them."""
    bins = bins or config.bins
    return _mel_to_hz(np.linspace(_hz_to_mel(config.low_hz), _hz_to_mel(config.high_hz), bins + 2))


def triangles(edges_hz: np.ndarray, rate_hz: int, fft_samples: int) -> np.ndarray:
    """Filters of unit area ``[edges - 2, fft // 2 + 1]``, each from one edge over the next to the one after."""
    bins_hz = np.arange(fft_samples // 2 + 1) * (rate_hz / fft_samples)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (high - low))).astype(np.float32)


# Slaney's scale (Auditory Toolbox, 1998): linear up to 1 kHz, logarithmic above, 27 steps to a factor of 6.4.
_HZ_PER_MEL, _BREAK_HZ, _LOG_STEP = 200.0 / 3, 1000.0, math.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return _BREAK_HZ / _HZ_PER_MEL + math.log(hz / _BREAK_HZ) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    break_mel = _BREAK_HZ / _HZ_PER_MEL
    return np.where(mel < break_mel, mel * _HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - break_mel)))
