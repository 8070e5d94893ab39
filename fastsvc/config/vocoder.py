"""The vocoder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fastsvc.config.limits import NAMES, SIZES
from fastsvc.config.mel import MelConfig
from fastsvc.config.plain import check, within
from fastsvc.config.shown import shown

SINE_STAGE = 1  # of source "sine": the sine has its rate and is added there (SingingVocoders, models/nsf_HiFigan)
# Backends of a vocoder: PyTorch and onnxruntime on a CPU; all but onnxruntime on an NVIDIA GPU.
TENSORRT = ("tensorrt", "tensorrt_rtx")
VOCODER_BACKENDS = ("auto", "torch", "triton", *TENSORRT, "onnxruntime")
SOURCES = ("sines", "pulse", "sine", "none")


@dataclass(frozen=True)
class VocoderConfig:
    """HiFi-GAN generator with a neural source filter.

    ``family`` is "openvpi" (source branches are added unchanged) or "m4" (M4Singer: ReLU and a layer norm over
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
    # "sines" at f0 and its harmonics (upstream); "pulse": all harmonics up to 0.45 rate_hz; "sine": PC-NSF-HiFi-GAN's
    # (`mini_nsf`), one sine at f0, computed at the rate of stage SINE_STAGE and added only there; "none": no source, as
    # in HiFi-GAN itself
    source: str = "sines"
    noise_sigma: float = 0.0  # of the Gaussian noise that is added to conv_pre's output
    speakers: int = 0  # rows of RVC's table of vectors, one of which is added to conv_pre's output; 0: no table

    @property
    def source_channels(self) -> int:
        """The number of sines, or pulse train and noise, that the source's linear layer mixes to one excitation."""
        return {"pulse": 2, "sine": 1, "none": 0}.get(self.source, self.harmonics + 1)

    @property
    def added_gain(self) -> float:
        """The factor of what is added to conv_pre's output: a speaker's vector as it is, or noise; 0: nothing is."""
        return 1.0 if self.speakers else self.noise_sigma

    @property
    def source_hop_samples(self) -> int:
        """Samples of the source in a frame: as many as of audio, except for source "sine"."""
        return math.prod(self.upsample_rates[: SINE_STAGE + 1]) if self.source == "sine" else self.mel.hop_samples

    def source_conv(self, stage: int) -> str:
        """The name of the convolution that brings the excitation to a stage's rate; "" where none is added."""
        if self.source == "sine":
            return "source_conv" if stage == SINE_STAGE else ""
        return f"noise_convs.{stage}" if self.source_channels else ""

    def __post_init__(self):
        check(0 < len(self.upsample_rates) <= 16, f"vocoder: upsample_rates has {len(self.upsample_rates)} stages")
        check(0 < len(self.resblock_kernels) <= 16, f"vocoder: resblock_kernels has {len(self.resblock_kernels)} rows")
        units = max(map(len, self.resblock_dilations), default=0)
        check(0 < units <= 16, f"vocoder: resblock_dilations has rows of up to {units} numbers")
        within("vocoder", self, initial_channels=SIZES, upsample_rates=(1, 2**12), upsample_kernels=(1, 2**13))
        within("vocoder", self, resblock_kernels=(1, 255), resblock_dilations=(1, 1024), harmonics=(0, 64))
        product = math.prod(self.upsample_rates)
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
        check(all(k % 2 for k in self.resblock_kernels), "vocoder: kernels of resblocks must be odd")
        check(self.source in SOURCES, f"vocoder: unknown source {self.source!r}", f"use one of {', '.join(SOURCES)}")
        check(
            self.source != "sine" or (self.family == "openvpi" and len(self.upsample_rates) > SINE_STAGE),
            f"vocoder: source sine needs family openvpi and more than {SINE_STAGE} stages",
        )
        within("vocoder", self, noise_sigma=(0, 100), speakers=(0, NAMES[1]))
        check(
            not self.speakers or not self.noise_sigma,
            "vocoder: speakers and noise_sigma exclude each other",
        )
        check(self.resblock in ("1", "2"), f"vocoder: unknown resblock {shown(self.resblock)}", 'use "1" or "2"')
        check(
            self.initial_channels % 2 ** len(self.upsample_rates) == 0,
            "vocoder: initial_channels must halve at every stage",
        )
