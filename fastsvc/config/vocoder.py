"""The vocoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.mel import MelConfig
from fastsvc.config.plain import check


@dataclass(frozen=True)
class VocoderConfig:
    """HiFi-GAN generator with a neural source filter.

    ``family`` is "openvpi" (sources are added as they are) or "m4" (M4Singer: ReLU and a layer norm over
    channels on each source branch).
    """

    family: str = "m4"
    mel: MelConfig = field(default_factory=MelConfig)
    initial_channels: int = 512
    upsample_rates: tuple[int, ...] = (8, 4, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 8, 4, 4)
    resblock: str = "1"
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    harmonics: int = 8
    source: str = "sines"  # sines at f0 and its harmonics (upstream), or "pulse": all harmonics up to 0.45 rate_hz

    @property
    def source_channels(self) -> int:
        """Sines, or the pulse train and noise, that the source's linear layer mixes to one excitation."""
        return 2 if self.source == "pulse" else self.harmonics + 1

    def __post_init__(self):
        product = 1
        for rate in self.upsample_rates:
            product *= rate
        check(self.family in ("m4", "openvpi"), f"vocoder: unknown family {self.family!r}", "use m4 or openvpi")
        check(
            product == self.mel.hop_samples,
            f"vocoder: upsample_rates multiply to {product}, but mel.hop_samples is {self.mel.hop_samples}",
        )
        check(len(self.upsample_rates) == len(self.upsample_kernels), "vocoder: one kernel per upsample rate is needed")
        check(
            all(k >= r and (k - r) % 2 == 0 for k, r in zip(self.upsample_kernels, self.upsample_rates)),
            "vocoder: each upsample kernel must exceed its rate by an even number",
        )
        check(
            len(self.resblock_kernels) == len(self.resblock_dilations), "vocoder: one dilation list per resblock kernel"
        )
        check(self.source in ("sines", "pulse"), f"vocoder: unknown source {self.source!r}", "use sines or pulse")
        check(self.resblock in ("1", "2"), f"vocoder: unknown resblock {self.resblock!r}", 'use "1" or "2"')
        check(
            self.initial_channels % 2 ** len(self.upsample_rates) == 0,
            "vocoder: initial_channels must halve at every stage",
        )
