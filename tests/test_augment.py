import dataclasses

import numpy as np
import pytest
import torch

from fastsvc.audio.mel import log_mel
from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig, RecogniserConfig
from fastsvc.errors import ConfigError
from fastsvc.training import augment

MEL = RecogniserConfig().mel
RATE = 24000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(samples=RATE, items=2, level=0.1):
    return level * torch.randn(items, samples, generator=seeded(5))


def only(**changes):
    return dataclasses.replace(augment.NONE, **changes)


def mel_of(audio, config=augment.NONE, seed=0):
    return augment.perturbed_mel(audio, RATE, MEL, config, seeded(seed))[0]


def test_nothing_perturbed_is_the_log_mel_of_the_resampled_audio():
    audio = noise(RATE + 77)
    expected = log_mel(torch.from_numpy(resample(audio.numpy(), RATE, 16000)), MEL)
    got, hop = augment.perturbed_mel(audio, RATE, MEL, augment.NONE, seeded())
    assert hop == 240 and got.shape == expected.shape
    inner = (got - expected)[:, 3:-3, :-2].abs()  # the top two bins meet the resampler's slope, the ends its padding
    assert inner.max() < 0.02 and inner.mean() < 1e-3


def test_same_generator_same_result_and_other_items_other_perturbation():
    audio = noise(items=1).expand(3, -1)
    config = augment.AugmentConfig()
    a, b, c = mel_of(audio, config, 1), mel_of(audio, config, 1), mel_of(audio, config, 2)
    assert torch.equal(a, b)
    assert a.shape != c.shape or not torch.allclose(a, c)
    assert (a[0] - a[1]).abs().mean() > 0.05


def tone(hz, seconds=0.5):
    return 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(int(RATE * seconds)) / RATE)[None]


def test_warp_moves_a_tone_down():
    warped = mel_of(tone(1250), only(warp=(1.25, 1.25)))
    plain = mel_of(tone(1000))
    assert int(warped[0, 20].argmax()) == int(plain[0, 20].argmax()) != int(mel_of(tone(1250))[0, 20].argmax())


def test_tempo_changes_frames_and_labels_follow_by_time():
    mel, hop = augment.perturbed_mel(noise(), RATE, MEL, only(tempo=(1.25, 1.25)), seeded())
    assert hop == 300 and mel.shape[1] == RATE // 300
    labels = torch.arange(94)[None]
    read = augment.labels_at(labels, 256, hop, mel.shape[1])
    for i in (0, 1, 40, 79):
        assert int(read[0, i]) == int((i + 0.5) * 300 // 256)


def test_gain_shifts_the_log_mel():
    shift = mel_of(noise(), only(gain_db=(-20.0, -20.0))) - mel_of(noise())
    assert torch.allclose(shift, torch.full_like(shift, -1.0), atol=0.02)


def test_band_limits_leave_nothing_above_eight_kilohertz_and_the_voice_alone():
    hz = torch.linspace(0, 12000, 400)
    gain = augment.band_limits(seeded(), hz, 200, 1.0)
    assert gain[:, hz > 9500].max() < 0.3
    assert gain[:, (hz > 800) & (hz < 2500)].min() > 0.85
    assert (gain[:, (hz > 4600) & (hz < 5000)] < 0.3).any(1).float().mean() > 0.3  # telephones


def test_noise_is_as_loud_as_asked():
    config = only(noise=1.0, snr_db=(10.0, 10.0))
    spec = augment.spectrum(noise(), RATE, MEL, 240)
    hz = torch.arange(spec.shape[2]) * 31.25
    extra = augment.noise(spec, hz, config, torch.zeros(2, 1), seeded())
    ratio = 10 * torch.log10(spec.abs().square().mean((1, 2)) / extra.abs().square().mean((1, 2)))
    assert ((ratio - 10).abs() < 0.7).all()


def test_reverb_keeps_the_direct_sound_and_adds_a_tail():
    click = torch.zeros(8, RATE)
    click[:, 100] = 1.0
    wet = augment.reverberate(click, RATE, seeded(), 0.5)
    assert wet.shape == click.shape
    assert torch.allclose(wet[:, 100], torch.ones(8), atol=1e-4) and wet[:, :99].abs().max() < 1e-4
    tails = wet[:, 101:].square().sum(1)
    assert (tails < 1e-6).any() and (tails > 5e-3).any()


def test_saturation_bends_peaks_only_where_it_applies():
    audio = noise(items=16)
    bent = augment.saturate(audio, seeded(), 0.5)
    same = (bent == audio).all(1)
    assert same.any() and not same.all()
    assert (bent[~same].abs() <= audio[~same].abs() + 1e-6).all()


def test_equaliser_stays_below_full_scale():
    out = augment.random_equaliser(noise(9001, 6, 0.5), RATE, seeded(), 10.0, 10.0)
    assert out.shape == (6, 9001) and out.abs().max() <= 0.991
    assert torch.allclose(augment.random_equaliser(noise(), RATE, seeded(), 0.0, 0.0), noise(), atol=1e-5)


def test_masks_hide_spans_and_nothing_else():
    mel = torch.randn(4, 50, 64, generator=seeded())
    masked = augment.mask_spans(mel, seeded(3), 1, 1)
    changed = masked != mel
    assert changed.any() and not changed.all()
    rows, columns = changed.all(2), changed.all(1)
    assert (changed == (rows[:, :, None] | columns[:, None])).all()
    assert rows.sum(1).max() <= 12 and columns.sum(1).max() <= 8


def test_one_frame_and_very_short_audio():
    for samples in (240, 300, 500):
        assert mel_of(noise(samples), augment.AugmentConfig(tempo=(1.0, 1.0))).shape == (2, samples // 240, 64)


def test_rates_without_a_matching_transform_are_refused():
    with pytest.raises(ConfigError, match="transform"):
        augment.transform_samples(MelConfig(rate_hz=16000, hop_samples=160, high_hz=8000.0), 22051)


def test_all_numbers_stay_finite_on_silence():
    assert torch.isfinite(mel_of(torch.zeros(3, RATE), augment.AugmentConfig())).all()


def test_curves_are_symmetric_in_decibels():
    hz = torch.linspace(0, 12000, 100)
    level = 20 * torch.log10(augment.smooth_curve(seeded(), hz, 500, 6.0, 0.0))
    assert abs(float(level.mean())) < 0.5 and float(level.abs().max()) <= 18 + 1e-3
    assert np.isfinite(level.numpy()).all()


def peak_bin(hz, seed, **changes):
    return int(mel_of(tone(hz), only(**changes), seed)[0, 20].argmax())


def test_a_bend_moves_formants_by_other_factors_each():
    """Factors lie within the bound, differ over frequency and between items, and keep the order of frequencies."""
    hz = torch.linspace(0, 12000, 385)
    factors = augment.bends(seeded(1), hz, 8, 0.3)
    assert factors.shape == (8, 385) and factors.max() <= 1.3 and factors.min() >= 1 / 1.3
    assert (factors.amax(1) - factors.amin(1) > 0.02).sum() > 5 and (factors[0] - factors[1]).abs().max() > 0.01
    assert (torch.diff(hz / factors, dim=1) > 0).all()
    tones = 300, 900, 2500, 5000
    moved = [{peak_bin(hz, seed, bend=0.3) - peak_bin(hz, seed) for hz in tones} for seed in range(4)]
    assert any(len(steps) > 1 for steps in moved)


def test_contrast_blurs_and_sharpens_formants():
    audio = noise(items=1)
    roughness = {factor: mel_of(audio, only(contrast=(factor, factor))).diff(dim=2).std() for factor in (0.5, 1.0, 1.5)}
    assert roughness[0.5] < 0.7 * roughness[1.0] and roughness[1.5] > 1.3 * roughness[1.0]
    mel = mel_of(audio)
    assert torch.equal(augment.contrasted(mel, torch.ones(1), MEL).round(decimals=4), mel.round(decimals=4))
    silent = torch.full((1, 4, MEL.bins), -5.0)
    silent[..., 10] = 0.0
    assert augment.contrasted(silent, torch.full((1,), 3.0), MEL).min() >= -5.0
