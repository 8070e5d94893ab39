"""Strengths and probabilities of the perturbations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastsvc.config.limits import SHARE
from fastsvc.config.plain import within
from fastsvc.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges and probabilities; :data:`NONE` changes nothing. ``*_db`` are peak values of random curves.

    Each item has its own strength, uniform in 0 ... 1, which scales curves and noise (in dB). So most items are
    perturbed a little and some a lot; without the easy items a network is slow to learn anything.
    """

    owner: ClassVar[str] = "task.augment"  # in messages

    gain_db: tuple[float, ...] = (-30.0, 6.0)
    equaliser_db: float = 10.0
    tilt_db: float = 12.0  # over the whole range, log frequency
    band_limit: float = 0.4  # how often; half of them at 3.4-4 kHz, as telephones and 8 kHz recordings
    noise: float = 0.6
    snr_db: tuple[float, ...] = (5.0, 40.0)
    reverb: float = 0.25
    saturation: float = 0.15
    codec: float = 0.15
    warp: tuple[float, ...] = (0.82, 1.22)
    tempo: tuple[float, ...] = (0.85, 1.2)
    time_masks: int = 1
    mel_masks: int = 1
    pitch: tuple[float, ...] = (1.0, 1.0)  # of the harmonics, while the formants stay
    bend: float = 0.0  # how far, at most, one formant is warped more or less than the others: 0.1 is 10 %
    contrast: tuple[float, ...] = (1.0, 1.0)  # of formants: below 1 they are blurred, above 1 sharp

    def __post_init__(self):
        for name in ("gain_db", "snr_db", "warp", "tempo", "pitch", "contrast"):
            if len(getattr(self, name)) != 2:
                raise ConfigError(f"{self.owner}: {name} is {getattr(self, name)}", "set the lowest and the highest")
        within(self.owner, self, gain_db=(-120, 120), equaliser_db=(0, 120), tilt_db=(0, 120), snr_db=(-60, 120))
        within(self.owner, self, band_limit=SHARE, noise=SHARE, reverb=SHARE, saturation=SHARE, codec=SHARE)
        within(self.owner, self, warp=(0.25, 4), tempo=(0.25, 4), pitch=(0.25, 4))
        within(self.owner, self, bend=(0, 0.3), contrast=(0, 4))
        within(self.owner, self, time_masks=(0, 1000), mel_masks=(0, 1000))


NONE = AugmentConfig((0.0, 0.0), 0, 0, 0, 0, (60.0, 60.0), 0, 0, 0, (1.0, 1.0), (1.0, 1.0), 0, 0)
