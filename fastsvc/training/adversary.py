"""The discriminator: a small head on the skips of all layers of the fake-score network for a noised mel.

It compares x̂ + σz with real mel + σz (a "diffusion GAN", as in DMD2), given the condition (content, f0, singer) and σ.
The features come from the fake network, because it models the student's samples and so describes them best; its own
weights do not learn here. Least squares (Mao et al. 2017), as in DMOSpeech.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import AcousticConfig
from fastsvc.model import edm
from fastsvc.model.wavenet import WaveNet
from fastsvc.training import diffusion, wavenet_train


class Block(nn.Module):
    """x + W gelu(convolution(norm(x))); [B, T, C] → [B, T, C]. ``valid`` [B, T, 1] keeps padding out."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = self.conv((self.norm(x) * valid).transpose(1, 2)).transpose(1, 2)
        return x + self.out(F.gelu(y))


class Head(nn.Module):
    """Skip features of all layers, condition and noise level → a score for each frame: 1 real, 0 generated."""

    def __init__(self, width: int, cond_channels: int, channels: int = 96, blocks: int = 3):
        """``width``: channels of all layers' features together."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, channels)
        self.condition = nn.Linear(cond_channels, channels)
        self.level = nn.Sequential(nn.Linear(1, channels), nn.GELU(), nn.Linear(channels, channels))
        self.blocks = nn.ModuleList(Block(channels, 2**i) for i in range(blocks))
        self.score = nn.Linear(channels, 1)

    def forward(self, skips: list[Tensor], cond: Tensor, sigma: Tensor, valid: Tensor) -> Tensor:
        """skips [B, T, C] each, cond [B, T, H], sigma [B], valid [B, T] → [B, T], in float32."""
        with torch.autocast(sigma.device.type, enabled=False):
            inside = valid[..., None].float()
            x = self.project(self.norm(torch.cat(skips, dim=2).float())) + self.condition(cond.float())
            x = x + self.level(sigma.log()[:, None])[:, None]
            for block in self.blocks:
                x = block(x, inside)
            return self.score(x)[..., 0]


def features(
    fake: WaveNet, config: AcousticConfig, x: Tensor, sigma: Tensor, z: Tensor, cond: Tensor, valid: Tensor
) -> list[Tensor]:
    """The fake network's skips at x + σz. Gradients are computed only if x requires one."""
    with torch.set_grad_enabled(x.requires_grad):
        noisy = torch.where(valid[..., None] > 0, x, 0) + diffusion.wide(sigma) * z
        _, _, c_in, c_noise = edm.coefficients(config.edm, sigma)
        return wavenet_train.skips(fake, diffusion.wide(c_in) * noisy, c_noise, cond, valid)


def frame_mean(value: Tensor, valid: Tensor) -> Tensor:
    """value [B, T] → its mean over all valid frames."""
    return diffusion.batch_mean(value[..., None], valid)


def student_loss(generated: Tensor, valid: Tensor) -> Tensor:
    """(1 − h(x̂))²; generated [B, T]: the head's scores of x̂."""
    return frame_mean((1 - generated).square(), valid)


def head_loss(real: Tensor, generated: Tensor, valid: Tensor) -> Tensor:
    """(1 − h(real))² + h(x̂)²."""
    return frame_mean((1 - real).square() + generated.square(), valid)
