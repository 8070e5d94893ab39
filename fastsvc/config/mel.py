"""The mel spectrogram and its normalisation."""

from __future__ import annotations

from dataclasses import dataclass

from fastsvc.config.limits import RATES_HZ
from fastsvc.config.plain import check, within


@dataclass(frozen=True)
class MelConfig:
    """Log-mel spectrogram: sqrt(|S|^2 + 1e-9), Slaney filters, log with a floor at ``clip``.

    Frames are centred by reflect padding of (window - hop) / 2 samples, so there are
    floor(samples / hop) of them (CoMoSVC mel_processing.py).
    """

    rate_hz: int = 24000
    hop_samples: int = 128
    fft_samples: int = 512
    window_samples: int = 512
    bins: int = 80
    low_hz: float = 30.0
    high_hz: float = 12000.0
    log_base: str = "10"
    clip: float = 1e-5

    def __post_init__(self):
        within("mel", self, rate_hz=RATES_HZ, hop_samples=(1, 2**12), fft_samples=(1, 2**16), bins=(1, 1024))
        check(self.window_samples <= self.fft_samples, "mel: window_samples must not exceed fft_samples")
        check(self.hop_samples <= self.window_samples, "mel: hop_samples must not exceed window_samples")
        check(
            0 <= self.low_hz < self.high_hz <= self.rate_hz / 2,
            f"mel: 0 <= low_hz < high_hz <= rate_hz/2 does not hold ({self.low_hz}, {self.high_hz}, {self.rate_hz})",
        )
        check(self.log_base in ("10", "e"), f"mel: log_base is {self.log_base!r}", 'use "10" or "e"')
        check(0 < self.clip <= 1, f"mel: clip is {self.clip:g}, outside 0 … 1")

    @property
    def frame_rate_hz(self) -> float:
        return self.rate_hz / self.hop_samples


@dataclass(frozen=True)
class NormConfig:
    """Affine map of log-mel onto about [-1, 1]: (x - low) / (high - low) * 2 - 1, one pair or one per bin."""

    low: tuple[float, ...] = (-6.0,)
    high: tuple[float, ...] = (1.5,)

    def __post_init__(self):
        check(len(self.low) == len(self.high) > 0, "norm: low and high must have the same length")
        within("norm", self, low=(-1e3, 1e3), high=(-1e3, 1e3))
        check(all(a < b for a, b in zip(self.low, self.high)), "norm: each low must be below its high")
