"""What both tables of pulse trains' mels are made of: rows over log f0, and the transform of the mel's window.

pulse_mel.py holds a model's own log-mel, the mean over the harmonics' phases, as a denoiser's condition. envelopes.py
holds that of a few harmonics about each bin, with its valleys limited, for a filter to be read from. Checkpoints and
engines depend on either, so the tables themselves stay two.
"""

import numpy as np
import torch
from torch import Tensor

LOWEST_HZ = 32.0  # row r belongs to f0 = LOWEST_HZ · 2^(r / rows in an octave)


def position(f0_hz: Tensor, each: int, last: float) -> Tensor:
    """f0_hz of any shape → rows and parts of rows, 0 … ``last``; ``each``: rows in an octave."""
    return (torch.log2(f0_hz.clamp(min=LOWEST_HZ) / LOWEST_HZ) * each).clamp(max=last)


def between(rows: Tensor, place: Tensor) -> Tensor:
    """rows [R, N] at the places [...] of :func:`position`, on straight lines between two rows: [..., N]."""
    below = place.long().clamp(max=len(rows) - 2)
    return torch.lerp(rows[below], rows[below + 1], (place - below).to(rows.dtype)[..., None])


def hann(x: np.ndarray, pole: float) -> np.ndarray:
    """Transform of a Hann window of length 1 at x cycles.

    It is ½·sinc(x) + ¼·sinc(x − 1) + ¼·sinc(x + 1) = ½·sinc(x) / (1 − x²), with ¼ at ±1 and ``pole`` to each side: of
    either table the last bit depends on that width, so each keeps its own.
    """
    near = np.abs(np.abs(x) - 1) < pole
    return np.where(near, 0.25, 0.5 * np.sinc(x) / np.where(near, 1, 1 - np.square(x)))
