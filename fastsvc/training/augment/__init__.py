"""Perturbed log-mels: rooms, microphones, noise, band limits, other throats and tempos.

The synthetic choir is clean and has few singers; recordings of people are noisy and have many. Nearly every change
here acts on one short-time spectrum, by item and vectorised, so that all cost less than the smallest network:

* the spectrum is taken at the corpus' own rate with a transform whose bins fall on those of ``MelConfig``, so
  nothing is resampled (768 points at 24 kHz have the bins of 512 points at 16 kHz);
* another hop is another tempo; labels follow by time;
* another throat (and pitch) is a mel filter bank read at stretched frequencies, the vocal tract length
  perturbation of Jaitly and Hinton (2013), and bent ones, as formants of women, men and children differ by other
  factors each;
* equaliser, tilt, band limits are curves over frequency; noise is complex Gaussian with such a curve.

Random numbers come from the ``torch.Generator`` that is passed in, and from nowhere else.
"""

from fastsvc.training.augment.audio import random_equaliser, reverberate, saturate
from fastsvc.training.augment.config import NONE, AugmentConfig
from fastsvc.training.augment.curves import band_limits, bends, smooth_curve
from fastsvc.training.augment.draws import log_uniform, often, uniform
from fastsvc.training.augment.mels import contrasted, labels_at, mask_spans, perturbed_mel
from fastsvc.training.augment.spectra import holes, noise, spectrum, transform_samples, warped_banks

__all__ = [
    "NONE",
    "AugmentConfig",
    "band_limits",
    "bends",
    "contrasted",
    "holes",
    "labels_at",
    "log_uniform",
    "mask_spans",
    "noise",
    "often",
    "perturbed_mel",
    "random_equaliser",
    "reverberate",
    "saturate",
    "smooth_curve",
    "spectrum",
    "transform_samples",
    "uniform",
    "warped_banks",
]
