"""The source-filter vocoder, and which configuration a vocoder's family has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastsvc.config.limits import FUTURE_FRAMES, LAYERS, SIZES
from fastsvc.config.mel import MelConfig
from fastsvc.config.plain import check, from_dict, later, within
from fastsvc.config.reach import Reach, reaches
from fastsvc.config.vocoder import VocoderConfig

FAMILY = "source_filter"
NOT_BY_TRITON = f"the Triton kernels compute HiFi-GAN generators, not vocoders of the family {FAMILY}"
INSTEAD_OF_TRITON = "use auto, torch or tensorrt"  # as the vocoder's backend


@dataclass(frozen=True)
class SourceFilterConfig:
    """Pulses and noise through filters that a network reads from the mel (fastsvc/model/source_filter.py)."""

    family: str = FAMILY
    mel: MelConfig = field(default_factory=lambda: MelConfig(hop_samples=256, fft_samples=1024, window_samples=1024))
    channels: int = 192
    blocks: int = 5
    kernel: int = 5  # frames, of each convolution
    expansion: int = 3  # of a block's inner channels
    bands: int = 160  # points over frequency at which an envelope is corrected
    gain_points: int = 8  # points in a frame at which the loudness of pulses and noise is set
    transform_samples: int = 1536  # of the filters: a frame's excitation (two hops) and the filter's answer fit in
    future_frames: int | None = later(None)  # that a frame's filters may depend on; None: as many as of the past

    @property
    def source_channels(self) -> int:
        """Pulses and noise."""
        return 2

    @property
    def source_hop_samples(self) -> int:
        """Samples of the excitation in a frame."""
        return self.mel.hop_samples

    @property
    def reaches(self) -> list[Reach]:
        """Frames before and after its own that each convolution reads: the first one's, then the blocks'."""
        return reaches([self.kernel // 2] * (self.blocks + 1), self.future_frames)

    def __post_init__(self):
        hop = self.mel.hop_samples
        check(self.family == FAMILY, f"vocoder: unknown family {self.family!r}", f"use {FAMILY}")
        within("vocoder", self, channels=SIZES, blocks=LAYERS, kernel=(1, 255), expansion=(1, 16), bands=(2, 1024))
        within("vocoder", self, gain_points=(1, 2**10), transform_samples=(1, 2**12))
        if self.future_frames is not None:
            within("vocoder", self, future_frames=FUTURE_FRAMES)
        # the tables of mels (fastsvc/model/envelopes.py) are no weights: a small file could ask for gigabytes of them
        within("vocoder.mel", self.mel, bins=(1, 256), fft_samples=(1, 2**13))
        check(self.kernel % 2 == 1, f"vocoder: kernel is {self.kernel}, but must be odd")
        check(hop % 2 == 0, f"vocoder: mel.hop_samples is {hop}, but must be even")
        check(hop % self.gain_points == 0, f"vocoder: gain_points is {self.gain_points}, which does not divide {hop}")
        check(
            self.transform_samples % hop == 0 and self.transform_samples >= 4 * hop,
            f"vocoder: transform_samples is {self.transform_samples}, but must be a multiple of {hop}, four or more",
        )


AnyVocoderConfig = VocoderConfig | SourceFilterConfig


def vocoder_config(data: Any, where: str = "vocoder") -> AnyVocoderConfig:
    """A vocoder's configuration of plain values, by its family. Raises ConfigError as from_dict does."""
    ours = isinstance(data, dict) and data.get("family") == FAMILY
    return from_dict(SourceFilterConfig, data, where) if ours else from_dict(VocoderConfig, data, where)
