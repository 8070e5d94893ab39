"""Programmatic dependent launch (sm_90 and newer): a kernel begins while the previous one still runs.

Before the wait a kernel only prefetches its weights, which nobody writes: they reach the L2 cache while the previous
kernel ends. After the wait all earlier kernels are complete and their writes are visible, and only then may the next
kernel begin: docs/kernels.md has the argument. In a kernel that was started in the usual way both instructions do
nothing.
"""

import torch

from fastsvc.kernels.language import jit, tl

LEAST_ARCH = 90


def possible(device: torch.device, arch: int) -> bool:
    """Whether kernels for ``arch`` have the instructions; the interpreter on a CPU lacks them."""
    return arch >= LEAST_ARCH and device.type != "cpu"


@jit
def prefetch(
    weight,
    column,
    share,
    shares,
    ROWS: tl.constexpr,
    STRIDE: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Ask for columns [column, column + COLUMNS) of weight [ROWS, STRIDE] in the L2 cache: of its blocks of DEPTH rows
    every ``shares``-th one, from the ``share``-th on."""
    SIZE: tl.constexpr = weight.dtype.element_ty.primitive_bitwidth // 8
    LINE: tl.constexpr = min(128 // SIZE, COLUMNS)  # of the cache, in elements
    row = tl.arange(0, DEPTH)[:, None] * STRIDE
    addresses = weight + column + row + tl.arange(0, COLUMNS // LINE)[None, :] * LINE
    for block in range(share, ROWS // DEPTH, shares):
        address = (addresses + block * DEPTH * STRIDE).to(tl.int64)
        tl.inline_asm_elementwise(
            "prefetch.global.L2 [$1]; mov.b32 $0, 0;", "=r,l", [address], tl.int32, is_pure=False, pack=1
        )


@jit
def begin(
    weight,
    column,
    ROWS: tl.constexpr,
    STRIDE: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    TILES: tl.constexpr,
    PDL: tl.constexpr,
):
    """Prefetch columns [column, column + COLUMNS) of weight [ROWS, STRIDE], wait, then let the next kernel begin.

    A program calls this first. Programs of the same columns share the rows, DEPTH at a time. TILES blocks of columns
    take turns along axis 0 of the grid.
    """
    if PDL:
        blocks = tl.num_programs(0) // TILES
        share = tl.program_id(1) * blocks + tl.program_id(0) // TILES
        prefetch(weight, column, share, blocks * tl.num_programs(1), ROWS, STRIDE, COLUMNS, DEPTH)
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
