"""The source-filter vocoder's specification: exact under cutting, of the right pitch and level."""

import math

import numpy as np
import pytest
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.config import MelConfig, SourceFilterConfig, VocoderConfig, to_dict, vocoder_config
from fastsvc.errors import ConfigError
from fastsvc.model import envelopes, filters, pulses
from fastsvc.model.modules import module
from fastsvc.model.source_filter import SourceFilter, halo_frames

CONFIG = SourceFilterConfig(channels=16, blocks=2, bands=24)
HOP, RATE_HZ = CONFIG.mel.hop_samples, CONFIG.mel.rate_hz


def vocoder(config=CONFIG, trained=True) -> SourceFilter:
    """``trained``: with random weights, under which every layer matters."""
    torch.manual_seed(1)
    model = SourceFilter(config).eval().requires_grad_(False)
    if trained:
        for parameter in model.leave.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def voice(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A mel and an f0 that glides, jumps and pauses."""
    generator = torch.Generator().manual_seed(frames)
    mel = torch.randn(1, frames, CONFIG.mel.bins, generator=generator) - 2
    f0_hz = 180 * 2 ** torch.randn(1, frames, generator=generator).cumsum(1).mul(0.05)
    f0_hz[:, frames // 3 : frames // 2] = 0
    return mel, f0_hz


def made(model, mel, f0_hz, first=0, phase=None) -> torch.Tensor:
    return model(mel, f0_hz, pulses.seeded(f0_hz, model.config, 7, first, phase))


@pytest.mark.parametrize("frames", [1, 2, 3, 17, 40])
def test_every_length_gives_as_many_samples(frames):
    audio = made(vocoder(), *voice(frames))
    assert audio.shape == (1, frames * HOP) and audio.dtype == torch.float32
    assert torch.isfinite(audio).all() and audio.std() > 0


@pytest.mark.parametrize("cut", [1, 37, 60])
def test_parts_with_a_halo_are_the_whole(cut):
    model, (mel, f0_hz) = vocoder(), voice(90)
    whole, phase = made(model, mel, f0_hz), pulses.frame_phase(f0_hz, CONFIG)
    halo = halo_frames(CONFIG)
    for first, last in ((0, cut), (cut, 90)):
        start, end = max(0, first - halo), min(90, last + halo)
        part = made(model, mel[:, start:end], f0_hz[:, start:end], start, phase[:, start:end])
        part = part[:, (first - start) * HOP : (last - start) * HOP]
        assert torch.allclose(part, whole[:, first * HOP : last * HOP], atol=1e-5 * float(whole.abs().max()))


def test_the_halo_is_no_longer_than_it_must_be():
    model, (mel, f0_hz) = vocoder(), voice(90)
    excitation = pulses.seeded(f0_hz, CONFIG)
    changed = mel.clone()
    changed[:, 45] += 1
    moved = (model(changed, f0_hz, excitation) - model(mel, f0_hz, excitation)).abs().view(90, HOP).amax(1) > 0
    reached = moved.nonzero().flatten()
    halo = halo_frames(CONFIG)
    assert 45 - halo <= reached.min() and halo - 1 <= reached.max() - 45 <= halo


def test_items_of_a_batch_are_made_apart():
    model, (mel, f0_hz) = vocoder(), voice(20)
    other = mel.flip(1), f0_hz.flip(1)
    excitations = [pulses.seeded(f0, CONFIG, 7) for f0 in (f0_hz, other[1])]
    both = model(torch.cat([mel, other[0]]), torch.cat([f0_hz, other[1]]), torch.cat(excitations))
    assert torch.allclose(both[:1], made(model, mel, f0_hz), atol=1e-5)  # products of another shape round elsewhere


@pytest.mark.parametrize("hz", [82.41, 440.3, 801.7])
def test_pulses_have_the_pitch_that_was_asked_for(hz):
    f0_hz = torch.full((1, 200), hz)
    train = pulses.seeded(f0_hz, CONFIG)[0, :, 0].numpy()
    spectrum = np.abs(np.fft.rfft(train * np.hanning(len(train))))
    for order in (1, 5):
        about = order * hz * len(train) / RATE_HZ
        low = int(about) - 20
        peak = low + int(np.argmax(spectrum[low : low + 41]))
        a, b, c = np.log(spectrum[peak - 1 : peak + 2])
        found = (peak + 0.5 * (a - c) / (a - 2 * b + c)) * RATE_HZ / len(train) / order
        assert found == pytest.approx(hz, abs=0.01)
    # a train set at whole samples has −30 dB and more between its harmonics
    places = np.arange(len(spectrum)) * RATE_HZ / len(train) / hz
    between = spectrum[(np.abs(places - places.round()) > 0.3) & (places < 0.4 * RATE_HZ / hz)]
    assert between.max() < 1e-3 * spectrum.max()


def test_phase_is_exact_over_hours_and_follows_the_glide():
    f0_hz = torch.full((1, 3 * 3600 * 94), 440.3)
    last = pulses.frame_phase(f0_hz, CONFIG)[0, -1]
    exact = (f0_hz.shape[1] - 1) * HOP * float(f0_hz[0, 0].double()) / RATE_HZ % 1
    assert abs(float(last) - exact) < 1e-6
    gliding = 200 * 1.03 ** torch.arange(30.0)[None]
    phase = pulses.frame_phase(gliding, CONFIG)
    train = pulses.excitation(gliding, phase, torch.zeros(1, 30 * HOP), CONFIG)[0, :, 0].numpy()
    ticks = np.flatnonzero((train[1:-1] > train[:-2]) & (train[1:-1] >= train[2:]) & (train[1:-1] > 0.4 * train.max()))
    periods = np.diff(ticks)
    assert np.all(np.diff(periods) <= 1) and periods[0] == pytest.approx(RATE_HZ / 200, abs=2), "ever shorter"


@pytest.mark.parametrize("hz", [0.0, 70.0, 211.0, 433.0])
def test_excitations_have_unit_power_and_go_through_flat_filters_unchanged(hz):
    f0_hz = torch.full((1, 60), hz)
    source = pulses.seeded(f0_hz, CONFIG)
    one = source[..., int(hz == 0)]
    assert float(one.square().mean()) == pytest.approx(1 if hz == 0 else 0.9, rel=0.06)  # 0.9: BAND
    flat = torch.zeros(1, 60, 2, CONFIG.transform_samples // 2 + 1)
    assert torch.allclose(filters.filtered(source, flat), source.sum(2), atol=1e-4)


@pytest.mark.parametrize("hz", [0.0, 90.0, 160.0])
@pytest.mark.parametrize("level", [0.01, 1.0])
def test_level_comes_by_construction(hz, level):
    """A known signal through its own mel and the untrained vocoder is as loud as before, in every band.

    Of 160 Hz the lowest bands lie between harmonics, where the mel holds what noise there is.
    """
    f0_hz = torch.full((1, 120), hz)
    source = pulses.seeded(f0_hz, CONFIG, 1)
    given = level * filters.filtered(source, shaped(120, quiet=0 if hz else 1))
    again = made(vocoder(trained=False), log_mel(given, CONFIG.mel), f0_hz)
    wanted, got = (log_mel(audio, CONFIG.mel)[0, 20:100].mean(0) for audio in (given, again))
    kept = envelopes.edges_hz(CONFIG.mel)[1:-1] < 10_000
    errors_db = 20 * (got - wanted)[kept]
    assert abs(float(errors_db.mean())) < 1 and (hz == 160 or float(errors_db.abs().max()) < 3)
    assert float(given.std() / again.std()) == pytest.approx(1, rel=0.12)


def shaped(frames: int, quiet: int) -> torch.Tensor:
    """Log-magnitudes with two formants for one channel, silence for the other."""
    hz = torch.linspace(0, RATE_HZ / 2, CONFIG.transform_samples // 2 + 1)
    shape = -2 + sum(2 * torch.exp(-(((hz - centre) / 400) ** 2)) for centre in (700, 2500))
    both = torch.stack([shape, shape])
    both[1 - quiet if quiet == 0 else 0] = -20
    return both.expand(1, frames, -1, -1)


def test_filters_have_minimum_phase():
    """A one-pole filter's magnitude gives back its impulse response, pole^n."""
    points, pole = 1536, 0.9
    response = torch.fft.rfft(pole ** torch.arange(points, dtype=torch.float64))
    spectrum = torch.polar(response.abs(), filters.minimum_phase(response.abs().log()))
    assert torch.allclose(torch.fft.irfft(spectrum, n=points), pole ** torch.arange(points).double(), atol=1e-9)


def test_gradients_reach_every_weight():
    model = vocoder().requires_grad_(True)
    mel, f0_hz = voice(12)
    made(model, mel, f0_hz).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0, name


def test_natural_logarithms_are_understood():
    config = SourceFilterConfig(
        mel=MelConfig(hop_samples=256, fft_samples=1024, window_samples=1024, log_base="e"),
        channels=16, blocks=2, bands=24,
    )  # fmt: skip
    mel, f0_hz = voice(12)
    other = SourceFilter(config).eval()
    other.load_state_dict(vocoder().state_dict())
    assert torch.allclose(made(other, mel * math.log(10), f0_hz), made(vocoder(), mel, f0_hz), atol=1e-5)


def test_the_family_says_which_configuration_a_vocoder_has():
    assert vocoder_config(to_dict(CONFIG)) == CONFIG
    assert vocoder_config(to_dict(VocoderConfig())) == VocoderConfig()
    assert isinstance(module("vocoder", CONFIG), SourceFilter)
    for wrong in (
        {"kernel": 4},
        {"transform_samples": 1500},
        {"gain_points": 7},
        {"channels": 0},
        {"upsample_rates": [8]},
    ):
        with pytest.raises(ConfigError):
            vocoder_config(to_dict(CONFIG) | wrong)
