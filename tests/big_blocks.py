"""Blocks for the vocoder's kernels in the interpreter, whose time goes by operations, not by elements."""

from fastsvc.kernels.tiles import Tile
from fastsvc.kernels.vocoder import conv, residual_unit, upsample, waveform

ROWS = 512


def convolution(rows, depth, columns, *_):
    return Tile(ROWS, min(columns & -columns, 64), min(depth & -depth, 64), 4, 2)


def prepare(monkeypatch):
    """From now on the vocoder's kernels get these."""
    monkeypatch.setattr(conv, "tile", convolution)
    monkeypatch.setattr(upsample, "tile", convolution)
    monkeypatch.setattr(residual_unit, "tile", lambda rows, channels, *_: Tile(ROWS, channels, channels, 4, 2))
    monkeypatch.setattr(waveform, "tile", lambda channels: (ROWS, min(channels & -channels, 64), 4))
