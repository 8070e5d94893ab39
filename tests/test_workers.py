"""Recordings of a dataset side by side: one that takes its process with it takes no others."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from fastsvc.audio.io import TooLong
from fastsvc.data import workers
from fastsvc.data.scan import Recording
from fastsvc.errors import AudioError, OutputError
from fastsvc.files import InWork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
SOURCES = [Recording(Path(f"/x/{name}.wav"), name, "ann", name) for name in "abcdefgh"]


def stand_in(path, name, out, settings, phones, among):
    if name in out["deadly"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if name in out["large"] and among > 1:
        raise TooLong(f"{path}: too long")
    if name in out["bad"]:
        raise AudioError(f"{path}: damaged")
    return [{"name": name, "among": among}]


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Forked, so that the children have the stand-in."""
    monkeypatch.setattr(workers, "process", stand_in)
    monkeypatch.setattr(workers, "Pool", lambda size, _: ProcessPoolExecutor(size, mp_context=get_context("fork")))

    def work(jobs=2, first=SOURCES, last=(), deadly="", large="", bad=""):
        how = {"deadly": deadly, "large": large, "bad": bad}, None, ()
        found = list(workers.process_all(first, last, how, jobs, InWork(tmp_path)))
        assert list(tmp_path.iterdir()) == []
        return [source.name for source, _ in found], {source.name: result for source, result in found}

    return work


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_all_of_them(work, jobs):
    names, results = work(jobs, bad="c", large="e")
    assert sorted(names) == list("abcdefgh") and isinstance(results["c"], AudioError)
    assert results["e"] == [{"name": "e", "among": 1}] and (jobs == 1 or names[-1] == "e")
    assert results["a"] == [{"name": "a", "among": jobs}]


@pytest.mark.slow
@pytest.mark.parametrize("deadly", ["a", "d", "h", "bf"])
def test_a_process_that_is_killed(work, deadly):
    names, results = work(2, deadly=deadly)
    assert sorted(names) == list("abcdefgh")
    for name, result in results.items():
        if name in deadly:
            assert isinstance(result, AudioError) and f"/x/{name}.wav: its process was killed" in str(result)
        else:
            assert result[0]["name"] == name


def test_suspects_come_last_and_alone(work):
    names, results = work(2, SOURCES[2:], SOURCES[:2])
    assert names[-2:] == ["a", "b"] and results["a"] == [{"name": "a", "among": 1}]


def test_where_every_process_dies(work):
    with pytest.raises(OutputError, match="use --jobs 1"):
        work(2, deadly="abcdefgh")
