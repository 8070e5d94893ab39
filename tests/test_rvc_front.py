"""The front end of RVC's voices against upstream's numbers: filter, peaks, margins, grid, pitch."""

import numpy as np
import pytest
import torch
from rvc_front import GoldenEmbedder, Index, RvcEngine, piece

from fastsvc.audio import butterworth, peaks
from fastsvc.config import RvcConfig
from fastsvc.engine import Request, conversion, rvc_front, rvc_options
from fastsvc.engine.cpu.sampler import Features
from fastsvc.engine.level import LoudnessProfile
from fastsvc.features.f0 import neural
from fastsvc.model.rvc.pitch import coarse_pitch

M = rvc_front.MARGIN


@pytest.fixture(autouse=True)
def no_weights(monkeypatch):
    monkeypatch.delenv("FASTSVC_RMVPE", raising=False)


def singing(seconds, rate_hz, hz=220.0):
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return sum(0.2 / k * np.sin(2 * np.pi * k * hz * t) for k in range(1, 6)).astype(np.float32)


@pytest.mark.parametrize("block", [100, 1711, butterworth.BLOCK])
def test_the_high_pass_is_upstreams_however_it_is_cut(block):
    golden = piece("highpass")
    np.testing.assert_allclose(butterworth.high_passed(golden["audio"], block), golden["out"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(butterworth.high_passed(golden["short"], block), golden["short_out"], rtol=0, atol=1e-7)


def test_blocks_of_the_high_pass_change_nothing():
    """An offset and a slow swing besides the noise, over several blocks of the size that is used."""
    samples = 2 * butterworth.BLOCK + 12345
    audio = np.random.default_rng(0).standard_normal(samples) * 0.1 + 0.3 * np.sin(np.arange(samples) / 5000) + 0.2
    audio = audio.astype(np.float32)
    whole = butterworth.high_passed(audio, samples)
    assert np.abs(butterworth.high_passed(audio) - whole).max() < 1e-6
    assert np.abs(butterworth.high_passed(audio, 30011) - whole).max() < 1e-6
    assert abs(whole.mean()) < 1e-4


@pytest.mark.parametrize("samples", [0, 1, 2, 18])
def test_the_high_pass_takes_what_upstream_refuses(samples):
    out = butterworth.high_passed(np.full(samples, 0.5, np.float32))
    assert len(out) == samples and np.abs(out).max(initial=0.0) < 1e-6


def test_peaks():
    loud, soft = np.array([0.2, -1.9, 0.5], np.float32), np.array([0.2, -0.95], np.float32)
    np.testing.assert_allclose(peaks.limited(loud, peaks.INPUT_PEAK), loud / 2, rtol=1e-6)
    assert peaks.limited(soft, peaks.INPUT_PEAK) is soft
    np.testing.assert_allclose(peaks.PeakLimit().follow(loud, 40000), loud * (0.99 / 1.9), rtol=1e-6)
    at_16k = rvc_front.prepared(loud.repeat(50), high_pass=False)
    assert np.abs(at_16k).max() == pytest.approx(0.95)


@pytest.mark.parametrize("name", ["sweep", "holes", "edge", "silent"])
@pytest.mark.parametrize("key", [0, 12, -7])
def test_pitch_as_upstreams_with_and_without_filling(name, key):
    golden = piece("pitch")
    f0_hz = torch.from_numpy(golden[f"{name}_f0"])
    filled = torch.from_numpy(rvc_front.styles.fill(f0_hz.numpy())) * 2 ** (key / 12)
    features = Features(None, None, filled, f0_hz > 0, None)
    for unvoiced, suffix in (("zero", ""), ("interpolated", "_filled")):
        settled = rvc_front.settled(features, unvoiced)
        for pitch in (settled.f0_hz * settled.voiced, settled.f0_hz):  # whatever the engine's own choice is
            np.testing.assert_allclose(pitch, golden[f"{name}_{key}_f0{suffix}"], rtol=1e-12)
            np.testing.assert_array_equal(coarse_pitch(pitch), golden[f"{name}_{key}_coarse{suffix}"])


@pytest.mark.parametrize("rate_hz, samples", [(16000, 38880), (44100, 30011), (8000, 3999), (48000, 1), (96000, 480)])
def test_frames_and_margins(rate_hz, samples):
    """ceil(duration / 10 ms) frames and the margins; each unit serves two frames; the last frame has a unit."""
    features = rvc_front.features(RvcEngine(), singing(samples / rate_hz, rate_hz)[:samples], rate_hz, Request(0))
    frames = -(-samples * 100 // rate_hz)
    assert features.margin == M and len(features.f0_hz) == len(features.voiced) == frames + 2 * M
    assert torch.equal(features.unit_indices, torch.arange(frames + 2 * M) // 2)
    assert len(features.units) * 2 >= frames + 2 * M and features.original_units is None
    assert features.melody[0].shape == (frames,)


def test_units_are_those_of_upstreams_padding():
    """offline_one: one piece with a second of the reflected recording at both ends."""
    audio = (piece("offline_one")["audio_int16"] / 32768).astype(np.float32)
    features = rvc_front.features(RvcEngine(), audio, 16000, Request(0))
    from scipy.signal import filtfilt

    padded = np.pad(filtfilt(*(piece("highpass")[c] for c in "ba"), audio.astype(np.float64)), 16000, mode="reflect")
    expected = GoldenEmbedder().encode(padded)
    np.testing.assert_allclose(features.units[: len(expected)], expected, rtol=0, atol=3e-6)


def test_pitch_is_that_at_the_start_of_a_frame():
    """As upstream: a glide of 200 Hz a second differs by 1 Hz from the middle of the frame."""
    t = np.arange(32000) / 16000
    phase = 2 * np.pi * np.cumsum(200 + 200 * t) / 16000
    audio = sum(0.2 / k * np.sin(k * phase) for k in range(1, 6)).astype(np.float32)
    f0_hz, voiced = rvc_front.features(RvcEngine(), audio, 16000, Request(0, f0_method="yin")).melody
    inner = slice(20, 180)
    assert voiced[inner].all()
    error = f0_hz[inner].numpy() - (200 + 200 * 0.01 * np.arange(200))[inner]
    assert abs(error.mean()) < 0.2


def test_rmvpe_stays_on_its_own_grid(monkeypatch):
    calls = []

    def track(method, audio, low_hz, high_hz, weights):
        calls.append((method, audio, low_hz, high_hz, weights))
        return 100.0 + np.arange(len(audio) // 160 + 1), np.tile([0.9, 0.9, 0.01], len(audio))[: len(audio) // 160 + 1]

    monkeypatch.setattr(neural, "track", track)
    audio = singing(0.5, 16000)
    request = Request(0, f0_method="rmvpe", f0_weights="w.pt", f0_range=(60, 900), high_pass=False)
    features = rvc_front.features(RvcEngine(), audio, 16000, request)
    ((method, heard, low_hz, high_hz, weights),) = calls
    assert (method, low_hz, high_hz, weights) == ("rmvpe", 60, 900, "w.pt")
    np.testing.assert_array_equal(heard[16000 : 16000 + len(audio)], audio)
    assert features.voiced[:3].tolist() == [True, True, False]
    np.testing.assert_allclose(features.f0_hz[:5], [100, 101, 102, 103, 104])  # a straight line through the third


def test_hum_in_rests_is_no_pitch():
    t = np.arange(3 * 16000) / 16000
    audio = 0.003 * np.sin(2 * np.pi * 100 * t).astype(np.float32)
    audio[:16000] = singing(1.0, 16000)
    own, gated = (
        rvc_front.features(RvcEngine(), audio, 16000, Request(0, f0_method="yin", high_pass=high_pass)).melody[1]
        for high_pass in (False, True)
    )
    assert own[150:250].all() and not gated[150:250].any() and gated[10:90].all()


def test_a_voice_without_pitch_tracks_none(monkeypatch):
    monkeypatch.setattr(rvc_front, "pitch", None)
    features = rvc_front.features(RvcEngine(RvcConfig(pitch=False)), singing(0.2, 16000), 16000, Request(0))
    assert not features.f0_hz.any() and not features.voiced.any()


@pytest.mark.parametrize(
    "asked, searched, protect",
    [
        ({}, [(0.75, "exact")], 0.33),
        ({"index_rate": 0.5, "index_search": "nprobe", "protect": 0.1}, [(0.5, "nprobe")], 0.1),
        ({"index_rate": 0.0, "index_search": "nprobe"}, [], 0.5),
        ({"unvoiced": "interpolated"}, [(0.75, "exact")], 0.5),
    ],
)
def test_the_index(asked, searched, protect):
    engine = RvcEngine(index=Index())
    features = rvc_front.features(engine, singing(0.2, 16000), 16000, Request(0, **asked))
    assert engine.index.asked == searched and features.protect == protect
    if searched:
        np.testing.assert_allclose(features.units - features.original_units, 100 * searched[0][0], rtol=1e-4)
    else:
        assert features.original_units is None


def test_a_recording_keeps_its_length_and_level():
    """The input's peak does not come back in the output; at rms_mix_rate 1 peaks alone are limited."""
    audio = 1.5 * singing(0.5, 44100) / 0.4
    recording = conversion.extracted(RvcEngine(), audio, "", 44100, Request(0, rms_mix_rate=1, transpose="auto"))
    spec = recording.output_spec
    assert (spec.samples, spec.rate_out_hz, spec.gain, spec.level) == (len(audio), 44100, 1.0, peaks.PeakLimit())
    assert recording.semitones == 0.0 and recording.features.melody[0].median() == pytest.approx(220, abs=1)
    output = conversion.finished_audio(np.full(20000, 1.98, np.float32), 40000, spec)
    assert len(output) == len(audio) and output.max() == pytest.approx(0.99) and output[1000:-1000].min() > 0.9


def test_transposing_is_by_the_recordings_own_frames():
    recording = conversion.extracted(RvcEngine(), singing(0.5, 16000), "", 16000, Request(0, transpose=12))
    assert recording.features.melody[0].median() == pytest.approx(440, abs=2)
    assert rvc_options.f0_method(RvcEngine(), Request(0, f0_method="pyin")) == "pyin"


def test_loudness_is_not_upstreams_but_closer():
    """In blocks of 0.1 s, where upstream's windows last a second: docs/voices.md has the two figures."""
    golden = piece("loudness")
    source, target = (golden[name].astype(np.float32) for name in ("source", "target"))
    ours = LoudnessProfile.of(source, 16000, 0.0).follow(target.copy(), 40000)
    step, blocks = int(golden["step"]), [*range(8), 10, 11]  # the target is silent between

    def levels_db(audio, rate_hz):
        ends = np.rint(np.arange(13) * 0.1 * rate_hz).astype(int)
        return np.array([10 * np.log10(np.square(audio[ends[i] : ends[i + 1]]).mean()) for i in blocks])

    recording = levels_db(source, 16000)
    off = [np.sqrt(np.square(levels_db(a, 40000 / step) - recording).mean()) for a in (golden["out_0.0"], ours[::step])]
    np.testing.assert_allclose(off, [4.0, 1.2], atol=0.1)
