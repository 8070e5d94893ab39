"""Settings of an evaluation, and what its tables take of systems, clips and phones."""

import math
from pathlib import Path

import pytest

from fastsvc.errors import AudioError, ConfigError
from fastsvc.evaluation import choir_table, phones, report, run
from fastsvc.evaluation.recordings_table import recordings


@pytest.mark.parametrize(
    "heard, kept",
    [("abcd", "1111"), ("", "0000"), ("xabcd", "1111"), ("acd", "1011"), ("abxd", "1101"), ("dd", "0001")],
)
def test_which_phones_are_found(heard, kept):
    assert phones.matched(list(heard), list("abcd")) == [mark == "1" for mark in kept]
    assert phones.matched(list(heard), []) == []


def test_settings_from_yaml(tmp_path):
    path = tmp_path / "evaluate.yaml"
    path.write_text("model: voices.fsvc\nclips: 3\nvoices: [ada]\n")
    assert run.read_settings(path).voices == ("ada",)
    path.write_text("ears: sometimes\n")
    with pytest.raises(ConfigError, match="ears is 'sometimes'"):
        run.read_settings(path)
    path.write_text("clip: 3\n")
    with pytest.raises(ConfigError, match="unknown key 'clip'"):
        run.read_settings(path)
    with pytest.raises(ConfigError, match="clips"):
        run.evaluate("x.fsvc", tmp_path, clips=-1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no recordings"):
        recordings(tmp_path / "empty")


def test_committed_settings_can_be_read():
    path = Path(__file__).parent.parent / "configs" / "demo" / "evaluate.yaml"
    assert run.read_settings(path).clips >= 40


def test_means_and_differences_are_by_system_and_clip():
    rows = [{"clip": i, "system": s, "rtf": v} for i in range(3) for s, v in (("a", i + 1.0), ("b", float(i)))]
    rows[0]["rtf"] = math.nan
    summary = report.summarise(rows, choir_table.COLUMNS)
    assert summary["a"]["rtf"]["mean"] == 2.5 and summary["a"]["rtf"]["clips"] == 2 and summary["b"]["rtf"]["mean"] == 1
    difference = report.differences(rows, "b", choir_table.COLUMNS)["a"]["rtf"]
    assert difference == {"mean": 1.0, "low": 1.0, "high": 1.0}
    table = report.markdown_table(summary, choir_table.COLUMNS)
    assert table.splitlines()[2].startswith("| a | 2.500 <sub>2.000 … 3.000</sub> |")
    read = {"a": {"rtf": {"mean": 1.0, "low": None, "high": None}}}  # JSON's null stands for what does not exist
    assert report.markdown_table(read, choir_table.COLUMNS).splitlines()[2] == "| a | 1.000 |"
