"""RVC's coupling flow, run backwards: from a draw of the text encoder's latent to the generator's input.

The flow of VITS (arXiv 2106.06103, section 2.2.1): affine couplings that only shift, with a WaveNet inside each, and
the order of channels reversed between them. Local: an output frame reads RvcConfig.flow_halo_frames to each side.
"""

import torch
from torch import Tensor, nn

from fastsvc.config.rvc import RvcConfig
from fastsvc.model.conformer import masked


class GatedLayers(nn.Module):
    """The WaveNet: gated convolutions whose residual is added as it is, without DiffWave's 1/√2.

    ``cond_layer`` maps the speaker's vector to what is added before each layer's gate, the same in every frame. The
    last layer has no residual half.
    """

    def __init__(self, config: RvcConfig):
        super().__init__()
        width, kernel, layers = config.hidden, config.flow_kernel, config.flow_layers
        self.in_layers = nn.ModuleList(nn.Conv1d(width, 2 * width, kernel, padding=kernel // 2) for _ in range(layers))
        self.res_skip_layers = nn.ModuleList(
            nn.Conv1d(width, 2 * width if i < layers - 1 else width, 1) for i in range(layers)
        )
        self.cond_layer = nn.Conv1d(config.speaker_channels, 2 * width * layers, 1)

    def forward(self, x: Tensor, speaker: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [B, hidden, T], speaker [B, G, 1], valid [B, 1, T] → the sum of the skips [B, hidden, T]."""
        biases = self.cond_layer(speaker).chunk(len(self.in_layers), dim=1)
        skips = torch.zeros_like(x)
        for conv, res_skip, bias in zip(self.in_layers, self.res_skip_layers, biases):
            filter_, gate = (conv(masked(x, valid)) + bias).chunk(2, dim=1)
            y = res_skip(torch.tanh(filter_) * torch.sigmoid(gate))
            if y.shape[1] == 2 * x.shape[1]:
                residual, y = y.chunk(2, dim=1)
                x = x + residual
            skips = skips + y
        return skips


class Coupling(nn.Module):
    """Forwards, the second half of the channels is shifted by a function of the first; backwards it is shifted back."""

    def __init__(self, config: RvcConfig):
        super().__init__()
        half = config.mel.bins // 2
        self.pre = nn.Conv1d(half, config.hidden, 1)
        self.enc = GatedLayers(config)
        self.post = nn.Conv1d(config.hidden, half, 1)

    def backwards(self, x: Tensor, speaker: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [B, C, T], speaker [B, G, 1] → [B, C, T]."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, second - self.post(self.enc(self.pre(first), speaker, valid))], dim=1)


class Flip(nn.Module):
    """The order of channels reversed; its own inverse."""

    def backwards(self, x: Tensor, speaker: Tensor, valid: Tensor | None = None) -> Tensor:
        return x.flip(1)


class Flow(nn.Module):
    """Coupling and flip in turns: couplings are ``flows.0``, ``flows.2``, …, as the flips between them count."""

    def __init__(self, config: RvcConfig):
        super().__init__()
        self.flows = nn.ModuleList()
        for _ in range(config.couplings):
            self.flows.extend([Coupling(config), Flip()])

    def backwards(self, z_p: Tensor, speaker: Tensor, valid: Tensor | None = None) -> Tensor:
        """z_p [B, C, T], speaker [B, G, 1], valid [B, 1, T] → z [B, C, T], 0 in the padding."""
        z = z_p
        for part in reversed(self.flows):
            z = part.backwards(z, speaker, valid)
        return masked(z, valid)
