"""One evaluation through the kernels at the widths that models have: C 384, 512, 768, H 100, 256, M 80, 100, 128.

Large blocks and few frames, since the interpreter's time goes by operations; a GPU does the same at the tiles that are
chosen (test_kernels_gpu.py).
"""

import copy
import math

import pytest
import torch
from kernel_check import DTYPES, GPU, poisoned
from test_kernels_denoiser import lowered

pytest.importorskip("triton")

from fastsvc.config import AcousticConfig, ConditionConfig, DenoiserConfig, FeatureConfig, MelConfig
from fastsvc.kernels.denoiser.network import DenoiserLaunches, NoiseLevel, Tiles
from fastsvc.kernels.denoiser.pack import pack
from fastsvc.kernels.tiles import Tile
from fastsvc.model import process
from fastsvc.model.acoustic import AcousticModel

pytestmark = pytest.mark.skipif(GPU, reason="blocks of these sizes are for the interpreter")
WIDTHS = [(384, 100, 100), (512, 256, 80), (768, 256, 128)]
CASES = [(1, [1], 2), (17, [17, 4], 2)]  # frames, lengths, cycle of dilations
UNITS, SIGMA = 6, 3.0


def model_of(channels, hidden, mel_bins, cycle):
    config = AcousticConfig(
        mel=MelConfig(bins=mel_bins),
        features=FeatureConfig(unit_channels=UNITS),
        condition=ConditionConfig(unit_channels=UNITS, channels=hidden, speakers=2, key_shift=False, voicing=True),
        denoiser=DenoiserConfig(mel_bins, channels, 2, hidden, cycle),
    )
    model = AcousticModel(config).eval().requires_grad_(False)
    torch.nn.init.normal_(model.denoiser.output_projection.weight, std=channels**-0.5)
    return model


def tiles(channels, hidden):
    """The largest blocks that divide these sizes: powers of two."""
    conv, deep = 2 * channels & -2 * channels, math.gcd(channels, hidden)
    half, rows, mel = conv // 2, 16, 128
    block = Tile(rows, half, half, 4, 2)
    condition, first, head = Tile(rows, 128, 64, 4, 2), Tile(rows, half, mel, 4, 1), Tile(rows, mel, half, 4, 2)
    return Tiles(condition, first, Tile(rows, conv, deep, 4, 2), block, block, head)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels, hidden, mel_bins", WIDTHS)
@pytest.mark.parametrize("frames, lengths, cycle", CASES)
@pytest.mark.sampled(4)
def test_evaluation(channels, hidden, mel_bins, frames, lengths, cycle, dtype):
    model, batch = model_of(channels, hidden, mel_bins, cycle), len(lengths)
    config, sigma = model.config, torch.tensor([SIGMA])
    tensors = lowered(model, [SIGMA])
    weights = pack(tensors, model.low, model.high, dtype)
    level = NoiseLevel(0, *map(float, process.coefficients(config, sigma[0])[:3]))
    blocks = tiles(weights.channels, weights.hidden)
    net = DenoiserLaunches(weights, config.denoiser.dilations, [level], batch, frames, blocks, "ieee")
    for buffer in (net.state, net.z, net.parts, net.out):
        buffer.fill_(float("nan"))

    inside = torch.arange(frames) < torch.tensor(lengths)[:, None]
    units, places = torch.randn(batch, 5, UNITS), torch.randint(0, 5, (batch, frames), dtype=torch.int32)
    scalars, x = torch.rand(3, batch, frames), SIGMA * torch.randn(batch, frames, mel_bins)
    speaker = torch.arange(batch) % 2
    net.prepare(torch.tensor(lengths))
    utterance = poisoned(batch, weights.hidden).zero_()
    utterance[:, :hidden] = tensors["condition.speakers"][speaker]
    net.project_units(units, places, scalars, utterance).run()
    rows = units.gather(1, places[..., None].expand(-1, -1, UNITS).long())
    cond = model.condition(rows, scalars[0], scalars[1], speaker, voiced=scalars[2])
    off = (net.cond[..., :hidden].float() - torch.where(inside[..., None], cond, 0)).abs().max()
    assert off <= 8 * torch.finfo(dtype).eps * cond.abs().max()
    assert not net.cond[..., hidden:].any(), "a padded channel of the condition is not zero"

    got = net(x, 0)
    exact, low = (plain(model, kind, x, sigma, cond, inside) for kind in (torch.float64, dtype))
    exact, low = (torch.where(inside[..., None], value, 0) for value in (exact, low))
    assert torch.isfinite(got).all() and not got[~inside].any()
    allowed = 2 * (low.double() - exact).abs().max() + torch.finfo(dtype).eps * (1 + exact.abs().max())
    assert (got.double() - exact).abs().max() <= allowed
    assert exact.abs().max() > 0.05


def plain(model, dtype, x, sigma, cond, inside):
    """D by the specification, its network in ``dtype``."""
    network, wide = copy.deepcopy(model.denoiser).to(dtype), torch.promote_types(dtype, torch.float32)

    def net(x, level, cond, valid):
        return network(x.to(dtype), level.to(dtype), cond.to(dtype), valid).to(wide)

    return process.denoise(net, model.config, x.to(wide), sigma, cond, inside)
