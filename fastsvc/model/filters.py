"""Minimum-phase filters that change from frame to frame: excitation and log-magnitudes → audio, by overlap-add.

A frame's excitation is two hops long under a Hann window, so that windows add up to 1; its transform is multiplied by
the filter's, and what comes back is added where it belongs. Minimum phase: the phase is the Hilbert transform of the
log-magnitude (Oppenheim and Schafer, Discrete-Time Signal Processing, ch. 13), here by way of the cepstrum, whose
negative times are folded onto the positive ones.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def minimum_phase(log_magnitude: Tensor) -> Tensor:
    """Natural log-magnitudes [..., P/2+1] at the bins of a P-point transform → their phases in radians."""
    points = 2 * (log_magnitude.shape[-1] - 1)
    cepstrum = torch.fft.irfft(log_magnitude, n=points)
    fold = torch.zeros(points, dtype=log_magnitude.dtype, device=log_magnitude.device)
    fold[1 : points // 2] = 2.0
    fold[0] = fold[points // 2] = 1.0
    return torch.fft.rfft(cepstrum * fold, n=points).imag


def window(hop: int, device=None) -> Tensor:
    """[2·hop]: what each frame's excitation is multiplied by."""
    return torch.hann_window(2 * hop, device=device)


def framed(excitation: Tensor, hop: int) -> Tensor:
    """excitation [B, T·hop, C] → [B, T+2, C, 2·hop]: a frame about the middle of each hop, and one before and after."""
    padded = F.pad(excitation.transpose(1, 2), (3 * hop // 2, 3 * hop // 2))
    return padded.unfold(2, 2 * hop, hop).transpose(1, 2) * window(hop, excitation.device)


def overlapped(frames: Tensor, hop: int) -> Tensor:
    """Answers [B, T+2, P] of the frames of :func:`framed` → their sum [B, T·hop]; P is a multiple of the hop."""
    pieces = frames.unflatten(2, (-1, hop))
    last = pieces.shape[2] - 1
    total = sum(F.pad(pieces[:, :, i], (0, 0, i, last - i)) for i in range(last + 1))
    return total.flatten(1)[:, 3 * hop // 2 :][:, : (frames.shape[1] - 2) * hop]


def filtered(excitation: Tensor, log_magnitude: Tensor) -> Tensor:
    """excitation [B, T·hop, C], log_magnitude [B, T, C, P/2+1] of each channel's filter → audio [B, T·hop].

    Before the first frame and after the last one their filters stand.
    """
    return applied(excitation, spectra(log_magnitude))


def spectra(log_magnitude: Tensor) -> Tensor:
    """log_magnitude [B, T, C, P/2+1] → the filters' complex spectra [B, T+2, C, P/2+1], of the outer frames twice."""
    held = torch.cat([log_magnitude[:, :1], log_magnitude, log_magnitude[:, -1:]], dim=1)
    return torch.polar(held.exp(), minimum_phase(held))


def applied(excitation: Tensor, filters: Tensor) -> Tensor:
    """excitation [B, T·hop, C] through the filters of :func:`spectra`, the channels' answers added → [B, T·hop]."""
    hop, points = excitation.shape[1] // (filters.shape[1] - 2), 2 * (filters.shape[-1] - 1)
    answers = torch.fft.rfft(framed(excitation, hop), n=points) * filters
    return overlapped(torch.fft.irfft(answers.sum(2), n=points), hop)
