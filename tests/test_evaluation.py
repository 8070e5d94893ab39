"""Clips with true targets, and the whole evaluation on tiny untrained networks."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evaluated import networks, save

from fastsvc import config as c
from fastsvc.data.choir import perform, render, score
from fastsvc.errors import CheckpointError, ConfigError
from fastsvc.evaluation import choir_table, clips, content, judges, phones, pitch, run, systems
from fastsvc.model.acoustic import AcousticModel
from fastsvc.model.recogniser import Recogniser

RATE = 24000
SPEECH = Path(__file__).parent.parent / "examples" / "recordings" / "speech"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return networks(tmp_path_factory)


@pytest.fixture(scope="module")
def engine(made):
    from fastsvc.engine import Engine

    return Engine.open(made["engine"])


# clips


@pytest.fixture(scope="module")
def some_clips():
    voices, left_out = clips.targets(("ada", "bruno", "nobody"), (), 0)
    assert [v.name for v in voices] == ["ada", "bruno"] and left_out[0].startswith("nobody:")
    return list(clips.draw(voices, 3, 1.0, 0, 0, RATE))


def test_truth_is_in_time_and_in_tune(some_clips):
    for clip in some_clips:
        assert len(clip.truth) == len(clip.audio) > RATE and clip.target in ("ada", "bruno")
        frames = len(clip.truth) // 128
        exact = pitch.exact_track(clip.f0_hz, clip.f0_hop_s, frames, 128 / RATE)
        found = choir_table.track(clip.truth, c.AcousticConfig(), frames)
        assert np.abs(np.median(pitch.deviation_cents(*found, *exact))) < 15
        assert pitch.voicing_f1(found[1], exact[1]) > 0.85
        source = choir_table.track(clip.audio, c.AcousticConfig(), frames)
        moved = np.median(pitch.deviation_cents(*exact, *source)) / 100
        assert moved == pytest.approx(clip.semitones, abs=0.3)


def test_songs_and_sources_are_unseen_and_draws_repeat(some_clips):
    from fastsvc.data.choir import roster

    assert {clip.source for clip in some_clips}.isdisjoint(singer.name for singer in roster(60, 0))
    assert len({clip.song for clip in some_clips}) == 3 and min(clip.song for clip in some_clips) >= clips.UNSEEN
    voices, _ = clips.targets(("ada", "bruno"), (), 0)
    again = next(clips.draw(voices, 1, 1.0, 0, 0, RATE))
    other = next(clips.draw(voices, 1, 1.0, 0, 1, RATE))
    assert np.array_equal(again.truth, some_clips[0].truth) and again.name == some_clips[0].name
    assert other.song != again.song


def test_excerpt_runs_from_pause_to_pause_and_keeps_time():
    singer = clips.sources(1, 0, 0)[0]
    whole = perform(score(1, 0), singer)
    part = clips.excerpt(whole, 5.0, np.random.default_rng(3))
    assert part.phones[0][0] == part.phones[-1][0] == "pau" and part.phones[0][1] == 0
    assert all(a[2] == b[1] for a, b in zip(part.phones, part.phones[1:]))
    assert 4.9 <= part.seconds < whole.seconds
    assert len(part.f0_hz) == len(part.loudness) == round(part.seconds / clips.F0_HOP_S) + 1
    assert clips.excerpt(whole, 1e3, np.random.default_rng(0)) is whole
    # the excerpt's voiced stretches are those of its phones: pitch and phones were moved alike
    first = next(i for i, f in enumerate(part.f0_hz) if f > 0) * clips.F0_HOP_S
    assert any(start - 0.006 <= first <= start + 0.006 for symbol, start, _ in part.phones if symbol != "pau")
    assert len(render(singer, part, RATE)) == round(part.seconds * RATE)


def test_voices_of_another_choir_are_no_targets():
    with pytest.raises(ConfigError, match="none of the engine's voices"):
        clips.targets(("Alice", "Bob"), (), 0)
    ada = clips.targets(("ada",), (), 0)[0][0]
    kept, left_out = clips.targets(("ada", "bruno"), (ada.f0_hz, 440.0), 0)
    assert [s.name for s in kept] == ["ada"] and "440 Hz" in left_out[0]


# systems


def test_teacher_in_plain_pytorch_makes_what_a_teacher_engine_makes(made, tmp_path, some_clips):
    from fastsvc.build import compile
    from fastsvc.engine import Engine

    built = compile(
        made["teacher"],
        tmp_path / "t.fsvc",
        vocoder=made["vocoder"],
        content=made["content"],
        steps=(5,),
        progress=None,
    )
    as_engine = Engine.open(built)
    clip = some_clips[0]
    plain = systems.teacher(as_engine, made["teacher"], 5).make(clip, 3)
    fast = systems.student(as_engine, 5).make(clip, 3)
    audio = plain.audio[: len(fast.audio)]
    assert plain.rate_hz == fast.rate_hz and 0 <= len(plain.audio) - len(fast.audio) < 128
    assert np.abs(audio - fast.audio).max() < 1e-3 * max(np.abs(audio).max(), 1e-3)
    assert 0 < plain.mel_seconds < plain.seconds


def test_a_students_row_is_what_the_engine_converts(engine, some_clips):
    clip = some_clips[1]
    made = systems.student(engine, 2).make(clip, 4)
    asked = {"steps": 2, "transpose": clip.semitones, "seed": 4}
    audio, rate_hz = engine.convert(clip.audio, clip.rate_hz, clip.target, **asked)
    assert made.rate_hz == rate_hz and made.audio.shape == audio.shape
    assert np.abs(made.audio - audio).max() <= 1e-5 * max(np.abs(audio).max(), 1e-3)
    assert made.mel.shape[1] == engine.config.mel.bins


def test_judges_read_a_mel_only_where_it_is_the_one_they_know(made, engine, some_clips):
    clip = some_clips[0]
    result = systems.student(engine, 1).make(clip, 0)
    wanted = choir_table.TrueTarget.of(clip, engine.config)
    verifier, centroids = judges.verifier(made["verifier"]), {"ada": np.eye(8)[0], "bruno": np.eye(8)[1]}
    own = judges.recogniser(made["recogniser"])
    figures = choir_table.measure(clip, result, wanted, engine.config, own, verifier, centroids)
    assert "mel_phone_error_rate" not in figures  # it hears 16 kHz
    assert -1 <= figures["mel_singer_similarity"] <= 1
    small = {"phones": own.config.phones, "channels": 8, "layers": 1, "bottleneck": 6, "mel": engine.config.mel}
    theirs = Recogniser(c.RecogniserConfig(**small, architecture="gru")).eval()
    figures = choir_table.measure(clip, result, wanted, engine.config, theirs, verifier, centroids)
    read = phones.error_rate(phones.recognise_mel(theirs, result.mel), phones.reference_phones(clip.phones))
    assert figures["mel_phone_error_rate"] == read and phones.recognise_mel(theirs, result.mel[:0]) == []


@pytest.mark.slow
def test_an_evaluation_without_references_is_of_the_students_alone(made, engine, tmp_path):
    result = run.evaluate(engine, tmp_path, clips=1, clip_seconds=1.0, progress=False, references=False)
    assert list(result["choir"]["summary"]) == ["student, 1 step", "student, 2 steps"]
    assert result["choir"]["against"] == "student, 1 step"
    voices = clips.targets(engine.speakers, engine.table.f0_hz, 0)[0]
    first, again = (next(clips.draw(voices, 1, 1.0, 0, 0, engine.rate_hz)) for _ in range(2))
    assert first is again  # what one evaluation rendered serves the next


def test_a_teacher_with_other_features_is_refused(made, engine, tmp_path):
    other = c.AcousticConfig(
        features=c.FeatureConfig(unit_channels=6, f0_method="dio"),
        condition=c.ConditionConfig(unit_channels=6, channels=8, speakers=2),
        denoiser=c.DenoiserConfig(channels=8, layers=1, cond_channels=8),
    )
    path = save(tmp_path / "other.pt", "teacher", AcousticModel(other), ("ada", "bruno"))
    with pytest.raises(CheckpointError, match="differ in mel or features"):
        systems.teacher(engine, path)
    with pytest.raises(CheckpointError, match="student"):
        systems.teacher(engine, made["student"])


def test_the_engines_own_encoder_may_not_judge(made, engine):
    with pytest.raises(CheckpointError, match="cannot judge"):
        judges.recogniser(made["content"], engine)
    assert judges.recogniser(made["recogniser"], engine).config.architecture == "gru"
    with pytest.raises(CheckpointError, match="verifier"):
        judges.verifier(made["recogniser"])


# the whole


@pytest.mark.slow
def test_whole_evaluation(made, engine, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    shutil.copy(SPEECH / "front_center.wav", folder)
    result = run.evaluate(
        engine,
        tmp_path / "out",
        teacher=made["teacher"],
        recogniser=made["recogniser"],
        verifier=made["verifier"],
        clips=2,
        clip_seconds=1.0,
        teacher_steps=3,
        recordings=folder,
        progress=False,
        ears="never",  # tests/test_ears_judges.py
        command="evaluate",
    )
    names = ["true target", "copy-synthesis", "teacher, 3 Euler steps", "student, 1 step", "student, 2 steps"]
    rows = result["choir"]["rows"]
    assert [row["system"] for row in rows] == names * 2
    true = result["choir"]["summary"]["true target"]
    assert true["mel_l1"]["mean"] == 0 and true["mcd_db"]["mean"] == 0 and true["fpc_voiced"]["mean"] > 0.9
    assert "rtf" not in true and result["choir"]["summary"]["student, 1 step"]["rtf"]["mean"] > 0
    assert result["choir"]["against"] == "teacher, 3 Euler steps"
    assert 0 <= true["singer_correct"]["mean"] <= 1 and "phone_error_rate" in true
    assert [row["target"] for row in result["recordings"]["rows"]] == ["ada", "bruno"]
    assert list(result["recordings"]["summary"]) == ["all", "ada", "bruno"]
    words = result["choir"]["words"]
    assert 0 < words["misheard"] <= words["lost"] <= 1
    assert f"mishears {words['lost']:.1%}" in " ".join(result["notes"])
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert written["settings"]["clips"] == 2 and written["machine"]["hardware"] and written["command"] == "evaluate"
    assert written["choir"]["rows"][0]["rtf"] is None  # NaN is no JSON
    text = (tmp_path / "out" / "evaluation.md").read_text()
    assert all(name in text for name in names) and "nan" not in text
    for picture in result["choir"]["pictures"] + result["recordings"]["pictures"]:
        assert f"]({picture})" in text
        assert (tmp_path / "out" / picture).read_bytes()[:4] == b"\x89PNG"


def test_words_that_the_content_encoder_or_the_judge_mishears(engine, monkeypatch):
    clip = SimpleNamespace(audio="source", truth="target", rate_hz=1, phones=("pau", "a", "b", "b", "c", "d"))
    heard = {"source": ["a", "b", "d"], "target": ["a", "x", "c", "d"]}
    monkeypatch.setattr(phones, "recognise", lambda network, audio, rate_hz: heard[audio])
    found = content.missed_shares([content.recognised_phones(engine, object(), clip)] * 2)
    assert found == pytest.approx({"misheard": 1 / 4, "lost": 2 / 4})
    assert set(content.missed_shares([content.recognised_phones(engine, None, clip)])) == {"misheard"}
    assert content.missed_shares([content.recognised_phones(SimpleNamespace(encoder=object()), None, clip)]) == {}


@pytest.mark.slow
@pytest.mark.long
def test_without_judges_or_teacher_their_rows_and_columns_are_left_out_with_a_note(made, engine, tmp_path):
    result = run.evaluate(engine, tmp_path, clips=1, clip_seconds=1.0, progress=False, voices=["ada"])
    assert "phone_error_rate" not in result["choir"]["rows"][0]
    assert result["choir"]["against"] == "copy-synthesis"
    notes = " ".join(result["notes"])
    assert "recogniser" in notes and "verifier" in notes and "teacher" in notes
    assert "PER ↓" not in (tmp_path / "evaluation.md").read_text()
