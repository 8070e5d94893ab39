"""What appears or becomes another while a batch runs, and a kill in its midst: nothing is lost, no line is false."""

import os
from pathlib import Path

import pytest
from fake_batches import convert, only
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc.audio import io
from fastsvc.convert.index import Index
from fastsvc.convert.report import DONE, FAILED, SKIPPED


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_what_appears_meanwhile_is_not_replaced():
    put(Path("in/a.wav"))

    class Slow(FakeEngine):
        def synthesise_many(self, *arguments, **options):
            put(Path("out/a.wav"), tone(0.1))
            return super().synthesise_many(*arguments, **options)

    entry = only(convert(engine=Slow()))
    assert "out/a.wav appeared or changed meanwhile" in entry.reason and io.probe("out/a.wav").samples == 2400
    assert sorted(os.listdir("out")) == ["a.wav"]
    assert only(convert(engine=Slow(), overwrite=True)).status == DONE and io.probe("out/a.wav").samples == 6000


def test_an_input_that_becomes_a_target_meanwhile_is_refused():
    put(Path("in/a.wav"))
    before = Path("in/a.wav").read_bytes()

    class Linking(FakeEngine):
        def synthesise_many(self, *arguments, **options):
            Path("out").mkdir()
            os.link("in/a.wav", "out/a.wav")
            return super().synthesise_many(*arguments, **options)

    entry = only(convert(engine=Linking(), overwrite=True))
    assert "out/a.wav is an input, which is never replaced" in entry.reason and Path("in/a.wav").read_bytes() == before
    assert os.path.samefile("in/a.wav", "out/a.wav")


def test_a_kill_before_the_last_rename_leaves_no_false_line(monkeypatch):
    """The line is written first. Killed then, the file is not there, or is the older one: neither is done."""
    put(Path("in/a.wav"))
    killed = []

    def until_killed(real):
        def name(source, target):
            if str(target).endswith("a.wav") and not killed:
                killed.append(target)
                raise KeyboardInterrupt
            return real(source, target)

        return name

    for how in ("replace", "link"):
        monkeypatch.setattr(os, how, until_killed(getattr(os, how)))
    assert convert().interrupted and len(Index(Path("out")).read()["a.wav"]) == 1
    assert only(convert()).status == DONE and only(convert()).status == SKIPPED
    killed.clear()
    assert convert(speaker="bert", overwrite=True).interrupted
    assert only(convert()).status == SKIPPED and only(convert(speaker="bert")).status == FAILED


def test_what_appears_while_a_result_takes_its_place_is_kept(monkeypatch):
    """Between the last look at the name and the renaming: another run's result, or the user's own file."""
    put(Path("in/a.wav"))
    add = Index.add

    def late(self, one):
        add(self, one)
        Path("out/a.wav").write_bytes(b"of the user")

    monkeypatch.setattr(Index, "add", late)
    entry = only(convert())
    assert entry.status == FAILED and "appeared meanwhile" in entry.reason
    assert Path("out/a.wav").read_bytes() == b"of the user"
