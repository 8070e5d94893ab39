"""Blocks of all layers in one launch (layers.py), and which inputs are short enough for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fastsvc.kernels import tiles
from fastsvc.kernels.denoiser import gated_conv

MOST_ROWS = 512  # in all sequences; beyond that launches of their own cost little beside the work


@dataclass(frozen=True)
class LayersTile(tiles.Tile):
    """``columns`` are those of a convolution, gate and filter together, ``narrow`` those of a residual."""

    narrow: int = 32


def tile(frames: int, channels: int, hidden: int, dtype: torch.dtype, arch: int, batch: int = 1) -> LayersTile | None:
    """The cheapest blocks for ``batch`` sequences of ``frames``, of the same rows in both phases; None where inputs are
    too long for one launch."""
    depth, width = 3 * channels + hidden, dtype.itemsize
    fresh, processors = (channels + hidden) / depth, tiles.PROCESSORS[tiles.architecture(arch)]
    if batch * frames > MOST_ROWS:
        return None
    found = []
    for height in (16, 32, 64):
        blocks = batch * -(-frames // height)
        for columns in (32, 64, 128):
            conv = tiles.sized(height, columns, width, arch)
            if conv is None or columns > 2 * height or not conv.divides(2 * channels, channels):
                continue
            if blocks * (2 * channels // columns) > processors:  # a phase is one tile of each program
                continue
            cycles = tiles.cost(
                conv, blocks * height, 2 * channels, depth, width, arch, None, fresh, gated_conv.rows_to_reuse()
            )
            for narrow in (16, 32, 64):
                small = tiles.sized(height, narrow, width, arch)
                if narrow == 16 and arch in (120, 121):  # 16 bytes of stack
                    continue
                if small is None or not small.divides(channels, channels) or small.warps > conv.warps:
                    continue
                both = cycles + tiles.cost(small, blocks * height, channels, channels, width, arch)
                block = LayersTile(height, columns, conv.depth, conv.warps, conv.stages, narrow=narrow)
                found.append((both, -height * columns, narrow, block))
    return min(found, key=lambda one: one[:3])[3] if found else None


def counts_size(batch: int, frames: int, layers: int, block: LayersTile) -> int:
    """Numbers that a launch counts its tiles in."""
    return 2 * layers * batch * -(-frames // block.rows)


def cycle(dilations: tuple[int, ...]) -> int | None:
    """The layers after which dilations 1, 2, 4, … begin again; None for others."""
    for length in range(1, len(dilations) + 1):
        if all(dilation == 1 << (layer % length) for layer, dilation in enumerate(dilations)):
            return length
    return None
