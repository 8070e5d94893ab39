"""Figures of the ears that need no judge: each planted fault moves its own figure far beyond what it should read."""

import json
import math

import numpy as np
import pytest

from bench.hearing import EXAMPLES, LIST, clips, copies, table
from fastsvc.audio import io
from fastsvc.audio.resample import resample
from fastsvc.config import MelConfig
from fastsvc.errors import AudioError, ConfigError
from fastsvc.evaluation import spectrum
from fastsvc.evaluation.ears import activity, columns, faults, packages, words

RATE = 24000
MEL = MelConfig(hop_samples=256, fft_samples=1024, window_samples=1024)


@pytest.fixture(scope="module")
def speech():
    """Four words, a pause before each two: (audio, rate_hz)."""
    parts = []
    for name in ("front_center", "side_left"):
        audio, rate_hz = io.read(EXAMPLES / "recordings" / "speech" / f"{name}.wav", mono=True)
        parts += [np.zeros(RATE // 2, np.float32), resample(audio[0], rate_hz, RATE)]
    noise = 1e-5 * np.random.default_rng(0).standard_normal(sum(map(len, parts)))
    return (np.concatenate(parts) + noise).astype(np.float32), RATE


def test_a_recording_has_none_of_the_faults(speech):
    found = faults.all_faults(speech, speech)
    assert found == pytest.approx({"level_db": 0, "pauses_db": 0, "smear_db": 0, "sharpness": 1}, abs=1e-6)


def test_half_as_loud_is_six_decibel_too_soft_and_nothing_else(speech):
    found = faults.all_faults((0.5 * speech[0], RATE), speech)
    assert found["level_db"] == pytest.approx(-6.02, abs=0.05)
    assert abs(found["sharpness"] - 1) < 0.03 and abs(found["smear_db"]) < 6.1


def test_hiss_in_pauses_is_heard_in_pauses_and_not_in_the_level(speech):
    audio, _ = speech
    hiss = 3e-3 * np.random.default_rng(1).standard_normal(len(audio)).astype(np.float32)
    found = faults.all_faults((audio + hiss, RATE), speech)
    assert found["pauses_db"] > 15 and abs(found["level_db"]) < 0.3


def test_what_sounds_before_an_onset_is_smear(speech):
    audio, _ = speech
    levels = activity.frame_levels_db(audio, RATE)
    starts = faults.onsets(levels)
    assert len(starts) >= 2
    early = audio.copy()
    shift = round(0.04 * RATE)
    early[:-shift] += 0.5 * audio[shift:]  # an echo that comes before its sound
    found = faults.all_faults((early, RATE), speech)
    assert found["smear_db"] > 10


def test_a_mel_blurred_over_its_bins_is_less_sharp(speech):
    audio, _ = speech
    taps = np.hanning(9)  # shorter than a period: a spectrum without lines
    noise = np.random.default_rng(2).standard_normal(len(audio)).astype(np.float32)
    loudness = np.repeat(10 ** (activity.frame_levels_db(audio, RATE) / 20), RATE // 100)
    flat = np.convolve(noise[: len(loudness)], taps / taps.sum(), "same") * loudness
    assert faults.all_faults((flat.astype(np.float32), RATE), speech)["sharpness"] < 0.95


def test_silence_has_no_figures():
    silent = np.zeros(RATE, np.float32), RATE
    assert all(map(math.isnan, faults.all_faults(silent, silent).values()))
    short = np.zeros(10, np.float32), RATE
    assert math.isnan(faults.level_db(*faults.together(short, short)))
    assert not activity.speaking(*silent).any() and len(activity.speaking(*short)) == 10


def test_pauses_are_cut_from_speech(speech):
    kept = activity.speaking(*speech)
    assert len(kept) == len(speech[0]) and 0.4 < kept.mean() < 0.85


def test_rates_and_lengths_may_differ(speech):
    audio, source, rate_hz = faults.together((resample(speech[0], RATE, 16000)[:-40], 16000), speech)
    assert rate_hz == RATE and len(audio) == len(source) and len(source) < len(speech[0])
    assert faults.level_db(audio, source, rate_hz) == pytest.approx(0, abs=0.4)  # what lay above 8 kHz is gone


def test_no_metric_of_the_spectrum_hides_level(speech):
    audio, _ = speech
    same, soft = (spectrum.compare(gain * audio, audio, MEL) for gain in (1.0, 0.5))
    assert same == pytest.approx({"mel_l1": 0, "mcd_db": 0, "mcd_c0_db": 0, "level_db": 0}, abs=1e-3)
    assert soft["mel_l1"] < 1e-3 and soft["mcd_db"] < 0.01
    assert soft["level_db"] == pytest.approx(-6.02, abs=0.1) and soft["mcd_c0_db"] == pytest.approx(4.26, abs=0.3)


# rows without training


def test_griffin_lim_keeps_level_and_timing(speech):
    pytest.importorskip("librosa")
    made = _copied(speech, lambda mel: copies.griffin_lim(mel, MEL))
    found = faults.all_faults((made, RATE), speech)
    assert abs(found["level_db"]) < 1 and found["sharpness"] > 0.8
    envelopes = [activity.frame_levels_db(one[: len(made)], RATE) for one in (made, speech[0])]
    assert np.corrcoef(np.maximum(envelopes, -60))[0, 1] > 0.97


def test_griffin_lim_of_a_mel_finer_than_its_bins_stays_finite_and_level(speech):
    pytest.importorskip("librosa")
    fine = MelConfig()
    made = _copied((speech[0][: 2 * RATE], RATE), lambda mel: copies.griffin_lim(mel, fine), fine)
    assert abs(faults.level_db(*faults.together((made, RATE), speech))) < 1


def test_the_formula_keeps_level(speech):
    pytest.importorskip("pyworld")
    from fastsvc.features import f0

    def make(mel):
        audio = speech[0][: len(mel) * MEL.hop_samples]
        track = f0.extract(audio, RATE, MEL.hop_samples, len(mel), method="yin", low_hz=50.0, high_hz=1100.0)
        return copies.formula(mel, *(np.asarray(part) for part in track), MEL)

    found = faults.all_faults((_copied(speech, make), RATE), speech)
    assert abs(found["level_db"]) < 1.5 and abs(found["pauses_db"]) < 6


def _copied(speech, make, config=MEL):
    mel = spectrum.scoring_mel(speech[0], config)
    made = make(mel)
    assert made.shape == (len(mel) * config.hop_samples,) and np.isfinite(made).all()
    return made


# clips, words, verdict


def test_the_fixed_clips_are_named_once_and_english_ones_have_words():
    entries = json.loads(LIST.read_text(encoding="utf-8"))["clips"]
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names) >= 20
    for entry in entries:
        assert entry["group"] in ("speech", "actors", "choir") and len(entry["language"]) == 2
        if entry["language"] == "en" and entry["group"] == "speech":
            assert words.split(entry["transcript"])


def test_clips_that_are_not_there_are_named(tmp_path):
    found, lacking = clips.fixed(tmp_path, ("choir",))
    assert [one.name for one in found] == ["choir_uma", "choir_viktor", "choir_wanda"] and not lacking
    assert not any(one.english for one in found) and max(one.seconds for one in found) <= 8
    with pytest.raises(ConfigError, match="make ears-data"):
        clips.fixed(tmp_path, ("actors",))


def test_prompts_without_a_header_are_read(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "one.g722").write_bytes(bytes(range(256)) * 20)
    audio, rate_hz = clips.read(tmp_path / "one.g722")
    assert rate_hz == 16000 and audio.dtype == np.float32 and len(audio) == pytest.approx(2 * 256 * 20, abs=100)
    with pytest.raises(AudioError):
        clips.read(tmp_path / "none.g722")


@pytest.mark.parametrize(
    "heard, right, rate",
    [("It's FINE.", "it’s fine", 0), ("so it goes", "it goes", 0.5), ("", "it goes", 1), ("a b c", "d", 3)],
)
def test_word_error_rate(heard, right, rate):
    assert words.word_error_rate(words.split(heard), words.split(right)) == rate
    assert math.isnan(words.word_error_rate(words.split(heard), []))


def test_a_vocoder_that_loses_to_griffin_lim_fails():
    def rows(copy, griffin_lim):
        named = (("copy-synthesis", copy), ("Griffin-Lim", griffin_lim))
        return [{"clip": i, "group": "own", "system": s, "mos": v + 0.1 * i} for s, v in named for i in range(3)]

    lost, kept = table.verdict(rows(1.5, 3.3)), table.verdict(rows(3.1, 3.3))
    assert not lost["passed"] and lost["line"].startswith("FAILED") and lost["difference"] == pytest.approx(-1.8)
    assert kept["passed"] and table.verdict(rows(3.1, 3.3), bar=0.1)["passed"] is False
    assert table.verdict(rows(3.1, 3.3)[:3]) is None
    summary = table.summaries([*rows(3.1, 3.3), *({**row, "group": "choir"} for row in rows(2, 2))])
    assert list(summary) == ["all", "own", "choir"] and summary["own"]["Griffin-Lim"]["mos"]["clips"] == 3
    assert table.comma_separated(rows(1.0, 2.0)).splitlines()[1].startswith("0,own,copy-synthesis")


def test_ears_are_left_out_with_a_note_where_they_are_not_installed(monkeypatch):
    monkeypatch.setattr(packages, "missing", lambda: ["distillmos"])
    public, note = columns.wanted("auto")
    assert not public and "distillmos" in note
    assert columns.wanted("never") == (False, "")
