"""The condition: content units, f0, loudness, singer and key shift, summed into one vector per frame."""

import torch
from torch import Tensor, nn

from fastsvc.config import ConditionConfig, MelConfig, NormConfig
from fastsvc.errors import SpeakerError
from fastsvc.model import pulse_mel


class Condition(nn.Module):
    """Sum of linear maps to H channels (CoMoSVC ComoSVC.py; the paper, arXiv 2401.01792, says "concatenated").

    Parameter names are those of CoMoSVC, so-vits-svc 4.1 and Diffusion-SVC; `voiced_embed` and `pulse_embed`
    are ours. `mel` and `norm`: those of the model, for the mel of pulses. `pulse_embed` begins with zeros, so that a
    trained model continues from what it does without.
    """

    def __init__(self, config: ConditionConfig, mel: MelConfig, norm: NormConfig):
        super().__init__()
        self.config = config
        self.unit_embed = nn.Linear(config.unit_channels, config.channels)
        self.f0_embed = nn.Linear(1, config.channels)
        self.volume_embed = nn.Linear(1, config.channels)
        if config.key_shift:
            self.aug_shift_embed = nn.Linear(1, config.channels, bias=False)
        if config.voicing:
            self.voiced_embed = nn.Linear(1, config.channels, bias=False)
        if config.pulses:
            self.pulse_embed = nn.Linear(mel.bins, config.channels, bias=False)
            nn.init.zeros_(self.pulse_embed.weight)
            self.register_buffer("pulses", pulse_mel.table(mel, norm).float(), persistent=False)
        if config.speakers > 1:
            self.spk_embed = nn.Embedding(config.speakers, config.channels)

    def forward(
        self,
        units: Tensor,
        f0_hz: Tensor,
        volume: Tensor,
        speaker: Tensor | None = None,
        key_shift: Tensor | None = None,
        voiced: Tensor | None = None,
    ) -> Tensor:
        """units [B, T, U], f0_hz and volume [B, T], speaker ids [B] or weights [B, S], key_shift [B] in semitones,
        voiced [B, T] in 0..1 → [B, T, H]."""
        cond = self.unit_embed(units)
        cond = cond + self.f0_embed(torch.log1p(f0_hz / 700)[..., None])
        cond = cond + self.volume_embed(volume[..., None])
        if self.config.voicing:
            cond = cond + self.voiced_embed(voiced[..., None].to(cond.dtype))
        if self.config.pulses:
            cond = cond + self.pulse_embed(pulse_mel.interpolated(self.pulses, f0_hz, voiced))
        if self.config.speakers > 1:
            cond = cond + self.speaker(speaker)[:, None]
        if self.config.key_shift and key_shift is not None:
            cond = cond + self.aug_shift_embed(key_shift[:, None] / 5)[:, None]
        return cond

    def speaker(self, speaker: Tensor) -> Tensor:
        """Ids [B] or mixing weights [B, S] → [B, H]. Raises SpeakerError for an id outside the table."""
        table = self.spk_embed.weight
        if speaker.is_floating_point():
            return speaker.to(table.dtype) @ table
        if speaker.numel() and not 0 <= int(speaker.min()) <= int(speaker.max()) < len(table):
            raise SpeakerError(f"speaker id {int(speaker.max())} is outside 0 … {len(table) - 1}", "choose another id")
        return self.spk_embed(speaker)
