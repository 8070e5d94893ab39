"""Small engines and recordings for tests of streams."""

from dataclasses import replace
from pathlib import Path

import engines
import numpy as np

import fastsvc
from fastsvc import build


def engine(folder: Path, unit_align="hops", vocoder=engines.VOCODER, steps=(1, 2), **acoustic):
    """An open engine of random weights; ``acoustic`` replaces fields of engines.ACOUSTIC."""
    config = replace(engines.ACOUSTIC, **acoustic)
    config = replace(config, features=replace(config.features, unit_align=unit_align))
    parts = {
        "vocoder": engines.native(folder / "vocoder.pt", "vocoder", vocoder),
        "content": engines.native(folder / "recogniser.pt", "recogniser", engines.CONTENT),
    }
    student = engines.native(folder / "student.pt", "student", config)
    path = build.compile(student, folder / "engine.fsvc", steps=steps, target="cpu", progress=None, **parts)
    return fastsvc.load(path, device="cpu")


def song(seconds: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    """Notes with vibrato and breath between them, float32."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    hz = 220 * 2 ** (np.round(2 * np.sin(2.3 * time_s) * 4) / 12) * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * time_s))
    turns = 2 * np.pi * np.cumsum(hz) / rate_hz
    voice = sum(np.sin(k * turns) / k for k in range(1, 9)) * (np.sin(2 * np.pi * 0.7 * time_s) > -0.6)
    breath = 0.02 * np.random.default_rng(seed).standard_normal(len(time_s))
    return (0.15 * voice + breath).astype(np.float32)


def pushed(stream, audio: np.ndarray, sizes) -> np.ndarray:
    """The stream's whole output, the input cut into pieces of ``sizes``, again and again."""
    pieces, start, turn = [], 0, 0
    while start < len(audio):
        size = sizes[turn % len(sizes)]
        pieces.append(stream.push(audio[start : start + size]))
        start, turn = start + size, turn + 1
    return np.concatenate([*pieces, stream.flush()])
