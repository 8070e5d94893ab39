"""The form in which RVC converts live: of a window of the recent past only the newest frames are computed to the end.

The caller repeats this for each window. The encoder attends to the whole window; noise, flow and generator are for the
frames that are new, and for those before them that the flow reads.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from fastsvc.model.rvc.model import RvcModel


@dataclass(frozen=True)
class Window:
    """Which frames of a window are wanted: RVC's ``skip_head`` and ``return_length``."""

    head: int  # frames before the first that is wanted
    frames: int  # that are wanted

    def first(self, model: RvcModel) -> int:
        """The first frame that the flow computes; noise is drawn from there on, and the mean begins there."""
        return max(self.head - model.config.flow_halo_frames, 0)


def latent(
    model: RvcModel, window: Window, units: Tensor, coarse: Tensor | None, speaker: Tensor, noise: Tensor
) -> Tensor:
    """units [B, T, D], coarse pitch [B, T] or None, speaker [B, G], noise [B, T − first, C] → z [B, frames, C]."""
    first = window.first(model)
    mean, log_deviation = (part[:, first:] for part in model.prior(units, coarse))
    z = model.flow_backwards(model.draw(mean, log_deviation, noise), speaker)
    return z[:, window.head - first :][:, : window.frames]


def stretched(x: Tensor, length: int) -> Tensor:
    """x [B, L, C] → [B, length, C], drawn linearly between the centres of frames (or of the source's samples).

    RVC's formant shift: latent and finished source are stretched alike, and the audio is resampled back. In float32
    for x of any type, as upstream does: float64 would round positions otherwise, which moves the source by 2e-4.
    """
    if x.shape[1] == length:
        return x
    return F.interpolate(x.float().transpose(1, 2), size=length, mode="linear").transpose(1, 2).to(x.dtype)
