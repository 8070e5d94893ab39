"""The denoiser: a WaveNet (DiffWave's block as CoMoSVC, Diffusion-SVC and so-vits-svc 4.1 have it), which sees as much
of the future as of the past, or less (DenoiserConfig.future_frames)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import DenoiserConfig
from fastsvc.config.reach import Reach


def noise_embedding(noise_level: Tensor, channels: int) -> Tensor:
    """Sinusoidal embedding [sin | cos] of noise levels [B] → [B, channels]."""
    half = channels // 2
    rates = torch.exp(torch.arange(half, device=noise_level.device) * -(math.log(10000) / max(half - 1, 1)))
    angle = noise_level[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


AMPHION_STEP, AMPHION_INNER = 128, 512  # channels of its step embedding and of the layers behind it


def step_features(noise_level: Tensor, config: DenoiserConfig) -> Tensor:
    """Noise levels [B] → input of the denoiser's mlp; Amphion's frequencies end above 1/10000, cosines come first.

    In float32 for models of any type: at levels of a DDPM chain, up to 999, the angles' rounding matters, and networks
    were trained with it.
    """
    level = noise_level.float()
    if config.step_embedding == "mlp":
        return noise_embedding(level, config.channels).to(noise_level.dtype)
    half = AMPHION_STEP // 2
    rates = torch.exp(torch.arange(half, device=level.device) * (-math.log(10000) / half))
    angle = level[:, None] * rates
    return torch.cat([angle.cos(), angle.sin()], dim=-1).to(noise_level.dtype)


def step_mlp(config: DenoiserConfig) -> nn.Sequential:
    width, inner = config.channels, AMPHION_INNER
    if config.step_embedding == "mlp":
        return nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))
    first, second, third = nn.Linear(AMPHION_STEP, inner), nn.Linear(inner, inner), nn.Linear(inner, width)
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), third)


class ResidualLayer(nn.Module):
    """One gated block. Padding is zero on x + d, not on x: the step vector d must not leak past the ends.

    ``reach``: frames before and after its own that the convolution reads; by default as many to each side.
    """

    def __init__(
        self, channels: int, cond_channels: int, dilation: int, projected: bool = True, reach: Reach | None = None
    ):
        super().__init__()
        self.reach = reach or Reach(dilation, dilation)
        self.dilated_conv = nn.Conv1d(channels, 2 * channels, 3, dilation=dilation)
        self.diffusion_projection = nn.Linear(channels, channels) if projected else nn.Identity()
        self.conditioner_projection = nn.Conv1d(cond_channels, 2 * channels, 1)
        self.output_projection = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, cond: Tensor, step: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [B, C, T], cond [B, H, T], step [B, C], valid [B, 1, T] or None → (next x, skip), both [B, C, T]."""
        y = x + self.diffusion_projection(step)[:, :, None]
        if valid is not None:
            y = y * valid
        y = self.dilated_conv(F.pad(y, self.reach)) + self.conditioner_projection(cond)
        gate, filter_ = y.chunk(2, dim=1)
        y = self.output_projection(torch.sigmoid(gate) * torch.tanh(filter_))
        residual, skip = y.chunk(2, dim=1)
        return (x + residual) / math.sqrt(2.0), skip


class WaveNet(nn.Module):
    """F(x, noise level, cond); parameter names as in CoMoSVC's `denoise_fn`."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        self.config = config
        width = config.channels
        self.input_projection = nn.Conv1d(config.mel_bins, width, 1)
        self.mlp = step_mlp(config)
        projected = config.step_embedding == "mlp"
        self.residual_layers = nn.ModuleList(
            ResidualLayer(width, config.cond_channels, dilation, projected, reach)
            for dilation, reach in zip(config.dilations, config.reaches)
        )
        self.skip_projection = nn.Conv1d(width, width, 1)
        self.output_projection = nn.Conv1d(width, config.mel_bins, 1)
        for layer in (self.input_projection, self.skip_projection):
            nn.init.kaiming_normal_(layer.weight)
        for layer in self.residual_layers:
            for conv in (layer.dilated_conv, layer.conditioner_projection, layer.output_projection):
                nn.init.kaiming_normal_(conv.weight)
        nn.init.zeros_(self.output_projection.weight)

    def forward(self, x: Tensor, noise_level: Tensor, cond: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [B, T, M], noise_level [B], cond [B, T, H], valid [B, T] (1 inside, 0 in the padding) → [B, T, M]."""
        step = self.mlp(step_features(noise_level, self.config))
        cond = cond.transpose(1, 2)
        valid = None if valid is None else valid[:, None].to(x.dtype)
        x = F.relu(self.input_projection(x.transpose(1, 2)))
        skips = 0
        for layer in self.residual_layers:
            x, skip = layer(x, cond, step, valid)
            skips = skips + skip
        x = F.relu(self.skip_projection(skips / math.sqrt(len(self.residual_layers))))
        return self.output_projection(x).transpose(1, 2)
