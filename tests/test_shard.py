"""Shards: disjoint, complete, and the same whatever else is converted."""

import os

import pytest
from command_line import run
from recordings import put, tone
from remote_folders import fake  # noqa: F401 - a fixture

from fastsvc.convert.index import LISTS, Index
from fastsvc.convert.plan import plan
from fastsvc.convert.shard import Shard, of_plan, parsed
from fastsvc.errors import ConfigError

NAMES = [f"{folder}/take {number}.wav" for folder in ("a", "b/ü") for number in range(40)]


def test_every_name_is_in_one_shard():
    shards = [Shard(number, 7) for number in range(1, 8)]
    parts = [shard.of(NAMES, str) for shard in shards]
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert all(3 < len(part) < 25 for part in parts), [len(part) for part in parts]


def test_a_shard_depends_on_the_name_alone():
    taken = [name for name in NAMES if Shard(2, 5).takes(name)]
    assert taken == Shard(2, 5).of(NAMES, str) == Shard(2, 5).of([*NAMES], str)
    assert [name for name in NAMES if Shard(2, 5).takes(name.replace(".wav", ".flac"))] == taken
    assert Shard(1, 3).takes("a/u\u0308.wav") == Shard(1, 3).takes("a/\u00fc.wav")
    # Machines of other versions and systems take the same part: this very hash.
    assert [number for number in range(1, 17) if Shard(number, 16).takes("songs/a.wav")] == [8]


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/2", "1/2/3", "a/b", "1.5/2"])
def test_shards_that_are_none(text):
    with pytest.raises(ConfigError, match="write i/n"):
        parsed(text)


def test_a_shard_of_a_plan_keeps_what_no_result_may_replace(tmp_path):
    for name in NAMES[:6]:
        put(tmp_path / "in" / name, tone(0.02))
    whole = plan([tmp_path / "in"], tmp_path / "out")
    parts = [of_plan(whole, Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(job.target for part in parts for job in part.jobs) == sorted(job.target for job in whole.jobs)
    assert all(part.sources.hold(job.source) for part in parts for job in whole.jobs)


def test_the_shards_of_the_command_make_the_same_tree(fake, tmp_path):  # noqa: F811
    for name in NAMES[:8]:
        put(tmp_path / "in" / name, tone(0.02, hz=200 + 10 * len(name)))
    run("convert", "in", "--spk", "anna", "-o", "whole")
    counts = []
    for number in (1, 2, 3):
        text = run("convert", "in", "--spk", "anna", "-o", "parts", "--shard", f"{number}/3").stdout
        counts.append(int(text.split("converted ")[1].split()[0]))
    assert sum(counts) == 8

    def tree(folder):
        found = (path for path in (tmp_path / folder).rglob("*.wav"))
        return {path.relative_to(tmp_path / folder): path.read_bytes() for path in found}

    assert tree("parts") == tree("whole")
    # Machines share no list of results; what they list counts for all.
    assert os.listdir(tmp_path / "parts" / LISTS) and not (tmp_path / "parts" / ".fastsvc-results.jsonl").exists()
    assert len(Index(tmp_path / "parts").read()) == 8
    assert "skipped 8" in run("convert", "in", "--spk", "anna", "-o", "parts").stdout
    assert "another voice" in run("convert", "in", "--spk", "bert", "-o", "parts", "--shard", "1/3", code=1).stderr
    # and what they list is known as results where that folder is an input
    put(tmp_path / "parts" / "new.wav", tone(0.03))
    assert "8 results of an earlier run left out" in run("convert", "parts", "--spk", "anna", "-o", "again").stdout
