"""Pictures of a recording for the page: a spectrogram with pitch on a logarithmic scale, and its pitch over time."""

from __future__ import annotations

import base64
import gzip
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastsvc import files
from fastsvc.audio import io
from fastsvc.audio.resample import resample
from fastsvc.features import f0
from fastsvc.serve.jobs.names import HEARD, PICTURES

FRAMES = 4000  # at most
FRAME_S = 0.016  # at least
LOW_HZ, HIGH_HZ, BINS = 55.0, 14080.0, 160  # 20 bins an octave
WINDOW_S = 0.046
RANGE_DB = 80.0  # from the loudest down to black
FINEST_S = 0.02  # of the frames that are averaged into one frame of a long recording
PIECE_S = 30.0  # of a spectrogram that is computed at a time
PITCH_HZ = 16000  # pitch is tracked at this rate
PITCH_RANGE_HZ = (50.0, 1100.0)


def write(folder: Path, source: Path, result: Path) -> None:
    """Write HEARD and both pictures into ``folder``. Raises AudioError, OutputError."""
    audio, rate_hz = io.read(source, mono=True)
    io.write(folder / HEARD, audio, rate_hz, "wav", "16")
    for name, path in (("input", None), ("result", result)):
        if path is not None:
            audio, rate_hz = io.read(path, mono=True)
        text = json.dumps(picture(audio[0], rate_hz), separators=(",", ":"))
        files.write_bytes(folder / PICTURES[name], gzip.compress(text.encode(), 4))


@torch.inference_mode()
def picture(audio: np.ndarray, rate_hz: int) -> dict:
    """float32 [samples] → {"seconds", "frame_s", "frames", "bins", "low_hz", "high_hz", "scale": "log", "levels_db",
    "data", "f0_hz"}.

    ``data``: base64 of uint8 [frames, bins], from levels_db[0] (0) to levels_db[1] (255); bins are spaced evenly in
    octaves, from low_hz to high_hz. ``f0_hz`` [frames], null where unvoiced. Frame t is centred at (t + ½) · frame_s.
    """
    seconds = len(audio) / rate_hz
    frame_s = max(FRAME_S, seconds / FRAMES)
    frames = max(1, min(FRAMES, math.ceil(seconds / frame_s - 1e-6)))
    high_hz = min(HIGH_HZ, rate_hz / 2)
    level_db = 10 * torch.log10(_power(torch.from_numpy(audio), rate_hz, frame_s, frames, high_hz) + 1e-12)
    top_db = float(level_db.max().clamp(min=-60))
    data = ((level_db - top_db) / RANGE_DB + 1).clamp(0, 1) * 255
    content = data.round().to(torch.uint8).numpy().tobytes()
    return {
        "seconds": seconds,
        "frame_s": frame_s,
        "frames": frames,
        "bins": BINS,
        "low_hz": LOW_HZ,
        "high_hz": high_hz,
        "scale": "log",
        "levels_db": [round(top_db - RANGE_DB, 1), round(top_db, 1)],
        "data": base64.b64encode(content).decode(),
        "f0_hz": _pitch(audio, rate_hz, frame_s, frames),
    }


def _power(audio: Tensor, rate_hz: int, frame_s: float, frames: int, high_hz: float) -> Tensor:
    """[frames, BINS]: power of each bin relative to a full-scale sine's; a mean over finer frames where frames are
    long."""
    size = 1 << round(math.log2(WINDOW_S * rate_hz))
    window = torch.hann_window(size)
    filters = _filters(size, rate_hz, high_hz)
    finer = max(1, math.ceil(frame_s / FINEST_S))
    padded = torch.nn.functional.pad(audio, (size // 2, size))
    total, step = torch.empty(frames, BINS), max(1, round(PIECE_S / frame_s))
    for first in range(0, frames, step):
        last = min(frames, first + step)
        places = (torch.arange(first * finer, last * finer, dtype=torch.float64) + 0.5) * (frame_s / finer * rate_hz)
        starts = places.long().clamp(max=len(padded) - size)
        rows = padded.unfold(0, size, 1)[starts] * window
        power = torch.fft.rfft(rows).abs().square() * (4 / window.sum().square())
        total[first:last] = (power @ filters).view(last - first, finer, BINS).mean(1)
    return total


def _filters(size: int, rate_hz: int, high_hz: float) -> Tensor:
    """[size/2 + 1, BINS]: a triangle around each bin's frequency, at least two steps of the transform wide."""
    step = rate_hz / size
    ratio = (high_hz / LOW_HZ) ** (1 / BINS)
    centres = LOW_HZ * ratio ** (torch.arange(BINS) + 0.5)
    half = torch.maximum(centres * (ratio - 1), torch.tensor(step))
    frequencies = torch.arange(size // 2 + 1) * step
    return (1 - (frequencies[:, None] - centres).abs() / half).clamp(min=0)


def _pitch(audio: np.ndarray, rate_hz: int, frame_s: float, frames: int) -> list[float | None]:
    low = resample(audio, rate_hz, PITCH_HZ) if rate_hz != PITCH_HZ else audio
    hop = max(1, round(frame_s * PITCH_HZ))
    count = max(1, math.ceil(len(low) / hop))
    f0_hz, voiced = f0.extract(low, PITCH_HZ, hop, count, low_hz=PITCH_RANGE_HZ[0], high_hz=PITCH_RANGE_HZ[1])
    # hop is a whole number of samples and frame_s is not: the nearest of the tracked frames
    places = np.minimum(((np.arange(frames) + 0.5) * frame_s * PITCH_HZ / hop).astype(int), count - 1)
    return [round(float(f0_hz[i]), 1) if voiced[i] else None for i in places]
