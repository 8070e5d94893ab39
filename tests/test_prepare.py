"""Preparing corpora: layouts, formats, splits, transcripts, bad files."""

import json
import os

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from song_folders import MEL, run, tone, two_singers, write

from fastsvc.audio.mel import log_mel
from fastsvc.cli import main
from fastsvc.data.choir.phones import PHONES
from fastsvc.data.corpus import Corpus
from fastsvc.data.scan import scan, split_songs
from fastsvc.errors import AudioError


def transcribe(path, seconds, f0_hz=200.0):
    """Half a second of the first phone, unvoiced; then the second, voiced."""
    times = np.arange(0, seconds, 0.005)
    phones = [[PHONES[0], 0.0, 0.5], [PHONES[1], 0.5, seconds]]
    track = np.where(times < 0.5, 0, f0_hz).tolist()
    path.write_text(json.dumps({"phones": phones, "f0_hop_s": 0.005, "f0_hz": track}))


@pytest.fixture
def dataset(tmp_path):
    return two_singers(tmp_path / "set")


def test_any_format_rate_and_channels(tmp_path):
    for name, rate_hz, channels in [
        ("a.wav", 8000, 1),
        ("b.flac", 44100, 2),
        ("c.ogg", 48000, 1),
        ("d.mp3", 22050, 2),
        ("e.WAV", 96000, 1),
    ]:
        audio = tone(1.0, rate_hz)
        write(tmp_path / "set" / "ann" / name, np.stack([audio] * channels, 1), rate_hz)
    report = run(tmp_path / "set", tmp_path / "out")
    assert report.bad == [] and report.items == report.recordings == 5
    for item in Corpus(tmp_path / "out").items:
        assert len(item.audio) == pytest.approx(16000, abs=1600)  # mp3 pads
        assert np.abs(item.audio).max() == pytest.approx(0.95 * 32768, rel=0.02)
        assert item.voiced.mean() > 0.9 and np.median(item.f0_hz) == pytest.approx(220, rel=0.01)


def test_layouts(tmp_path):
    names = "ann/one.wav ann/one.flac ann/two/000.wav ann/two/x/001.wav bob#three/0.wav .hid/a.wav stray.wav"
    for name in names.split():
        write(tmp_path / name, tone(0.4, 8000), 8000)
    found = scan(tmp_path)
    sources = found.sources
    assert [(s.name, s.singer, s.song) for s in sources] == [
        ("ann/one.flac", "ann", "one"),
        ("ann/one.wav", "ann", "one"),
        ("ann/two/000", "ann", "two"),
        ("ann/two/x/001", "ann", "two"),
        ("bob#three/0", "bob", "three"),
    ]
    assert [path.name for path, _ in found.unused] == ["stray.wav"] and found.others == []
    [note] = found.notes
    assert "one.flac and one.wav have the same name: all are used" in note


def test_items_are_consistent(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    data = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert data["singers"] == ["alto", "bass"] and data["phones"] == []
    assert data["singer_f0_hz"]["alto"] == pytest.approx(330, rel=0.01)
    assert data["singer_f0_hz"]["bass"] == pytest.approx(110, rel=0.01)
    spectra = []
    for item in data["items"]:
        arrays = np.load(tmp_path / "out" / item["file"])
        assert arrays["audio"].dtype == np.int16 and len(arrays["audio"]) == item["samples"]
        assert item["frames"] == item["samples"] // MEL.hop_samples
        assert all(arrays[key].shape == (item["frames"],) for key in ("f0_hz", "voiced", "volume"))
        audio = torch.from_numpy(arrays["audio"].astype(np.float32) / 32768)
        if item["split"] == "train":
            spectra.append(log_mel(audio[None], MEL)[0].numpy())
    spectra = np.concatenate(spectra)
    assert data["peak"] == 0.95
    np.testing.assert_allclose(data["mel_mean"], spectra.mean(0), atol=1e-4)
    np.testing.assert_allclose(data["mel_std"], spectra.std(0), atol=1e-3)


def test_long_recordings_are_cut_on_the_grid(tmp_path):
    """A rise of pitch, cut into pieces: each has its own part of the whole, and nothing is lost."""
    time = np.arange(16000 * 5) / 16000
    audio = 0.95 * np.sin(2 * np.pi * np.cumsum(200 + 40 * time) / 16000)
    write(tmp_path / "set" / "ann" / "long.wav", audio, 16000)
    run(tmp_path / "set", tmp_path / "out", max_seconds=1.5, high_pass=False)
    corpus = Corpus(tmp_path / "out")
    assert len(corpus.items) >= 4 and all(len(item.audio) <= 1.5 * 16000 for item in corpus.items)
    joined = np.concatenate([item.audio for item in corpus.items])
    np.testing.assert_allclose(joined / 32768, audio, atol=1e-3)
    assert all(len(item.audio) % MEL.hop_samples == 0 for item in corpus.items[:-1])
    f0_hz = np.concatenate([item.f0_hz for item in corpus.items])
    middle = (np.arange(len(f0_hz)) + 0.5) * 0.01
    np.testing.assert_allclose(f0_hz[5:-5], (200 + 40 * middle)[5:-5], rtol=0.01)


def test_bad_files_are_reported_and_skipped(dataset, tmp_path):
    (dataset / "alto" / "text.wav").write_text("not audio")
    (dataset / "bass" / "empty.flac").touch()
    write(dataset / "bass" / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    (dataset / "bass" / "song0.json").write_text('{"phones": [["aa", 0]], "f0_hz": [], "f0_hop_s": 0.005}')
    write(dataset / "stray.wav", tone(0.4, 8000), 8000)
    os.mkfifo(dataset / "bass" / "pipe.wav")
    (dataset / "bass" / "zero.wav").symlink_to("/dev/zero")
    (dataset / "bass" / "song1.json").symlink_to("/dev/zero")
    report = run(dataset, tmp_path / "out")
    assert report.items == 7
    assert sorted(os.path.basename(path) for path, _ in report.bad) == [
        "empty.flac",
        "nan.wav",
        "pipe.wav",
        "song0.wav",
        "stray.wav",
        "text.wav",
        "zero.wav",
    ]
    assert all(len(why) > 10 for _, why in report.bad)
    again = run(dataset, tmp_path / "out")
    assert len(again.bad) == 7 and again.reused == 7


@pytest.mark.parametrize(
    "options, why",
    [
        (["--encoder", "gone.pt"], "gone.pt: no such file"),
        (["--encoder", __file__], "is not a torch file"),
        (["--pseudo-labels", "5"], "--pseudo-labels needs units"),
    ],
)
def test_the_command_looks_at_its_encoder_before_the_work(dataset, tmp_path, options, why):
    result = CliRunner().invoke(main, ["prepare", str(dataset), "-o", str(tmp_path / "out"), "--jobs", "1", *options])
    assert result.exit_code == 2 and why in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_names_a_bad_file_once(dataset, tmp_path):
    (dataset / "alto" / "text.wav").write_text("not audio")
    write(dataset / "stray.wav", tone(0.4, 8000), 8000)
    result = CliRunner().invoke(main, ["prepare", str(dataset), "-o", str(tmp_path / "out"), "--jobs", "1", "-q"])
    lines = result.stderr.splitlines()
    assert result.exit_code == 1 and len(lines) == 2
    assert lines[0].startswith(f"not used: {dataset}/stray.wav: lies beside the singers' folders")
    assert lines[1].startswith(f"not used: {dataset}/alto/text.wav: not an audio file")


def test_nothing_usable(tmp_path):
    with pytest.raises(AudioError, match="no such folder"):
        run(tmp_path / "none", tmp_path / "out")
    write(tmp_path / "set" / "stray.wav", tone(0.4, 8000), 8000)
    with pytest.raises(AudioError, match="no recordings in folders of singers"):
        run(tmp_path / "set", tmp_path / "out")
    (tmp_path / "set" / "ann").mkdir()
    (tmp_path / "set" / "ann" / "x.wav").write_text("no")
    with pytest.raises(AudioError, match="none of 1 recordings"):
        run(tmp_path / "set", tmp_path / "out")


@pytest.mark.slow
@pytest.mark.long
def test_parallel_gives_the_same(dataset, tmp_path):
    (dataset / "alto" / "text.wav").write_text("not audio")
    reports = [run(dataset, tmp_path / f"out{jobs}", jobs=jobs) for jobs in (1, 2)]
    assert reports[0].bad == reports[1].bad != []
    corpora = [(tmp_path / f"out{jobs}" / "corpus.json").read_text() for jobs in (1, 2)]
    assert corpora[0] == corpora[1]


def test_transcripts(dataset, tmp_path):
    for path in dataset.rglob("*.wav"):
        transcribe(path.with_suffix(".json"), 1.0)
    run(dataset, tmp_path / "exact")
    run(dataset, tmp_path / "tracked", f0_source="tracker")
    exact, tracked = Corpus(tmp_path / "exact"), Corpus(tmp_path / "tracked")
    assert exact.phones == tracked.phones == list(PHONES)
    for item in exact.items:
        assert item.phone_ids.tolist() == [0, 1]
        np.testing.assert_allclose(item.phone_times_s, [[0, 0.5], [0.5, 1]])
        assert item.voiced.tolist() == [False] * 50 + [True] * 50
        np.testing.assert_allclose(item.f0_hz, 200, rtol=1e-6)
    assert all(item.voiced.mean() > 0.9 and abs(np.median(item.f0_hz) - 200) > 50 for item in tracked.items)


def test_split_is_by_song_and_leaves_everyone_something():
    songs = {"a": {f"s{i}" for i in range(20)}, "b": {f"s{i}" for i in range(20)}, "c": {"s3"}, "d": {"s4", "s5"}}
    split = split_songs(songs, 0, 0.1, 0.2)
    assert list(split.values()).count("valid") == 2 and list(split.values()).count("test") == 4
    assert split["s3"] == "train" and "train" in (split["s4"], split["s5"])
    assert split == split_songs(songs, 0, 0.1, 0.2) != split_songs(songs, 1, 0.1, 0.2)
    assert set(split_songs({"a": {"x"}}, 0, 0.1, 0.1).values()) == {"train"}


def test_names_that_differ_by_suffixes_alone_are_kept_apart(tmp_path):
    for name, level in (("x.wav", 0.1), ("x.flac", 0.2), ("x.wav.flac", 0.3), ("x.wav.flac.wav", 0.4)):
        write(tmp_path / "set" / "alto" / name, tone(1.0, 16000, level=level), 16000)
    report = run(tmp_path / "set", tmp_path / "out", valid=0.0, test=0.0)
    items = json.loads((tmp_path / "out" / "corpus.json").read_text())["items"]
    assert report.items == 4 == len({item["file"] for item in items}) == len({item["id"] for item in items})
    assert len(list((tmp_path / "out" / "records").rglob("*.json"))) == 4


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.long
def test_odd_names_stop_nothing(tmp_path, jobs):
    names = ["n" * 251 + ".wav", "n" * 236 + ".wav", os.fsdecode(b"caf\xe9.wav"), "ok.wav"]
    for name in names:
        write(tmp_path / "set" / "alto" / "a.wav", tone(1.0, 16000), 16000)
        os.rename(tmp_path / "set" / "alto" / "a.wav", tmp_path / "set" / "alto" / name)
    report = run(tmp_path / "set", tmp_path / "out", jobs=jobs)
    [(bad, why)] = report.bad
    assert bad.endswith(names[0]) and "240 bytes" in why
    assert (report.recordings, report.items) == (4, 3)
    assert run(tmp_path / "set", tmp_path / "out", jobs=jobs).reused == 3
    assert len(Corpus(tmp_path / "out").items) == 3
