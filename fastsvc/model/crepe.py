"""CREPE: six convolutions over one window of audio give the salience of 360 pitches (Kim et al. 2018, 1802.06182).

The network of the package torchcrepe, whose names of parameters it keeps: each layer is padding, convolution, ReLU,
batch norm and max pooling by two.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

RATE_HZ = 16000
WINDOW = 1024  # samples
BINS = 360
CENTS_PER_BIN = 20.0
FIRST_CENTS = 1997.3794084376191  # of bin 0, above 10 Hz

CHANNELS = {"full": (1024, 128, 128, 128, 256, 512), "tiny": (128, 16, 16, 16, 32, 64)}
FIRST_KERNEL, FIRST_STRIDE, KERNEL = 512, 4, 64
EPSILON = 0.0010000000474974513  # Keras' 1e-3, in float32


class FrozenNorm(nn.Module):
    """Batch norm with its trained statistics, [B, C, …]. These stay in float32 for float16 inputs, because CREPE's
    variances reach 5e5."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Crepe(nn.Module):
    """Windows [N, 1024] of mean 0 and deviation 1, at 16 kHz -> salience [N, 360] in (0, 1)."""

    def __init__(self, capacity: str = "full"):
        super().__init__()
        channels = CHANNELS[capacity]
        self.layers = len(channels)
        for i, (before, after) in enumerate(zip((1, *channels), channels), 1):
            kernel, stride = (FIRST_KERNEL, FIRST_STRIDE) if i == 1 else (KERNEL, 1)
            setattr(self, f"conv{i}", nn.Conv2d(before, after, (kernel, 1), (stride, 1)))
            setattr(self, f"conv{i}_BN", FrozenNorm(after, EPSILON))
        self.classifier = nn.Linear(WINDOW // FIRST_STRIDE // 2 ** len(channels) * channels[-1], BINS)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        # The first convolution has one input channel: as a product with overlapping windows it is twice as fast,
        # and leaves its channels last, where the convolutions after it are fastest on a CPU.
        padding = (FIRST_KERNEL - FIRST_STRIDE) // 2
        rows = F.pad(windows, (padding, padding)).unfold(1, FIRST_KERNEL, FIRST_STRIDE)
        x = F.linear(rows, self.conv1.weight.flatten(1), self.conv1.bias)
        x = self._after_convolution(x.transpose(1, 2)[..., None], self.conv1_BN)
        for i in range(2, self.layers + 1):
            x = F.pad(x, (0, 0, (KERNEL - 1) // 2, KERNEL // 2))
            x = self._after_convolution(getattr(self, f"conv{i}")(x), getattr(self, f"conv{i}_BN"))
        return torch.sigmoid(self.classifier(x.transpose(1, 2).flatten(1)))

    @staticmethod
    def _after_convolution(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
        # float16 ends at 65504, which a click might reach; infinite values would become NaN further on.
        x = x.clamp(0, torch.finfo(x.dtype).max) if x.dtype == torch.float16 else F.relu(x)
        return F.max_pool2d(norm(x), (2, 1))
