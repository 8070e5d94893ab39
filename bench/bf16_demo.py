"""The bundled voices in bfloat16 and in float32: how far the conversions of the example recordings lie apart."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from bench.vocoder_rounding import score
from fastsvc.artifact import bundled
from fastsvc.audio import io
from fastsvc.engine import Engine
from fastsvc.features import f0


def compared(root: Path) -> list[dict]:
    """A row for each recording: PESQ (None without the package), relative RMS, and the RMS difference of f0 in cents
    over the frames that are voiced in both."""
    engines = [Engine.open(bundled.VOICES, "cpu", word) for word in ("fp32", "bf16")]
    rows = []
    for file in sorted((root / "examples" / "recordings").rglob("*")):
        if file.suffix not in (".wav", ".flac", ".ogg"):
            continue
        audio, rate_hz = io.read(file, mono=True)
        outputs = [engine.convert(audio[0], rate_hz, engine.speakers[0], transpose="auto")[0] for engine in engines]
        exact, rounded = map(torch.from_numpy, outputs)
        rows.append(
            {"recording": file.name, "seconds": round(len(exact) / rate_hz, 1), "f0_cents": _cents(*outputs, rate_hz)}
        )
        if importlib.util.find_spec("pesq"):
            found = score(exact, rounded, rate_hz)
            rows[-1] |= {"pesq": found["pesq"], "relative_rms": found["relative_rms"]}
    return rows


def _cents(exact: np.ndarray, rounded: np.ndarray, rate_hz: int) -> float:
    hop = round(0.01 * rate_hz)
    frames = len(exact) // hop
    tracks = [f0.extract(torch.from_numpy(audio), rate_hz, hop, frames) for audio in (exact, rounded)]
    (one_hz, one), (other_hz, other) = ((np.asarray(hz), np.asarray(voiced, bool)) for hz, voiced in tracks)
    both = one & other
    cents = 1200 * np.log2(other_hz[both] / one_hz[both])
    return round(float(np.sqrt((cents**2).mean())), 3) if both.any() else 0.0
