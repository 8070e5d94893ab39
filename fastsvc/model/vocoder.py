"""The vocoder: a HiFi-GAN generator (arXiv 2010.05646) with a neural source filter, both families of this field.

The generator inside RVC's voices is one of these, too: its "mel" is the latent of the acoustic part. There each speaker
adds a vector to conv_pre's output, and voices without pitch have no source.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastsvc.config import VocoderConfig
from fastsvc.config.vocoder import SINE_STAGE

SLOPE = 0.1
LAST_SLOPE = 0.01  # both families leave the last leaky ReLU at PyTorch's default


class ResBlock(nn.Module):
    """Residual units: kind "1" has a dilated and a plain convolution each (convs1, convs2), "2" one (convs)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], kind: str):
        super().__init__()

        def convs(steps):
            return nn.ModuleList(
                nn.Conv1d(channels, channels, kernel, dilation=d, padding=(kernel - 1) * d // 2) for d in steps
            )

        if kind == "1":
            self.convs1, self.convs2 = convs(dilations), convs([1] * len(dilations))
            self.units = list(zip(self.convs1, self.convs2))
        else:
            self.convs = convs(dilations)
            self.units = [(conv,) for conv in self.convs]

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            y = x
            for conv in unit:
                y = conv(F.leaky_relu(y, SLOPE))
            x = x + y
        return x


class Generator(nn.Module):
    """Log-mel and harmonic source → waveform; parameter names as upstream, with weight norm folded.

    ``speakers.weight`` [speakers, initial_channels], only where the configuration has speakers, holds what upstream
    computes from an embedding by one linear layer (`cond`).
    """

    def __init__(self, config: VocoderConfig):
        super().__init__()
        self.config = config
        mixed, sine = config.source in ("sines", "pulse"), config.source == "sine"
        if mixed:
            self.m_source = nn.Module()
            self.m_source.l_linear = nn.Linear(config.source_channels, 1)
        if config.source == "pulse":
            with torch.no_grad():  # as loud as the sines' excitation is in a trained generator
                self.m_source.l_linear.weight.copy_(torch.tensor([[0.15, 0.075]]))
        self.conv_pre = nn.Conv1d(config.mel.bins, config.initial_channels, 7, padding=3)
        if config.speakers:
            self.speakers = nn.Embedding(config.speakers, config.initial_channels)
        self.ups, self.noise_convs, self.resblocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, (rate, kernel) in enumerate(zip(config.upsample_rates, config.upsample_kernels)):
            width = config.initial_channels >> (i + 1)
            self.ups.append(nn.ConvTranspose1d(2 * width, width, kernel, rate, padding=(kernel - rate) // 2))
            if mixed:
                self.noise_convs.append(source_conv(width, math.prod(config.upsample_rates[i + 1 :])))
            elif sine and i == SINE_STAGE:
                self.source_conv = nn.Conv1d(1, width, 1)
            for size, dilations in zip(config.resblock_kernels, config.resblock_dilations):
                self.resblocks.append(ResBlock(width, size, dilations, config.resblock))
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)

    def source(self, sines: Tensor) -> Tensor:
        """Sines [B, T·source_hop_samples, source_channels] → one excitation [B, T·source_hop_samples].

        Source "none" has no excitation: there it is not to be called.
        """
        if self.config.source == "sine":
            return sines.squeeze(-1)
        mixed = self.m_source.l_linear(sines).squeeze(-1)
        return mixed if self.config.source == "pulse" else torch.tanh(mixed)  # tanh would blunt the pulses

    def forward(self, mel: Tensor, source: Tensor | None, added: Tensor | None = None) -> Tensor:
        """mel [B, T, M] (log base as configured), ``source`` from :meth:`source` → audio [B, T·hop] in −1 … 1.

        ``source`` is ignored where the configuration has none. ``added`` [B, T, initial_channels], or what broadcasts
        to it, is added to conv_pre's output: standard normal noise times `noise_sigma`, or a speaker's vector as it is;
        None omits it.
        """
        x = self.conv_pre(mel.transpose(1, 2))
        if added is not None:
            x = x + self.config.added_gain * added.transpose(-1, -2)
        kinds = len(self.config.resblock_kernels)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            if self.config.source_conv(i):
                assert source is not None, "this vocoder takes an excitation"
                x = x + self.source_branch(i, source[:, None])
            x = sum(block(x) for block in self.resblocks[i * kinds : (i + 1) * kinds]) / kinds
        x = F.leaky_relu(x, LAST_SLOPE).to(self.conv_post.weight.dtype)
        with torch.autocast(x.device.type, enabled=False):  # samples in bf16 would have 9 bits
            return torch.tanh(self.conv_post(x)).squeeze(1)

    def source_branch(self, stage: int, source: Tensor) -> Tensor:
        """The excitation at one stage's rate, [B, C, T·rate]."""
        if self.config.source == "sine":
            return self.source_conv(source)
        branch = self.noise_convs[stage](source)
        if self.config.family == "m4":
            branch = F.layer_norm(F.relu(branch).transpose(1, 2), (branch.shape[1],)).transpose(1, 2)
        return branch


def source_conv(width: int, stride: int) -> nn.Conv1d:
    """The convolution that brings the excitation down to a stage's rate; the last stage has a kernel of 1."""
    if stride == 1:
        return nn.Conv1d(1, width, 1)
    return nn.Conv1d(1, width, 2 * stride, stride, padding=stride // 2)


def halo_frames(config: VocoderConfig) -> int:
    """Mel frames on each side that a sample of the output depends on (an upper bound, in whole frames)."""
    reach = 3.0  # conv_post, in samples of the current rate
    for rate, kernel in reversed(list(zip(config.upsample_rates, config.upsample_kernels))):
        units = [
            sum((size - 1) // 2 * (d + (config.resblock == "1")) for d in dilations)
            for size, dilations in zip(config.resblock_kernels, config.resblock_dilations)
        ]
        reach += max(units)
        reach = (reach + kernel - 1 - (kernel - rate) // 2) / rate  # transposed convolution, back at the lower rate
    # the source branch reaches 1.5 strides at most, and the gliding sine one frame: less than conv_pre's 3
    return math.ceil(reach + 3)
