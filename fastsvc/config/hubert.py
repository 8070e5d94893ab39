"""HuBERT-base and ContentVec, which is HuBERT-base trained to forget the speaker."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fastsvc.config.limits import LAYERS, RATES_HZ, SIZES
from fastsvc.config.plain import check, within
from fastsvc.errors import ConfigError

# Names of units in other projects: DDSP-SVC and Diffusion-SVC call layer 9 through final_proj "contentvec".
_ALIASES = {
    "contentvec": "vec256l9",
    "contentvec768": "vec768l9",
    "hubertbase": "vec256l9",
    "hubertbase768": "vec768l9",
}
_NAME = re.compile(r"(?:content)?vec(\d{1,5})l(\d{1,2})|hubertbase(\d{1,5})l(\d{1,2})")


@dataclass(frozen=True)
class HubertConfig:
    """HuBERT (Hsu et al. 2021, arXiv 2106.07447) of the base kind: group norm on the first convolution, layer norm
    after each half of a transformer layer. Its output is the last of ``layers``, through ``final_proj`` if
    ``projection`` is not 0.
    """

    rate_hz: int = 16000
    channels: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072  # of the feed-forward half
    projection: int = 0  # channels after final_proj; 0: none
    conv_channels: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    position_kernel: int = 128
    position_groups: int = 16
    norm_eps: float = 1e-5

    def __post_init__(self):
        within("hubert", self, rate_hz=RATES_HZ, channels=SIZES, layers=LAYERS, heads=SIZES, hidden=(1, 2**16))
        within("hubert", self, projection=(0, SIZES[1]), position_kernel=(1, 4096), position_groups=SIZES)
        within("hubert", self, conv_channels=SIZES, conv_kernels=(1, 1024), conv_strides=(1, 1024))
        convs = (self.conv_channels, self.conv_kernels, self.conv_strides)
        check(
            len({len(row) for row in convs}) == 1 and 0 < len(self.conv_kernels) <= 32,
            "hubert: conv_channels, conv_kernels and conv_strides need one number for each of up to 32 convolutions",
        )
        check(
            all(kernel >= stride for kernel, stride in zip(self.conv_kernels, self.conv_strides)),
            "hubert: a convolution's stride exceeds its kernel, so samples would be skipped",
        )
        check(self.channels % self.heads == 0, "hubert: channels must divide by heads")
        check(self.channels % self.position_groups == 0, "hubert: channels must divide by position_groups")
        within("hubert", self, norm_eps=(1e-12, 1))
        within("hubert", self, hop_samples=(1, 2**16))

    @property
    def hop_samples(self) -> int:
        hop = 1
        for stride in self.conv_strides:
            hop *= stride
        return hop

    @property
    def window_samples(self) -> int:
        """Samples that one unit reads before the transformer: 400, so L samples give (L − 80) // 320 units."""
        window = 1
        for kernel, stride in zip(reversed(self.conv_kernels), reversed(self.conv_strides)):
            window = (window - 1) * stride + kernel
        return window

    @property
    def unit_channels(self) -> int:
        return self.projection or self.channels

    @property
    def units(self) -> str:
        """so-vits-svc's name of the units: vec768l12, vec256l9, …"""
        return f"vec{self.unit_channels}l{self.layers}"

    def cut(self, encoder: str) -> HubertConfig:
        """This network cut to the part that computes the units called ``encoder``. Raises ConfigError."""
        parsed = hubert_units(encoder)
        if parsed is None:
            raise ConfigError(f"{encoder!r} does not name units of HuBERT or ContentVec", "correct the configuration")
        channels, layer = parsed
        given = f"gives {self.channels}" + (f" or, projected, {self.projection}" if self.projection else "")
        check(
            1 <= layer <= self.layers,
            f"{encoder} is layer {layer}, the content encoder has {self.layers}",
            "use the complete encoder",
        )
        check(
            channels in (self.channels, self.projection),
            f"{encoder} has {channels} channels, but this content encoder {given}"
            f" (final_proj {'there' if self.projection else 'missing'})",
            "name the HuBERT or ContentVec whose units the voice was trained with"
            + ("" if self.projection else ", with its final_proj"),
        )
        return replace(self, layers=layer, projection=0 if channels == self.channels else self.projection)


def hubert_units(encoder: str) -> tuple[int, int] | None:
    """(channels, layer) of the units that an acoustic model's ``features.encoder`` names; None: not of HuBERT.

    vec768l12, vec256l9 (CoMoSVC, so-vits-svc), contentvec768l12, hubertbase768l12, contentvec, … (DDSP-SVC,
    Diffusion-SVC). Units with the network's own number of channels are its output, others that of final_proj.
    """
    match = _NAME.fullmatch(_ALIASES.get(encoder, encoder))
    if match is None:
        return None
    channels, layer = (int(part) for part in match.groups() if part is not None)
    return channels, layer
