"""The choir's scores, performances and source-filter voices."""

import dataclasses

import numpy as np
import pytest

from fastsvc.data.choir import PHONES, Performance, Score, perform, render, roster, score
from fastsvc.data.choir.glottis import lf_derivative, voice_source
from fastsvc.data.choir.performance import F0_HOP_S
from fastsvc.data.choir.phones import TABLE, VOWELS
from fastsvc.data.choir.score import Syllable
from fastsvc.data.choir.words import WORDS

RATE_HZ = 24000


def short_score(*syllables, index=0, seed=0):
    rest = Syllable(("pau",), ((0.0, 0.1),), "rest")
    return Score(index, seed, (rest, *syllables, rest), 1.0)


def sung(*phones, notes=((0.0, 0.5),), style="sung"):
    return Syllable(phones, notes, style, 0.5, 1)


def smooth(singer):
    """The singer without roughness and breath, which blur a measurement over a few periods."""
    tract = dataclasses.replace(singer.tract, jitter=0.0, shimmer=0.0, breath_db=-60.0)
    return dataclasses.replace(singer, tract=tract)


def measured_f0(audio, time_s, expected_hz):
    """Autocorrelation over four periods around a time, with parabolic interpolation; searches +-8 %."""
    width = int(4 * RATE_HZ / expected_hz)
    middle = int(time_s * RATE_HZ)
    lags = np.arange(int(0.92 * RATE_HZ / expected_hz), int(1.08 * RATE_HZ / expected_hz) + 2)
    scores = []
    for lag in lags:
        first = audio[middle - (width + lag) // 2 :][:width]
        second = audio[middle - (width + lag) // 2 + lag :][:width]
        scores.append(np.dot(first, second) / np.sqrt(np.dot(first, first) * np.dot(second, second)))
    best = int(np.argmax(scores))
    assert 0 < best < len(lags) - 1
    left, top, right = scores[best - 1 : best + 2]
    return RATE_HZ / (lags[best] + 0.5 * (left - right) / (left - 2 * top + right))


def test_phones_are_those_of_the_dictionary_and_the_pause():
    assert len(PHONES) == len(set(PHONES)) == 40
    assert "pau" in PHONES and "blank" not in PHONES
    assert all(phone in TABLE for word in WORDS for syllable in word for phone in syllable)
    assert all(sum(phone in VOWELS for phone in syllable) == 1 for word in WORDS for syllable in word)


def test_every_phone_is_sung_soon():
    heard = {phone for index in range(8) for syllable in score(index, 0).syllables for phone in syllable.phones}
    assert heard == set(PHONES)


@pytest.mark.parametrize("index", [0, 7, 100])
def test_scores_are_their_index_and_seed(index):
    one = score(index, 3)
    assert one == score(index, 3)
    assert one.syllables != score(index, 4).syllables
    assert one.syllables != score(index + 1, 3).syllables
    assert 20 <= one.seconds <= 45


def test_roster_does_not_depend_on_count():
    few, many = roster(4, 5, voices=False), roster(70, 5, voices=False)
    assert many[:4] == few
    assert len({singer.name for singer in many}) == 70
    assert few[0] != roster(1, 6, voices=False)[0]
    high, low = many[0::2], many[1::2]
    assert min(singer.f0_hz for singer in high) > max(singer.f0_hz for singer in low)
    for singer in many:
        assert 0.80 <= singer.tract.length <= 1.22
        assert -6 <= singer.room.peak_db <= -3


def test_phone_times_are_contiguous_and_cover_the_audio():
    singer = roster(2, 0, voices=False)[1]
    performance = perform(score(2, 0), singer, 1.0)
    ends = [0.0] + [end for _, _, end in performance.phones]
    for (_, start, end), before in zip(performance.phones, ends):
        assert start == pytest.approx(before, abs=1e-9)
        assert end - start >= 0.03
    points = performance.seconds / F0_HOP_S
    assert points <= len(performance.f0_hz) - 1 < points + 1.001
    assert len(performance.loudness) == len(performance.f0_hz)
    assert performance.f0_hz[performance.f0_hz > 0].min() >= 60
    again = Performance.from_dict(performance.to_dict())
    assert again.phones == performance.phones and np.array_equal(again.f0_hz, performance.f0_hz)


def test_f0_is_zero_exactly_where_nothing_is_voiced():
    singer = roster(1, 0, voices=False)[0]
    performance = perform(score(1, 0), singer)
    times = np.arange(len(performance.f0_hz)) * F0_HOP_S
    for symbol, start, end in performance.phones:
        inside = performance.f0_hz[(times >= start + 1e-6) & (times < end - 1e-6)]
        if not TABLE[symbol].voiced:
            assert not inside.any()
    spoken = perform(short_score(sung("m", "aa", "n")), singer)
    whispered = perform(short_score(sung("m", "aa", "n", style="whispered")), singer)
    assert (spoken.f0_hz > 0).mean() > 0.5 and not whispered.f0_hz.any()


def test_the_key_moves_all_notes():
    singer = roster(1, 0, voices=False)[0]
    low, high = (perform(score(4, 0), singer, key) for key in (0.0, 3.0))
    inner = (low.f0_hz > 70) & (high.f0_hz < 700)
    assert np.allclose(high.f0_hz[inner], low.f0_hz[inner] * 2 ** (3 / 12))
    assert low.phones == high.phones


def test_transposition_is_exact_and_changes_nothing_else():
    performance = perform(score(0, 0), roster(1, 0, voices=False)[0], -2.0)
    moved = performance.transposed(7.0)
    assert np.array_equal(moved.f0_hz, performance.f0_hz * 2.0 ** (7.0 / 12.0))
    assert moved.phones == performance.phones and np.array_equal(moved.loudness, performance.loudness)
    assert moved.key_semitones == 5.0


@pytest.mark.parametrize("index", [0, 1, 4, 5])
def test_f0_of_the_audio_is_that_of_the_performance(index):
    singer = roster(6, 0, voices=False)[index]
    dry = smooth(singer)
    performance = perform(short_score(sung("aa", notes=((0.0, 1.0), (4.0, 0.8)))), dry)
    audio = render(dry, performance).astype(np.float64)
    start, end = next((start, end) for symbol, start, end in performance.phones if symbol == "aa")
    cents = []
    for time in np.arange(start + 0.1, end - 0.1, 0.037):
        expected = np.interp(time, np.arange(len(performance.f0_hz)) * F0_HOP_S, performance.f0_hz)
        cents.append(1200 * np.log2(measured_f0(audio, time, expected) / expected))
    assert len(cents) > 30
    assert abs(np.median(cents)) < 2 and np.quantile(np.abs(cents), 0.9) < 12


def test_two_singers_of_one_performance_share_pitch_and_not_spectrum():
    first, _, second = map(smooth, roster(3, 0, voices=False))
    performance = perform(short_score(sung("iy", notes=((0.0, 1.0),))), first)
    spectra, pitches = [], []
    for singer in (first, second):
        audio = render(singer, performance)
        assert audio.dtype == np.float32 and len(audio) == round(performance.seconds * RATE_HZ)
        middle = audio[len(audio) // 2 :][:8192].astype(np.float64)
        power = np.abs(np.fft.rfft(middle * np.hanning(8192))) ** 2
        spectra.append(10 * np.log10(power[:4080].reshape(-1, 120).sum(1) + 1e-9))
        time = len(audio) / 2 / RATE_HZ
        expected = np.interp(time, np.arange(len(performance.f0_hz)) * F0_HOP_S, performance.f0_hz)
        pitches.append(measured_f0(audio.astype(np.float64), time, expected))
    assert abs(1200 * np.log2(pitches[0] / pitches[1])) < 10
    assert np.abs(spectra[0] - spectra[1])[:14].mean() > 3  # below 5 kHz


def test_rendering_is_deterministic_and_does_not_clip():
    singer = roster(2, 0, voices=False)[1]
    performance = perform(short_score(sung("s", "ih", "k", "s"), sung("b", "oy", style="spoken")), singer)
    audio = render(singer, performance)
    assert np.array_equal(audio, render(singer, performance))
    assert np.isfinite(audio).all()
    peak_db = 20 * np.log10(np.abs(audio).max())
    assert abs(peak_db - singer.room.peak_db) < 0.5
    assert len(render(singer, performance, 16000)) == round(performance.seconds * 16000)


def test_a_dry_singer_has_no_reverberation_and_no_noise():
    singer = roster(1, 0, voices=False)[0]
    performance = perform(short_score(sung("aa")), singer, 0.0)
    rests = slice(-int(0.02 * RATE_HZ), None)  # the end of the rest, which the vowel does not reach
    room, dry = (render(singer, performance, RATE_HZ)[rests] for singer in (singer, singer.dry()))
    assert np.abs(room).max() > 1e-4 > 1e-6 > np.abs(dry).max()
    assert roster(1, 0, voices=False, dry=True) == [singer.dry()]


def test_a_hiss_lies_above_a_vowel():
    singer = roster(2, 0, voices=False)[1]
    performance = perform(short_score(sung("s", "aa")), singer)
    audio = render(singer, performance).astype(np.float64)

    def centre_hz(symbol):
        _, start, end = next(phone for phone in performance.phones if phone[0] == symbol)
        part = audio[int((start + 0.02) * RATE_HZ) : int((end - 0.02) * RATE_HZ)]
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        return np.sum(power * np.fft.rfftfreq(len(part), 1 / RATE_HZ)) / power.sum()

    assert centre_hz("s") > 4000 > 1500 > centre_hz("aa")


def test_a_performance_may_be_a_single_pause():
    singer = roster(1, 0, voices=False)[0]
    silence = Performance((("pau", 0.0, 0.01),), np.zeros(3), np.zeros(3), 0.0, 1)
    audio = render(singer, silence)
    assert audio.shape == (240,) and np.isfinite(audio).all()


@pytest.mark.parametrize("rd", [0.36, 0.8, 1.65])
def test_glottal_pulses_have_no_direct_current_and_unit_power(rd):
    pulse = lf_derivative(rd, 8192)
    assert abs(pulse.mean()) < 1e-6
    assert np.mean(pulse**2) == pytest.approx(1.0)
    assert pulse.argmin() / 8192 > 0.3 and -pulse.min() > 1.5 * pulse.max()


def test_softer_voices_have_less_treble_and_nothing_folds_back():
    rng, f0_hz = np.random.default_rng(0), np.full(RATE_HZ, 701.0)
    window, powers = np.hanning(RATE_HZ), []
    for effort in (0.0, 1.0):
        pulses, _ = voice_source(f0_hz, np.full(RATE_HZ, effort), 1.6, 0.5, 0.0, 0.0, RATE_HZ, rng)
        power = np.abs(np.fft.rfft(pulses * window)) ** 2
        hz = np.arange(len(power))
        between = np.abs((hz / 701.0) % 1.0 - 0.5) < 0.4
        assert power[between].sum() < 1e-6 * power.sum()
        powers.append(power[hz > 3000].sum() / power.sum())
    assert powers[0] < 0.3 * powers[1]
