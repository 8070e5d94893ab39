"""f0 as other projects compute it, against their formulas written out again here."""

import numpy as np
import pytest

from fastsvc.config import FeatureConfig
from fastsvc.errors import ConfigError
from fastsvc.evaluation import trackers
from fastsvc.features import f0
from fastsvc.features.f0 import neural, styles

pyworld = pytest.importorskip("pyworld", reason="the package pyworld-prebuilt is not installed")

GRIDS = [(24000, 128, 0), (44100, 512, 0), (44100, 512, 300), (24000, 128, 77)]  # rate, hop, samples over


def voice(rate_hz, hop, over):
    """A sweep with two rests, of a whole number of frames and some samples."""
    rng = np.random.default_rng(0)
    samples = int(0.9 * rate_hz) // hop * hop + over
    time = np.arange(samples) / rate_hz
    pitch = 120 * 2 ** (2 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    audio = sum(np.sin(k * phase) / k for k in range(1, 9)) * 0.15
    audio[(time > 0.25) & (time < 0.4)] = 0
    audio[time > 0.75] = 0
    return (audio + 1e-4 * rng.normal(size=samples)).astype(np.float32)


def upstream_comosvc(wav, rate, hop):
    f0_hz, t = pyworld.dio(wav.astype(np.double), rate, f0_floor=50, f0_ceil=1100, frame_period=1000 * hop / rate)
    f0_hz = pyworld.stonemask(wav.astype(np.double), f0_hz, t, rate)
    f0_hz = np.array([round(value, 1) for value in f0_hz])
    wanted, source = len(wav) // hop, f0_hz.copy()
    source[source < 0.001] = np.nan
    resized = np.interp(np.arange(0, len(source) * wanted, len(source)) / wanted, np.arange(0, len(source)), source)
    resized = np.nan_to_num(resized)
    at = np.nonzero(resized)[0]
    times = np.arange(wanted) * hop / rate
    return np.interp(times, hop / rate * at, resized[at], left=resized[at][0], right=resized[at][-1]), resized > 0


def upstream_diffusion_svc(wav, rate, hop, method, low=65.0, high=800.0):
    frames = len(wav) // hop + 1
    if method == "dio":
        raw, t = pyworld.dio(
            wav.astype("double"), rate, f0_floor=low, f0_ceil=high, channels_in_octave=2, frame_period=1000 * hop / rate
        )
        f0_hz = pyworld.stonemask(wav.astype("double"), raw, t, rate)
    else:
        f0_hz, _ = pyworld.harvest(
            wav.astype("double"), rate, f0_floor=low, f0_ceil=high, frame_period=1000 * hop / rate
        )
    f0_hz = np.pad(f0_hz.astype("float"), (0, frames - len(f0_hz)))
    uv = f0_hz == 0
    voiced = ~uv
    f0_hz[uv] = np.interp(np.where(uv)[0], np.where(~uv)[0], f0_hz[~uv])
    f0_hz[f0_hz < low] = low
    return f0_hz, voiced


@pytest.mark.parametrize("rate_hz, hop, over", GRIDS)
def test_comosvc(rate_hz, hop, over):
    audio = voice(rate_hz, hop, over)
    want, want_voiced = upstream_comosvc(audio, rate_hz, hop)
    got, voiced = f0.extract(audio, rate_hz, hop, len(audio) // hop, method="dio", style="comosvc")
    assert 0.2 < want_voiced.mean() < 0.9
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_array_equal(voiced, want_voiced)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dio", "harvest"])
@pytest.mark.parametrize("rate_hz, hop, over", GRIDS[:3])
def test_diffusion_svc(rate_hz, hop, over, method):
    audio = voice(rate_hz, hop, over)
    want, want_voiced = upstream_diffusion_svc(audio, rate_hz, hop, method)
    limits = {"low_hz": 65.0, "high_hz": 800.0}
    for frames in (len(want), len(want) - 1):
        got, voiced = f0.extract(audio, rate_hz, hop, frames, method=method, style="diffusion_svc", **limits)
        np.testing.assert_allclose(got, want[:frames], rtol=1e-6)
        np.testing.assert_array_equal(voiced, want_voiced[:frames])


def test_one_voiced_frame_fills_all():
    """Upstream's CoMoSVC gives f0[0] there, usually 0: fixed."""
    np.testing.assert_array_equal(styles.fill(np.array([0, 0, 220.5, 0])), 220.5)
    np.testing.assert_array_equal(styles.fill(np.zeros(3)), 0)


def test_a_frame_beyond_the_audio_moves_no_other():
    """The engine asks for the last, partial frame too; CoMoSVC would stretch the track onto any number of frames."""
    audio = voice(24000, 128, 77)
    frames = len(audio) // 128
    padded = np.pad(audio, (0, 128 - 77))
    want = f0.extract(padded, 24000, 128, frames + 1, method="dio", style="comosvc")
    got = f0.extract(audio, 24000, 128, frames + 1, method="dio", style="comosvc")
    np.testing.assert_array_equal(got[0], want[0])
    assert f0.extract(audio, 24000, 128, frames + 9, method="dio", style="comosvc")[0].shape == (frames + 9,)


def stand_in(monkeypatch, confidence):
    """A network that hears 300, 301, 302 … Hz in its frames with the confidence given, whatever it is played."""

    def track(method, audio, low_hz, high_hz, *, hop=160, weights=None):
        frames = len(audio) // hop + 1
        return 300.0 + np.arange(frames), np.resize(confidence, frames).astype(float)

    monkeypatch.setattr(neural, "track", track)


def test_networks_on_the_grid_of_comosvc(monkeypatch):
    """so-vits-svc: nearest to len // hop frames, then linearly through what is not voiced."""
    stand_in(monkeypatch, [1, 1, 0.04, 1, 1])
    audio = np.ones(16000, np.float32)
    got, voiced = f0.extract(audio, 16000, 200, 80, method="rmvpe", style="comosvc")
    at = np.arange(80) * 101 // 80
    assert np.array_equal(voiced, at % 5 != 2)
    np.testing.assert_allclose(got, np.interp(np.arange(80), np.flatnonzero(voiced), 300.0 + at[voiced]), rtol=1e-6)


def test_networks_on_the_grid_of_diffusion_svc(monkeypatch):
    audio = np.ones(16000, np.float32)
    stand_in(monkeypatch, [1, 1, 0.02, 0.02, 1])
    got, voiced = f0.extract(audio, 16000, 200, 81, method="rmvpe", style="diffusion_svc")
    np.testing.assert_allclose(got, 300 + 1.25 * np.arange(81), rtol=1e-6)  # filled at 10 ms, then read at t · hop
    place = 1.25 * np.arange(81) % 5
    np.testing.assert_array_equal(voiced, (place <= 1.5) | (place >= 3.5))
    stand_in(monkeypatch, [1, 0.004])
    got, voiced = f0.extract(audio, 16000, 200, 81, method="fcpe", style="diffusion_svc")
    np.testing.assert_array_equal(voiced, np.arange(81) * 101 // 81 % 2 == 0)
    stand_in(monkeypatch, [1])
    got, voiced = f0.extract(audio, 16000, 200, 81, method="crepe", style="diffusion_svc")
    # 5 ms frames, averaged over the one before and the two after, read at the nearest to t · 12.5 ms.
    nearest = np.round(np.arange(1, 79) * 200 / 16000 / 0.005).astype(int)
    assert voiced.all()
    np.testing.assert_allclose(got[1:79], 300.5 + nearest, rtol=1e-6)


def test_silence_and_ends():
    silence = np.zeros(24000, np.float32)
    got, voiced = f0.extract(silence, 24000, 128, 187, method="dio", style="comosvc")
    assert not voiced.any() and (got == 0).all()
    got, voiced = f0.extract(silence, 24000, 128, 188, method="dio", style="diffusion_svc", low_hz=65)
    assert not voiced.any() and (got == 65).all()  # upstream clamps to f0_min


@pytest.mark.parametrize("method", ["yin", "dio", "harvest"])
@pytest.mark.parametrize("style", f0.STYLES)
@pytest.mark.parametrize("samples, frames", [(0, 2), (1, 0), (1, 1), (1, 3), (200, 1), (3000, 12)])
def test_odd_lengths(method, style, samples, frames):
    audio = voice(24000, 128, 0)[:samples].copy()
    audio[samples // 2 :][:1] = np.nan
    got, voiced = f0.extract(audio, 24000, 256, frames, method=method, style=style)
    assert got.shape == voiced.shape == (frames,) and got.dtype == np.float32
    assert np.isfinite(got).all() and not voiced[-(-samples // 256) :].any()


def test_yin_keeps_its_own_grid():
    audio = trackers.signals(0.5)["rests"][0]
    frames = len(audio) // 256
    ours, voiced = f0.extract(audio, 24000, 256, frames)
    theirs, same = f0.extract(audio, 24000, 256, frames, style="comosvc")
    np.testing.assert_array_equal(voiced, same)
    np.testing.assert_array_equal(ours[voiced], theirs[voiced])


def test_configuration():
    with pytest.raises(ConfigError, match="unknown f0 method 'ear'"):
        FeatureConfig(f0_method="ear")
    with pytest.raises(ConfigError, match="unknown f0_style 'rvc'"):
        FeatureConfig(f0_style="rvc")
    with pytest.raises(ConfigError, match="f0 style is 'rvc'"):
        f0.extract(np.zeros(10, np.float32), 24000, 128, 1, style="rvc")
