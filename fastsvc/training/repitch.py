"""The same throat at another pitch: harmonics move, formants stay.

A verifier that only ever sees one pitch with one timbre takes pitch for timbre. Here the log spectrum is split by its
cepstrum into an envelope (short quefrencies: the throat) and the fine structure (the harmonics). The fine structure
alone is stretched along frequency (Oppenheim and Schafer's homomorphic deconvolution, as in phase vocoders that keep
formants). It acts on power spectra, which have no phase to correct.
"""

from __future__ import annotations

import torch
from torch import Tensor

ENVELOPE_S = 0.0012  # quefrencies below: the envelope; harmonics of voices up to 800 Hz lie above


def repitched(power: Tensor, ratio: Tensor, rate_hz: int) -> Tensor:
    """power [B, T, F] of spectra up to rate_hz / 2, ratio [B] (2: an octave up, at least 0.5) → [B, T, F]."""
    log = 0.5 * (power + 1e-9).log()
    bins = log.shape[2]
    size = 2 * (bins - 1)
    cepstrum = torch.fft.irfft(log, size)
    quefrency = torch.arange(size, device=log.device)
    quefrency = torch.minimum(quefrency, size - quefrency) / rate_hz
    envelope = torch.fft.rfft(cepstrum * (quefrency < ENVELOPE_S)).real
    fine = log - envelope
    position = torch.arange(bins, device=log.device) / ratio[:, None]
    mirrored = torch.where(position > bins - 1, 2 * (bins - 1) - position, position)
    position = mirrored.clamp(0, bins - 1)
    low = position.long().clamp(max=bins - 2)
    part = (position - low)[:, None]
    index = low[:, None].expand(-1, log.shape[1], -1)
    moved = fine.gather(2, index) * (1 - part) + fine.gather(2, index + 1) * part
    return (2 * (envelope + moved)).exp()
