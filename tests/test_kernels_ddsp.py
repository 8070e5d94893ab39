"""The fused block of DDSP-SVC 6: in Triton's interpreter, or on a GPU where there is one, and compiled ahead."""

import pytest
import torch
from kernel_check import ARCH, DEVICE, DTYPES, check, poisoned, random

pytest.importorskip("triton")

from fastsvc.build.cubins import compiler, resources
from fastsvc.build.cubins.resources import ARCHITECTURES, TYPES
from fastsvc.engine.cpu.ddsp.blocks import CpuBlocks
from fastsvc.kernels.ddsp import block as kernel
from fastsvc.kernels.tiles import SHARED_BYTES, Tile

EXACT = {"precision": "ieee"}


def weights(channels: int, dtype, prelu: bool) -> list:
    """Arguments of the reference between x and out."""
    inner = 2 * channels
    widen = random(channels, 2 * inner, dtype=dtype, scale=channels**-0.5)
    narrow = random(inner, channels, dtype=dtype, scale=inner**-0.5)
    slope = 0.25 + random(inner, scale=0.1) if prelu else None
    taps = random(kernel.TAPS, inner, scale=0.3), random(inner, scale=0.1)
    return [widen, random(2 * inner, scale=0.1), *taps, slope, narrow, random(channels, scale=0.1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "batch, frames, channels, programs, prelu", [(1, 1, 32, 1, True), (2, 71, 32, 2, False), (1, 103, 64, 5, True)]
)
def test_block(batch, frames, channels, programs, prelu, dtype):
    """Several blocks a program, more programs than blocks, blocks that end with the sequence."""
    x, out = random(batch, frames, channels, dtype=dtype), random(batch, frames, channels)
    given = weights(channels, dtype, prelu)
    tile = Tile(64, 64 if channels == 64 else 32, 32, 4, 2)
    scratch = poisoned(programs, 2, 64, 2 * channels, dtype=dtype)
    before = out.clone()
    kernel.run(x, *given, out, scratch, block=tile, **EXACT)
    eps = torch.finfo(dtype).eps  # of the rows that pass through the scratch
    check(out, kernel.reference, x, *given, before, dtype=dtype, eps=4 * eps)


@pytest.mark.parametrize("version", ["6.0", "6.1"])
def test_the_cpus_block_is_the_reference(version):
    """Twice with one buffer, the second time shorter: nothing of the first is left in it."""
    torch.manual_seed(0)
    given = [w if w is None else w.cpu().float() for w in weights(32, torch.float32, version == "6.1")]
    names = ("widen.weight", "widen.bias", "taps", "taps.bias", "slope", "narrow.weight", "narrow.bias")
    tensors = {f"net.{name}": w[None] for name, w in zip(names, given) if w is not None}
    blocks = CpuBlocks(tensors, "net", version)
    for frames in (131, 1, 40):
        rows, x = torch.randn(frames, 32), torch.randn(frames, 32)
        exact = kernel.reference(rows[None], *given, x[None])[0]
        blocks.add(0, rows, x)
        assert float((x - exact).abs().max()) < 1e-5


def test_what_does_not_fit_is_refused():
    given = weights(32, torch.float32, True)
    x, out, tile = random(1, 9, 32), random(1, 9, 32), Tile(64, 32, 32, 4, 2)
    with pytest.raises(ValueError, match="scratch"):
        kernel.launch(x, *given, out, random(1, 2, 32, 64), block=tile)
    with pytest.raises(ValueError, match="must not be x"):
        kernel.launch(x, *given, x, random(1, 2, 64, 64), block=tile)
    with pytest.raises(ValueError, match="does not divide"):
        kernel.launch(x, *given, out, random(1, 2, 64, 64), block=Tile(64, 64, 64, 4, 2))


def full(dtype: torch.dtype, arch: int, frames: int = 345, prelu: bool = True):
    """The launch of the full size's velocity network, without storage."""

    def empty(*shape, dtype=torch.float32):
        return torch.empty(*shape, dtype=dtype, device="meta")

    block = kernel.tile(dtype, arch)
    scratch = empty(kernel.programs(1, frames, block, arch), 2, block.rows, 1024, dtype=dtype)
    taps, slope = (empty(31, 1024), empty(1024)), empty(1024) if prelu else None
    wide, narrow = (empty(512, 2048, dtype=dtype), empty(2048)), (empty(1024, 512, dtype=dtype), empty(512))
    return kernel.launch(
        empty(1, frames, 512, dtype=dtype), *wide, *taps, slope, *narrow, empty(1, frames, 512), scratch, block=block
    )


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["fp16", "fp32"])
def test_every_choice_fits(arch, kind):
    started = full(TYPES[kind], arch)
    block = started.constants
    operands = started.stages * (block["ROWS"] + 2 * block["COLUMNS"]) * block["DEPTH"] * TYPES[kind].itemsize
    assert operands <= SHARED_BYTES[arch] and started.grid[0] >= 1 and ARCH and DEVICE


@pytest.mark.slow
@pytest.mark.long
def test_compiled_ahead_for_every_architecture():
    """Nothing spills, everything fits, tensor cores are used."""
    cases = [(arch, kind) for arch in ARCHITECTURES for kind in ("fp16", "fp32")]
    cubins = compiler.compile_kernels([(full(TYPES[kind], arch).spec(), arch) for arch, kind in cases], processes=2)
    names = [f"block {kind}" for _, kind in cases]
    assert [fault for name, cubin in zip(names, cubins) for fault in resources.faults(name, cubin)] == []
