"""Linear parts of the source-filter vocoder (fastsvc/model/source_filter.py) as matrices, for forms that fold them."""

import math

import torch
from torch import Tensor

from fastsvc.config import SourceFilterConfig
from fastsvc.model.source_filter import QUIETER_NOISE


def filter_matrix(constants: dict[str, Tensor]) -> Tensor:
    """[bands + M + 1, P/2+1] float64 of fastsvc.model.source_filter.tables: what brings the corrections of bands, the
    mel over that of the excitation, and whether a frame is voiced (of the noise; 0 for the pulses) to natural
    log-magnitudes.

    The minimum phase is linear in these, so the matrix's own (fastsvc/model/filters.py) brings the same to phases.
    """
    spread, correction = constants["spread"].double(), constants["correction"].double()
    quieter = torch.linspace(*QUIETER_NOISE, spread.shape[1]).double()[None]
    return torch.cat([correction, math.log(10) * spread, quieter])


def between_points(config: SourceFilterConfig) -> Tensor:
    """[N + 2, hop]: straight lines between the N points of a frame and the ones before and after it."""
    count, hop = config.gain_points, config.mel.hop_samples
    places = (torch.arange(hop, dtype=torch.float64) + 0.5) * (count / hop) + 0.5  # in points, from the one before
    return (1 - (places - torch.arange(count + 2)[:, None]).abs()).clamp(min=0).float()
