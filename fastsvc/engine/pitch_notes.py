"""Notes for the user about a melody outside the range of pitch that a model was trained on."""

from __future__ import annotations

import torch

from fastsvc.config import AnyAcousticConfig
from fastsvc.engine.cpu.sampler import Features

LEAST_S = 0.05  # less of a recording is not worth a note


def notes(features: Features, semitones: float, config: AnyAcousticConfig) -> tuple[str, ...]:
    """Lines about ``features``, whose melody was already moved by ``semitones``.

    The model gets the transposed melody, so that one counts. Where only the original melody lay outside, the line says
    that transposing has brought it inside.
    """
    spec, frame_s = config.features, config.mel.hop_samples / config.mel.rate_hz
    f0_hz, voiced = features.melody
    f0_hz = f0_hz[voiced]
    if not len(f0_hz):
        return ()
    moved = f", transposed by {semitones:+g} semitones," if semitones else ""
    lines = []
    for side, edge_hz, end in (("above", spec.f0_high_hz, "highest"), ("below", spec.f0_low_hz, "lowest")):
        bound = f"lie {side} {edge_hz:g} Hz, the {end} that this model was trained on"
        after, before = (_outside(f0_hz / ratio, edge_hz, side) for ratio in (1, 2 ** (semitones / 12)))
        if after * frame_s >= LEAST_S:
            lines.append(f"{_share(after, len(f0_hz))} of its voiced frames{moved} {bound}")
        elif before * frame_s >= LEAST_S:
            lines.append(f"{_share(before, len(f0_hz))} of its voiced frames {bound};{moved[1:]} none do")
    return tuple(lines)


def _outside(f0_hz: torch.Tensor, edge_hz: float, side: str) -> int:
    ratio = f0_hz / edge_hz
    return int(((ratio > 1) if side == "above" else (ratio < 1)).sum())


def _share(part: int, total: int) -> str:
    percent = 100 * part / total
    return f"{percent:.0f} %" if percent >= 9.5 else f"{percent:.1g} %"
