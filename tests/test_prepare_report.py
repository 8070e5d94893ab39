"""What `fastsvc prepare` says of a dataset: files that are not used and why, links, and what training will refuse."""

import json
import os
import unicodedata

import numpy as np
import pytest
from calls import run as command_line
from song_folders import Encoder, run, tone, two_singers, write

from fastsvc.data import records
from fastsvc.data.prepare import add_units
from fastsvc.data.pseudo import add_pseudo_labels
from fastsvc.data.scan import scan, split_songs
from fastsvc.errors import AudioError, ConfigError
from fastsvc.training.teacher import TeacherTask


@pytest.fixture
def dataset(tmp_path):
    return two_singers(tmp_path / "set")


def test_silent_and_tiny_recordings_are_named_with_the_reason(dataset, tmp_path):
    write(dataset / "alto" / "silence.wav", np.zeros(16000), 16000)
    write(dataset / "alto" / "tiny.wav", tone(0.2, 16000), 16000)
    write(dataset / "alto" / "sample.wav", [0.1], 16000)
    for _ in range(2):  # said again when all else is done
        report = run(dataset, tmp_path / "out")
        assert report.items == 8 and report.recordings == 11
        why = {os.path.basename(path): why for path, why in report.bad}
        assert sorted(why) == ["sample.wav", "silence.wav", "tiny.wav"]
        assert "has 0.20 s: too short" in why["tiny.wav"] and "has 0.00 s: too short" in why["sample.wav"]
        assert "silence.wav: silent, nothing in it is above -60 dB" in why["silence.wav"]


def test_pieces_that_are_left_out_are_counted(dataset, tmp_path):
    audio = np.concatenate([tone(1.4, 16000), np.zeros(32000), tone(1.4, 16000)])
    write(dataset / "alto" / "pause.wav", audio, 16000)
    for _ in range(2):  # the second time from the records
        report = run(dataset, tmp_path / "out", max_seconds=1.5)
        assert report.bad == [] and report.short_s == 0 and 0.5 < report.silent_s < 2.1
    used = json.loads((tmp_path / "out" / "report.json").read_text())["used"]
    left = {os.path.basename(one["file"]): one["left_out_s"]["silent"] for one in used}
    assert left["pause.wav"] == pytest.approx(report.silent_s) and sum(left.values()) == left["pause.wav"]


def test_every_file_is_accounted_for(dataset, tmp_path):
    (dataset / "alto" / "notes.txt").write_text("words")
    (dataset / "cover.JPG").touch()
    (dataset / "alto" / ".hidden.txt").touch()
    (dataset / "alto" / "late.m4a").touch()
    (dataset / "alto" / "song0.json").write_text("{}")  # beside a recording: perhaps its transcript
    (dataset / "alto" / "other.json").write_text("{}")
    report = run(dataset, tmp_path / "out")
    assert [os.path.basename(path) for path, _ in report.bad] == ["late.m4a"]
    assert [path.name for path in report.others] == ["notes.txt", "other.json", "cover.JPG"]
    held = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(held["used"]) == 8 and {one["split"] for one in held["used"]} == {"train", "valid", "test"}
    assert held["not_used"] == [{"file": path, "why": why} for path, why in report.bad]
    assert [os.path.basename(path) for path in held["other_files"]] == ["notes.txt", "other.json", "cover.JPG"]
    before = (tmp_path / "out" / "report.json").read_bytes()
    run(dataset, tmp_path / "out", jobs=2)
    assert (tmp_path / "out" / "report.json").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_links_are_followed_once_and_loops_are_not(dataset, tmp_path):
    write(tmp_path / "elsewhere" / "song9.wav", tone(1.0, 16000), 16000)
    (dataset / "carol").symlink_to("../elsewhere")
    (dataset / "dave").symlink_to("../elsewhere")
    (dataset / "alto" / "up").symlink_to("..")
    (dataset / "alto" / "self").symlink_to(".")
    (dataset / "bass" / "again.wav").symlink_to(dataset / "bass" / "song1.wav")
    found = scan(dataset)
    assert {source.singer for source in found.sources} == {"alto", "bass", "carol"} and len(found.sources) == 9
    notes = "; ".join(found.notes)
    assert f"{dataset}/dave is {dataset}/carol again: it is used once" in notes
    assert f"again.wav is {dataset}/bass/song1.wav under another name: it is used once" in notes
    assert notes.count("a link to a folder that holds it: not followed") == 2
    assert scan(dataset, dataset / "bass").sources[-1].singer == "carol"  # the corpus itself is left out


def test_a_singer_of_two_systems_is_one(tmp_path):
    for form in ("NFC", "NFD"):
        write(tmp_path / unicodedata.normalize(form, "José") / f"{form}.wav", tone(1.0, 8000), 8000)
    assert {source.singer for source in scan(tmp_path).sources} == {unicodedata.normalize("NFC", "José")}


def test_a_dataset_of_foreign_files_says_so(tmp_path):
    (tmp_path / "alto").mkdir()
    (tmp_path / "alto" / "song.mpc").touch()
    with pytest.raises(
        AudioError, match=r"no recordings in folders of singers \(.*song.mpc: .mpc is not read: convert"
    ):
        scan(tmp_path)


def test_one_song_a_singer_warns(tmp_path):
    write(tmp_path / "set" / "ann" / "only.wav", tone(1, 16000), 16000)
    write(tmp_path / "set" / "bob" / "other.wav", tone(1, 16000), 16000)
    report = run(tmp_path / "set", tmp_path / "out")
    assert report.items == 2 and len(report.warnings) == 2
    [refusal] = report.refusals
    assert "no song is left for validation" in refusal
    with pytest.raises(ConfigError, match="has no song for validation"):  # as it was told
        TeacherTask.open_corpus(tmp_path / "out")


@pytest.mark.parametrize("songs, why", [({"ann": 3}, "ann is the only singer"), ({"ann": 3, "bob": 1}, "only ann has")])
def test_what_suits_some_trainings_alone_is_said(tmp_path, songs, why):
    for singer, count in songs.items():
        for song in range(count):
            write(tmp_path / "set" / singer / f"{singer}{song}.wav", tone(0.5, 16000), 16000)
    report = run(tmp_path / "set", tmp_path / "out", test=0.0)
    assert report.refusals == [] and len(report.warnings) == 1 and why in report.warnings[0]


def command(dataset, out, *options):
    return command_line("prepare", dataset, "-o", out, "--jobs", "1", *options)


def test_the_command_closes_with_what_comes_next(dataset, tmp_path):
    out = tmp_path / "a corpus"
    for number in range(30):
        (dataset / "alto" / f"bad{number:02d}.wav").write_text("no")
        (dataset / f"page{number}.txt").touch()
    result = command(dataset, out)
    *rest, last = result.stdout.splitlines()
    assert result.exit_code == 1 and last.startswith("next: units, which training needs: fastsvc prepare ")
    assert f"-o '{out}' --encoder ENGINE.fsvc" in last
    assert any("30 files are not recordings (30 .txt); their names:" in line for line in rest)
    errors = [line for line in result.stderr.splitlines() if "not used" in line]
    assert "recordings; 30 not used, see below" in result.stdout
    assert len(errors) == 21 and errors[-1] == f"10 more recordings that are not used: see {out}/report.json"
    full = command(dataset, out, "-v")
    assert full.stderr.count("not used: ") == 30 and full.stdout.count("not a recording: ") == 30


def test_the_command_says_what_training_will_refuse(tmp_path):
    write(tmp_path / "set" / "ann" / "only.wav", tone(1, 16000), 16000)
    result = command(tmp_path / "set", tmp_path / "out", "-q")
    assert result.exit_code == 0 and "warning: no song is left for validation, so `fastsvc train`" in result.stderr
    assert "next: more songs, then again: fastsvc prepare" in command(tmp_path / "set", tmp_path / "out").stdout


def test_songs_stay_where_they_were_when_the_corpus_grows(dataset, tmp_path):
    """What was trained on is not validated on later, nor the other way round."""

    def splits():
        items = json.loads((tmp_path / "out" / "corpus.json").read_text())["items"]
        return {item["song"]: item["split"] for item in items}

    run(dataset, tmp_path / "out")
    before = splits()
    for song in range(12):
        write(dataset / "carol" / f"new{song}.wav", tone(0.4, 16000), 16000)
    run(dataset, tmp_path / "out")
    after = splits()
    assert before == {song: after[song] for song in before} and set(before.values()) == {"train", "valid", "test"}
    assert [list(after.values()).count(name) for name in ("train", "valid", "test")] == [8, 4, 4]
    fresh = split_songs({"a": set(after)}, 0, 0.25, 0.25)
    assert any(fresh[song] != before[song] for song in before)  # by chance alone they would have moved
    (tmp_path / "out" / "corpus.json").write_text("torn")  # then there is nothing to keep to
    run(dataset, tmp_path / "out")
    assert splits() != after
    run(dataset, tmp_path / "out", seed=5)  # asked for: another split
    assert splits() != after
    few = split_songs({"a": {"x"}, "b": {"y", "z"}}, 0, 0.3, 0, {"x": "valid", "y": "train"})
    assert few["x"] == "train"  # it was the singer's only song left


def test_the_list_of_a_corpus_is_read_once(dataset, tmp_path, monkeypatch):
    run(dataset, tmp_path / "out")
    real, read = records.load_json, []
    monkeypatch.setattr(records, "load_json", lambda path: read.append(path.name) or real(path))
    assert add_units(tmp_path / "out", Encoder(), progress=False) == 8 and read == ["corpus.json"]
    assert add_pseudo_labels(tmp_path / "out", 2) > 0 and read == ["corpus.json"] * 2


def test_a_list_that_another_process_writes_meanwhile_is_read_again(dataset, tmp_path, monkeypatch):
    run(dataset, tmp_path / "out")
    path = tmp_path / "out" / "corpus.json"
    real = records.files.folder_lock

    def locked(folder, purpose):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"peak": 0.5}))
        return real(folder, purpose)

    monkeypatch.setattr(records.files, "folder_lock", locked)
    with records.alone(path, "a test") as corpus:
        assert corpus["peak"] == 0.5
