"""f0 as computed by the projects whose checkpoints we read, because a model works best with the f0 of its training.

``comosvc``: CoMoSVC's Features.py, which is so-vits-svc 4.1's modules/F0Predictor cut down to dio; its other predictors
bring the other methods. ``diffusion_svc``: F0_Extractor of Diffusion-SVC's tools/tools.py (silence_front 0), shared by
DDSP-SVC. Both measure at sample t · hop, half a frame before our frames' middles, fill linearly in hertz and hold the
ends. Trackers that upstream lacks, and Praat, keep our time grid and are filled in that way.

Not reproduced: CREPE's random dither and its decoding in batches (torchcrepe), the A-weighted silence gate of
so-vits-svc's CREPE, and the resamplers to 16 kHz (torchaudio, resampy): soxr takes their place.
"""

from __future__ import annotations

import numpy as np
import torch

from fastsvc.features.f0 import external, networks, neural

NETWORKS = tuple(neural.THRESHOLD)
ON_OUR_GRID = ("yin", "pyin", "pm", "swift", "pesto")


def extract(style, method, audio, rate_hz, hop, frames, low_hz, high_hz, weights, own_grid, beyond=None):
    """audio [samples] (torch) -> (f0_hz [frames] filled, voiced [frames]). ``own_grid()`` tracks on our own grid.
    ``beyond(audio, f0_hz, voiced, samples)`` adds pitch outside the range to a track that lies ``samples`` before our
    grid.

    Upstream derives the number of frames from the audio; for another number the audio is cut or continued with zeros,
    so that no frame moves.
    """
    samples = len(audio)
    started = -(-samples // hop) if style == "comosvc" else samples // hop + 1  # frames that start within the audio
    if (samples // hop != frames) if style == "comosvc" else (started < frames):
        audio = torch.nn.functional.pad(audio[: frames * hop], (0, max(0, frames * hop - samples)))
    if method in ON_OUR_GRID:
        f0_hz, voiced = own_grid()
        f0_hz = tracked_hz = np.where(voiced, f0_hz, 0)
    else:
        compute = comosvc if style == "comosvc" else diffusion_svc
        f0_hz = tracked_hz = compute(method, audio, rate_hz, hop, low_hz, high_hz, weights)[:frames]
        if beyond is not None:
            f0_hz, voiced = beyond(audio, tracked_hz, tracked_hz > 0, hop // 2)
            f0_hz = np.where(voiced, f0_hz, 0)
    voiced = f0_hz > 0
    low = voiced & (f0_hz < low_hz) & ((f0_hz != tracked_hz) | (beyond is not None and method == "yin"))
    f0_hz = fill(f0_hz)
    if style == "diffusion_svc":
        f0_hz = np.where(low, f0_hz, np.maximum(f0_hz, low_hz))  # also where no frame is voiced
    return f0_hz.astype(np.float32), voiced & (np.arange(frames) < started)


def fill(f0_hz: np.ndarray) -> np.ndarray:
    """f0 with its zeros interpolated linearly, held at both ends; zeros if there is nothing else.

    Upstream's CoMoSVC gives np.ones * f0[0] where exactly one frame is voiced, which is 0 unless that is the first
    one: a defect, and not followed. Nor are its times in float32, which drift in long recordings.
    """
    voiced = np.flatnonzero(f0_hz)
    if voiced.size == 0:
        return np.zeros(len(f0_hz))
    return np.interp(np.arange(len(f0_hz)), voiced, f0_hz[voiced])


def comosvc(method, audio, rate_hz, hop, low_hz, high_hz, weights=None) -> np.ndarray:
    """samples // hop values, 0 where unvoiced."""
    frames = len(audio) // hop
    if method in NETWORKS:
        return nearest(_so_vits_network(method, audio, rate_hz, hop, low_hz, high_hz, weights), frames)
    # so-vits-svc's HarvestF0Predictor passes the hop as the sample rate and cannot run; this is its intention.
    wave = audio.cpu().double().numpy()
    f0_hz = external.world_values(method, wave, rate_hz, hop, low_hz, high_hz, refine=True)
    if method == "dio":
        f0_hz = np.round(f0_hz, 1)  # to 0.1 Hz
    f0_hz[f0_hz < 0.001] = np.nan  # an interpolated value beside an unvoiced one is unvoiced
    positions = np.arange(0, len(f0_hz) * frames, len(f0_hz)) / frames
    return np.nan_to_num(np.interp(positions, np.arange(len(f0_hz)), f0_hz))


def _so_vits_network(method, audio, rate_hz, hop, low_hz, high_hz, weights):
    audio = networks.at_16k(audio, rate_hz)
    if not method.startswith("crepe"):
        f0_hz, confidence = neural.track(method, audio, 0.0, np.inf, weights=weights)
        # Upstream's fcpe is an older network with another threshold; the packaged network keeps its own 0.006.
        return np.where(confidence > (0.05 if method == "rmvpe" else 0.006), f0_hz, 0)
    step = max(1, hop * networks.RATE_HZ // rate_hz)
    f0_hz, confidence = neural.track(method, audio, low_hz, high_hz, hop=step)
    return smooth(np.where(neural.median(confidence, 3) < 0.05, 0, f0_hz), 3, reflect=False)


def diffusion_svc(method, audio, rate_hz, hop, low_hz, high_hz, weights=None) -> np.ndarray:
    """samples // hop + 1 values, 0 where unvoiced."""
    frames = len(audio) // hop + 1
    if method in ("dio", "harvest"):
        wave = audio.cpu().double().numpy()
        channels = {"channels_in_octave": 2} if method == "dio" else {}
        f0_hz = external.world_values(method, wave, rate_hz, hop, low_hz, high_hz, refine=method == "dio", **channels)
        return np.pad(f0_hz, (0, max(0, frames - len(f0_hz))))[:frames]
    audio = networks.at_16k(audio, rate_hz)
    if method == "fcpe":
        f0_hz, confidence = neural.track(method, audio, 0.0, np.inf)
        return nearest(np.where(confidence > 0.005, f0_hz, 0), frames)
    seconds = hop / rate_hz * np.arange(frames)
    if method == "rmvpe":
        f0_hz, confidence = neural.track(method, audio, 0.0, np.inf, weights=weights)
        voiced, track_seconds = confidence > 0.03, neural.STEP_S * np.arange(len(f0_hz))
        unvoiced = np.interp(seconds, track_seconds, (~voiced).astype(float)) > 0.5
        return np.where(unvoiced, 0, np.interp(seconds, track_seconds, fill(np.where(voiced, f0_hz, 0))))
    f0_hz, confidence = neural.track(method, audio, low_hz, high_hz, hop=80)  # 5 ms
    f0_hz = smooth(np.where(neural.median(confidence, 4) < 0.05, 0, f0_hz), 4, reflect=True)
    positions = np.arange(frames) * hop / rate_hz / 0.005
    return f0_hz[np.minimum(np.round(positions).astype(int), len(f0_hz) - 1)]


def nearest(values: np.ndarray, length: int) -> np.ndarray:
    """torch's nearest interpolation to ``length`` values, which all these projects use."""
    return torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=length)[0, 0].numpy()


def smooth(f0_hz: np.ndarray, length: int, reflect: bool) -> np.ndarray:
    """Running mean of the voiced values (not 0) in the window; 0 where the window has none."""
    sides = ((length - 1) // 2, length // 2)
    padded = np.pad(f0_hz, sides, mode="reflect") if reflect and len(f0_hz) > sides[1] else np.pad(f0_hz, sides)
    windows = np.lib.stride_tricks.sliding_window_view(padded, length)
    return windows.sum(1) / np.maximum((windows > 0).sum(1), 1)
