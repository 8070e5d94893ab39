"""The condition of Amphion's DiffComoSVC."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc.config.limits import F0_HZ, LAYERS, SIZES
from fastsvc.config.plain import check, within


@dataclass(frozen=True)
class AmphionConfig:
    """Embeddings of content, f0, energy and singer, summed, and a Conformer down to the mel's bins.

    A unit is the concatenation of the ``encoders``' outputs, of ``encoder_channels`` each; both kinds last 20 ms.
    """

    encoders: tuple[str, ...] = ("whisper", "contentvec")
    encoder_channels: tuple[int, ...] = (1024, 256)
    channels: int = 384
    f0_bins: int = 256
    f0_low_hz: float = 50.0
    f0_high_hz: float = 1100.0
    energy_bins: int = 256
    voicing: bool = True
    heads: int = 2
    layers: int = 6
    filter_channels: int = 512

    @property
    def unit_channels(self) -> int:
        return sum(self.encoder_channels)

    @property
    def foreign_encoders(self) -> tuple[str, ...]:
        """The encoders whose units this program does not compute."""
        return self.encoders

    def __post_init__(self):
        check(
            0 < len(self.encoders) == len(self.encoder_channels) <= 16,
            "amphion: each content encoder needs its number of channels",
        )
        for name in self.encoders:
            check(name in ("whisper", "contentvec"), f"amphion: unknown encoder {name!r}", "use whisper, contentvec")
        within("amphion", self, encoder_channels=SIZES, channels=SIZES, heads=SIZES, filter_channels=SIZES)
        within("amphion", self, layers=LAYERS, f0_bins=(3, 2**14), energy_bins=(3, 2**14))
        within("amphion", self, f0_low_hz=F0_HZ, f0_high_hz=F0_HZ)
        check(self.channels % self.heads == 0, "amphion: heads must divide channels")
        check(self.f0_low_hz < self.f0_high_hz, "amphion: f0_low_hz < f0_high_hz does not hold")
