"""The condition of Amphion's DiffComoSVC: its ConditionEncoder and Conformer, which predict a coarse mel.

cond = Conformer(Σ of content, f0, energy and singer embeddings), in the space of the normalised mel; the denoiser is
conditioned on it and the noise is drawn about it. Sources: open-mmlab/Amphion modules/encoder/condition_encoder.py,
utils/f0.py (f0_to_coarse), models/svc/comosvc/comosvc.py.
"""

import math

import torch
from torch import Tensor, nn

from fastsvc.config import AmphionConfig, ConditionConfig
from fastsvc.errors import SpeakerError
from fastsvc.model.conformer import Conformer

SEGMENT_S, OVERLAP_S = 10.0, 1.0  # Amphion's inference cuts recordings so; its training clips last 5.5 s at most


def coarse_f0(f0_hz: Tensor, config: AmphionConfig) -> Tensor:
    """f0 → bins 1 … f0_bins − 1, evenly spaced in mels from f0_low_hz to f0_high_hz; 0 Hz is in bin 1.

    Computed in float32 for models of any type, so that a frame on the border of two bins is in the same bin everywhere.
    """
    low, high = (1127 * math.log(1 + hz / 700) for hz in (config.f0_low_hz, config.f0_high_hz))
    mels = 1127 * (1 + f0_hz.float() / 700).log()
    bins = (mels - low) * (config.f0_bins - 2) / (high - low) + 1
    return (bins.where(mels > 0, mels).clamp(1, config.f0_bins - 1) + 0.5).long()


class Melody(nn.Module):
    """Embedding of quantised f0 plus one of two vectors: voiced (0), unvoiced (1)."""

    def __init__(self, config: AmphionConfig):
        super().__init__()
        self.config = config
        self.nn = nn.Embedding(config.f0_bins, config.channels)
        self.uv_embedding = nn.Embedding(2, config.channels)

    def forward(self, f0_hz: Tensor, voiced: Tensor) -> Tensor:
        """f0_hz [B, T], 0 where unvoiced; voiced [B, T] → [B, T, C]."""
        x = self.nn(coarse_f0(f0_hz, self.config))
        return x + self.uv_embedding((~voiced).long()) if self.config.voicing else x


class Loudness(nn.Module):
    """Embedding of energy, quantised at borders that lie in the checkpoint."""

    def __init__(self, config: AmphionConfig):
        super().__init__()
        borders = torch.linspace(math.log(1e-30), math.log(1.5), config.energy_bins - 1).exp()
        self.energy_bins = nn.Parameter(borders, requires_grad=False)
        self.nn = nn.Embedding(config.energy_bins, config.channels)

    def forward(self, energy: Tensor) -> Tensor:
        return self.nn(torch.bucketize(energy.float(), self.energy_bins.float()))


class Content(nn.Module):
    """A linear map of one encoder's units."""

    def __init__(self, units: int, channels: int):
        super().__init__()
        self.nn = nn.Linear(units, channels)

    def forward(self, units: Tensor) -> Tensor:
        return self.nn(units)


class Singers(nn.Module):
    def __init__(self, singers: int, channels: int):
        super().__init__()
        self.nn = nn.Embedding(singers, channels)


class ConditionEncoder(nn.Module):
    """The sum of the embeddings; names of parameters as upstream's `0.*`."""

    def __init__(self, config: AmphionConfig, speakers: int):
        super().__init__()
        self.config = config
        for name, channels in zip(config.encoders, config.encoder_channels):
            self.add_module(f"{name}_encoder", Content(channels, config.channels))
        self.melody_encoder = Melody(config)
        self.loudness_encoder = Loudness(config)
        self.singer_encoder = Singers(speakers, config.channels)

    def forward(self, units: Tensor, f0_hz: Tensor, energy: Tensor, singer: Tensor, voiced: Tensor) -> Tensor:
        """units [B, T, U], singer [B, C], the others [B, T] → [B, T, C]."""
        x = self.melody_encoder(f0_hz, voiced) + self.loudness_encoder(energy)
        for name, part in zip(self.config.encoders, units.split(self.config.encoder_channels, dim=-1)):
            x = x + self.get_submodule(f"{name}_encoder")(part)
        return x + singer[:, None]


class AmphionCondition(nn.Module):
    """Features → cond [B, T, M], used instead of fastsvc.model.condition.Condition.

    `encoder.*` are upstream's `0.*`, `conformer.*` its `1.encoder.*`.
    """

    def __init__(self, config: AmphionConfig, sizes: ConditionConfig):
        super().__init__()
        self.encoder = ConditionEncoder(config, sizes.speakers)
        self.conformer = Conformer(config.channels, config.filter_channels, config.heads, config.layers, sizes.channels)

    def forward(
        self,
        units: Tensor,
        f0_hz: Tensor,
        volume: Tensor,
        speaker: Tensor,
        key_shift: Tensor | None = None,
        voiced: Tensor | None = None,
    ) -> Tensor:
        """units [B, T, U], f0_hz [B, T], volume [B, T]: the root of the summed squares of the (linear) mel's bins,
        speaker ids [B] or weights [B, S], voiced [B, T], by default where f0_hz > 0 → [B, T, M]. key_shift is ignored.
        """
        return self.of_singer(units, f0_hz, volume, self.speaker(speaker), voiced)

    def of_singer(self, units, f0_hz: Tensor, volume, singer: Tensor, voiced=None) -> Tensor:
        """The same for a singer's vector [B, C]."""
        voiced = f0_hz > 0 if voiced is None else voiced > 0
        return self.conformer(self.encoder(units, f0_hz * voiced, volume, singer, voiced))

    def speaker(self, speaker: Tensor) -> Tensor:
        """Ids [B] or mixing weights [B, S] → [B, C]. Raises SpeakerError for an id outside the table."""
        table = self.encoder.singer_encoder.nn.weight
        if speaker.is_floating_point():
            return speaker.to(table.dtype) @ table
        if speaker.numel() and not 0 <= int(speaker.min()) <= int(speaker.max()) < len(table):
            raise SpeakerError(f"speaker id {int(speaker.max())} is outside 0 … {len(table) - 1}", "choose another id")
        return table[speaker]


def segments(frames: int, segment: int, overlap: int) -> list[tuple[int, int]]:
    """[(start, end)] of the fewest stretches of ``segment`` frames that overlap by ``overlap`` or more; one if short.

    Attention reaches over a whole stretch, so cutting is not exact; stretches are cross-faded.
    """
    if frames <= segment:
        return [(0, frames)]
    count = math.ceil((frames - overlap) / (segment - overlap))
    starts = [round(i * (frames - segment) / (count - 1)) for i in range(count)]
    return [(start, start + segment) for start in starts]


def faded(frames: int, segment: int, overlap: int, part) -> Tensor:
    """part(start, end) → [end − start, M] of every stretch, cross-faded linearly → [frames, M]."""
    stretches = segments(frames, segment, overlap)
    if len(stretches) == 1:
        return part(0, frames)
    up = torch.arange(1, segment + 1)
    ramp = (torch.minimum(up, up.flip(0)) / (overlap + 1)).clamp(max=1)[:, None]
    total = weight = 0
    for start, end in stretches:
        cond = part(start, end)
        if start == 0:
            total, weight = cond.new_zeros(frames, cond.shape[1]), cond.new_zeros(frames, 1)
            ramp = ramp.to(cond.device)
        total[start:end] += ramp * cond
        weight[start:end] += ramp
    return total / weight
