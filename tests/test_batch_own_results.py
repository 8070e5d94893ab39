"""What a batch wrote itself is never its input."""

import os
from pathlib import Path

import pytest
from fake_batches import convert
from recordings import put

from fastsvc.convert.index import INDEX
from fastsvc.convert.plan import plan
from fastsvc.convert.report import FAILED
from fastsvc.errors import OutputError
from fastsvc.files import IN_WORK


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_results_of_an_earlier_run_are_no_inputs():
    for name in ("a", "b/c"):
        put(Path(f"songs/{name}.wav"))
    convert("songs", "songs/out")
    planned = plan(["songs"], "songs/other")
    assert [str(job.source) for job in planned.jobs] == ["songs/a.wav", "songs/b/c.wav"]
    assert planned.notes == [
        "songs/out: 2 results of an earlier run left out: name the files or songs/out to convert them"
    ]
    named = plan(["songs/out/a.wav"], "new")
    assert (
        len(named.jobs) == 1
        and "is a result of an earlier run: converted, because the command names it" in named.notes[0]
    )
    for folder, count in (("songs/out", 2), ("songs/out/b", 1)):
        named = plan([folder], "new")
        assert len(named.jobs) == count and "only results of an earlier run: they are converted" in named.notes[0]
    put(Path("songs/out/mine.wav"))
    assert [job.source.name for job in plan(["songs/out"], "new").jobs] == ["mine.wav"]
    os.symlink("../songs/out", "songs/b/link")
    os.symlink("out/a.wav", "songs/best.wav")
    assert len(plan(["songs"], "songs/other").jobs) == 3


def test_results_beside_their_sources_are_no_inputs():
    put(Path("songs/a.wav"))
    for _ in range(2):
        convert("songs/a.wav", "songs")
        assert sorted(os.listdir("songs")) == [INDEX, "a.wav", "a_converted.wav"]
        assert [job.source.name for job in plan(["songs"], "out").jobs] == ["a.wav"]
    for name in "xy":
        put(Path(f"{name}/a.wav"))
    for _ in range(2):  # the list lies above the folders
        assert convert(["x", "y"], ".").count(FAILED) == 0
        assert sorted(os.listdir("x")) == ["a.wav", "a_converted.wav"]


def test_the_list_itself_is_never_an_input():
    put(Path("in/a.wav"))
    convert()
    before = Path("out", INDEX).read_bytes()
    os.symlink(f"out/{INDEX}", "list.wav")
    put(Path("in/b.wav")).rename(f"out/{IN_WORK}")
    os.symlink(f"out/{IN_WORK}", "work.wav")
    for name in ("list.wav", "work.wav"):
        with pytest.raises(OutputError, match="is an input, and a list of fastsvc's own"):
            convert(["in", name], overwrite=True)
    assert Path("out", INDEX).read_bytes() == before and Path("out", IN_WORK).stat().st_size > 6000
