"""The harmonic source's kernel against the specification: sines and pulses, hours in, batches of unequal length."""

import pytest
import torch
from kernel_check import DEVICE, poisoned

pytest.importorskip("triton")

from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.kernels.vocoder import source as op
from fastsvc.model import noise, source
from fastsvc.model.vocoder import Generator

SMALL = {"mel": MelConfig(hop_samples=32, bins=20), "initial_channels": 8, "upsample_rates": (8, 4)}
SMALL |= {"upsample_kernels": (16, 8)}
SEEDS, PLACES = [2**35 + 3, 8], [0, 2**31]


def f0_of(batch, frames):
    f0 = torch.rand(batch, frames) * 700 + 60
    f0[:, 5:9] = 0
    f0[:, 10:14] *= 2.7  # harmonics above half the rate
    return f0


@pytest.mark.parametrize(
    "kind, frames, harmonics", [("sines", 41, 8), ("pulse", 41, 8), ("sines", 1, 8), ("sines", 41, 0)]
)
def test_excitation(kind, frames, harmonics):
    config = VocoderConfig(**SMALL, source=kind, harmonics=harmonics)
    generator = Generator(config)
    torch.nn.init.normal_(generator.m_source.l_linear.weight, std=1.0)
    rate, hop, channels = config.mel.rate_hz, config.mel.hop_samples, config.source_channels
    f0, lengths = f0_of(2, frames), [frames, frames // 2]
    with torch.no_grad():
        rows = [
            generator.source(source.seeded(f0[i : i + 1], config, SEEDS[i], PLACES[i]))[0, : lengths[i] * hop]
            for i in range(2)
        ]
    wide = op.width(channels)
    weight, offsets = torch.zeros(wide), torch.zeros(2, wide, dtype=torch.int64)
    weight[:channels] = generator.m_source.l_linear.weight.detach()[0]
    for i, seed in enumerate(SEEDS):
        offsets[i, :channels] = op.offsets(source.initial_phase(config, seed))
    out = poisoned(2, frames * hop)
    bias = generator.m_source.l_linear.bias.detach()
    slices = torch.tensor(lengths, dtype=torch.int32), torch.tensor(PLACES), torch.tensor(SEEDS)
    given = f0, *op.phases(f0, rate, hop), offsets, weight, bias
    op.run(*(t.to(DEVICE) for t in given), out, *(t.to(DEVICE) for t in slices), rate, channels, kind == "pulse")
    for i, row in enumerate(rows):
        assert torch.allclose(out[i, : len(row)].cpu(), row, atol=2e-5, rtol=2e-5)
        assert not out[i, len(row) :].any()
    assert rows[0].abs().max() > 0.05


def test_reference_is_the_specification():
    config = VocoderConfig(**SMALL)
    hop, channels, f0 = config.mel.hop_samples, config.source_channels, f0_of(1, 20)
    phase, start = source.frame_phase(f0, config), source.initial_phase(config, 4)
    draws = noise.gaussian(4, 0, 0, 20 * hop, channels, stream=noise.SOURCE_STREAM)[None]
    weight, bias = torch.randn(channels), torch.randn(1)
    exact = torch.tanh(source.harmonics(f0, phase, start, draws, config) @ weight + bias)
    given = (t.double() for t in (f0, phase, start, draws, weight, bias))
    assert (op.reference(*given, config.mel.rate_hz) - exact).abs().max() < 2e-6


def test_phases_after_hours():
    """Three hours of a changing tone: the integer phase is the specification's, to its last bit."""
    config = VocoderConfig()
    f0 = 200 + 100 * torch.sin(torch.arange(3 * 3600 * 187) / 50.0)[None]
    starts, growth = op.phases(f0, config.mel.rate_hz, config.mel.hop_samples)
    turns = (starts >> 16 & (2**48 - 1)).double() * 2.0**-48
    assert torch.equal(turns, source.frame_phase(f0, config))
    after = starts[:, :-1] + growth[:, :-1] * config.mel.hop_samples  # of a frame: the next one's start
    assert ((starts[:, 1:] - after).abs() >> 16).max() < 2**9
