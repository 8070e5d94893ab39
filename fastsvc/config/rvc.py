"""RVC's voices."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastsvc.config.acoustic import FeatureConfig
from fastsvc.config.limits import LAYERS, NAMES, SIZES
from fastsvc.config.mel import MelConfig
from fastsvc.config.plain import check, within
from fastsvc.config.whole import WholeConfig

KIND = "rvc"
PITCHES = 256  # rows of the embedding of coarse pitch; 1 stands for unvoiced, 0 is not used


def _features() -> FeatureConfig:
    return FeatureConfig(encoder="vec768l12", unit_align="left", f0_low_hz=50.0, f0_high_hz=1100.0)


@dataclass(frozen=True)
class RvcConfig(WholeConfig):
    """The acoustic part of a voice of RVC: units and pitch → the latent that its generator turns into audio.

    A text encoder gives a latent's mean and deviation, and a coupling flow, run backwards, turns a draw from that into
    the generator's input (fastsvc/model/rvc). ``mel`` is the grid of frames, 100 a second, ``mel.bins`` the latent's
    channels; there is no spectrogram. Windows of the features' f0 are those that the coarse pitch covers. Version 1
    takes vec256l9, version 2 vec768l12.
    """

    kind: str = KIND
    mel: MelConfig = field(default_factory=lambda: MelConfig(40000, 400, bins=192, low_hz=0, high_hz=20000))
    features: FeatureConfig = field(default_factory=_features)
    speakers: int = 109
    speaker_channels: int = 256
    hidden: int = 192  # of the encoder and of the flow
    filter_channels: int = 768
    heads: int = 2
    layers: int = 6
    kernel: int = 3  # of the encoder's feed-forward halves
    window: int = 10  # frames to each side that have relative positions of their own
    couplings: int = 4
    flow_layers: int = 3
    flow_kernel: int = 5
    pitch: bool = True  # whether the encoder takes coarse pitch, and the generator a source
    noise_scale: float = 0.66666

    @property
    def version(self) -> str:
        """RVC's name of the units: v1 or v2."""
        return "v2" if self.unit_channels == 768 else "v1"

    @property
    def flow_halo_frames(self) -> int:
        """Frames beyond each end of the flow's output that it reads."""
        return self.couplings * self.flow_layers * (self.flow_kernel // 2)

    def __post_init__(self):
        check(self.kind == KIND, f"acoustic: unknown kind {self.kind!r}", f"use {KIND}")
        within("rvc", self, speakers=NAMES, speaker_channels=SIZES, hidden=SIZES, filter_channels=SIZES, heads=SIZES)
        within("rvc", self, layers=LAYERS, couplings=(1, 32), flow_layers=(1, 64), window=(1, 512))
        within("rvc", self, kernel=(1, 255), flow_kernel=(1, 255), noise_scale=(0, 10))
        check(self.hidden % self.heads == 0, "rvc: heads must divide hidden")
        check(self.kernel % 2 == 1 and self.flow_kernel % 2 == 1, "rvc: kernels must be odd")
        check(self.mel.bins % 2 == 0, "rvc: the latent has an odd number of channels, which no coupling can halve")
        check(
            self.mel.hop_samples * 100 == self.mel.rate_hz,
            f"rvc: a hop of {self.mel.hop_samples} samples is not 10 ms at {self.mel.rate_hz} Hz",
        )
