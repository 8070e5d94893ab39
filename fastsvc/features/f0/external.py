"""Pitch trackers of other packages, brought onto the frames of ours."""

from __future__ import annotations

import importlib.util

import numpy as np

from fastsvc.errors import MissingPackageError

PACKAGES = {  # method → (module to import, package to install); the package pyworld has no wheels for Linux
    "pyin": ("librosa", "librosa"),
    "dio": ("pyworld", "pyworld-prebuilt"),
    "harvest": ("pyworld", "pyworld-prebuilt"),
    "pm": ("parselmouth", "praat-parselmouth"),
    "swift": ("swift_f0", "swift-f0"),
}
EXTRAS = {"pm": "praat", "swift": "swift"}  # of ours, which install a method's package and nothing else
RATE_HZ = 16000  # of the audio for Praat, as in RVC
STEP_S = 0.005  # WORLD's frame period
PRAAT_STEP_S, PRAAT_VOICING = 0.01, 0.6  # RVC's settings, and so-vits-svc's


def require(method: str) -> None:
    """Raise MissingPackageError, which says what to install, where a method's package is not installed."""
    module, package = PACKAGES.get(method, ("", ""))
    if not module or _installed(module):
        return
    extra = EXTRAS.get(method, "")
    shown, command = (package, "") if extra else (module, f"pip install {package}")
    raise MissingPackageError(shown, f"f0 method {method!r}", extra, command)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # sys.modules holds None
        return False


def pyin(audio, rate_hz, hop_samples, frames, low_hz, high_hz):
    """Probabilistic YIN of librosa (Mauch & Dixon 2014) -> (f0_hz [frames], voiced [frames])."""
    require("pyin")
    import librosa

    length = 2 ** int(np.ceil(np.log2(3 * rate_hz / low_hz)))
    # librosa centres frame t at sample t * hop; ours lie half a hop later.
    shifted = np.concatenate((audio[hop_samples // 2 :], np.zeros(length, dtype=np.float32)))
    f0_hz, voiced, _ = librosa.pyin(
        shifted, sr=rate_hz, fmin=low_hz, fmax=high_hz, frame_length=length, hop_length=hop_samples, fill_na=0.0
    )
    return f0_hz[:frames], voiced[:frames]


def world(audio, rate_hz, hop_samples, frames, low_hz, high_hz, method):
    """WORLD's dio (refined by stonemask) or harvest through pyworld -> (f0_hz [frames], voiced [frames])."""
    step = STEP_S * rate_hz
    f0_hz = world_values(method, audio, rate_hz, step, low_hz, high_hz, refine=method == "dio")
    return onto_frames(f0_hz, STEP_S, rate_hz, hop_samples, frames)


def world_values(method, audio, rate_hz, hop_samples, low_hz, high_hz, *, refine, **options):
    """pyworld's f0 for audio [samples] at the samples i * hop_samples, 0 where unvoiced, float64.

    ``refine``: by stonemask; ``options`` go to pyworld.
    """
    require(method)
    import pyworld

    audio = np.ascontiguousarray(audio, dtype=np.float64)
    limits = {"f0_floor": low_hz, "f0_ceil": high_hz, "frame_period": 1000 * hop_samples / rate_hz}
    f0_hz, times = getattr(pyworld, method)(audio, rate_hz, **limits, **options)
    return pyworld.stonemask(audio, f0_hz, times, rate_hz) if refine else f0_hz


def praat(audio, low_hz, high_hz):
    """Praat's autocorrelation (Boersma 1993) of audio [samples] at 16 kHz -> f0 at i · PRAAT_STEP_S, 0: unvoiced.

    Praat's frames stand in the middle of the recording, so silence around it moves them to whole steps. Its loudest
    sample and its path are those of the whole recording, which is therefore never cut: 30 minutes take 0.8 GB.
    """
    require("pm")
    import parselmouth

    step = round(PRAAT_STEP_S * RATE_HZ)
    steps = -(-len(audio) // step)
    # A frame needs three periods of the lowest pitch, and the first stands after half of them. One sample more than
    # that to each side, so that rounding cannot cost a frame.
    before = int(np.ceil(1.5 / low_hz * RATE_HZ)) + 1
    samples = np.zeros(2 * before + steps * step)
    samples[before : before + len(audio)] = audio
    options = {"time_step": PRAAT_STEP_S, "pitch_floor": low_hz, "pitch_ceiling": high_hz}
    pitch = parselmouth.Sound(samples, RATE_HZ).to_pitch_ac(voicing_threshold=PRAAT_VOICING, **options)
    return pitch.selected_array["frequency"]


def onto_frames(f0_hz, step_s, rate_hz, hop_samples, frames):
    """Bring a track with value i at i * step_s (0: unvoiced) to the middles of our frames.

    A frame is voiced when the nearest value is; between two voiced values log f0 runs linearly.
    """
    f0_hz = np.asarray(f0_hz, dtype=np.float64)
    at = (np.arange(frames) + 0.5) * hop_samples / rate_hz / step_s
    if f0_hz.size == 0:
        return np.zeros(frames), np.zeros(frames, dtype=bool)
    nearest = np.clip(np.rint(at).astype(int), 0, f0_hz.size - 1)
    left = np.clip(np.floor(at).astype(int), 0, f0_hz.size - 1)
    right = np.minimum(left + 1, f0_hz.size - 1)
    voiced = (f0_hz[nearest] > 0) & (at < f0_hz.size)
    both = (f0_hz[left] > 0) & (f0_hz[right] > 0)
    a, b = (np.where(both, f0_hz[side], 1.0) for side in (left, right))
    between = a * (b / a) ** np.clip(at - left, 0, 1)
    return np.where(voiced, np.where(both, between, f0_hz[nearest]), 0.0), voiced
