"""Results that exist: done only if they came of the same request and are as written; nothing of others is lost."""

import os
import shutil
from pathlib import Path

import pytest
from fake_batches import convert, only
from fake_engine import FakeEngine
from recordings import put, tone

from fastsvc.audio import io
from fastsvc.convert.index import INDEX
from fastsvc.convert.report import DONE, FAILED, SKIPPED
from fastsvc.errors import OutputError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_same_request_is_done_however_it_is_said():
    put(Path("in/a.wav"))
    assert only(convert()).status == DONE
    for same in (
        {},
        {"speaker": 0},
        {"speaker": {"anna": 2.0}},
        {"name": "Anna"},
        {"steps": 1},
        {"transpose": 0.0},
        {"f0_method": FakeEngine.config.features.f0_method},
        {"subtype": "16"},
        {"f0_range": (38, 2200)},
        {"batch": 3},
        {"inputs": "in/../in"},
        {"inputs": os.path.abspath("in"), "out": os.path.abspath("out")},
        {"inputs": "in/a.wav"},
    ):
        entry = only(convert(**same))
        assert (entry.status, entry.reason) == (SKIPPED, "its result exists"), same


@pytest.mark.parametrize(
    "other",
    [
        {"speaker": "bert"},
        {"speaker": {"anna": 0.5, "bert": 0.5}},
        {"steps": 2},
        {"transpose": 1},
        {"transpose": "auto"},
        {"formant": 1.0},
        {"seed": 1},
        {"noise_scale": 0.5},
        {"f0_method": "crepe-tiny"},
        {"f0_weights": "weights.pt"},
        {"f0_range": (50.0, 1100.0)},
        {"subtype": "24"},
        {"rate_hz": 16000},
        {"keep_channels": True},
        {"normalise": True},
        {"high_pass": False},
        {"rms_mix_rate": 0.25},
        {"f0_fill": "hold"},
        {"resampler": "short"},
        {"engine": "other"},
    ],
)
def test_another_request_is_a_conflict_that_is_named(other):
    put(Path("in/a.wav"))
    convert(name="Anna")
    before = Path("out/a.wav").read_bytes()
    if "engine" in other:
        other = {"engine": FakeEngine()}
        other["engine"].content_hash = "of another"
    entry = only(convert(name="both" if "speaker" in other else "Anna", **other))
    assert entry.status == FAILED and Path("out/a.wav").read_bytes() == before
    what = "other options, or with an older or newer engine of this name"
    what = "another voice: 'Anna'" if "speaker" in other else what
    assert entry.reason == (
        f"out/a.wav exists, made with {what} (replace it with --overwrite, or choose another folder with -o)"
    )
    assert only(convert(overwrite=True, **other)).status == DONE
    assert only(convert(**other)).status == SKIPPED
    assert only(convert()).status == FAILED  # what was replaced is not done any more


def test_another_format_is_another_file():
    put(Path("in/a.wav"))
    assert only(convert()).status == only(convert(format="flac")).status == DONE
    assert only(convert()).status == only(convert(format="flac")).status == SKIPPED


def test_a_source_that_changed(tmp_path):
    put(Path("in/a.wav"))
    convert()
    put(Path("in/a.wav"), tone(hz=300.0))
    os.utime("in/a.wav", ns=(1, 10**18 + 1))
    assert "made of in/a.wav when its size or date was another" in only(convert()).reason
    assert only(convert(overwrite=True)).status == DONE and only(convert()).status == SKIPPED
    shutil.copytree("in", "other", copy_function=shutil.copy2)
    assert "made of another recording: '../in/a.wav'" in only(convert("other")).reason


def test_folders_that_were_moved_together():
    put(Path("work/in/a.wav"))
    convert("work/in", "work/out")
    os.rename("work", "moved")
    assert only(convert("moved/in", "moved/out")).status == SKIPPED
    shutil.copytree("moved", "copied")  # with times, as cp -a
    assert only(convert("copied/in", "copied/out")).status == SKIPPED


def test_nothing_in_it_is_made_again():
    put(Path("in/a.wav"))
    Path("out").mkdir()
    Path("out/a.wav").touch()
    assert only(convert()).status == DONE and io.probe("out/a.wav").samples == 6000
    os.truncate("out/a.wav", 0)
    assert only(convert()).status == DONE and io.probe("out/a.wav").samples == 6000
    assert sorted(os.listdir("out")) == [INDEX, "a.wav"]


def test_what_cannot_be_read_is_made_again_and_kept(tmp_path):
    put(Path("in/a.wav"))
    Path("out").mkdir()
    for number, content in enumerate((os.urandom(100), b"RIFF", b"text"), 1):
        Path("out/a.wav").write_bytes(content)
        shutil.rmtree("out/" + INDEX, ignore_errors=True)
        Path("out", INDEX).unlink(missing_ok=True)
        entry = only(convert())
        kept = "a.wav.unreadable" + (f"-{number}" if number > 1 else "")
        assert entry.status == DONE and entry.notes == [f"an earlier result could not be read, and is kept as {kept}"]
        assert Path("out", kept).read_bytes() == content and io.probe("out/a.wav").samples == 6000
    assert only(convert()).status == SKIPPED


def test_our_own_that_is_damaged_is_made_again():
    put(Path("in/a.wav"), tone(1.0))
    convert()
    whole = Path("out/a.wav").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"\0" * 100):
        Path("out/a.wav").write_bytes(damaged)
        assert only(convert()).status == DONE and Path("out/a.wav").read_bytes() == whole
    assert sorted(os.listdir("out")) == [INDEX, "a.wav"]


def test_of_others_and_changed_ones_nothing_is_touched():
    put(Path("in/a.wav"))
    mine = put(Path("out/a.wav"), tone(0.1)).read_bytes()
    assert "out/a.wav exists, and was not made by this command (" in only(convert()).reason
    assert Path("out/a.wav").read_bytes() == mine
    convert(overwrite=True)
    put(Path("out/a.wav"), tone(0.1))  # edited
    assert "and was changed since it was made" in only(convert()).reason and Path("out/a.wav").read_bytes() == mine


def test_what_is_too_long_to_be_read_is_not_taken_for_damaged(monkeypatch):
    put(Path("in/a.wav"))
    convert()
    edited = put(Path("out/a.wav"), tone(0.1)).read_bytes()

    def full(*arguments, **options):
        raise io.TooLong("out/a.wav: there is not enough memory for it")

    monkeypatch.setattr(io, "read", full)
    assert "and was changed since it was made" in only(convert()).reason and Path("out/a.wav").read_bytes() == edited


def test_links_and_folders_in_the_place_of_a_result():
    for name in "abc":
        put(Path(f"in/{name}.wav"))
    put(Path("mine.wav"), tone(0.1))
    mine = Path("mine.wav").read_bytes()
    Path("out").mkdir()
    os.symlink("gone.wav", "out/a.wav")
    os.symlink("../mine.wav", "out/b.wav")
    Path("out/d").write_text("a file")
    put(Path("in/d/e.wav"))
    reasons = [entry.reason for entry in convert().entries if entry.status == FAILED]
    assert len(reasons) == 3 and all(" exists" in reason for reason in reasons)
    assert "a link that leads nowhere" in reasons[0] and "out/d exists and is not a folder" in reasons[2]
    assert convert(overwrite=True).count(DONE) == 3
    assert not os.path.islink("out/b.wav") and Path("mine.wav").read_bytes() == mine and not Path("gone.wav").exists()


def test_a_link_to_a_result_is_done():
    put(Path("in/a.wav"))
    convert()
    os.rename("out/a.wav", "elsewhere.wav")
    os.symlink("../elsewhere.wav", "out/a.wav")
    assert only(convert()).status == SKIPPED


def test_channels_are_checked_before_the_first_conversion():
    put(Path("in/a.wav"), tone(channels=3))
    put(Path("in/b.wav"), tone(channels=2))
    engine = FakeEngine()
    report = convert(engine=engine, format="mp3", keep_channels=True)
    assert [entry.status for entry in report.entries] == [FAILED, DONE] and len(engine.calls) == 2
    assert "3 channels: mp3 carries 2 at most (mix them with --channels mono" in report.entries[0].reason
    assert convert(format="flac", keep_channels=True).count(DONE) == 2
    with pytest.raises(OutputError, match="9 channels: flac carries 8"):
        io.write("x.flac", tone(channels=9), 24000, "flac")
    with pytest.raises(OutputError, match="256 channels: ogg carries 255"):  # libsndfile would crash
        io.write("x.ogg", tone(0.01, channels=1).repeat(256, 0), 24000, "ogg")


def test_leftovers_of_the_dead_go_where_results_go():
    put(Path("in/b/a.wav"))
    Path("out/b").mkdir(parents=True)
    from leftovers import dead_process, name_of

    left = Path("out/b", name_of(dead_process()))
    left.write_bytes(b"half")
    convert()
    assert sorted(os.listdir("out/b")) == ["a.wav"]
