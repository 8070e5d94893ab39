"""All layers in one launch: phase by phase in the interpreter, where programs run one after another.

tests/test_ptx_layers.py executes the compiled kernel in one launch, tests/test_gpu.py runs it.
"""

from dataclasses import replace

import pytest
import torch
from kernel_check import ARCH, DEVICE, DTYPES, GPU, check, lengths_of, poisoned, random

pytest.importorskip("triton")

from fastsvc.kernels.denoiser import first, layers, layers_tile
from fastsvc.kernels.denoiser.layers_tile import LayersTile
from fastsvc.kernels.launch import Launch
from fastsvc.kernels.tiles import Tile

C, H = 64, 64
WIDE, NARROW = LayersTile(32, 128, 64, 4, 2, narrow=64), LayersTile(32, 64, 64, 4, 2, narrow=32)


def case(batch, frames, dtype, dilations, block):
    """(the arguments of launch() up to ``lengths``, counts) of random layers. Rows beyond the end are NaN."""
    count, deep = len(dilations), 3 * C + H
    lengths = lengths_of(batch, frames)
    state = random(batch, frames, C + H, dtype=dtype)
    state[torch.arange(frames, device=DEVICE) >= lengths[:, None]] = float("nan")
    z = poisoned(batch, frames, count * C, dtype=dtype)
    conv = random(count, deep, 2 * C, dtype=dtype, scale=deep**-0.5), random(count, 2 * C)
    back = random(count - 1, C, C, dtype=dtype, scale=(2 * C) ** -0.5)
    size = layers_tile.counts_size(batch, frames, count, block)
    counts = torch.zeros(size, dtype=torch.int32, device=DEVICE)
    return (state, z, *conv, back, random(count - 1, C), lengths), counts


def by_phases(launch: Launch) -> list[Launch]:
    """The launch; where programs cannot wait for one another, one for each phase."""
    if GPU:
        return [launch]
    last = launch.arguments["last_phase"]
    spans = [{"first_phase": i, "last_phase": i + 1} for i in range(last)]
    return [replace(launch, arguments={**launch.arguments, **span}) for span in spans]


def results(*arguments):
    """The last layer's X and the z of all."""
    state, z = layers.reference(*arguments)
    return torch.cat([state[..., :C], z], dim=-1)


def compare(arguments, before, dilations):
    """What the kernel left against the reference; ``before``: the state. Rows beyond the end are zeros."""
    (state, z, *others), lengths = arguments, arguments[-1]
    inside = (torch.arange(z.shape[1], device=DEVICE) < lengths[:, None])[..., None]
    out = torch.cat([state[..., :C], z], dim=-1)
    check(out, results, torch.where(inside, before, 0), *others, dilations, depth=3 * C + H)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch, frames, dilations", [(3, 37, (1, 2)), (1, 1, (1, 1))])
def test_layers(dtype, batch, frames, dilations):
    """Odd lengths, an empty sequence, one frame."""
    arguments, counts = case(batch, frames, dtype, dilations, WIDE)
    before = arguments[0].clone()
    options = {"precision": "ieee", "arch": ARCH}
    for launch in by_phases(layers.launch(*arguments, counts, dilations, WIDE, 132, **options)):
        launch.run()
    compare(arguments, before, dilations)


def test_few_programs_take_all_tiles_and_count_each_once():
    """Two tiles of columns in both phases, dilations that reach beyond a neighbour's first rows."""
    dilations, frames = (1, 2, 4), 70
    arguments, counts = case(1, frames, torch.float16, dilations, NARROW)
    before = arguments[0].clone()
    launch = layers.launch(*arguments, counts, dilations, NARROW, 132, "ieee", programs=2, arch=ARCH)
    for one in by_phases(launch):
        one.run()
    compare(arguments, before, dilations)
    counts = counts.view(2 * len(dilations), 3)
    assert (counts[:-1] == 2).all() and not counts[-1].any()  # the last layer has no residual


def test_programs_that_cannot_run_at_once_are_refused():
    arguments, counts = case(2, 70, torch.float16, (1, 2), NARROW)
    given = *arguments, counts, (1, 2), NARROW
    assert layers.launch(*given, 132).grid == (12,) and layers.launch(*given, 7).grid == (7,)
    assert layers.launch(*given, 132).cooperative
    assert layers.launch(*given, 7, programs=14).grid == (14,)  # two on each by registers
    with pytest.raises(ValueError, match="15 programs cannot run at once on 7 processors that hold 2"):
        layers.launch(*given, 7, programs=15)
    with pytest.raises(ValueError, match="not powers of two"):
        layers.launch(*arguments, counts, (1, 3), NARROW, 132)
    with pytest.raises(ValueError, match="more row blocks"):
        layers.launch(arguments[0][:1].expand(1, 70, -1).repeat(1, 70, 1), *arguments[1:], counts, (1, 2), NARROW, 132)


def test_the_first_projection_clears_the_counts():
    """However many there are, and only then."""
    x, lengths = random(2, 5, 10), torch.tensor([5, 2], dtype=torch.int32, device=DEVICE)
    weight, bias, shift = random(16, 64), random(64), random(64)
    none, block = torch.zeros(2, dtype=torch.int64, device=DEVICE), Tile(16, 64, 16, 4, 1)
    counts = torch.full((300,), 7, dtype=torch.int32, device=DEVICE)
    for given, left in ((None, 7), (counts, 0)):
        state = poisoned(2, 5, 64)
        first.launch(
            x, weight, bias, shift, state, lengths, none, none, block, 0.5, counts=given, precision="ieee"
        ).run()
        assert (counts == left).all() and torch.isfinite(state).all()
