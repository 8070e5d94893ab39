"""How the spectrum goes on where the audio heard so far ends: a steady sound as it is.

An encoder may read further than the look-ahead, where nothing is known yet. Convolutions that read zeros there take the
sound to be over; on held notes the spectrum held has half their error or less. Where the sound changes, it is the
other way round: what would be held is a passing state. What follows a rest is mostly another sound. So a spectrum is
held while it is steady and no rest. docs/live.md has the measurements.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastsvc.audio.mel import log_mel_of_padded
from fastsvc.config import MelConfig
from fastsvc.engine.stream.found import scaled
from fastsvc.engine.stream.intake import Resampled

BACK = 3  # frames over which a spectrum is steady, 30 ms
STEADY = 0.2  # the largest mean change of the log-mel (base 10) over them: 4 dB
REST = -3.2  # of its mean, likewise: some 30 dB below loud singing
BASES = {"10": 1.0, "e": 2.302585}  # the logarithm's base → its unit in that of base 10


def reach_samples(mel: MelConfig) -> int:
    """Samples before the end of the audio that :func:`held` reads."""
    return (mel.fft_samples - mel.window_samples) // 2 + mel.window_samples + BACK * mel.hop_samples


def held(resampled: Resampled, last: int, mel: MelConfig, gain: float) -> Tensor | None:
    """The log-mel [M] of the last whole window before the sample ``last``, where it goes on; None where it does not,
    and where the recording ends."""
    if resampled.total is not None and last >= resampled.total:
        return None
    beside = (mel.fft_samples - mel.window_samples) // 2  # zeros of the window in the transform
    audio = scaled(resampled.samples(last - reach_samples(mel), last), gain)
    rows = log_mel_of_padded(F.pad(audio, (0, mel.fft_samples - mel.window_samples - beside))[None], mel)[0]
    change, level, unit = (rows[-1] - rows[0]).abs().mean(), rows[-1].mean(), BASES[mel.log_base]
    return rows[-1] if change < STEADY * unit and level > REST * unit else None


def continued(rows: Tensor, newest: Tensor | None, replaced: int, added: int) -> Tensor:
    """Rows [n, M] → rows with ``newest`` in place of the last ``replaced`` ones, and ``added`` times after them."""
    if newest is None:
        return rows
    return torch.cat((rows[: len(rows) - replaced], newest.expand(replaced + added, -1)))
