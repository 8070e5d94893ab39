"""RVC's text encoder: units and coarse pitch → mean and log of the deviation of the latent.

The encoder of VITS (arXiv 2106.06103) and Glow-TTS, with relative positions after Shaw et al. (arXiv 1803.02155), fed
with a linear map of units instead of an embedding of phonemes. Attention reaches over the whole sequence.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config.rvc import PITCHES, RvcConfig
from fastsvc.model.conformer import ConformerLayers, masked

EPSILON = 1e-5  # of the layer norms
SLOPE = 0.1


class TextEncoder(nn.Module):
    """Parameters: ``emb_phone``, ``emb_pitch`` (voices with pitch only), ``encoder.*``, ``proj``."""

    def __init__(self, config: RvcConfig):
        super().__init__()
        self.config = config
        self.emb_phone = nn.Linear(config.unit_channels, config.hidden)
        if config.pitch:
            self.emb_pitch = nn.Embedding(PITCHES, config.hidden)
        self.encoder = ConformerLayers(
            config.hidden, config.filter_channels, config.heads, config.layers, config.window, config.kernel, EPSILON
        )
        self.proj = nn.Conv1d(config.hidden, 2 * config.mel.bins, 1)

    def embedded(self, units: Tensor, coarse: Tensor | None) -> Tensor:
        """units [B, T, D], coarse pitch [B, T] of 1 … 255 (None for voices without pitch) → [B, T, hidden]."""
        x = self.emb_phone(units)
        if self.config.pitch:
            x = x + self.emb_pitch(coarse)
        return F.leaky_relu(x * math.sqrt(self.config.hidden), SLOPE)

    def forward(self, units: Tensor, coarse: Tensor | None, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As :meth:`embedded`, valid [B, 1, T] → mean and log of the deviation, both [B, C, T]."""
        x = self.encoder(self.embedded(units, coarse).transpose(1, 2), valid)
        mean, log_deviation = masked(self.proj(x), valid).chunk(2, dim=1)
        return mean, log_deviation
