"""The published sizes of the generators in RVC's voices, for measurements, for checks of kernels and for tests.

Reading a voice takes the file's own numbers, as people train other sizes.
"""

from __future__ import annotations

from fastsvc.config.mel import MelConfig
from fastsvc.config.vocoder import VocoderConfig

# upsampling rates and kernels
SIZES = {
    "40k": ((10, 10, 2, 2), (16, 16, 4, 4)),
    "v1 48k": ((10, 6, 2, 2, 2), (16, 16, 4, 4, 4)),
    "v1 32k": ((10, 4, 2, 2, 2), (16, 16, 4, 4, 4)),
    "v2 32k": ((10, 8, 2, 2), (20, 16, 4, 4)),
    "v2 48k": ((12, 10, 2, 2), (24, 20, 4, 4)),
}


def generator(size: str, channels: int = 512, bins: int = 192, source: str = "sines", speakers: int = 109, **changes):
    """The VocoderConfig of one of :data:`SIZES`: latent of ``bins`` channels → audio; ``changes``: of other fields."""
    rates, kernels = SIZES[size]
    rate_hz = 1000 * int(size.removesuffix("k").removeprefix("v1 ").removeprefix("v2 "))
    plain = {
        "family": "openvpi",
        "mel": MelConfig(rate_hz, rate_hz // 100, bins=bins, low_hz=0, high_hz=rate_hz / 2, log_base="e"),
        "initial_channels": channels,
        "upsample_rates": rates,
        "upsample_kernels": kernels,
        "harmonics": 0,
        "source": source,
        "speakers": speakers,
    }
    return VocoderConfig(**plain | changes)
