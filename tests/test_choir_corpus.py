"""Filling a folder: files, resuming, growing, refusing what does not belong together."""

import json

import numpy as np
import pytest
import soundfile

from fastsvc import files
from fastsvc.data.choir import Performance, corpus, fill, render, roster, score
from fastsvc.errors import ConfigError, OutputError


@pytest.fixture
def short_songs(monkeypatch):
    """The same songs, but only their first syllables; says which were sung."""
    sung = []

    def short(index, seed):
        whole = score(index, seed)
        sung.append(index)
        return type(whole)(index, seed, whole.syllables[:4], 30.0)

    monkeypatch.setattr(corpus, "score", short)
    return sung


def _fill(out, count=2, minutes=2.0, seed=0, jobs=1):
    return fill(out, roster(count, seed, voices=False), minutes, seed, jobs=jobs, progress=False)


def test_tree_is_as_documented(tmp_path, short_songs):
    about = _fill(tmp_path / "choir")
    assert about == json.loads((tmp_path / "choir" / "choir.json").read_text())
    assert about["format"] == 1 and about["seed"] == 0
    assert [singer["name"] for singer in about["singers"]] == ["ada", "bruno"]
    assert about["singers"][0]["kind"] == "source-filter"
    assert about["songs"] == ["song000", "song001"]
    for singer in roster(2, 0, voices=False):
        for song in about["songs"]:
            data = json.loads((tmp_path / "choir" / singer.name / f"{song}.json").read_text())
            audio, rate_hz = soundfile.read(tmp_path / "choir" / singer.name / f"{song}.wav", dtype="float32")
            assert rate_hz == 24000
            assert data["phones"][0][1] == 0 and abs(data["phones"][-1][2] - len(audio) / rate_hz) < 1e-4
            assert data["f0_hop_s"] == 0.005 and data["key_semitones"] in range(-3, 4)
            # What the json says renders the very same file.
            again = render(singer, Performance.from_dict(data))
            assert np.abs(again - audio).max() <= 1 / 32768
    assert [path.name for path in (tmp_path / "choir").rglob(".*")] == [files.LOCK]


def test_resuming_sings_only_what_is_missing(tmp_path, short_songs):
    _fill(tmp_path)
    kept, lost = tmp_path / "ada" / "song000.wav", tmp_path / "bruno" / "song001.wav"
    expected, before = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    about = json.loads((tmp_path / "choir.json").read_text())
    (tmp_path / "choir.json").write_text(json.dumps(about | {"songs": [*about["songs"], "song002"]}))
    assert _fill(tmp_path)["songs"] == ["song000", "song001"]
    assert lost.read_bytes() == expected
    assert kept.stat().st_mtime_ns == before


def test_more_singers_and_songs_can_be_added(tmp_path, short_songs):
    _fill(tmp_path, count=1, minutes=1.0)
    first = (tmp_path / "ada" / "song000.wav").read_bytes()
    about = _fill(tmp_path, count=3, minutes=4.5)
    assert len(about["singers"]) == 3 and len(about["songs"]) == 3
    assert (tmp_path / "ada" / "song000.wav").read_bytes() == first
    assert len(list(tmp_path.glob("*/*.wav"))) == 9
    # Fewer do not make it forget the rest.
    assert len(_fill(tmp_path, count=1, minutes=0.5)["singers"]) == 3


@pytest.mark.slow
@pytest.mark.long
def test_processes_make_the_same_files(tmp_path):
    """With whole songs, since other processes do not see the short ones."""
    for jobs, name in ((1, "one"), (2, "two")):
        _fill(tmp_path / name, count=2, minutes=0.5, jobs=jobs)
    names = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.wav"))
    assert len(names) == 2
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_settings_that_do_not_fit_are_refused(tmp_path, short_songs):
    _fill(tmp_path / "choir", count=1, minutes=0.5)
    with pytest.raises(ConfigError, match="seed 0, not 1"):
        _fill(tmp_path / "choir", count=1, minutes=0.5, seed=1)
    with pytest.raises(ConfigError, match="ada has other settings"):
        fill(tmp_path / "choir", roster(1, 9, voices=False), 0.5, 0, jobs=1, progress=False)
    (tmp_path / "choir" / "choir.json").write_text("{")
    with pytest.raises(ConfigError, match="not a choir's description"):
        _fill(tmp_path / "choir")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="holds no choir.json"):
        _fill(tmp_path / "other")
    assert (tmp_path / "other" / "mine.txt").read_text() == "keep"


def test_nothing_to_sing_and_nowhere_to_write(tmp_path):
    with pytest.raises(ConfigError, match="has no singers"):
        fill(tmp_path / "x", [], 1.0, 0)
    with pytest.raises(ConfigError, match="minutes is 0"):
        _fill(tmp_path / "x", minutes=0.0)
    with pytest.raises(ConfigError, match="same name"):
        fill(tmp_path / "x", roster(1, 0, False) * 2, 1.0, 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        _fill(tmp_path / "file")
