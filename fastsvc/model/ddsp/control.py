"""The control network of DDSP-SVC 6: units, pitch and loudness → the filters of the synthesiser."""

import torch
from torch import Tensor, nn

from fastsvc.config.ddsp import GROUPS, STACK_CHANNELS, DdspConfig
from fastsvc.model.ddsp.blocks import ControlLayer

SLOPE = 0.01
PITCH_HZ = 700.0
SHIFT_SEMITONES = 5.0


def stack(config: DdspConfig, channels: int) -> nn.Sequential:
    """Two convolutions of 3 over [B, channels, T], between them a norm over the whole item (6.0), or more channels."""
    if config.version == "6.0":
        return nn.Sequential(
            nn.Conv1d(channels, config.hidden, 3, padding=1),
            nn.GroupNorm(GROUPS, config.hidden),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(config.hidden, config.hidden, 3, padding=1),
        )
    return nn.Sequential(
        nn.Conv1d(channels, STACK_CHANNELS, 3, padding=1),
        nn.PReLU(STACK_CHANNELS),
        nn.Conv1d(STACK_CHANNELS, config.hidden, 3, padding=1),
    )


class Decoder(nn.Module):
    """The residual blocks, under upstream's names."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        self.encoder_layers = nn.ModuleList(
            ControlLayer(config.hidden, config.version, config.norm, config.attention)
            for _ in range(config.hidden_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.encoder_layers:
            x = layer(x)
        return x


class Control(nn.Module):
    """[B, T, …] → [B, T, 4·filter_bins]: magnitude and phase of the harmonic filter, then of the noise's."""

    def __init__(self, config: DdspConfig):
        super().__init__()
        self.config = config
        self.stack = stack(config, config.unit_channels)
        if config.version == "6.0":
            self.f0_embed, self.phase_embed = nn.Linear(1, config.hidden), nn.Linear(1, config.hidden)
        else:
            self.stack2 = stack(config, 2 * config.mel.hop_samples)
        self.volume_embed = nn.Linear(1, config.hidden)
        if config.speakers > 1:
            self.spk_embed = nn.Embedding(config.speakers, config.hidden)
        if config.key_shift:
            self.aug_shift_embed = nn.Linear(1, config.hidden, bias=False)
        self.decoder = Decoder(config)
        self.norm = nn.LayerNorm(config.hidden)
        self.dense_out = nn.Linear(config.hidden, 4 * config.filter_bins)

    def speaker(self, speaker: Tensor) -> Tensor | float:
        """Rows [B] of the table, counted from 0, or mixing weights [B, speakers] → [B, 1, hidden]."""
        if self.config.speakers == 1:
            return 0.0
        rows = speaker.to(self.spk_embed.weight.dtype) @ self.spk_embed.weight if speaker.is_floating_point() else None
        return (self.spk_embed(speaker) if rows is None else rows)[:, None]

    def forward(self, units, f0_hz, volume, phase, excitation, speaker, key_shift=None) -> Tensor:
        """units [B, T, D], f0_hz and volume [B, T], phase [B, T] of frames' first samples in cycles, excitation
        [B, T·hop, 2]: comb tooth and noise; speaker as :meth:`speaker`; key_shift [B] in semitones or None."""
        return self.output(self.decoder(self.told(units, f0_hz, volume, phase, excitation, speaker, key_shift)))

    def told(self, units, f0_hz, volume, phase, excitation, speaker, key_shift=None) -> Tensor:
        """As :meth:`forward` → what the residual blocks get, [B, T, hidden]."""
        x = self.stack(units.transpose(1, 2)).transpose(1, 2)
        if self.config.version == "6.0":
            x = x + self.f0_embed((1 + f0_hz / PITCH_HZ).log()[:, :, None]) + self.phase_embed(2 * phase[:, :, None])
        else:
            frames = excitation.unflatten(1, (-1, self.config.mel.hop_samples)).transpose(2, 3).flatten(2)
            x = x + self.stack2(frames.transpose(1, 2)).transpose(1, 2)
        x = x + self.volume_embed(volume[:, :, None]) + self.speaker(speaker)
        if self.config.key_shift and key_shift is not None:
            x = x + self.aug_shift_embed(key_shift[:, None, None] / SHIFT_SEMITONES)
        return x

    def output(self, x: Tensor) -> Tensor:
        """The residual blocks' result [B, T, hidden] → filters as :meth:`forward`."""
        return self.dense_out(self.norm(x))


def filters(control: Tensor) -> Tensor:
    """[..., 4·F] → complex filters [..., 2, F] of the comb tooth and of the noise."""
    harmonic_magnitude, harmonic_phase, noise_magnitude, noise_phase = control.chunk(4, dim=-1)
    magnitude = torch.stack([harmonic_magnitude, noise_magnitude], dim=-2).exp()
    return torch.polar(magnitude, torch.pi * torch.stack([harmonic_phase, noise_phase], dim=-2))
