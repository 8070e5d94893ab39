"""SwiftF0 (Nieradzik 2025, 2508.18440): 14 000 parameters in onnxruntime, from the package swift-f0 (MIT).

The package cuts long recordings into 30 s with everything that a frame reads to each side, so the cuts change nothing
but rounding, and memory does not grow.
"""

from __future__ import annotations

import functools

import numpy as np

from fastsvc.features.f0 import external

RATE_HZ, HOP = 16000, 256  # frame i is centred at sample i · HOP
LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75  # of the model
NARROWEST = 1.05  # a band of a smaller ratio holds none of its candidates
CONFIDENT = 0.5  # the package's own bound between voiced and unvoiced


def track(audio: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """audio [samples] at 16 kHz -> f0 [samples // HOP + 1] in Hz, 0 where unvoiced or outside of the range.

    The level counts: peaks below −60 dBFS are silence, and the package advises against peaks below −35 dBFS.
    """
    external.require("swift")
    samples = np.pad(np.asarray(audio, np.float32), (0, HOP))  # the last frame would lie up to 16 ms before the end
    low, high = np.clip((low_hz, high_hz), LOWEST_HZ, HIGHEST_HZ)
    if high / low < NARROWEST:
        low, high = max(low / NARROWEST, LOWEST_HZ), min(high * NARROWEST, HIGHEST_HZ)
    found = _tracker().detect(samples, RATE_HZ, float(low), float(high))
    voiced = (found.confidence >= CONFIDENT) & (found.pitch_hz >= low_hz) & (found.pitch_hz <= high_hz)
    return np.where(voiced, found.pitch_hz, 0)


@functools.lru_cache(maxsize=1)
def _tracker():
    from swift_f0.core import SwiftF0

    return SwiftF0(threads=1, spin=False)  # one thread: the same rounding wherever it runs
