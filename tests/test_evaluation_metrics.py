"""Every metric on cases whose answer is known beforehand."""

import math

import numpy as np
import pytest
import torch

from fastsvc.config import MelConfig, RecogniserConfig, VerifierConfig
from fastsvc.evaluation import intervals, machine, phones, pitch, singers, spectrum
from fastsvc.model.recogniser import Recogniser
from fastsvc.model.verifier import Verifier

RATE = 24000


def track(seed=0, frames=301):
    rng = np.random.default_rng(seed)
    f0_hz = 220 * 2 ** (np.cumsum(rng.standard_normal(frames)) / 24)
    return f0_hz, rng.random(frames) < 0.7


# pitch


def test_a_track_against_itself_is_perfect_and_against_a_semitone_up_is_100_cents():
    f0_hz, voiced = track()
    same = pitch.compare((f0_hz, voiced), (f0_hz, voiced))
    assert same == pytest.approx({"fpc_voiced": 1, "fpc_all": 1, "f0_rmse_cents": 0, "voicing_f1": 1})
    up = pitch.compare((f0_hz * 2 ** (1 / 12), voiced), (f0_hz, voiced))
    assert up["fpc_voiced"] == pytest.approx(1) and up["f0_rmse_cents"] == pytest.approx(100)


def test_mirrored_melody_has_correlation_minus_one_and_a_constant_one_has_none():
    f0_hz, voiced = track()
    assert pitch.fpc_voiced(220**2 / f0_hz, voiced, f0_hz, voiced) == pytest.approx(-1)
    assert math.isnan(pitch.fpc_voiced(np.full(301, 220.0), voiced, f0_hz, voiced))
    assert math.isnan(pitch.fpc_voiced(f0_hz, voiced, f0_hz, ~voiced))


def test_voiced_measures_ignore_what_stands_in_unvoiced_frames():
    f0_hz, voiced = track()
    rubbish = np.where(voiced, f0_hz, 1e4)
    assert pitch.rmse_cents(rubbish, voiced, f0_hz, voiced) == 0
    assert pitch.fpc_all(rubbish, voiced, f0_hz, voiced) == pytest.approx(1)
    assert pitch.median_hz(rubbish, voiced) == np.median(f0_hz[voiced])


def test_all_frames_correlation_is_pearson_of_tracks_with_zeros():
    a, b = np.array([100.0, 200, 300, 0]), np.array([110.0, 0, 290, 0])
    want = np.corrcoef(a, b)[0, 1]
    assert pitch.fpc_all(a, a > 0, b, b > 0) == pytest.approx(want)


def test_voicing_f1_counts():
    found, true = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 1, 0], bool)
    assert pitch.voicing_f1(found, true) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert math.isnan(pitch.voicing_f1(np.zeros(3, bool), np.zeros(3, bool)))


def test_exact_track_reads_the_score_at_the_middle_of_frames():
    times = np.arange(201) * 0.005
    score = np.where(times < 0.5, 200 * 2**times, 0)
    f0_hz, voiced = pitch.exact_track(score, 0.005, 187, 128 / RATE)
    middles = (np.arange(187) + 0.5) * 128 / RATE
    sure = (middles < 0.495) | (middles > 0.505)
    assert np.array_equal(voiced[sure], (middles < 0.5)[sure])
    assert np.allclose(f0_hz[middles < 0.495], 200 * 2 ** middles[middles < 0.495], rtol=1e-9)
    assert pitch.exact_track(score, 0.005, 300, 128 / RATE)[1][-1] == False  # noqa: E712  beyond the end: the last value


# spectrum


def noise(samples=24001, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_equal_spectra_at_another_level_have_no_distance():
    audio = noise()
    got = spectrum.compare(audio * 0.25, audio, MelConfig())
    assert got["mel_l1"] == pytest.approx(0, abs=1e-4) and got["mcd_db"] == pytest.approx(0, abs=1e-3)
    assert spectrum.compare(noise(seed=1), audio, MelConfig())["mel_l1"] > 0.05


def test_mel_l1_of_a_constant_offset_and_silence_does_not_count():
    true = np.concatenate([np.zeros((10, 80)), np.full((7, 80), -4.0)])
    mel = true.copy()
    mel[:10] += 0.05
    mel[10:] += 3.0
    active = spectrum.active_frames(true)
    assert active.sum() == 10
    assert spectrum.mel_l1(mel, true, active) == pytest.approx(0.05)


@pytest.mark.parametrize("order", [1, 5, 13])
def test_mcd_of_a_cosine_ripple_is_what_the_formula_says(order):
    bins, depth = 80, 0.3
    true = np.random.default_rng(0).standard_normal((9, bins))
    ripple = depth * np.cos(np.pi * order * (np.arange(bins) + 0.5) / bins) / np.log(10)
    every = np.ones(9, bool)
    want = 10 / np.log(10) * np.sqrt(2) * depth
    assert spectrum.mcd_db(true + ripple, true, every) == pytest.approx(want, rel=1e-9)
    assert spectrum.mcd_db(true + 0.7, true, every) == pytest.approx(0, abs=1e-9)  # a level is no distortion
    fine = np.cos(np.pi * 20 * (np.arange(bins) + 0.5) / bins)
    assert spectrum.mcd_db(true + fine, true, every) == pytest.approx(0, abs=1e-9)  # finer than 13 cepstra


def test_log_base_of_the_model_does_not_matter():
    audio, other = noise(), noise(seed=2)
    ten, e = MelConfig(), MelConfig(log_base="e")
    assert spectrum.compare(other, audio, ten) == pytest.approx(spectrum.compare(other, audio, e), rel=1e-5)


def test_one_frame_and_none():
    assert np.isfinite(spectrum.compare(noise(128, 1), noise(128), MelConfig())["mcd_db"])
    assert math.isnan(spectrum.compare(noise(0), noise(0), MelConfig())["mel_l1"])


# phones


def test_phone_error_rate_counts_edits_and_merges_what_cannot_be_told_apart():
    assert phones.reference_phones(["pau", "dh", "ae", "t", "t", "ay", "m", "pau", "m"]) == [
        "dh",
        "ae",
        "t",
        "ay",
        "m",
        "m",
    ]
    reference = ["dh", "ae", "t", "ay", "m"]
    assert phones.error_rate(reference, reference) == 0
    assert phones.error_rate(["dh", "eh", "t", "ay"], reference) == pytest.approx(2 / 5)
    assert phones.error_rate([], reference) == 1
    assert math.isnan(phones.error_rate(["t"], []))


class Fixed(torch.nn.Module):
    """A recogniser that hears the same labels in everything."""

    def __init__(self, labels):
        super().__init__()
        self.config = RecogniserConfig(phones=("<blank>", "pau", "aa", "t"), architecture="gru")
        self.labels = torch.tensor(labels)

    def forward(self, mel):
        labels = self.labels.repeat_interleave(mel.shape[1] // len(self.labels) + 1)[: mel.shape[1]]
        return None, torch.nn.functional.one_hot(labels, 4)[None].float()


def test_decoding_merges_runs_and_drops_blanks_and_pauses():
    assert phones.recognise(Fixed([1, 2, 0, 2, 3, 1, 3]), noise(), RATE) == ["aa", "aa", "t", "t"]
    assert phones.recognise(Fixed([1]), noise(0), RATE) == []
    real = Recogniser(RecogniserConfig(phones=("<blank>", "pau", "aa"), channels=8, layers=1, architecture="gru"))
    assert isinstance(phones.recognise(real.eval(), noise(3001), RATE), list)


# singers


def test_nearest_centroid_and_cosine():
    rng = np.random.default_rng(0)
    axes = np.eye(8)[:3]
    heard = {
        name: [singers.unit(axis + 0.1 * rng.standard_normal(8)) for _ in range(9)] for name, axis in zip("abc", axes)
    }
    centroids = {name: singers.centroid(rows) for name, rows in heard.items()}
    assert singers.nearest(singers.unit(axes[1] + 0.3 * axes[0]), centroids) == "b"
    assert singers.similarity(axes[0], axes[0]) == pytest.approx(1)
    assert singers.similarity(axes[0], axes[1]) == pytest.approx(0)
    assert singers.similarity(axes[0], np.zeros(8)) == 0
    with pytest.raises(ValueError):
        singers.centroid([])


def test_embedding_has_length_one_at_any_length_and_rate():
    verifier = Verifier(VerifierConfig(channels=16, layers=2, embedding=12, architecture="conv2d")).eval()
    short = singers.embed(verifier, noise(700), RATE)
    long = singers.embed(verifier, noise(10 * RATE + 77), RATE)
    assert np.linalg.norm(short) == pytest.approx(1) and np.linalg.norm(long) == pytest.approx(1)
    assert not singers.embed(verifier, noise(0), RATE).any()
    once, twice = (singers.embed(verifier, np.tile(noise(3 * RATE), times), RATE) for times in (1, 2))
    hum = singers.embed(verifier, np.sin(np.arange(3 * RATE) / 30).astype(np.float32), RATE)
    assert singers.similarity(twice, once) > 0.99 > singers.similarity(hum, once)


# intervals


def test_interval_of_normal_values_is_what_theory_says():
    values = np.random.default_rng(1).standard_normal(400) + 5
    mean, low, high = intervals.mean_interval(values)
    assert mean == values.mean()
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert intervals.mean_interval(values) == (mean, low, high)  # seeded


def test_pairing_takes_out_what_clips_share():
    rng = np.random.default_rng(2)
    hard = 10 * rng.standard_normal(50)
    a, b = hard + 1 + 0.1 * rng.standard_normal(50), hard + 0.1 * rng.standard_normal(50)
    mean, low, high = intervals.difference_interval(a, b)
    assert 0.9 < low < mean < high < 1.1
    with pytest.raises(ValueError):
        intervals.difference_interval(a, b[:-1])


def test_missing_values_are_left_out_and_one_clip_has_no_interval():
    assert intervals.mean_interval([float("nan"), 2.0])[0] == 2.0
    assert math.isnan(intervals.mean_interval([2.0])[1])
    assert math.isnan(intervals.mean_interval([float("nan")])[0])


def test_machine_names_hardware_and_versions_and_no_host():
    import platform

    told = machine.describe()
    assert told["versions"]["torch"] and "thread" in told["machine"]["hardware"]
    assert platform.node() not in str(told) or len(platform.node()) < 3
    result, seconds = machine.timed(lambda: 7)
    assert result == 7 and seconds >= 0
