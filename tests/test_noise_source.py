"""Counter-based noise, and a harmonic source whose phase stays right and can be entered anywhere."""

import dataclasses
import math

import pytest
import torch

from fastsvc.config import MelConfig, VocoderConfig
from fastsvc.model import noise, source
from fastsvc.model.vocoder import Generator, halo_frames

SMALL = VocoderConfig(
    mel=MelConfig(hop_samples=32, bins=20),
    initial_channels=16,
    upsample_rates=(8, 4),
    upsample_kernels=(16, 8),
    resblock_kernels=(3, 5),
    resblock_dilations=((1, 3), (1, 2)),
)


def test_philox_known_answer():
    """Random123's kat_vectors for philox4x32-10: all zeros, and all ones."""
    zero, ones = torch.zeros(1, dtype=torch.int64), torch.full((1,), 0xFFFFFFFF)
    words = [int(w) for w in noise.philox((zero,) * 4, (0, 0))]
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    words = [int(w) for w in noise.philox((ones,) * 4, (0xFFFFFFFF, 0xFFFFFFFF))]
    assert words == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_noise_depends_on_position_alone():
    whole = noise.gaussian(7, 1, 0, 301, 81)
    assert torch.equal(whole[100:137], noise.gaussian(7, 1, 100, 37, 81))
    assert torch.equal(whole[:, :5], noise.gaussian(7, 1, 0, 301, 5))
    far = noise.gaussian(7, 1, 2**34, 2, 4)
    assert not torch.equal(far, noise.gaussian(7, 1, 0, 2, 4))
    for other in (noise.gaussian(8, 1, 0, 301, 81), noise.gaussian(7, 2, 0, 301, 81)):
        assert abs(torch.corrcoef(torch.stack([whole.flatten(), other.flatten()]))[0, 1]) < 0.02


def test_noise_is_normal():
    draws = noise.gaussian(3, 0, 0, 4000, 80).double()
    assert abs(draws.mean()) < 0.01 and abs(draws.std() - 1) < 0.01
    assert abs((draws**4).mean() - 3) < 0.06
    neighbours = (draws[1:] * draws[:-1]).mean(), (draws[:, 1:] * draws[:, :-1]).mean()
    assert max(abs(float(n)) for n in neighbours) < 0.01


def test_source_after_an_hour_is_the_same_tone():
    """A constant 440.1 Hz has whole cycles after 10 s, so hour-old phase must equal fresh phase."""
    config = VocoderConfig()
    frames = int(3600 * config.mel.frame_rate_hz)
    f0 = torch.full((1, frames), 440.1)
    phase = source.frame_phase(f0, config)
    hop_cycles = f0[0, 0].double() * config.mel.hop_samples / config.mel.rate_hz
    exact = (hop_cycles * (frames - 1)).remainder(1.0)
    assert abs(float(phase[0, -1] - exact)) < 1e-6


def test_source_can_be_entered_anywhere():
    f0 = torch.rand(1, 50) * 300 + 80
    f0[:, 10:20] = 0
    phase = source.frame_phase(f0, SMALL)
    whole = source.seeded(f0, SMALL, seed=5)
    part = source.seeded(f0[:, 13:31], SMALL, seed=5, first_frame=13, phase=phase[:, 13:31])
    hop = SMALL.mel.hop_samples
    assert torch.allclose(whole[:, 13 * hop : 31 * hop], part, atol=1e-6)
    assert whole.shape == (1, 50 * hop, 9)


def test_source_is_a_sine_at_f0():
    config = VocoderConfig()
    f0 = torch.full((1, 188), 250.0)
    sines = source.seeded(f0, config)[0, :24000]
    spectrum = torch.fft.rfft(sines.T * torch.hann_window(24000)).abs()
    assert spectrum.argmax(dim=1).tolist() == [250 * k for k in range(1, 10)]


SINE = dataclasses.replace(
    SMALL, family="openvpi", source="sine", noise_sigma=0.3, upsample_rates=(4, 4, 2), upsample_kernels=(8, 8, 4)
)
PULSE = VocoderConfig(**{**SMALL.__dict__, "source": "pulse"})


def test_pulse_has_every_harmonic_at_one_level_up_to_its_band():
    config = VocoderConfig(source="pulse")
    pulse = source.seeded(torch.full((1, 188), 250.0), config)[0, :24000, 0]
    spectrum = torch.fft.rfft(pulse * torch.hann_window(24000)).abs()
    harmonics = spectrum[250:10751:250]
    assert torch.allclose(harmonics, harmonics[0].expand_as(harmonics), rtol=1e-3)
    assert spectrum[11125:].max() < 1e-3 * harmonics[0] and spectrum[125:11000:250].max() < 1e-3 * harmonics[0]


@pytest.mark.parametrize("f0_hz", [55.0, 300.0, 1100.0])
def test_pulse_and_noise_have_known_levels(f0_hz):
    f0 = torch.full((1, 400), f0_hz)
    voiced, silent = source.seeded(f0, PULSE)[0], source.seeded(0 * f0, PULSE)[0]
    assert float(voiced[:, 0].pow(2).mean().sqrt()) == pytest.approx(source.PULSE_LEVEL, rel=0.03)
    assert float(silent[:, 1].std()) == pytest.approx(source.PULSE_LEVEL, rel=0.03)
    assert not silent[:, 0].any() and voiced[:, 1].std() < 0.2 * silent[:, 1].std()


def test_pulse_can_be_entered_anywhere_and_does_not_jump_with_f0():
    f0 = torch.linspace(90, 400, 60)[None]
    phase, hop = source.frame_phase(f0, PULSE), PULSE.mel.hop_samples
    whole = source.seeded(f0, PULSE, seed=5)
    part = source.seeded(f0[:, 20:33], PULSE, seed=5, first_frame=20, phase=phase[:, 20:33])
    assert torch.allclose(whole[:, 20 * hop : 33 * hop], part, atol=1e-5)
    just_below, just_above = (source.seeded(torch.full((1, 9), hz), PULSE)[..., 0] for hz in (199.9999, 200.0001))
    assert torch.allclose(just_below, just_above, atol=0.02), "harmonic 54 of 200 Hz comes in gradually"


def test_gliding_sine_can_be_entered_anywhere_and_follows_f0():
    """A part is exact but for its last frame, which cannot know where f0 goes."""
    config = dataclasses.replace(SINE, mel=MelConfig(), upsample_rates=(8, 8, 2), upsample_kernels=(16, 16, 4))
    f0 = 80 + 300 * torch.rand(1, 40)
    phase, hop = source.frame_phase(f0, config), config.source_hop_samples
    whole = source.seeded(f0, config)
    part = source.seeded(f0[:, 13:31], config, 0, 13, phase[:, 13:31])
    assert hop == 64 and whole.shape == (1, 40 * hop, 1)
    assert torch.allclose(whole[:, 13 * hop : 30 * hop], part[:, :-hop], atol=1e-6)
    rising = source.seeded(torch.linspace(200, 300, 188)[None], config)[0, :, 0].double()
    crossings = torch.nonzero((rising[:-1] < 0) & (rising[1:] >= 0)).numel()
    assert abs(crossings - 250 * 188 * 128 / 24000) <= 1, "as many periods as f0 asks for"
    assert float(torch.diff(rising).abs().max()) < 2 * math.pi * 300 / 12000 * 1.01, "without jumps"


@pytest.mark.parametrize("name", ["m4", "openvpi", "sine"])
@pytest.mark.parametrize("resblock", ["1", "2"])
def test_halo_is_enough_and_cutting_is_exact(name, resblock):
    kinds = {"m4": {"family": "m4"}, "openvpi": {"family": "openvpi"}, "sine": SINE.__dict__}
    config = VocoderConfig(**{**SMALL.__dict__, **kinds[name], "resblock": resblock})
    model = Generator(config).double().eval()
    mel, hop, halo = torch.randn(1, 90, 20).double(), 32, halo_frames(config)
    step = config.source_hop_samples
    excitation, noise = torch.randn(1, 90 * step).double(), torch.randn(1, 90, 16).double()
    excitation_part = excitation[:, (40 - halo) * step : (50 + halo) * step].clone()
    if name == "sine":
        excitation_part[:, -step:] = 0  # its last frame is inexact, and must not matter
    with torch.no_grad():
        whole = model(mel, excitation, noise)
        part = model(mel[:, 40 - halo : 50 + halo], excitation_part, noise[:, 40 - halo : 50 + halo])
        short = model(mel[:, :1], excitation[:, :step])
    assert whole.shape == (1, 90 * hop) and short.shape == (1, hop)
    assert torch.allclose(part[:, halo * hop : (halo + 10) * hop], whole[:, 40 * hop : 50 * hop], atol=1e-12)
