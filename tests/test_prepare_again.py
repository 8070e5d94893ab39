"""Preparing a corpus that exists: going on, doing again, and settings that are not mixed."""

import json
import os

import pytest
from song_folders import run, tone, tree, two_singers, write

from fastsvc.config import FeatureConfig
from fastsvc.data.corpus import Corpus
from fastsvc.errors import ConfigError, OutputError


@pytest.fixture
def dataset(tmp_path):
    return two_singers(tmp_path / "set")


def test_a_broken_run_goes_on(dataset, tmp_path, monkeypatch):
    whole = run(dataset, tmp_path / "whole")
    import fastsvc.data.workers as module

    real, calls = module.process, []

    def break_at_fifth(*args):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "process", break_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        run(dataset, tmp_path / "out")
    assert not (tmp_path / "out" / "corpus.json").exists()
    report = run(dataset, tmp_path / "out")
    assert (report.reused, report.items) == (4, whole.items) and len(calls) == 9
    before = tree(tmp_path / "out" / "items")
    assert run(dataset, tmp_path / "out").reused == 8 and len(calls) == 9
    assert tree(tmp_path / "out" / "items") == before
    names = [(tmp_path / name / "corpus.json").read_text() for name in ("whole", "out")]
    assert names[0] == names[1]


def test_a_replaced_recording_is_done_again(dataset, tmp_path):
    write(dataset / "alto" / "song0.wav", tone(5.0, 16000), 16000)
    run(dataset, tmp_path / "out", max_seconds=2, high_pass=False)
    assert len(list((tmp_path / "out" / "items" / "alto").glob("song0.*"))) == 3
    write(dataset / "alto" / "song0.wav", tone(1.1, 16000), 16000)
    assert run(dataset, tmp_path / "out", max_seconds=2).reused == 7
    assert len(list((tmp_path / "out" / "items" / "alto").glob("song0.*"))) == 1
    assert max(len(item.audio) for item in Corpus(tmp_path / "out").items) == 17600


def test_settings_are_not_mixed(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    before = tree(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"features\.f0_low_hz 50\.0 there, 80\.0 now; peak 0\.95 there, none now"):
        run(dataset, tmp_path / "out", features=FeatureConfig(f0_low_hz=80.0), peak=None)
    assert tree(tmp_path / "out") == before
    with pytest.raises(OutputError, match="not a prepared corpus"):
        run(dataset, dataset)
    for wrong in ({"f0_source": "exact"}, {"valid": 0.6, "test": 0.5}, {"jobs": 0}, {"peak": 0.0}):
        with pytest.raises(ConfigError):
            run(dataset, tmp_path / "other", **wrong)
    with pytest.raises(ConfigError, match="unknown f0 method"):
        run(dataset, tmp_path / "other", features=FeatureConfig(f0_method="guess"))
    assert not (tmp_path / "other").exists()


def test_foreign_json_is_ignored(dataset, tmp_path):
    (dataset / "alto" / "song0.json").write_text('{"title": "x"}')
    assert run(dataset, tmp_path / "out").bad == []
    assert Corpus(tmp_path / "out").phones == []


def test_a_settings_file_of_others_is_left_alone(dataset, tmp_path):
    out = tmp_path / "project"
    out.mkdir()
    for content in ('{"editor.fontSize": 12}', '{"format": 1, "settings": []}'):
        (out / "settings.json").write_text(content)
        with pytest.raises(OutputError, match="not a prepared corpus"):
            run(dataset, out)
        assert os.listdir(out) == ["settings.json"] and (out / "settings.json").read_text() == content


@pytest.mark.parametrize(
    "change",
    [
        {"mel_sums": None},
        {"mel_sums": [[1.0], [2.0]]},
        {"mel_sums": "x"},
        {"frames": 0},
        {"frames": "9"},
        {"samples": True},
        {"file": 3},
        None,
    ],
)
def test_a_record_of_another_shape_is_made_again(dataset, tmp_path, change):
    report = run(dataset, tmp_path / "out")
    wanted = (tmp_path / "out" / "corpus.json").read_bytes()
    path = tmp_path / "out" / "records" / "alto" / "song0.json"
    record = json.loads(path.read_text())
    if change:
        record["items"][0] |= change
    path.write_text(json.dumps(record)[: None if change else 40])
    again = run(dataset, tmp_path / "out")
    assert again.reused == report.recordings - 1
    assert (tmp_path / "out" / "corpus.json").read_bytes() == wanted
