"""All layers of one evaluation in one launch: gated convolutions and residuals, ordered by flags instead of launches.

For short inputs, where a layer's two launches cost as much as its work. Phase 2l is the convolution of layer l, phase
2l + 1 its residual; each block of rows and columns is a tile. Every program takes tiles in a fixed order, phase after
phase. A finished tile adds 1 to its phase's count of its row block. A tile begins when the row blocks that it reads or
overwrites are complete in the phase before: those which the dilated taps reach. All programs must therefore run at
once, or one would wait for another that cannot begin: :func:`launch` refuses grids that the device cannot hold, and the
driver does too, as the launch is a cooperative one. ``phases`` starts some phases alone, for tests.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from fastsvc.kernels import dependent, occupancy
from fastsvc.kernels.denoiser import gated_conv, residual
from fastsvc.kernels.denoiser.layers_phases import conv_tile, residual_tile
from fastsvc.kernels.denoiser.layers_tile import LayersTile, cycle
from fastsvc.kernels.language import jit, tl
from fastsvc.kernels.launch import Launch, check_aligned

REGISTERS = 255  # of a thread, by which a multiprocessor is taken to hold the programs


def reference(
    state: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    residual_weight: Tensor,
    shift: Tensor,
    lengths: Tensor,
    dilations: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """state [B, T, C + H], conv_weight [L, 3C + H, 2C], conv_bias [L, 2C], residual_weight [L − 1, C, C], shift
    [L − 1, C], lengths [B] → (the last layer's state [B, T, C + H], z [B, T, L·C])."""
    channels, zs = residual_weight.shape[-1], []
    for layer, dilation in enumerate(dilations):
        zs.append(gated_conv.reference(state, conv_weight[layer], conv_bias[layer], lengths, dilation))
        if layer + 1 < len(dilations):
            x = state[..., :channels]
            x = residual.reference(x, zs[-1], residual_weight[layer], shift[layer], lengths)
            state = torch.cat([x, state[..., channels:]], dim=-1)
    return state, torch.cat(zs, dim=-1)


@jit(do_not_specialize=["frames", "batch", "first_phase", "last_phase"])
def layers_kernel(
    state,
    z,
    conv_weight,
    conv_bias,
    residual_weight,
    shift,
    lengths,
    counts,  # [2 LAYERS, batch, row blocks], zeros before phase 0
    frames,
    batch,
    first_phase,
    last_phase,
    C: tl.constexpr,
    STATE_STRIDE: tl.constexpr,  # C + H
    LAYERS: tl.constexpr,
    CYCLE: tl.constexpr,  # dilations 1, 2, 4, … and again from 1 after so many layers
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,  # of gate and filter together
    NARROW: tl.constexpr,  # columns of a residual's tile
    DEPTH: tl.constexpr,
    PRECISION: tl.constexpr,
    THREADS: tl.constexpr,
    PREFETCH: tl.constexpr,
):
    DEEP: tl.constexpr = 2 * C + STATE_STRIDE
    CONV_TILES: tl.constexpr = 2 * C // COLUMNS
    RESIDUAL_TILES: tl.constexpr = C // NARROW
    program, programs = tl.program_id(0), tl.num_programs(0)
    all_rows = batch * ((frames + ROWS - 1) // ROWS)
    for layer in range(LAYERS):
        dilation = 1 << (layer % CYCLE)
        here = counts + 2 * layer * all_rows
        if PREFETCH:  # the weights of the following phases reach the L2 cache during this one
            later = conv_weight + tl.minimum(layer + 1, LAYERS - 1) * (DEEP * 2 * C)
            own, share, shares = program % CONV_TILES * COLUMNS, program // CONV_TILES, programs // CONV_TILES
            dependent.prefetch(later, own, share, tl.maximum(shares, 1), DEEP, 2 * C, COLUMNS, DEPTH)
            later = residual_weight + tl.minimum(layer, LAYERS - 2) * (C * C)
            own, share = program % RESIDUAL_TILES * NARROW, program // RESIDUAL_TILES
            shares = programs // RESIDUAL_TILES
            dependent.prefetch(later, own, share, tl.maximum(shares, 1), C, C, NARROW, DEPTH)
        begun = (2 * layer >= first_phase) & (2 * layer < last_phase)
        tile = tl.where(begun, program, all_rows * CONV_TILES)
        while tile < all_rows * CONV_TILES:
            weight, bias = conv_weight + layer * (DEEP * 2 * C), conv_bias + layer * 2 * C
            conv_tile(
                tile, state, z, weight, bias, lengths, here, frames, batch, layer, dilation,
                C, STATE_STRIDE, LAYERS, ROWS, COLUMNS, NARROW, DEPTH, PRECISION, THREADS
            )  # fmt: skip
            tile += programs
        begun = (2 * layer + 1 >= first_phase) & (2 * layer + 1 < last_phase) & (layer + 1 < LAYERS)
        tile = tl.where(begun, program, all_rows * RESIDUAL_TILES)
        while tile < all_rows * RESIDUAL_TILES:
            weight, at = residual_weight + layer * (C * C), shift + layer * C
            residual_tile(
                tile, state, z, weight, at, lengths, here, frames, batch, layer, dilation,
                C, STATE_STRIDE, LAYERS, ROWS, COLUMNS, NARROW, DEPTH, PRECISION, THREADS
            )  # fmt: skip
            tile += programs


def launch(
    state: Tensor,
    z: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    residual_weight: Tensor,
    shift: Tensor,
    lengths: Tensor,
    counts: Tensor,
    dilations: tuple[int, ...],
    block: LayersTile,
    processors: int,
    precision: str = "tf32x3",
    phases: tuple[int, int] | None = None,
    programs: int | None = None,
    prefetch: bool = False,
    arch: int = 90,
) -> Launch:
    """state [B, T, C + H] is changed, z [B, T, L·C] written, counts [:func:`counts_size`] int32 are zeros before phase
    0. ``processors`` of the device; ``programs``: by default one for each tile of a convolution, at most one for each
    processor. ``phases``: first and last + 1 of those to be computed, by default all.

    Raises ValueError where the programs cannot all run at once.
    """
    batch, frames, stride = state.shape
    layers, channels = len(conv_weight), conv_weight.shape[2] // 2
    block.check(2 * channels, math.gcd(channels, stride))
    if channels % block.narrow:
        raise ValueError(f"{block.narrow} columns do not divide {channels}")
    length = cycle(dilations)
    if length is None or len(dilations) != layers or layers < 2:
        raise ValueError(f"dilations {dilations} are not powers of two in cycles, of two layers or more")
    if -(-frames // block.rows) > 32 * block.warps:
        raise ValueError(f"{frames} frames are more row blocks than a program has threads to wait with")
    tile_count = batch * -(-frames // block.rows) * (2 * channels // block.columns)
    held = occupancy.programs(block.shared_bytes(state.element_size()), REGISTERS, block.warps, arch)
    programs = min(tile_count, processors) if programs is None else programs
    if programs > processors * held:
        raise ValueError(f"{programs} programs cannot run at once on {processors} processors that hold {held} each")
    check_aligned(state=state, z=z, weight=conv_weight, bias=conv_bias, residual=residual_weight, shift=shift)
    first_phase, last_phase = (0, 2 * layers - 1) if phases is None else phases
    started = Launch.of(
        layers_kernel,
        (programs,),
        block,
        state=state,
        z=z,
        conv_weight=conv_weight,
        conv_bias=conv_bias,
        residual_weight=residual_weight,
        shift=shift,
        lengths=lengths,
        counts=counts,
        frames=frames,
        batch=batch,
        first_phase=first_phase,
        last_phase=last_phase,
        C=channels,
        STATE_STRIDE=stride,
        LAYERS=layers,
        CYCLE=length,
        NARROW=block.narrow,
        PRECISION=precision,
        THREADS=32 * block.warps,
        PREFETCH=prefetch,
    )
    return replace(started, cooperative=True)


def run(state: Tensor, z: Tensor, *others, **options) -> tuple[Tensor, Tensor]:
    """:func:`launch` and start; state is changed in place, z written; both are returned."""
    launch(state, z, *others, **options).run()
    return state, z
